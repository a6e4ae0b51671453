# SPDX-License-Identifier: GPL-2.0-only
"""A minute of tests/torture with a fixed seed."""
import sys

from cases import TOPOLOGIES, Three, Topology, case
from harness import LOGS, ROOT, Failed

sys.path.append(str(ROOT / 'tests/torture'))

from plan import Plan  # noqa: E402
from stage import TargetFailed, torture  # noqa: E402

SEED, SECONDS = 16, 50

# Torture builds its own LUN and loads the module itself.
TOPOLOGIES['torture'] = Topology('three', Three, None)


@case(topology='torture', rules=['3.3', '3.4', '5.1', '5.2', '5.3', '5.11'], module=False, long=True)
def fixed_seed(t):
    """two hosts hurt at random lose no acknowledged write and write nothing that is not theirs"""
    t.discard()
    try:
        wrong, lines = torture(t.site, t.kernel, Plan(SEED, SECONDS, gentle=True),
                               LOGS / f'{t.kernel}-torture')
    except TargetFailed as error:
        raise Failed(f'target failed: {error}') from error
    if wrong:
        raise Failed('\n'.join([*wrong, *lines]))
