# SPDX-License-Identifier: GPL-2.0-only
"""Section 3: what each open option does."""
from cases import case, expect, poll

WERO = 5


def hold(t, host, device, flags='<>'):
    """A process that has the device open until the case ends."""
    holder = host.spawn(f'exec 3{flags}{device} && echo open && sleep 600')
    poll(lambda: 'open' in holder.output() or holder.poll() is not None, 60, 'open')
    t.cleanup(holder.kill)
    return holder


@case(topology='tcm_loop', rules=['3', '4.2', '5.9', '6.1'])
def default(t):
    """a default open reserves, the last close releases"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    expect(t.a.pr_state().keys == [0xa1, 0xa1], 'registered in the background')
    holder = hold(t, t.a, mp)
    expect(holder.poll() is None, holder.output())
    state = t.a.pr_state()
    expect((state.holder, state.type) == (0xa1, WERO), state)
    t.a.check(f'dd if=/dev/zero of={mp} bs=4k count=100 oflag=direct')
    holder.kill()
    mp.wait_status(state='free')
    expect(t.a.pr_state().holder is None, t.a.pr_state())
