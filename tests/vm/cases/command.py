# SPDX-License-Identifier: GPL-2.0-only
"""The prmpath command on real devices: every subcommand, its exit status and what it leaves."""
import json
import shlex
import signal

from cases import TcmLoop, case, expect, poll
from harness import Mapped
from lio import IQN
from steps import (BUSY, NO_PR, NOT_PRMPATH, PERMISSION, PRMPATH, USAGE, check_write, close,
                   foreign_leave, foreign_register, foreign_reserve, hold_extended,
                   write_fails)

FREE, OTHER, UNKNOWN = 0, 1, 2          # prmpath query
KEY = 0xa1


def prmpath(host, *words, code=0):
    """Run prmpath, which must end with this status; its output, complaints too."""
    got, out = host.run(f'{PRMPATH} {shlex.join(map(str, words))}')
    expect(got == code, f'prmpath {words}: exit status {got}, expected {code}: {out}')
    return out


def as_json(host, *words, code=0):
    """Its output on stdout, as JSON."""
    got, out = host.run(f'{PRMPATH} {shlex.join(map(str, words))} 2> /run/complaint')
    expect(got == code, f'prmpath {words}: exit status {got}, expected {code}: {out}')
    answer = json.loads(out)
    expect(answer['output_version']['command'] == f'prmpath {words[0]}', answer)
    return answer


def create(host, *options, name='mp0', paths=None):
    """prmpath create of a host's own paths; removed when the case ends."""
    prmpath(host, 'create', '--only', *options, name, *(paths or host.paths))
    device = Mapped(host, name)
    host.devices.append(device)
    return device


def ready(host, paths=2):
    device = create(host, '--key', hex(KEY))
    device.wait_status(keys_own=paths)
    return device


def forget(host, device):
    """It was removed by the case itself."""
    host.devices.remove(device)


@case(topology='iscsi_loop', rules=['4.8', '5.2'])
def life(t):
    """create, list, status, drop-path, add-path and remove"""
    table = prmpath(t.a, 'create', '--dry-run', '--only', '--key', hex(KEY), 'mp0', *t.a.paths)
    expect(table.startswith('0 131072 prmpath 4 path_check 5 pr_key 0x00000000000000a1 '), table)
    expect(t.a.run('dmsetup info mp0')[0], 'a dry run made a device')
    mp = ready(t.a)
    t.a.check(f'test -b {mp}')
    row, = as_json(t.a, 'list', '--json')['devices']
    expect((row['name'], row['state'], row['keys_own'], row['paths'], row['usable_paths']) ==
           ('mp0', 'free', 2, 2, 2), row)
    expect('children' not in row, row)
    row, = as_json(t.a, 'status', '--json', 'mp0')['devices']
    expect([p['name'] for p in row['children']] == [p.name for p in t.a.paths], row)
    expect(all(p['usable'] is True and p['state'] == 'registered' and p['scsi_state'] == 'running'
               and p['commands'] > 0 for p in row['children']), row)

    expect(all(p['answer'] == 'good' and p['sense'] == '00/00/00' for p in row['children']), row)

    holder = hold_extended(t, t.a, mp, 'retain')
    check_write(t.a, mp, 0x11)
    prmpath(t.a, 'drop-path', mp, t.a.paths[0])
    mp.wait_status(keys_own=1)
    expect(list(mp.status()['paths']) == [t.a.paths[1].number], mp.status())
    check_write(t.a, mp, 0x22)
    out = prmpath(t.a, 'drop-path', 'mp0', t.a.paths[1].name, code=USAGE)
    expect('last path' in out and 'prmpath remove' in out, out)
    prmpath(t.a, 'add-path', 'mp0', t.a.paths[0].number)
    mp.wait_status(keys_own=2)
    poll(lambda: all(p['pr'] == 'registered' for p in mp.status()['paths'].values()),
         15, 'the path that was added is registered')
    check_write(t.a, mp, 0x33)
    out = prmpath(t.a, 'add-path', 'mp0', t.a.paths[0], code=BUSY)
    expect('already' in out, out)

    out = prmpath(t.a, 'remove', 'mp0', code=BUSY)
    expect('still open' in out and 'fuser' in out, out)
    prmpath(t.a, 'remove', '--deferred', 'mp0')
    expect(t.a.run('dmsetup info mp0')[0] == 0, 'a deferred removal removed a device in use')
    close(holder)
    poll(lambda: t.a.run('dmsetup info mp0')[0], 15, 'the device goes with its last close')
    forget(t.a, mp)
    expect(prmpath(t.a, 'list') == '', 'nothing is left')


@case(topology='iscsi_loop', rules=[], hosts=('a',))
def designator(t):
    """create finds all paths of a LUN by any of them, or by its WWID"""
    wwid = t.a.check(f'cat /sys/block/{t.a.paths[0].name}/device/wwid').strip()
    numbers = {path.number for path in t.a.paths}
    for words in (['mp0', t.a.paths[1]], ['--wwid', wwid, 'mp0'],
                  ['--wwid', wwid.replace('naa.', '3'), 'mp0']):
        prmpath(t.a, 'create', '--key', hex(KEY), *words)
        mp = Mapped(t.a, 'mp0')
        expect(set(mp.status()['paths']) == numbers, mp.status())
        expect(f'prmpath-{wwid}' in prmpath(t.a, 'list', '-n', '-o', 'UUID'), 'the uuid')
        prmpath(t.a, 'remove', 'mp0')
    out = prmpath(t.a, 'create', '--wwid', 'naa.6001405000', 'mp0', code=NOT_PRMPATH)
    expect('no path to naa.6001405000' in out, out)


@case(topology='iscsi_loop', rules=['3.7', '5.10'], hosts=('a',))
def refused(t):
    """bad input: devices, paths, keys; nothing half done"""
    other = TcmLoop(t.vm, paths=1, hosts=('c',), name='lun1')
    stranger = other.hosts[0].paths[0]
    a, b = t.a.paths
    attempts = [
        (('create', 'mp0', a, stranger), USAGE, 'two LUNs'),
        (('create', 'mp0', '/dev/vda'), NOT_PRMPATH, 'not a SCSI disk'),
        (('create', 'mp0', '/dev/null'), NOT_PRMPATH, 'not a block device'),
        (('create', 'mp0', '/dev/nothing'), NOT_PRMPATH, 'No such file'),
        (('create', 'mp0', a, a), USAGE, 'given twice'),
        (('create', 'a/b', a), USAGE, 'is no name'),
        (('create', '--key', '0', 'mp0', a), USAGE, 'is no key'),
        (('create', '--key', '0x1ffffffffffffffff', 'mp0', a), USAGE, 'is no key'),
        (('create', '--type', '2', 'mp0', a), USAGE, 'expected 5, 6, 7 or 8'),
        (('create', '--open', 'forced,wrong', 'mp0', a), USAGE, "'wrong'"),
        # The module refuses it: its reason comes through, and the device goes again.
        (('create', '--key', '1', '--feature', 'pr_timeout 111', 'mp0', a), USAGE,
         'expected 1 to 110'),
        (('create', '--key', '1', '--type', '1', 'mp0', a), USAGE, 'for one path'),
    ]
    try:
        for words, code, text in attempts:
            out = prmpath(t.a, *words, code=code)
            expect(text in out, f'{words}: {text} is not in: {out}')
        expect('mp0' not in t.a.check('dmsetup ls'), 'a refused create left a device')
        expect(not t.a.pr_state().keys, 'a refused create registered')

        mp = ready(t.a)
        t.a.check('dmsetup create zero --table "0 8 zero"')
        t.a.check(f'dmsetup create part --table "0 8 linear {stranger} 0"')
        out = prmpath(t.a, 'create', 'mp1', stranger, code=BUSY)
        expect('in use by part' in out, out)
        t.a.check('dmsetup remove part')
        for words, code, text in (
                (('create', '--only', 'mp1', a, b), BUSY, 'in use by mp0'),
                (('add-path', 'mp0', stranger), USAGE, 'two LUNs'),
                (('drop-path', 'mp0', stranger), USAGE, 'no path of it'),
                (('create', '--key', '1', 'mp0', stranger), BUSY, 'already'),
                (('remove', 'zero'), NOT_PRMPATH, "its target is 'zero'"),
                (('status', 'zero'), NOT_PRMPATH, "its target is 'zero'"),
                (('hold', 'zero'), NOT_PRMPATH, 'not a prmpath device'),
                (('query', 'zero'), UNKNOWN, "its target is 'zero'"),
                (('release', 'zero'), NOT_PRMPATH, "its target is 'zero'"),
                (('clear', '--yes-destroy', 'zero'), NOT_PRMPATH, "its target is 'zero'"),
                (('take', 'nothing'), NOT_PRMPATH, 'No such'),
                (('query', 'nothing'), UNKNOWN, 'no such'),
                (('add-path', 'nothing', a), NOT_PRMPATH, 'no such')):
            out = prmpath(t.a, *words, code=code)
            expect(text in out, f'{words}: {text} is not in: {out}')
        expect(mp.status()['state'] == 'free' and len(mp.status()['paths']) == 2, mp.status())
        expect(t.a.pr_state().keys == [KEY, KEY], t.a.pr_state())
        for words in (('list', '--json', 'zero'), ('status', '-J', 'nothing')):
            expect(as_json(t.a, *words, code=NOT_PRMPATH)['devices'] == [], words)
    finally:
        t.a.run('dmsetup remove part; dmsetup remove zero; udevadm settle')
        other.remove()


@case(topology='iscsi_loop', rules=['2.2'])
def no_right(t):
    """without the right: told to be root, and nothing is sent"""
    mp = ready(t.a)
    state = t.a.pr_state()
    # A node of the control device that anybody may open still asks the kernel.
    for words, code in (('list', PERMISSION), ('status mp0', PERMISSION), ('query mp0', UNKNOWN),
                        ('release mp0', PERMISSION), (f'take {mp}', PERMISSION),
                        (f'hold {mp}', PERMISSION), ('remove mp0', PERMISSION),
                        (f'drop-path mp0 {t.a.paths[0]}', PERMISSION),
                        ('clear --yes-destroy mp0', PERMISSION), ('status -w', PERMISSION),
                        (f'create --only --key 1 mp1 {t.b.paths[0]}', PERMISSION),
                        ('key set 0xabc', PERMISSION)):
        got, out = t.a.run(f'setpriv --reuid 65534 --regid 65534 --clear-groups {PRMPATH} {words}')
        expect(got == code and 'root' in out, f'{words}: {got} {out}')
    expect(t.a.pr_state() == state and len(mp.status()['paths']) == 2, mp.status())


@case(topology='iscsi_loop', rules=['3-forced', '4.3'])
def who_has_it(t):
    """query, take, release and clear between two hosts"""
    mp = ready(t.a)
    expect(prmpath(t.a, 'query', 'mp0', code=FREE) == 'free\n', 'free')
    holder = hold_extended(t, t.a, mp)
    expect(prmpath(t.a, 'query', mp, code=FREE) == 'ours\n', 'ours')
    out = prmpath(t.a, 'release', 'mp0', code=BUSY)
    expect('mp0' in out, out)
    close(holder)

    foreign_reserve(t.b, 0xb)
    expect(prmpath(t.a, 'query', 'mp0', code=OTHER) == 'other 0x000000000000000b\n', 'other')
    expect(prmpath(t.a, 'query', '-q', 'mp0', code=OTHER) == '', 'quiet')
    row, = as_json(t.a, 'query', '-J', 'mp0', code=OTHER)['devices']
    expect((row['owner'], row['holder'], row['type'], row['keys_foreign']) ==
           ('other', '0x000000000000000b', 'write-exclusive-registrants-only', 1), row)
    out = prmpath(t.a, 'open', mp, '--', 'true', code=BUSY)
    expect('the kernel says' in out and 'foreign key 0xb' in out, out)

    prmpath(t.a, 'take', 'mp0')
    expect(t.a.pr_state().holder == KEY, t.a.pr_state())
    expect(0xb not in t.a.pr_state().keys, 'the old owner is out')
    mp.wait_status(state='retained')
    expect(prmpath(t.a, 'query', 'mp0', code=FREE) == 'ours\n', 'ours, and nobody has it open')
    write_fails(t.b, t.b.paths[0], 'Invalid exchange')
    prmpath(t.a, 'release', '--unregister', 'mp0')
    mp.wait_status(state='free')
    state = t.a.pr_state()
    expect(state.holder is None and not state.keys, state)

    foreign_reserve(t.b, 0xb)
    got, out = t.a.run(f'echo no | {PRMPATH} clear mp0')
    expect(got == 1 and '0x000000000000000b' in out and 'nothing was done' in out, out)
    got, out = t.a.run(f'{PRMPATH} clear mp0 < /dev/null')
    expect(got == 1 and 'nothing was done' in out, out)
    expect(t.a.pr_state().holder == 0xb, 'not confirmed, not cleared')
    t.a.check(f'echo mp0 | {PRMPATH} clear mp0')
    expect(t.a.pr_state().holder is None and 0xb not in t.a.pr_state().keys, t.a.pr_state())
    foreign_reserve(t.b, 0xb)
    prmpath(t.a, 'clear', '--yes-destroy', 'mp0')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='iscsi_loop', rules=['2.2', '5.3', '5.11'])
def hold(t):
    """hold: a notification when it is held, a clean end, status 3 when the LUN is lost"""
    mp = ready(t.a)
    t.vm.put('/run/notified.py', 'import socket\n'
             's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n'
             's.bind("/run/notify")\n'
             'while True:\n    print(s.recv(200).decode(), flush=True)\n')
    listener = t.a.spawn('rm -f /run/notify; exec python3 /run/notified.py')
    t.cleanup(listener.kill)
    poll(lambda: t.a.run('test -S /run/notify')[0] == 0, 15, 'the socket')
    holder = t.a.spawn(f'NOTIFY_SOCKET=/run/notify exec {PRMPATH} hold mp0')
    t.cleanup(close, holder)
    poll(lambda: 'READY=1' in listener.output() and 'STATUS=owner' in listener.output(), 30,
         'READY=1')
    expect(t.a.pr_state().holder == KEY, t.a.pr_state())
    holder.kill(signal.SIGTERM)
    code, out = holder.wait()
    expect(code == 0 and not out, f'{code} {out}')
    poll(lambda: 'STOPPING=1' in listener.output(), 15, 'STOPPING=1')
    mp.wait_status(state='free')

    holder = t.a.spawn(f'exec {PRMPATH} hold mp0')
    t.cleanup(close, holder)
    mp.wait_status(state='owner')
    t.b.check(f'for i in 1 2 3; do sg_turs {t.b.paths[0]} && break; done; '
              f'sg_persist -n --out --register --param-sark=0xb {t.b.paths[0]} && '
              'sg_persist -n --out --preempt-abort --param-rk=0xb --param-sark=0xa1 '
              f'--prout-type=5 {t.b.paths[0]}')
    code, out = holder.wait(40)
    expect(code == BUSY and 'another host took the LUN' in out, f'{code} {out}')
    mp.wait_status(state='foreign')
    foreign_leave(t.b, 0xb)


@case(topology='iscsi_loop', rules=[])
def watch(t):
    """status --watch prints again at every event, and Ctrl-C ends it with status 0"""
    mp = ready(t.a)
    watcher = t.a.spawn(f'exec {PRMPATH} list --watch -n -o NAME,STATE')
    t.cleanup(watcher.kill)
    poll(lambda: 'free' in watcher.output(), 15, 'the first table')
    holder = hold_extended(t, t.a, mp)
    poll(lambda: watcher.output().rstrip().endswith('owner'), 15, 'an event shows')
    close(holder)
    poll(lambda: watcher.output().rstrip().endswith('free'), 15, 'another one')
    watcher.kill(signal.SIGINT)
    code, out = watcher.wait()
    expect(code == 0, f'{code} {out}')
    # Whoever reads may go away as well.
    got, _ = t.a.run(f'{PRMPATH} status --watch --json | head -c 20', timeout=30)
    expect(got == 0, 'a closed pipe ends it')


@case(topology='iscsi_loop', rules=['6.3'])
def interrupted(t):
    """Ctrl-C while an open or a question waits for the storage: nothing is left"""
    mp = ready(t.a)
    t.a.paths[0].cut()
    portal = t.a.paths[1].portal
    t.vm.check(f'nft add rule ip prm out ip daddr {portal} drop && '
               f'nft add rule ip prm out ip saddr {portal} drop')
    for words in ('take mp0', 'query mp0', 'release mp0', 'hold mp0'):
        job = t.a.spawn(f'exec {PRMPATH} {words}')
        # It sleeps, or it found out that no path is left.
        poll(lambda job=job: job.poll() is not None or t.a.run(
            'grep -q "^[0-9]* (prmpath) [SD]" /proc/$(pgrep -nx prmpath)/stat')[0] == 0, 30, words)
        job.kill(signal.SIGINT)
        code, out = job.wait(60)
        expect(code != 0, f'{words}: {code} {out}')
    t.a.paths[0].restore()
    poll(lambda: t.a.run(f'sg_turs {t.a.paths[0]} && sg_turs {t.a.paths[1]}')[0] == 0, 60,
         'the paths are back')
    poll(lambda: mp.status()['state'] in ('free', 'retained'), 60, 'it settles')
    expect(t.b.pr_state().keys in ([KEY], [KEY, KEY], []), t.b.pr_state())


@case(topology='iscsi_loop', rules=[])
def doctor(t):
    """doctor: nothing to say about a device in order, and a cure for each thing that is not"""
    ready(t.a)
    t.a.check('echo 0123456789abcdef0123456789abcdef > /etc/machine-id')
    out = prmpath(t.a, 'doctor')
    for text in ('dm-prmpath', 'this host\'s key is 0x16b58416671e009e',
                 'the target has persistent reservations of our type', '2 of 2 paths are usable'):
        expect(text in out, f'{text} is not in: {out}')
    expect('problem' not in out, out)
    t.a.paths[0].scsi_state('offline')
    Mapped(t.a, 'mp0').message('fail_path', t.a.paths[0].number)
    out = prmpath(t.a, 'doctor', 'mp0', code=1)
    expect(f'path {t.a.paths[0].number} failed' in out and 'cure: ' in out, out)
    rows = as_json(t.a, 'doctor', '--json', code=1)['findings']
    expect(all(row['cure'] for row in rows if row['level'] == 'problem'), rows)
    # path_check asks it, and it does not answer.
    poll(lambda: 'lost' in prmpath(t.a, 'status', '-n', '-o', 'ANSWER', 'mp0'), 30,
         'the answer of the failed path')
    t.a.paths[0].scsi_state('running')
    out = prmpath(t.a, 'doctor', 'nothing', code=NOT_PRMPATH)
    expect('no such' in out, out)


@case(topology='bare', rules=['2.2'], module=False)
def no_module(t):
    """without the module each subcommand says what to load"""
    for words, code in (('query mp0', UNKNOWN), ('doctor', 1), ('take mp0', NOT_PRMPATH),
                        ('hold mp0', NOT_PRMPATH)):
        got, out = t.vm.run(f'{PRMPATH} {words}')
        expect(got == code, f'{words}: {got} {out}')
    out = t.vm.run(f'{PRMPATH} doctor')[1]
    expect('dm-prmpath is not loaded' in out and 'modprobe dm-prmpath' in out, out)
    expect(t.vm.check(f'{PRMPATH} list') == '', 'no device, no line')
    out = t.vm.check(f'{PRMPATH} metrics')
    expect('# TYPE prmpath_state gauge' in out, out)


@case(topology='iscsi_loop', rules=[])
def metrics(t):
    """metrics and the host's key"""
    mp = ready(t.a)
    holder = hold_extended(t, t.a, mp)
    lines = prmpath(t.a, 'metrics').splitlines()
    number = t.a.paths[0].number
    for line in ('prmpath_state{device="mp0",state="owner"} 1',
                 'prmpath_state{device="mp0",state="fenced"} 0',
                 'prmpath_gate_open{device="mp0"} 1', 'prmpath_keys_own{device="mp0"} 2',
                 f'prmpath_path_usable{{device="mp0",path="{number}"}} 1'):
        expect(line in lines, f'{line} is not in: {lines}')
    expect(any(line.startswith('prmpath_path_commands_total') for line in lines), lines)
    prmpath(t.a, 'metrics', '--output', '/run/prmpath.prom')
    expect('prmpath_opens{device="mp0"} 1' in t.vm.get('/run/prmpath.prom').decode(), 'the file')
    prmpath(t.a, 'metrics', '--output', '/nowhere/file', code=1)
    close(holder)

    t.a.check('echo 0123456789abcdef0123456789abcdef > /etc/machine-id')
    expect(prmpath(t.a, 'key') == '0x16b58416671e009e\n', 'from the machine-id')
    prmpath(t.a, 'key', 'set', '0xabc1')
    expect(prmpath(t.a, 'key', 'show') == '0x000000000000abc1\n', 'the one that was set')
    expect(t.a.check('/prm/build/tools/prmpath-key') == '0x000000000000abc1\n', 'the script too')
    expect(prmpath(t.a, 'key', 'generate') == '0x16b58416671e009e\n', 'what it would be')
    prmpath(t.a, 'key', 'unset')
    expect(prmpath(t.a, 'key') == '0x16b58416671e009e\n', 'back')


@case(topology='tcm_loop', rules=['5.12'])
def no_reservations(t):
    """a target without persistent reservations, and a device without a key"""
    t.lun.backstore.attribute('emulate_pr', 0)
    mp = create(t.a, '--key', hex(KEY))
    prmpath(t.a, 'query', 'mp0', code=UNKNOWN)
    prmpath(t.a, 'take', 'mp0', code=NO_PR)
    out = prmpath(t.a, 'doctor', 'mp0', code=1)
    expect('no persistent reservations' in out, out)
    mp.remove()
    create(t.a, '--key', 'none')
    out = prmpath(t.a, 'query', 'mp0', code=UNKNOWN)
    expect('no pr_key' in out, out)
    out = prmpath(t.a, 'status', '-n', '-d', '-o', 'STATE')
    expect(out == 'off\n', out)


@case(topology='three_hosts', rules=['5.10'])
def twin(t):
    """doctor names another host that is registered with our key, and does not take us for it"""
    prmpath(t.b, 'key', 'set', hex(KEY))
    foreign_register(t.a, KEY)
    mp = create(t.b)
    out = prmpath(t.b, 'doctor', 'mp0', code=1)
    expect(f'another host ({IQN}:host-a) is registered with our key' in out and
           'prmpath key set' in out, out)
    mp.remove()
    foreign_leave(t.a, KEY)
    mp = create(t.b)
    mp.wait_status(keys_own=2)
    out = prmpath(t.b, 'doctor', 'mp0')
    expect('another host' not in out, out)
