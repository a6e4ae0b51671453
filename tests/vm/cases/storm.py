# SPDX-License-Identifier: GPL-2.0-only
"""Everything at once: opens, reloads, suspends, removals and lost disks on one device.

The actors are threads in the guest (tests/debug/actors.py) that do a number of
rounds each, drawn from a seed. Whatever comes of an operation must be an outcome
that is documented for it; nothing may hang; afterwards the device is in order and
the target holds what the rules say. Debug kernels (make check-debug) watch meanwhile.
"""
import contextlib
import json
import os

from cases import MODULE, case, expect, module_path, poll, without_udev
from harness import Mapped
from lio import LoopPath, find_disk
from steps import check_write, close, hold, log

ACTORS = 'python3 /prm/tests/debug/actors.py'
SEED = os.environ.get('STORM_SEED', '1')
ROUNDS = int(os.environ.get('STORM_ROUNDS', '200'))
NAME, MINOR, KEY = 'storm', 77, 0xa1
HANG = 900                  # a storm takes a tenth of it

# Tables: target, words, which paths
FULL = ('prmpath', '2 pr_key 0xa1 0 {paths}', (0, 1))
TABLES = {
    'full': FULL,
    'one': ('prmpath', '2 pr_key 0xa1 0 {paths}', (0,)),
    'other': ('prmpath', '4 pr_key 0xa1 path_check 1 0 {paths}', (1, 0)),
    'queueing': ('prmpath', '3 pr_key 0xa1 queue_if_no_path 0 {paths}', (0, 1)),
    'linear': ('linear', '{first} 0', (0, 1)),
    'error': ('error', '', ()),
}

# What may come of an operation. A table of ours knows no device that is gone, and no
# device-mapper call knows a mapped device that is gone (ENXIO).
REFUSED = {'EBUSY', 'EIO', 'ETIMEDOUT', 'EINTR'}                    # README, "Errors"
# What opens that bypass wrote may be refused by the gate, and whoever writes out dirty pages is
# told. A direct write is of an open that reserves: its own writes never meet the gate, but it
# writes out the pages in its place first.
GATE = {'EBADE', 'EIO'}
PAGES = {'EIO'}
OUTCOMES = {
    'open': REFUSED, 'open bypass': set(), 'open read': set(), 'open control': set(),
    'open extended': REFUSED, 'close': set(),
    'write': set(), 'fsync': GATE, 'write direct': PAGES, 'read direct': PAGES, 'read': PAGES,
    'load': {'EBUSY'}, 'load error': set(), 'clear': set(),
    # A suspend that flushes, and so a resume of a new table, tells of pages that the gate refused.
    'create': set(), 'suspend': PAGES, 'resume': PAGES, 'status': set(),
}
# No table of ours: the descriptor is of no prmpath device; or it went just now, and pr_key with it;
# and what was opened then has no session.
LINEAR = {'open extended': {'ENOTTY', 'ENOTSUP'}, 'write direct': {'EBADE'}}
GONE = {name: {'ENXIO'} for name in (
    'open', 'open bypass', 'open read', 'open extended', 'fsync', 'write', 'write direct',
    'read direct', 'read', 'load', 'load error', 'clear', 'suspend', 'resume', 'status')}
# Made again, it has no table for a moment, and so no sectors.
GONE['write'].add('ENOSPC')
GONE['write direct'].add('ENOSPC')
NODE = {name: {'ENOENT', 'ENODEV'} for name in ('open', 'open bypass', 'open read')}


def allowed(*more):
    result = {name: set(errors) for name, errors in OUTCOMES.items()}
    for words in more:
        for name, errors in words.items():
            result.setdefault(name, set()).update(errors)
    return result


def storm(t, actors, tables, may=None, during=contextlib.nullcontext()):
    """Run the actors on a device of their own; then everything must be as the rules say."""
    addresses = t.vm.check('for p in ' + ' '.join(p.name for p in t.a.paths) +
                           '; do basename $(readlink /sys/block/$p/device); done').split()
    plan = {
        'seed': f'{t.case.name} {SEED}', 'device': NAME, 'minor': MINOR, 'home': 'full',
        'sectors': int(t.vm.check(f'blockdev --getsz {t.a.paths[0]}')),
        'module': module_path(t.kernel),
        'addresses': [address.rsplit(':', 1)[0] for address in addresses],
        'tables': {name: TABLES[name] for name in tables},
        'actors': [[actor[0], ROUNDS, dict(*actor[1:])] for actor in actors],
    }
    t.vm.put('/run/plan', json.dumps(plan))
    mp = Mapped(t.a, NAME)
    t.cleanup(leave, t, mp, plan['addresses'])
    with during:
        code, out = t.vm.run(f'{ACTORS} /run/plan', timeout=HANG)
    expect(code == 0, f'the actors ended with {code}: {out}')
    result = json.loads(out.splitlines()[-1])
    judge(result, may or allowed())
    settle(t, mp, plan['addresses'])
    return result['counts']


def judge(result, may):
    for name, outcomes in result['counts'].items():
        expect(name in may, f'{name}: no outcomes are listed for it')
        strange = set(outcomes) - may[name] - {'ok', 'no path'}
        expect(not strange, f'{name}: {strange} in {outcomes}, expected ok or {may[name]}')
    for name in 'open', 'load', 'resume':
        expect(result['counts'].get(name, {}).get('ok'), f'{name} never succeeded: {result}')


def refresh(t, addresses):
    """Paths whose disks may have got other names."""
    paths = [LoopPath(t.vm, number, poll(
        lambda at=address: find_disk(t.vm, f'/sys/class/scsi_device/{at}:0'), 20, f'disk at {address}'),
        t.lun.ports[0, number]) for number, address in enumerate(addresses)]
    t.a.paths[:] = paths


def leave(t, mp, addresses):
    """Whatever a storm has left."""
    t.vm.run(f'dmsetup remove --force --retry {mp.name}')
    refresh(t, addresses)


def settle(t, mp, addresses):
    """The table that uses all paths; an open owns, its end releases, removal unregisters."""
    refresh(t, addresses)
    if t.vm.run(f'grep -q ^{MODULE} /proc/modules')[0]:
        t.vm.check(f'insmod {module_path(t.kernel)}')
    sectors = t.vm.check(f'blockdev --getsz {t.a.paths[0]}').strip()
    kind, words, which = FULL
    members = ' '.join(f'{t.a.paths[i].number} 1' for i in which)
    line = f'0 {sectors} {kind} ' + words.format(paths=f'1 1 round-robin 0 {len(which)} 1 {members}')
    # udev may have hundreds of disks to look at yet.
    t.vm.check(f'udevadm settle --timeout={HANG}', timeout=HANG)
    t.vm.check(f'''dmsetup info {mp.name} > /dev/null 2>&1 || dmsetup create {mp.name} --notable
        dmsetup load {mp.name} --table "{line}" && dmsetup resume {mp.name} && udevadm settle''')
    close(hold(t, t.a, mp))
    mp.wait_status(state='free', opens=0, keys_own=2, deadline=60)
    state = t.a.pr_state()
    expect(state.holder is None and state.keys == [KEY, KEY], f'after the last close: {state}')
    holder = hold(t, t.a, mp)
    mp.wait_status(state='owner', deadline=30)
    state = t.a.pr_state()
    expect(state.holder == KEY and state.keys == [KEY, KEY], f'while open: {state}')
    check_write(t.a, mp, 0x51)
    close(holder)
    t.vm.check(f'udevadm settle; dmsetup remove --retry {mp.name}')
    state = t.a.pr_state()
    expect(state.holder is None and state.keys == [], f'removed: {state}')


OPENERS = [('open_write',), ('open_direct',), ('open_bypass',), ('open_read',), ('open_extended',)]


@case(topology='tcm_loop', rules=['3.5', '3.6', '4.8'], cpus=2, long=True)
def opens_and_reloads(t):
    """opens and closes of all kinds while tables come and go"""
    storm(t, [*OPENERS, ('reload', {'tables': ['full', 'one', 'other', 'queueing']})],
          ('full', 'one', 'other', 'queueing'))


def nothing_lost(t):
    """No dirty page was refused: the kernel says so of each that was."""
    lost = [line for line in log(t).splitlines() if 'lost async page write' in line]
    expect(not lost, f'dirty pages of a session were refused: {lost[:3]}')


@case(topology='tcm_loop', rules=['4.8'], cpus=2, long=True)
def linear_and_back(t):
    """another target takes over and gives back while opens come and go"""
    storm(t, [*OPENERS, ('reload', {'tables': ['full', 'linear', 'other']})],
          ('full', 'other', 'linear'), allowed(LINEAR))


@case(topology='tcm_loop', rules=['4.8'], cpus=2, long=True)
def error_and_back(t):
    """the error target takes over, as dmsetup wipe_table does, and gives back"""
    storm(t, [*OPENERS, ('reload', {'tables': ['full', 'error', 'one']})],
          ('full', 'one', 'error'), allowed(LINEAR))


@case(topology='tcm_loop', rules=['4.4'], cpus=2, long=True)
def suspended_closers(t):
    """last closes with dirty pages meet suspend and resume, with and without flush"""
    may = allowed()
    may['fsync'], may['write direct'] = PAGES, set()
    counts = storm(t, [('open_write',), ('open_write',), ('open_direct',), ('open_read',), ('pause',),
                       ('reload', {'tables': ['full', 'other']})], ('full', 'other'), may)
    nothing_lost(t)
    # The page cache says so itself when a direct write meets a page that is in use.
    told = {name: counts[name] for name in ('fsync', 'suspend', 'resume') if 'EIO' in counts[name]}
    expect(not told or 'Page cache invalidation failure' in log(t), f'EIO: {told}')


@case(topology='tcm_loop', rules=['4.5'], cpus=2, long=True)
def removals(t):
    """removed plainly, deferred and by force with sessions open, and made again"""
    storm(t, [*OPENERS, ('remove',), ('look',)], ('full', 'one'),
          # create: ENXIO if the name is free and the number is not yet; resume: EINVAL of a device
          # that a deferred removal is just taking away
          allowed(LINEAR, GONE, NODE,
                  {'remove': {'EBUSY', 'ENXIO'}, 'remove deferred': {'ENXIO'},
                   'create': {'EBUSY', 'ENXIO'}, 'resume': {'EINVAL'}}))


@case(topology='tcm_loop', rules=['4.8'], cpus=2, long=True)
def unloading(t):
    """the module is asked to go in every state, and goes only when nobody uses it"""
    storm(t, [*OPENERS, ('reload', {'tables': ['full', 'linear', 'error']}), ('unload',)],
          ('full', 'linear', 'error'),
          allowed(LINEAR, {'rmmod': {'EAGAIN', 'EBUSY'}, 'insmod': set(), 'load': {'EINVAL'},
                           'open control': {'ENOENT', 'ENXIO', 'ENODEV'}}))


MESSAGES = ['pr_status', 'pr_release', 'pr_unregister', 'fail_path {path}', 'reinstate_path {path}',
            'queue_if_no_path', 'fail_if_no_path', 'switch_group 1', 'enable_group 1',
            'disable_group 1', 'open_options default', 'open_options default once',
            'open_options no_reserve once', 'open_options', 'fail_path 0:0']
WRONG = {'EINVAL'}
SAID = {f'message {text.split()[0]}': {'EBUSY', 'EIO', 'ETIMEDOUT', 'EINTR'} for text in MESSAGES} | {
    'message open_options': WRONG, 'message fail_path': WRONG, 'message reinstate_path': WRONG}


@case(topology='tcm_loop', rules=['2.4', '4.8'], cpus=2, long=True)
def messages_and_status(t):
    """messages and status while tables come and go"""
    storm(t, [('open_write',), ('open_direct',), ('open_extended',), ('look',), ('look',),
              ('message', {'texts': MESSAGES}), ('message', {'texts': MESSAGES}),
              ('reload', {'tables': ['full', 'one', 'other', 'queueing']})],
          ('full', 'one', 'other', 'queueing'), allowed(SAID))


@case(topology='tcm_loop', rules=['5.2', '5.5', '6.3'], cpus=2, long=True)
def yanked_disks(t):
    """the disks of paths are deleted and come back during everything"""
    storm(t, [*OPENERS, ('look',), ('pause',),
              ('message', {'texts': ['pr_status', 'reinstate_path {path}']}),
              ('reload', {'tables': ['full', 'one', 'other']}),
              ('yank', {'which': [0]}), ('yank', {'which': [1]})],
          ('full', 'one', 'other'),
          # A disk that goes while a table is loaded.
          allowed(SAID, {'load': {'ENXIO', 'ENODEV', 'ENOENT', 'EINVAL', 'EBUSY'},
                         'write direct': GATE, 'delete': {'ENOENT'}, 'scan': set()}))


@case(topology='tcm_loop', rules=['5.2'], cpus=2, long=True, paths=4)
def hot_path(t):
    """verified I/O on four paths while they fail and return and somebody looks all the time"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1 queue_if_no_path')
    holder = hold(t, t.a, mp)
    fio = t.vm.spawn(f'fio --name=hot --filename={mp} --direct=1 --rw=randwrite --bsrange=4k-64k '
                     '--size=16m --ioengine=libaio --iodepth=16 --numjobs=2 --offset_increment=16m '
                     f'--loops={max(1, ROUNDS // 50)} --verify=crc32c --verify_fatal=1')
    rounds = 0
    while fio.poll() is None or rounds < ROUNDS // 10:
        path = t.a.paths[rounds % 4].number
        script = ['for i in 1 2 3; do dmsetup status mp0; dmsetup table mp0; done > /dev/null',
                  f'dmsetup message mp0 0 fail_path {path}',
                  f'dmsetup message mp0 0 pr_status > /dev/null; dmsetup status mp0 > /dev/null',
                  f'dmsetup message mp0 0 reinstate_path {path}']
        t.vm.check(' && '.join(script))
        rounds += 1
    code, out = fio.wait(HANG)
    expect(code == 0, f'fio: {out[-2000:]}')
    expect(t.vm.run('dmsetup message mp0 0 fail_if_no_path')[0] == 0, 'fail_if_no_path')
    close(holder)
    mp.wait_status(state='free')
    state = t.a.pr_state()
    expect(state.holder is None and state.keys == [KEY] * 4, f'after the last close: {state}')


# Failures on request: debug kernels only

# With the stack as a filter, which 6.1 has not.
DEBUG = ('6.12-debug',)
FAILNTH = '/prm/build/debug/failnth'
DEBUGFS = '/sys/kernel/debug'


class Failures:
    """Allocations fail that the module asks for, itself or by what it calls."""

    def __init__(self, t, kinds=('failslab', 'fail_page_alloc'), filtered=True, **settings):
        self.t, self.kinds, self.filtered, self.settings = t, kinds, filtered, settings

    def __enter__(self):
        script = ['set -e']
        for kind in self.kinds:
            folder = f'{DEBUGFS}/{kind}'
            values = {'verbose': 0, 'probability': 0, 'times': -1, **self.settings}
            if kind != 'fail_make_request':
                values['ignore-gfp-wait'] = 'N'
            if kind == 'fail_page_alloc':
                values['min-order'] = 0
            if self.filtered:
                script.append('start=$(cat /sys/module/dm_prmpath/sections/.text); '
                              "size=$(awk '$1 == \"dm_prmpath\" { print $2 }' /proc/modules)")
                values |= {'require-start': '$start', 'require-end': '$(printf %#x $((start + size)))',
                           'stacktrace-depth': 32}
            # The probability last: before there is a filter everybody's allocations would fail.
            probability = values.pop('probability')
            script += [f'echo {value} > {folder}/{name}'
                       for name, value in [*values.items(), ('probability', probability)]]
        self.t.vm.check('\n'.join(script))
        return self

    def __exit__(self, *what):
        for kind in self.kinds:
            self.t.vm.check(f'echo 0 > {DEBUGFS}/{kind}/probability')
            if self.filtered:
                self.t.vm.check(f'cd {DEBUGFS}/{kind}; echo 0 > require-start; '
                                'echo 0xffffffffffffffff > require-end')


def each_allocation(t, *words, watched='-', fine=('ENOMEM',)):
    """The thing with each of its allocations failed; how many they were."""
    line = ' '.join(f"'{word}'" for word in words)
    code, out = t.vm.run(f'{FAILNTH} {watched} {line}', timeout=HANG)
    expect(code == 0, f'{words[0]}: {out[-2000:]}')
    outcomes = [row.split() for row in out.splitlines()]
    strange = [row for row in outcomes[:-1] if row[1] not in ('ok', *fine)]
    expect(not strange, f'{words[0]}: allocation and outcome {strange}, expected {fine}')
    count = int(outcomes[-1][1])
    expect(outcomes[-1][0] == 'done' and count, f'{words}: no allocation was failed: {out}')
    return count


@case(topology='tcm_loop', rules=['3.6', '6.3'], kernels=DEBUG, long=True)
def each_allocation_fails(t):
    """a table, an open, a message, a status: each allocation of it fails once, without a trace"""
    with Failures(t):
        table = t.a.table('pr_key 0xa1 pr_register open').split(' ', 3)
        t.vm.check('dmsetup create fresh --notable')
        t.cleanup(t.vm.check, 'udevadm settle; dmsetup remove --retry fresh')
        raw = t.a.paths[1].dev
        counts = {'first table': each_allocation(t, 'load', 'fresh', table[1], table[2], table[3],
                                                 watched=raw)}
        mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open')
        close(hold(t, t.a, mp))
        for name, words in {
                'table': ('load', 'mp0', *table[1:]),
                'resume': ('resume', 'mp0', *table[1:]),
                'open': ('open', f'{mp}'),
                'extended open': ('extended', f'{mp}'),
                'options': ('message', 'mp0', 'open_options default'),
                'pr_status': ('message', 'mp0', 'pr_status'),
        }.items():
            counts[name] = each_allocation(t, *words, watched=raw)
    expect(counts['open'] > 1 and counts['table'] > 10, f'allocations: {counts}')
    holder = hold(t, t.a, mp)
    mp.wait_status(state='owner', keys_own=2)
    close(holder)
    mp.wait_status(state='free')


@case(topology='bare', rules=['6.3'], module=False, kernels=DEBUG, long=True)
def each_allocation_of_insmod_fails(t):
    """the module loads or does not, whichever allocation fails"""
    # A file system that a failure cannot surprise
    t.vm.check(f'cp {module_path(t.kernel)} /run/module.ko')
    with Failures(t, filtered=False):
        each_allocation(t, 'insmod', '/run/module.ko', fine=('ENOMEM', 'EINVAL', 'EAGAIN'))


@case(topology='tcm_loop', rules=['3.6', '6.3'], cpus=2, kernels=DEBUG, long=True)
def allocations_fail(t):
    """one allocation of ten fails during everything, the worker's as well"""
    lost = {'ENOMEM', 'EIO', 'EBUSY'}
    storm(t, [*OPENERS, ('look',), ('message', {'texts': MESSAGES}),
              ('reload', {'tables': ['full', 'one', 'other']})], ('full', 'one', 'other'),
          allowed(SAID, {name: lost for name in (*OUTCOMES, *SAID)}),
          during=Failures(t, probability=10))


@case(topology='tcm_loop', rules=['5.2'], cpus=2, kernels=DEBUG, long=True)
def requests_fail(t):
    """one request of ten of a path fails below us: no writer sees it"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1 queue_if_no_path')
    holder = hold(t, t.a, mp)
    first = t.a.paths[0]
    with without_udev(t.vm), Failures(t, ('fail_make_request',), filtered=False, probability=10):
        t.vm.check(f'echo 1 > /sys/block/{first.name}/make-it-fail')
        t.vm.check(f'fio --name=w --filename={mp} --direct=1 --rw=randwrite --bs=4k --size=8m '
                   '--ioengine=libaio --iodepth=8 --loops=4 --verify=crc32c --verify_fatal=1 '
                   '--do_verify=1', timeout=HANG)
        t.vm.check(f'echo 0 > /sys/block/{first.name}/make-it-fail')
    expect(mp.status()['paths'][first.number]['failures'], f'{first} never failed: {mp.status()}')
    mp.message('fail_if_no_path')
    poll(lambda: mp.status()['paths'][first.number]['active'], 60, f'{first} comes back')
    close(holder)
    mp.wait_status(state='free')
