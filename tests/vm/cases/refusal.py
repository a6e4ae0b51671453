# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: tables, messages and the control node; each refusal says what was wrong."""
import re

from cases import TcmLoop, case, expect
from session import ready
from steps import EXTENDED_OPEN, NOT_PRMPATH, PRMPATH, USAGE, close, hold, log, refused


def all_refused(t, commands):
    """Each of (command, words...) must fail, with these words in the log."""
    script = '\n'.join(f"""echo "attempt {i} begins" > /dev/kmsg
        {command} > /dev/null 2>&1 && echo "accepted: {command.replace('"', '')}" """
                       for i, (command, *_) in enumerate(commands))
    out = t.vm.check(script + '\necho "attempt - begins" > /dev/kmsg')
    expect(not out, out)
    attempts = re.split(r'attempt [0-9-]+ begins\n', log(t))[-len(commands) - 1:-1]
    for (command, *words), text in zip(commands, attempts, strict=True):
        missing = [word for word in words if word not in text]
        expect(not missing, f'{command}: {missing} not in: {text}')


def tables_refused(t, tables):
    """The same for (table line, words...); the logged reason has to name the device."""
    all_refused(t, [(f'dmsetup create bad --table "{table}"', 'prmpath: ', *words)
                    for table, *words in tables])


@case(topology='tcm_loop', rules=['5.8', '5.12'])
def features(t):
    """feature words that are wrong"""
    tables_refused(t, [(t.a.table(line), *words) for line, *words in (
            ('pr_key 0', 'pr_key', "'0' is no key"),
            ('pr_key 0x1ffffffffffffffff', 'is no key'),
            ('pr_key key', "'key' is no key"),
            ('pr_open default', 'pr_open', 'pr_key'),
            ('pr_key 1 pr_key 2', 'pr_key', 'twice'),
            ('pr_key 1 unknown', "'unknown'"),
            ('pr_key 1 pr_type 1', 'pr_type', 'for one path'),
            ('pr_key 1 pr_type 3', 'pr_type', 'for one path'),
            ('pr_key 1 pr_type 2', "'2'"),
            ('pr_key 1 pr_timeout 0', 'pr_timeout', 'expected 1 to'),
            ('pr_key 1 pr_timeout 111', 'pr_timeout', 'expected 1 to 110'),
            ('pr_key 1 pr_open forced,wrong', "'wrong' is no open option"),
            ('pr_key 1 pr_open bypass,retain', 'expected bypass alone'),
            ('pr_key 1 pr_register never', "'never' is no choice"))])
    expect(not t.a.pr_state().keys, 'a refused table registered')


@case(topology='tcm_loop', rules=['3.7'])
def paths(t):
    """paths that cannot be"""
    a, b = (path.number for path in t.a.paths)

    def line(*devices, words='2 pr_key 0xa1'):
        return (f'0 131072 prmpath {words} 0 1 1 round-robin 0 {len(devices)} 0 '
                + ' '.join(devices))
    t.a.check(f'addpart {t.a.paths[0]} 1 2048 16384 && udevadm settle')
    tables_refused(t, (
        (line(a, b, a), f"'{a}'", 'every path once'),
        (line(a, t.a.paths[0].dev), 'is in the table twice'),
        (line('/dev/nothing'), '/dev/nothing'),
        (line('/dev/vda'), 'cannot be opened'),
        (line(f'{t.a.paths[0]}1').replace('131072', '16384'), 'is a partition'),
        (line(a, words='3 pr_key 0xa1'),),
        (line(a, words='1 pr_key'), 'pr_key'),
        (line(a) + ' 1', "'1' is left over"),
        ('0 131072 prmpath 0 0 1 1 round-robin 0 2 0 ' + a, 'expected 2'),
        ('0 131072 prmpath 0 0 1 1 unknown 0 1 0 ' + a, "'unknown'"),
        ('0 131072 prmpath',)))
    t.a.check(f'delpart {t.a.paths[0]} 1 && udevadm settle')
    expect(not t.a.pr_state().keys, 'a refused table registered')


@case(topology='tcm_loop', rules=['5.10'])
def other_luns(t):
    """two LUNs in one table, and one LUN in two tables"""
    other = TcmLoop(t.vm, paths=1, hosts=('c',), name='lun1')
    try:
        path = other.hosts[0].paths[0]
        mixed = t.a.table('pr_key 0xa1', paths=[*t.a.paths, path])
        tables_refused(t, [(mixed, 'leads to LUN')])
        mp = ready(t)
        tables_refused(t, ((t.a.table('pr_key 0xa1'), 'in use by mp0'),
                           (t.a.table('pr_key 0xa2'), 'in use by mp0'),
                           (t.a.table('', paths=t.a.paths[1:]), 'in use by mp0')))
        table = t.a.table('pr_key 0xa1', paths=[path])
        code, _ = t.a.run(f'dmsetup reload mp0 --table "{table}"')
        expect(code, 'another LUN in a reload')
        expect(t.a.pr_state().keys == [0xa1, 0xa1], 'the first device keeps its keys')
        expect(mp.status()['state'] == 'free', mp.status())
        mp.remove()
        mp = t.a.prmpath('mp0', 'pr_key 0xa1', paths=[path])
        mp.wait_status(keys_own=1)
        mp.remove()
    finally:
        t.vm.run('dmsetup remove --retry mp0')
        other.remove()


@case(topology='tcm_loop', rules=['2.4', '5.3'])
def messages(t):
    """messages with wrong words are refused, named in the log, and change nothing"""
    mp = ready(t)
    state, status = t.a.pr_state(), mp.status()
    all_refused(t, [(f'dmsetup message mp0 0 {words}', 'mp0', words.split()[0]) for words in (
        'fail_path', 'fail_path /dev/vda', 'fail_path 8:999', 'reinstate_path 8:0 x',
        'open_options', 'open_options wrong', 'open_options bypass,single',
        'open_options retain twice', 'open_options retain,', 'pr_clear', 'pr_clear yes',
        'nonsense', 'pr_status x', 'queue_if_no_path x')])
    expect(t.a.pr_state() == state and mp.status() == status, mp.status())


@case(topology='tcm_loop', rules=['2.4', '4.8'])
def commands(t):
    """pr_status, pr_release, pr_unregister and pr_clear do it, in the right state only"""
    mp = ready(t)
    out = mp.message('pr_status')[1]
    expect('keys_own=2' in out and 'reservation=none' in out, out)
    t.a.check(f'{PRMPATH} open --retain {mp} -- true')
    out = mp.message('pr_status')[1]
    expect('reservation=write-exclusive-registrants-only' in out
           and out.count('key=0x00000000000000a1') >= 2, out)
    expect(mp.message('pr_unregister')[0] != 0, 'unregistered under a retained reservation')
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    expect(mp.message('pr_release')[0] == 0 and t.a.pr_state().holder is None, 'pr_release')
    expect(mp.message('pr_unregister')[0] == 0 and not t.a.pr_state().keys, 'pr_unregister')
    holder = hold(t, t.a, mp)
    expect(mp.message('pr_release')[0] and mp.message('pr_unregister')[0], 'done under a session')
    state = t.a.pr_state()
    expect(state.holder == 0xa1 and state.keys == [0xa1, 0xa1], state)
    close(holder)
    t.a.check(f'{PRMPATH} open --retain {mp} -- true')
    expect(mp.message('pr_clear', 'destroy-all-registrations')[0] == 0, 'pr_clear')
    expect(not t.a.pr_state().keys and t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['2.2', '5.12'])
def control(t):
    """the control node: unknown requests, wrong sizes and devices of others"""
    t.a.check(f'dmsetup create plain --table "0 2048 linear {t.a.paths[0].number} 0"')
    t.cleanup(t.a.check, 'dmsetup remove --retry plain')
    out = t.a.check(f'{EXTENDED_OPEN} /dev/mapper/plain rw 0').strip()
    expect(out == 'ENOTTY', out)
    refused(t.a, '/dev/mapper/plain', NOT_PRMPATH)
    refused(t.a, '/dev/mapper/nothing', NOT_PRMPATH)
    expect(t.a.run(f'{PRMPATH} open --wrong /dev/mapper/plain -- true')[0] == USAGE, 'usage')
    out = t.a.check('''python3 -c "
import errno, fcntl
control = open('/dev/prmpath-control', 'rb')
for request in 0, 0x5401, 0xdb01, 0x4008db01, 0x4010db02, 0x8040db00:
    try:
        fcntl.ioctl(control, request, 0)
        print('OK')
    except OSError as error:
        print(errno.errorcode[error.errno])
try:
    fcntl.ioctl(control, 0x4010db01, 8)
except OSError as error:
    print(errno.errorcode[error.errno])
"''').split()
    expect(out == ['ENOTTY'] * 5 + ['EFAULT'] * 2, out)
    out = t.a.check(f'{PRMPATH} --version')
    expect('module' in out and 'interface 1' in out, out)
    expect(t.a.run('echo > /dev/prmpath-control')[0] != 0, 'a write to the node')


@case(topology='bare', rules=['2.2'])
def no_lun(t):
    """without a LUN: no device is listed, disks of others are no paths, the module goes"""
    expect(t.vm.check(f'{PRMPATH} status --noheadings').strip() == '', 'status')
    t.vm.check('dmsetup create other --table "0 2048 error"')
    t.cleanup(t.vm.check, 'dmsetup remove --retry other')
    tables_refused(t, [('0 2048 prmpath 0 0 1 1 round-robin 0 1 0 /dev/mapper/other',
                        'is no SCSI disk')])
    expect(t.vm.check('dmsetup targets | grep -c ^prmpath').strip() == '1', 'dmsetup targets')


@case(topology='bare', rules=['2.2'], module=False)
def no_module(t):
    """without the module the command says so"""
    code, out = t.vm.run(f'{PRMPATH} open /dev/vda -- true')
    expect(code == NOT_PRMPATH and 'module' in out, f'{code} {out}')
    expect('not loaded' in t.vm.check(f'{PRMPATH} --version'), 'version')
