# SPDX-License-Identifier: GPL-2.0-only
"""What a debug kernel knows when a guest's life ends: leaks, and which lines ran."""
import os
import re
import time

import harness

KMEMLEAK = '/sys/kernel/debug/kmemleak'
GCOV = '/sys/kernel/debug/gcov'
# A backtrace through the module, or through one that is gone: then only addresses
# are left, which are those of modules.
OURS = re.compile(r'\[dm_prmpath\]|\b0xffffffffc[0-9a-f]{7}\b')
SCAN_DEADLINE = 300
# A debug kernel takes this many times longer.
SLOWNESS = 4
# Their images belong to Debian's kernels, or Debian has signed those.
IMAGES = {'packages', 'workbench', 'cluster', 'secureboot'}
# What a short run has: each way through the locks and the memory at least once.
SHORT_FORM = {
    'fencing.latch',
    'takeover.breaks',
    'storm.opens_and_reloads',
    'storm.removals',
    'storm.each_allocation_fails',
}
# What a kernel that looks for data races runs: everything at once, with and without I/O.
RACES_IN = {
    'storm.hot_path',
    'storm.messages_and_status',
    'storm.opens_and_reloads',
    'storm.yanked_disks',
}
# kmemleak takes as much time as everything else: it has guests of its own, for cases where
# memory comes and goes.
LEAKS_IN = {'fault', 'limits', 'session', 'storm', 'table'}


def is_debug(kernel):
    return kernel.endswith('-debug')


def looks_for_races(kernel):
    return kernel.endswith('-kcsan')


def looks_for_leaks(kernel, case):
    return is_debug(kernel) and (case.file in LEAKS_IN or case.name in SHORT_FORM)


def words(kernel, leaks_wanted):
    """What a guest's kernel is told."""
    return 'kmemleak=off' if is_debug(kernel) and not leaks_wanted else ''


def leaks(vm):
    """Leaks of the module: the text of kmemleak's reports, or ''."""
    # What is younger than 5 s does not count; what looks lost in one scan may be found
    # by the next, since pointers move.
    vm.run(f'echo scan > {KMEMLEAK}', timeout=SCAN_DEADLINE)
    time.sleep(5)
    vm.run(f'echo scan > {KMEMLEAK}', timeout=SCAN_DEADLINE)
    text = vm.run(f'cat {KMEMLEAK}', timeout=SCAN_DEADLINE)[1]
    reports = re.split(r'(?m)^(?=unreferenced object)', text)
    return ''.join(report for report in reports if OURS.search(report))


def save_coverage(vm):
    """The module's counters go to the folder gcov of the logs, one folder per guest's life."""
    names = vm.run(f'find {GCOV} -name "*.gcda" -path "*/build/*" 2>/dev/null')[1].split()
    if not names:
        return
    folder = harness.LOGS / 'gcov' / f'{vm.kernel}-{vm.name}-{os.getpid()}-{vm.dir.name[7:]}'
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        # These files have no length that a plain read could trust.
        vm.check(f'cat {name} > /run/gcda')
        (folder / name.rsplit('/', 1)[1]).write_bytes(vm.get('/run/gcda'))


def keep_coverage(vm):
    """Of a guest that a case has discarded: what can be had."""
    try:
        if vm.alive():
            save_coverage(vm)
    except harness.Failed:
        pass


def farewell(vm):
    """Before a guest is powered off: returns what it has leaked, or ''."""
    if not is_debug(vm.kernel) or not vm.alive():
        return ''
    try:
        save_coverage(vm)
        return leaks(vm)
    except harness.Failed as error:
        return f'the guest does not answer any more: {error}'
