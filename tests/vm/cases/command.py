# SPDX-License-Identifier: GPL-2.0-only
"""The prmpath command on real devices: every subcommand, its exit status and what it leaves."""
import json
import re
import shlex
import signal
import subprocess

import cases
from cases import Single, TcmLoop, Topology, case, expect, poll
from harness import ROOT, Mapped
from hostile_target import HostileLoop
from lio import IQN
from sessions import Raw
from steps import (BUSY, NO_PR, NOT_PRMPATH, PERMISSION, PRMPATH, USAGE, check_write, close,
                   foreign_leave, foreign_register, foreign_reserve, hold_extended,
                   write_fails)

cases.TOPOLOGIES.setdefault(
    'hostile', Topology('single', Single, lambda site, **layout: HostileLoop(site.vm, **layout)))

FREE, OTHER, UNKNOWN = 0, 1, 2          # prmpath query
KEY = 0xa1
NOBODY = 'setpriv --reuid 65534 --regid 65534 --clear-groups'


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
        t.a.check(f'dmsetup create part --table "0 8 linear {stranger} 0"')
        out = prmpath(t.a, 'create', 'mp1', stranger, code=BUSY)
        expect('in use by part' in out, out)
        t.a.check('dmsetup remove part')
        for words, code, text in (
                (('create', '--only', 'mp1', a, b), BUSY, 'in use by mp0'),
                (('add-path', 'mp0', stranger), USAGE, 'two LUNs'),
                (('drop-path', 'mp0', stranger), USAGE, 'no path of it'),
                (('create', '--key', '1', 'mp0', stranger), BUSY, 'already')):
            out = prmpath(t.a, *words, code=code)
            expect(text in out, f'{words}: {text} is not in: {out}')
        expect(mp.status()['state'] == 'free' and len(mp.status()['paths']) == 2, mp.status())
        expect(t.a.pr_state().keys == [KEY, KEY], t.a.pr_state())
        prmpath(t.a, 'drop-path', 'mp0', b)
        t.a.check(f'dmsetup create part --table "0 8 linear {b} 0"')
        out = prmpath(t.a, 'add-path', 'mp0', b, code=BUSY)
        expect('in use by part' in out and len(mp.status()['paths']) == 1, out)
    finally:
        t.a.run('dmsetup remove part; udevadm settle')
        other.remove()


# Every subcommand; its exit status for a device that is not there, for one of another target,
# without the right, and when its output is lost. None: that cannot happen to it.
MATRIX = [
    ('list {dev}', 8, 8, 7, 1),
    ('list -J {dev}', 8, 8, 7, 1),
    ('list -J', None, None, 7, 1),
    ('status -O {dev}', 8, 8, 7, 1),
    ('status -J {dev}', 8, 8, 7, 1),
    ('status -w {dev}', 8, 8, 7, 1),
    ('status -w -J {dev}', 8, 8, 7, 1),
    ('query {dev}', 2, 2, 2, 2),
    ('query -J {dev}', 2, 2, 2, 2),
    ('query --help', None, None, None, 2),
    ('doctor {dev}', 8, 8, 7, 1),
    ('doctor -J {dev}', 8, 8, 7, 1),
    ('metrics', None, None, 7, 1),
    ('metrics --output /run/x.prom', None, None, 7, 0),
    ('key', None, None, None, 1),
    ('key generate', None, None, None, 1),
    ('key unset', None, None, 7, 0),
    ('key set 0xabc', None, None, 7, 0),
    ('create --dry-run --only --key 1 mp1 {free}', None, None, None, 1),
    ('add-path --dry-run {dev} {free}', 8, 8, 7, 1),
    ('add-path {dev} {free}', 8, 8, 7, None),
    ('drop-path --dry-run {dev} {path}', 8, 8, 7, 1),
    ('drop-path {dev} {path}', 8, 8, 7, None),
    ('open {dev} -- true', 8, 8, 7, 0),
    ('open --forced --retain {dev} -- true', 8, 8, 7, 0),
    ('hold {dev}', 8, 8, 7, None),
    ('take {dev}', 8, 8, 7, 0),
    ('release {dev}', 8, 8, 7, 0),
    ('clear {dev}', 8, 8, 7, None),
    ('clear --yes-destroy {dev}', 8, 8, 7, 0),
    ('remove --deferred {dev}', 8, 8, 7, None),
    ('remove {dev}', 8, 8, 7, 0),
    ('create --only --key 0xb1 mp1 {free}', None, None, 7, 0),
    ('remove mp1', None, None, None, 0),
]

# Each line is run by a shell; prints [status, output, complaint] of each.
BATCH = '''import json, subprocess, sys
def run(line):
    done = subprocess.run(['sh', '-c', line], stdin=subprocess.DEVNULL, capture_output=True)
    return [done.returncode] + [text.decode(errors='replace')
                                for text in (done.stdout, done.stderr)]
print(json.dumps([run(line) for line in json.load(open(sys.argv[1]))]))
'''


def cells(t, column, before='', after='', **words):
    """Run a column of the matrix; (line, expected, status, output, complaint) of each cell."""
    rows = [(row[0].format(free=t.b.paths[0], path=t.a.paths[0], **words), row[column])
            for row in MATRIX if row[column] is not None]
    t.vm.put('/run/batch.py', BATCH)
    t.vm.put('/run/lines', json.dumps([f'{before} {PRMPATH} {line} {after}' for line, _ in rows]))
    results = json.loads(t.vm.check('python3 /run/batch.py /run/lines', timeout=300))
    return [(line, expected, *result) for (line, expected), result in zip(rows, results)]


def check_cell(cell, text):
    line, expected, code, out, complaint = cell
    expect(code == expected, f'{line}: exit status {code}, expected {expected}: {out}{complaint}')
    expect(text in complaint or not expected, f'{line}: {text} is not in: {complaint}')
    expect(complaint.startswith('prmpath: ') or not complaint, f'{line}: {complaint}')
    if '-J' in line and out:
        answer = json.loads(out)
        expect(answer.get('devices', []) == [], f'{line}: {out}')
    expect(out or '-J' not in line or 'cannot write' in complaint, f'{line}: no JSON')


@case(topology='iscsi_loop', rules=['2.2', '3.7'])
def matrix(t):
    """every subcommand: no such device, another target's, no right; nothing changes"""
    mp = ready(t.a)
    t.a.check('dmsetup create zero --table "0 8 zero"')
    t.cleanup(t.a.run, 'dmsetup remove --retry zero; rm -f /run/x.prom; '
                       f'{PRMPATH} key unset; udevadm settle')
    prmpath(t.a, 'key', 'set', '0xabc')
    look = 'dmsetup table; dmsetup info -c --noheadings -o name,open,tables_loaded'
    before = t.a.pr_state(), t.a.check(look)
    # A node of the control device that anybody may open still asks the kernel.
    for column, text, words in ((1, "'prmpath list' shows", {'dev': 'nothing'}),
                                (1, "'prmpath list' shows", {'dev': '/dev/nothing'}),
                                (2, "'prmpath list' shows", {'dev': 'zero'}),
                                (3, 'root', {'dev': 'mp0', 'before': NOBODY}),
                                (3, 'root', {'dev': mp, 'before': NOBODY})):
        for cell in cells(t, column, **words):
            check_cell(cell, text)
    t.a.check('udevadm settle')
    expect((t.a.pr_state(), t.a.check(look)) == before, 'a refused subcommand changed something')
    expect(t.vm.run('ls /run/x.prom*')[0], 'a refused metrics left a file')
    expect(prmpath(t.a, 'key') == '0x0000000000000abc\n', 'the key is what it was')


@case(topology='iscsi_loop', rules=[])
def lost_output(t):
    """every subcommand with its output on a full disk, and with none"""
    t.a.check('echo 0123456789abcdef0123456789abcdef > /etc/machine-id')
    mp = ready(t.a)
    t.cleanup(t.a.run, f'rm -f /run/x.prom; {PRMPATH} key unset')
    for where in ('> /dev/full', '>&-'):
        for cell in cells(t, 4, dev='mp0', after=where):
            check_cell(cell, 'cannot write the output')
        forget(t.a, mp)
        expect(prmpath(t.a, 'list') == '' and not t.a.pr_state().keys, 'all is gone')
        mp = ready(t.a)


@case(topology='tcm_loop', rules=[])
def keys(t):
    """malformed keys, and disks without room: what was there stays"""
    for word in ('0', '0x', '0x10000000000000000', 'abc', ''):
        out = prmpath(t.a, 'key', 'set', word, code=USAGE)
        expect('is no key: expected' in out, out)
    t.a.check('mkdir -p /etc/prmpath; mount -t tmpfs -o size=4k tmpfs /etc/prmpath')
    t.cleanup(t.a.run, 'umount /etc/prmpath')
    for junk in ('junk', '0x12', '0x0000000000000000', ''):
        t.a.check(f'echo {junk} > /etc/prmpath/key')
        for words in (('key',), ('create', 'mp0', t.a.paths[0])):
            out = prmpath(t.a, *words, code=1)
            expect('/etc/prmpath/key' in out, f'{words}: {out}')
        out = prmpath(t.a, 'doctor', code=1)
        expect('this host has no key' in out and "prmpath key set" in out, out)
        as_json(t.a, 'doctor', '-J', code=1)
    expect(t.a.check('dmsetup ls').startswith('No devices'), 'no key, no device')
    prmpath(t.a, 'key', 'unset')
    prmpath(t.a, 'key', 'set', '0xabc')
    out = prmpath(t.a, 'key', 'set', '0xdef', code=1)
    expect('No space left' in out, out)
    expect(prmpath(t.a, 'key') == '0x0000000000000abc\n', 'the old key')
    expect(t.a.check('ls -A /etc/prmpath') == 'key\n', 'nothing beside it')
    prmpath(t.a, 'key', 'unset')
    t.a.check('echo old > /etc/prmpath/x.prom')
    out = prmpath(t.a, 'metrics', '--output', '/etc/prmpath/x.prom', code=1)
    expect('No space left' in out, out)
    expect(t.a.check('cat /etc/prmpath/x.prom; ls -A /etc/prmpath') == 'old\nx.prom\n', 'the old file')


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
    # Who closes a moment later is waited for, as udev after the last command.
    holder = hold_extended(t, t.a, mp, 'retain')
    waiting = t.vm.spawn(f'{PRMPATH} release --unregister mp0')
    poll(lambda: 'nanosleep' in t.vm.run('cat /proc/$(pidof -s prmpath)/wchan')[1], 15,
         'it sees that the device is open')
    close(holder)
    code, out = waiting.wait(30)
    expect(code == 0, out)
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
    Raw(t.b, 0xb).must_seize(KEY)
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


def interrupt(t, words, where):
    """Ctrl-C once prmpath waits in a kernel function; its output."""
    job = t.a.spawn(f'exec {PRMPATH} {words}')
    t.cleanup(close, job)
    poll(lambda: job.poll() is not None or
         t.a.run(f'grep -qE "{where}" /proc/$(pgrep -nx prmpath)/stack')[0] == 0, 30,
         f'{words} waits in {where}')
    expect(job.poll() is None, f'{words} did not wait: {job.poll()} {job.output()}')
    job.kill(signal.SIGINT)
    code, out = job.wait(30)
    expect(code in (-signal.SIGINT, 128 + signal.SIGINT), f'{words}: {code} {out}')
    return out


@case(topology='hostile', rules=['6.3', '3.7'], hosts=('a',))
def interrupted(t):
    """Ctrl-C in every wait for a target that takes its time: nothing is left"""
    mp = ready(t.a)
    target = t.lun.target
    t.a.check('udevadm settle')
    before = target.state()
    # Longer than it takes to see the wait, shorter than what makes a path fail.
    target.rules({'op': [0x5e, 0x5f], 'delay': 20})
    for words in ('query mp0', 'query -J mp0', 'take mp0', 'hold mp0', 'open mp0 -- true',
                  'open --forced --retain mp0 -- true', 'release mp0', 'release --unregister mp0',
                  'clear --yes-destroy mp0', 'clear mp0'):
        expect(interrupt(t, words, 'dm_prmpath') == '', words)
    out = interrupt(t, 'doctor mp0', 'blk_execute_rq|sg_io')
    expect('mp0' not in out, f'doctor: {out}')
    target.rules()
    mp.wait_status(state='free', opens=0, keys_own=2, deadline=90)
    after = target.state()
    expect((after['keys'], after['holder']) == (before['keys'], before['holder']),
           f'{before} became {after}')
    prmpath(t.a, 'open', mp, '--', 'true')


@case(topology='iscsi_loop', rules=['3.7'], hosts=('a',))
def interrupted_by_udev(t):
    """Ctrl-C while udev takes its time: made or not made, nothing between"""
    path, other = t.a.paths
    # Its own way to stop, --stop-exec-queue, has let an event through at times.
    t.cleanup(t.vm.run, 'pkill -CONT -x systemd-udevd; udevadm settle')
    for words, word, there in ((f'create --only --key {KEY} mp0 {path}', 'removed again', False),
                               (f'add-path mp0 {other}', 'the change is made', 2),
                               (f'drop-path mp0 {path}', 'the change is made', 1),
                               ('remove mp0', 'it is removed', False)):
        if word == 'the change is made' and there == 2:
            prmpath(t.a, 'create', '--only', '--key', hex(KEY), 'mp0', path)
        t.vm.check('udevadm settle; pkill -STOP -x systemd-udevd')
        out = interrupt(t, words, 'do_sigtimedwait|sigtimedwait')
        t.vm.check('pkill -CONT -x systemd-udevd; udevadm settle')
        expect(word in out, f'{words}: {out}')
        paths = Mapped(t.a, 'mp0').status()['paths'] if there else {}
        expect(len(paths) == there, f'{words}: {paths}')
        expect(bool(there) == (t.a.run('dmsetup info mp0')[0] == 0), words)
        expect('INACTIVE' not in t.a.run('dmsetup info mp0')[1], f'{words}: an unused table is left')


@case(topology='iscsi_loop', rules=[], hosts=('a',))
def example(t):
    """the program of libprmpath(3): who has it, and holds it"""
    lines = (ROOT / 'man/libprmpath.3').read_text()
    source = re.search(r'^\.EX\n(.*?)^\.EE', lines, re.M | re.S).group(1)
    tools = ROOT / 'build/tools'
    program = ROOT / 'build/tools/example'
    subprocess.run(['cc', '-Wall', '-Wextra', '-Werror', f'-I{ROOT}/tools', f'-I{ROOT}/uapi', '-x', 'c',
                    '-', '-o', program, f'-L{tools}', '-l:libprmpath.so.1'],
                   input=source.replace('\\e', '\\').replace('\\-', '-'), text=True, check=True)
    run = 'LD_LIBRARY_PATH=/prm/build/tools exec /prm/build/tools/example'
    mp = ready(t.a)
    expect(t.a.check(f'{run} mp0') == 'nobody has it\n', 'nobody')
    # A pipe that nobody writes to is the key that nobody presses.
    holder = t.a.spawn(f'mkfifo /run/key; exec 3<>/run/key; {run} {mp} retain <&3')
    t.cleanup(t.a.run, 'rm /run/key')
    t.cleanup(close, holder)
    poll(lambda: mp.status()['state'] == 'owner', 30, 'it is held')
    expect(t.a.pr_state().holder == KEY and mp.status()['options'] == 'retain', mp.status())
    expect(t.a.check(f'{run} {mp}') == 'this host has it\n', 'this host')
    t.a.check('echo > /run/key')
    code, out = holder.wait()
    expect(code == 0 and out == 'nobody has it\nheld\n', f'{code} {out}')
    mp.wait_status(state='retained')
    prmpath(t.a, 'release', 'mp0')
    code, out = t.a.run(f'{run} zero')
    expect(code == 1 and 'zero: no such device' in out, f'{code} {out}')


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
    t.vm.check('echo 0123456789abcdef0123456789abcdef > /etc/machine-id')
    for words, code in (('query mp0', UNKNOWN), ('doctor', 1), ('take mp0', NOT_PRMPATH),
                        ('hold mp0', NOT_PRMPATH)):
        got, out = t.vm.run(f'{PRMPATH} {words}')
        expect(got == code, f'{words}: {got} {out}')
    out = t.vm.run(f'{PRMPATH} doctor')[1]
    expect('problem  module: dm-prmpath is not loaded' in out and 'modprobe dm-prmpath' in out, out)
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
