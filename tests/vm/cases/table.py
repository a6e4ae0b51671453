# SPDX-License-Identifier: GPL-2.0-only
"""Tables: reload (rule 4.8), what status and table print, messages that change a table."""
import json

from cases import case, expect, poll
from session import progress, ready, writer
from steps import (PRMPATH, RELEASE, Commands, check_write, close, hold, hold_extended,
                   logged, sg_out)


def load(t, table, name='mp0'):
    """dmsetup reload without resume; (exit code, output)."""
    code, out = t.a.run(f'dmsetup reload {name} --table "{table}"')
    if code == 0:
        t.a.check(f'dmsetup clear {name}')
    return code, out


def table_refused(t, features, text, **how):
    code, _ = load(t, t.a.table(features, **how))
    expect(code, f'"{features}" was accepted')
    logged(t, text)


def holder_path(t, mp):
    """The path that holds, and another one."""
    at = next(p for p in t.a.paths if mp.status()['holder'] == f'own:{p.number}')
    return at, next(p for p in t.a.paths if p is not at)


@case(topology='tcm_loop', rules=['4.8'])
def key_while_open(t):
    """key and type cannot change or go while the device is open or reserved"""
    mp = ready(t)
    holder = hold_extended(t, t.a, mp, 'retain')
    before = t.a.pr_state()
    for state in 'open', 'retained':
        table_refused(t, 'pr_key 0xa2', 'pr_key cannot change')
        table_refused(t, 'pr_key 0xa1 pr_type 6', 'pr_type cannot change')
        table_refused(t, '', 'pr_key cannot change')
        expect(t.a.pr_state() == before, f'{state}: {t.a.pr_state()}')
        if state == 'open':
            check_write(t.a, mp, 0x41)
            close(holder)
    mp.wait_status(state='retained')


@case(topology='tcm_loop', rules=['4.8', '5.9'])
def key_of_a_loaded_table(t):
    """opened between load and resume, the key stays until the last close, and changes then"""
    mp = ready(t)
    t.a.check(f'dmsetup load mp0 --table "{t.a.table("pr_key 0xa2")}"')
    holder = hold(t, t.a, mp)
    t.a.check('dmsetup resume mp0')
    logged(t, 'mp0 (dm-', 'pr_key stays as it was until the device is closed')
    check_write(t.a, mp, 0x42)
    state = t.a.pr_state()
    expect((state.holder, state.keys) == (0xa1, [0xa1, 0xa1]), f'while open: {state}')
    close(holder)
    poll(lambda: t.a.pr_state().keys == [0xa2, 0xa2], 15, 'the new key on both paths')
    mp.wait_status(state='free', key='0x00000000000000a2')
    hold(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa2, t.a.pr_state())


def reload_idle(t, device, features=''):
    """A table with another key; udev looks at what was open for writing, and that is an open."""
    line = t.a.table(features)
    poll(lambda: t.vm.run(f'dmsetup reload {device.name} --table "{line}"')[0] == 0, 15,
         'nobody has it open')
    t.vm.check(f'dmsetup resume {device.name}')


@case(topology='tcm_loop', rules=['4.8'])
def key_added_while_open(t):
    """PR cannot be switched on under openers, but it can on an idle device"""
    mp = t.a.prmpath('mp0')
    holder = hold(t, t.a, mp)
    table_refused(t, 'pr_key 0xa1', 'pr_key cannot be added')
    check_write(t.a, mp, 0x42)
    close(holder)
    reload_idle(t, mp, 'pr_key 0xa1')
    mp.wait_status(keys_own=2)
    hold(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())


@case(topology='tcm_loop', rules=['4.8'])
def rekey(t):
    """an idle device changes its registrations from the old key to the new one"""
    mp = ready(t)
    mp.reload('pr_key 0xa2')
    poll(lambda: t.a.pr_state().keys == [0xa2, 0xa2], 15, 'changed')
    holder = hold(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa2, t.a.pr_state())
    close(holder)
    reload_idle(t, mp)
    poll(lambda: t.a.pr_state().keys == [], 15, 'a table without a key leaves none')
    expect(mp.status()['state'] == 'off', mp.status())


@case(topology='tcm_loop', rules=['4.8', '4.5', '5.2'], paths=3)
def paths_come_and_go(t):
    """paths are added and dropped under I/O; each is registered first, unregistered after"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1', paths=t.a.paths[:1])
    mp.wait_status(keys_own=1)
    job = writer(t, mp)
    mp.reload('pr_key 0xa1')
    poll(lambda: t.a.pr_state().keys == [0xa1] * 3, 15, 'registered')
    progress(job)
    expect({p['pr'] for p in mp.status()['paths'].values()} == {'registered'}, mp.status())
    mp.reload('pr_key 0xa1', paths=t.a.paths[:2])
    poll(lambda: t.a.pr_state().keys == [0xa1] * 2, 15, 'unregistered')
    progress(job)
    sg_out(t.a, '--register --param-rk=0 --param-sark=0xa1', 2)
    expect(t.a.pr_state().holder == 0xa1, 'the third path was not registered any more')


@case(topology='tcm_loop', rules=['4.8'], paths=3)
def holder_dropped(t):
    """the holder path leaves the table under I/O: the reservation moves first"""
    mp = ready(t, paths=3)
    job = writer(t, mp)
    at, _ = holder_path(t, mp)
    rest = [p for p in t.a.paths if p is not at]
    mp.reload('pr_key 0xa1', paths=rest)
    poll(lambda: t.a.pr_state(rest[0].index).keys == [0xa1] * 2, 20, 'unregistered')
    progress(job)
    expect(t.a.pr_state(rest[0].index).holder == 0xa1, 'reservation lost')
    expect(mp.status()['holder'] in [f'own:{p.number}' for p in rest], mp.status())
    close(job)
    expect(t.a.pr_state(rest[0].index).holder is None, 'released on the new holder path')


@case(topology='tcm_loop', rules=['4.8'], paths=3)
def holder_dropped_dead(t):
    """the same when the holder path is dead: its registration goes with the move"""
    mp = ready(t, paths=3)
    job = writer(t, mp)
    at, _ = holder_path(t, mp)
    rest = [p for p in t.a.paths if p is not at]
    at.cut()
    progress(job)
    mp.reload('pr_key 0xa1', paths=rest)
    poll(lambda: t.a.pr_state(rest[0].index).keys == [0xa1] * 2, 30, 'unregistered')
    progress(job)
    expect(t.a.pr_state(rest[0].index).holder == 0xa1, 'reservation lost')
    at.restore()


@case(topology='tcm_loop', rules=['4.8'])
def options_survive(t):
    """options set by message survive a reload, unless the table's own text changed"""
    mp = ready(t, 'pr_open retain')
    mp.message('open_options', 'no_reserve')
    mp.reload('pr_key 0xa1 pr_open retain pr_poll 9')
    expect(mp.status()['open'] == 'no_reserve', mp.status())
    mp.reload('pr_key 0xa1 pr_open single')
    expect(mp.status()['open'] == 'single', mp.status())


@case(topology='tcm_loop', rules=['4.8'])
def session_survives(t):
    """a reload under an owner sends no RELEASE, and the state stays"""
    mp = ready(t, 'pr_poll 0')
    hold_extended(t, t.a, mp, 'single')
    with Commands(t.vm) as commands:
        mp.reload('pr_key 0xa1 pr_poll 0', groups=2)
    expect(RELEASE not in commands.pr_out(), commands.pr())
    status = mp.status()
    expect((status['state'], status['options'], status['gate']) == ('owner', 'single', 'open'), status)
    check_write(t.a, mp, 0x43, flags='oflag=direct,nonblock')


def linear(t, path):
    return f"0 {t.a.check(f'blockdev --getsz {path}').strip()} linear {path.number} 0"


def switch(t, table):
    t.a.check(f'dmsetup reload mp0 --table "{table}" && dmsetup resume mp0')


@case(topology='tcm_loop', rules=['4.8', '4.5'])
def linear_and_back(t):
    """an idle device becomes linear and prmpath again"""
    mp = ready(t)
    switch(t, linear(t, t.a.paths[0]))
    expect(t.a.pr_state().keys == [], 'registrations left')
    check_write(t.a, mp, 0x44)
    reload_idle(t, mp, 'pr_key 0xa1')
    mp.wait_status(keys_own=2)
    holder = hold(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    close(holder)
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['4.8'])
def linear_while_open(t):
    """a table without us takes over an open device: the reservation stays until we are back"""
    mp = ready(t)
    holder = hold(t, t.a, mp)
    at, _ = holder_path(t, mp)
    switch(t, linear(t, at))
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    logged(t, 'mp0', 'the reservation stays')
    check_write(t.a, mp, 0x45)
    expect(load(t, t.a.table('pr_key 0xa1'))[0] != 0, 'PR switched on under an opener')
    close(holder)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    mp.reload('pr_key 0xa1')
    holder = hold(t, t.a, mp)
    check_write(t.a, mp, 0x46)
    close(holder)
    expect(t.a.pr_state().holder is None, 'the next session releases it')


@case(topology='tcm_loop', rules=['5.8', '2.3'])
def round_trip(t):
    """dmsetup table prints a line that makes the same device"""
    features = ('queue_if_no_path pr_key 0xa1 pr_type 6 pr_open retain,single pr_open_ro default '
                'pr_timeout 20 pr_poll 3 pr_shared pr_register open pr_width 2 pr_twin trust '
                'pr_aptpl 0 pr_abort optional path_check 7')
    mp = t.a.prmpath('mp0', features, groups=2)
    line = t.a.check('dmsetup table mp0').strip()
    for word in features.split():
        expect(word in line.split(), f'{word} is not in {line}')
    code, out = load(t, line)
    expect(code == 0, out)
    t.a.check(f'dmsetup reload mp0 --table "{line}" && dmsetup resume mp0')
    expect(t.a.check('dmsetup table mp0').strip() == line, t.a.check('dmsetup table mp0'))
    mp.message('fail_if_no_path')
    expect('queue_if_no_path' not in t.a.check('dmsetup table mp0'), 'fail_if_no_path')
    mp.message('queue_if_no_path')
    expect(t.a.check('dmsetup table mp0').strip() == line, 'queue_if_no_path')


@case(topology='tcm_loop', rules=['5.12'], paths=4)
def status(t):
    """prmpath status --json agrees with dmsetup status and with sg_persist"""
    def read():
        return json.loads(t.a.check(f'{PRMPATH} status --json mp0'))

    mp = ready(t, paths=4)
    hold_extended(t, t.a, mp, 'retain')
    mp.message('fail_path', t.a.paths[3].number)
    line, text = t.a.check('dmsetup status mp0'), json.dumps(read())
    words = line.split()
    count = int(words[3])
    last = [i for i, word in enumerate(words) if '=' in word][-1]
    expect(last == 3 + count, f'{count} words announced: {line}')
    state = t.a.pr_state()
    expect(words[words.index('A') + 1:][:1] == ['0'], line)
    for path in t.a.paths:
        expect(f'"{path.number}"' in text, text)
    for wanted in '"owner"', f'{state.holder:#018x}', '"retain"':
        expect(wanted in text, f'{wanted} is not in {text}')
    groups = words[last + 1:]
    # hardware handler, groups, current group; letter, 0, paths, words per path
    expect(groups[:3] == ['0', '1', '1'] and groups[3:7] == ['A', '0', '4', '1'], groups)
    expect(len(groups) == 7 + 4 * 4, groups)
    expect(groups[-3] == 'F', groups)


@case(topology='tcm_loop', rules=['2.3'], paths=4)
def groups(t):
    """groups: I/O stays in the first one until it has no path"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1', groups=2)
    mp.wait_status(keys_own=4)
    hold(t, t.a, mp)
    first, second = t.a.paths[0::2], t.a.paths[1::2]

    def writes(paths):
        return sum(int(t.a.check(f'cut -d" " -f1-99 /sys/block/{p.name}/stat').split()[4])
                   for p in paths)
    idle = writes(second)
    check_write(t.a, mp, 0x47, count=20)
    expect(writes(second) == idle, 'second group used')
    for path in first:
        path.cut()
    check_write(t.a, mp, 0x48, count=20)
    expect(writes(second) > idle, 'no failover')
    for path in first:
        path.restore()


@case(topology='tcm_loop', rules=['2.3'])
def hardware_handler(t):
    """a hardware handler is attached and printed; one that does not exist is refused"""
    def table(words):
        line = t.a.table('pr_key 0xa1')
        expect(' 0 1 1 round-robin' in line, line)
        return line.replace(' 0 1 1 round-robin', f' {words} 1 1 round-robin')
    t.a.check('modprobe scsi_dh_alua')
    handler = f'/sys/block/{t.a.paths[0].name}/device/dh_state'
    t.a.run(f'echo detach > {handler}')
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    code, _ = load(t, table('1 nosuch'))
    expect(code, 'accepted a handler that does not exist')
    logged(t, "hardware handler 'nosuch' cannot be attached")
    t.a.check(f'dmsetup reload {mp.name} --table "{table("1 alua")}" && dmsetup resume {mp.name}')
    expect(t.a.check(f'cat {handler}').strip() == 'alua', 'not attached')
    expect(' 1 alua 1 1 round-robin' in t.a.check(f'dmsetup table {mp.name}'), 'not printed')
