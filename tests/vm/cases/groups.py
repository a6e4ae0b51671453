# SPDX-License-Identifier: GPL-2.0-only
"""Priority groups, path selectors, hardware handlers, queueing and path events, by messages alone."""
import re
import shlex
import time

from cases import case, expect, module_path, poll
from harness import Host, Mapped, Path
from lio import CONFIGFS, AluaGroup, Backstore, TcmLoop, find_disk
from multipath_tools import Fio
from steps import ScsiDebug, log, logged

STPG, WRITE_10, WRITE_16 = 0xa4, 0x2a, 0x8a


def rr(*paths, repeat=1):
    """A round-robin group of a table line."""
    return group('round-robin', *((path, repeat) for path in paths))


def group(selector, *paths, words=''):
    """A group of a table line; a path is (path, word...)."""
    own = words.split()
    rest = ' '.join(' '.join(str(getattr(word, 'number', word)) for word in path) for path in paths)
    return ' '.join([selector, str(len(own)), *own, str(len(paths)), str(len(paths[0]) - 1), rest])


def line(t, *groups, features='', handler='', initial=1, target='prmpath'):
    """A whole table line."""
    sectors = t.a.check(f'blockdev --getsz {t.a.paths[0]}').strip()
    words = [f'0 {sectors} {target} {len(features.split())}', features,
             f'{len(handler.split())}', handler, f'{len(groups)} {initial}', *groups]
    return ' '.join(word for word in words if word)


def create(t, *groups, name='mp0', **words):
    """A device with this table; udev is done with it."""
    device = Mapped(t.a, name)
    t.a.check(f'dmsetup create {name} --table "{line(t, *groups, **words)}" && udevadm settle')
    t.a.devices.append(device)
    return device


def reload(t, mp, *groups, **words):
    t.a.check(f'dmsetup reload {mp.name} --table "{line(t, *groups, **words)}" && '
              f'dmsetup resume {mp.name} && udevadm settle')


def table(mp):
    return mp.host.check(f'dmsetup table {mp.name}').strip()


def shown(mp):
    """What the status says of groups: (next group, letters of the groups, letters of the paths)."""
    words = mp.host.check(f'dmsetup status {mp.name}').split()
    rest = words[4 + int(words[3]):]            # handler words, groups, next group
    count, number, letters, states = int(rest[1]), int(rest[2]), '', ''
    at = 3
    for _ in range(count):
        letters += rest[at]
        paths, extra = int(rest[at + 2]), int(rest[at + 3])
        at += 4
        for _ in range(paths):
            states += rest[at + 1]
            at += 3 + extra
    expect(at == len(rest), f'words left over: {words}')
    return number, letters, states


def wait_shown(mp, *wanted):
    poll(lambda: shown(mp) == wanted, 15, f'status {wanted}, last {shown(mp)}')


def same(got, wanted, what):
    expect(got == wanted, f'{what}: {got}, expected {wanted}')


def events(mp):
    return int(mp.host.check(f'dmsetup info -c --noheadings -o events {mp.name}'))


def writes(*paths):
    """Writes that each path has completed."""
    files = ' '.join(f'/sys/block/{path.name}/stat' for path in paths)
    return [int(text.split()[4]) for text in paths[0].vm.check(f'cat {files}').splitlines()]


# Every other block, so that no two writes could be merged: those may stay together on a path.
STRIDED = '''
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT)
buffer = mmap.mmap(-1, 4096)
for number in range(int(sys.argv[2])):
    os.pwritev(fd, [buffer], 8192 * number)
'''


def write(t, mp, count, before=''):
    """Direct writes of 4 KiB, one after the other (udev may read at any time); how many each path did."""
    start = writes(*t.a.paths)
    t.a.check(f'{before} python3 -c {shlex.quote(STRIDED)} {mp} {count}')
    return [now - then for now, then in zip(writes(*t.a.paths), start)]


def never(condition):
    """For a second it does not come true; for longer on no kernel, since time limits end then."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if condition():
            return False
        time.sleep(0.1)
    return True


def waits(job):
    """The job goes on waiting: nothing ends it for a second."""
    return never(lambda: job.poll() is not None)


def said(t, mp, *words):
    """A message that must be refused; the line of the kernel log that says why."""
    code, out = mp.message(*words)
    expect(code, f'{words} was accepted: {out}')
    lines = re.findall(r'device-mapper: prmpath: (.*)', log(t))
    return re.sub(r'\(dm-\d+\)', '(dm)', lines[-1]) if lines else ''


@case(topology='tcm_loop', rules=['5.12'])
def switch(t):
    """switch_group moves I/O at once, shows in status and table, and is an event"""
    first, second = t.a.paths
    mp = create(t, rr(first), rr(second))
    same(write(t, mp, 10), [10, 0], 'I/O in the first group')
    wait_shown(mp, 1, 'AE', 'AA')
    for number, letters, carried in (('2', 'EA', [0, 10]), ('1', 'AE', [10, 0])):
        before = events(mp)
        expect(mp.message('switch_group', number)[0] == 0, f'switch_group {number}')
        expect(f' 2 {number} round-robin' in table(mp), table(mp))
        same(write(t, mp, 10), carried, f'I/O in group {number}')
        wait_shown(mp, int(number), letters, 'AA')
        poll(lambda before=before: events(mp) > before, 10, 'an event')


@case(topology='tcm_loop', rules=['5.12'])
def disable(t):
    """disable_group keeps a group for the worst case; enable_group and switch_group end that"""
    first, second = t.a.paths
    mp = create(t, rr(first), rr(second))
    before = events(mp)
    expect(mp.message('DISABLE_GROUP', 1)[0] == 0, 'messages are case-insensitive')
    wait_shown(mp, 2, 'DA', 'AA')
    poll(lambda: events(mp) > before, 10, 'an event')
    same(write(t, mp, 10), [0, 10], 'I/O avoids a disabled group')
    expect(' 2 2 round-robin' in table(mp), table(mp))

    expect(mp.message('disable_group', 2)[0] == 0, 'disable_group 2')
    same(write(t, mp, 10), [10, 0], 'both disabled: the first one is used all the same')
    wait_shown(mp, 1, 'DD', 'AA')

    before = events(mp)
    expect(mp.message('Enable_Group', 2)[0] == 0, 'enable_group 2')
    wait_shown(mp, 2, 'DA', 'AA')
    poll(lambda: events(mp) > before, 10, 'an event')
    same(write(t, mp, 10), [0, 10], 'I/O prefers the enabled group')

    expect(mp.message('switch_group', 1)[0] == 0, 'switch_group 1')
    wait_shown(mp, 1, 'AE', 'AA')
    same(write(t, mp, 10), [10, 0], 'switch_group ends every bypass')


@case(topology='tcm_loop', rules=['5.12'])
def wrong_groups(t):
    """a group that does not exist is refused by name, and nothing changes"""
    mp = create(t, rr(t.a.paths[0]), rr(t.a.paths[1]))
    before = events(mp), table(mp), shown(mp)
    for message in 'switch_group', 'enable_group', 'disable_group':
        for word in '0', '3', '+1', '1x', 'x', '4294967297':
            same(said(t, mp, message, word),
                 f"mp0 (dm): {message}: '{word}' is no group, expected 1 to 2", f'{message} {word}')
    for words in ('switch_group',), ('switch_group', '1', '2'):
        same(said(t, mp, *words), 'mp0 (dm): message switch_group has the wrong number of words, '
             'expected: switch_group GROUP', words)
    text = said(t, mp, 'switch_groups', '1')
    expect(text.startswith("mp0 (dm): unknown message 'switch_groups', expected one of: fail_path, ")
           and text.endswith(', pr_clear'), text)
    same((events(mp), table(mp), shown(mp)), before, 'refused messages change nothing')


@case(topology='tcm_loop', rules=['5.12'])
def failover(t):
    """the initial group is used, the other one when it fails, and nothing fails back by itself"""
    first, second = t.a.paths
    mp = create(t, rr(first), rr(second), initial=2)
    expect(' 2 2 round-robin' in table(mp), table(mp))
    same(write(t, mp, 10), [0, 10], 'the initial group')
    wait_shown(mp, 2, 'EA', 'AA')
    second.cut()
    same(write(t, mp, 10)[0], 10, 'failover')
    wait_shown(mp, 1, 'AE', 'AF')
    second.restore()
    mp.message('reinstate_path', second.number)
    wait_shown(mp, 1, 'AE', 'AA')
    same(write(t, mp, 10), [10, 0], 'no failback')
    mp.message('fail_path', first.number)
    wait_shown(mp, 2, 'EA', 'FA')
    mp.message('reinstate_path', first.number)
    wait_shown(mp, 2, 'EA', 'AA')
    same(write(t, mp, 10), [0, 10], 'no failback either')
    # A wish for a group without a path waits for nobody.
    mp.message('fail_path', first.number)
    wait_shown(mp, 2, 'EA', 'FA')
    expect(mp.message('switch_group', 1)[0] == 0, 'switch_group 1')
    same(write(t, mp, 10), [0, 10], 'no path in group 1')


def stripped(text):
    """A status line of ours in the in-tree target's form: without what we add."""
    words = text.split()
    count = int(words[3])
    result = [*words[:2], 'multipath', '2', *words[4:6]]
    rest = words[4 + count:]
    result += rest[:3]
    at = 3
    for _ in range(int(rest[1])):
        letter, zero, paths, extra = rest[at:at + 4]
        result += [letter, zero, paths, str(int(extra) - 1)]
        at += 4
        for _ in range(int(paths)):
            result += rest[at:at + 3 + int(extra) - 1]
            at += 3 + int(extra)
    expect(at == len(rest), text)
    return ' '.join(result)


@case(topology='tcm_loop', rules=['5.12'], long=True)
def like_in_tree(t):
    """the same line gives the same table and, our own words aside, the same status as dm-multipath"""
    in_tree = 'dm-service-time dm-queue-length dm-round-robin'
    t.a.check(f'modprobe -a dm-multipath {in_tree}')
    t.cleanup(t.a.check, f'modprobe -r {in_tree} && modprobe -r dm-multipath')
    first, second = t.a.paths
    lines = (
        ([rr(first, second)], {}),
        ([group('queue-length', (first, 1)), rr(second)],
         {'features': 'queue_if_no_path', 'initial': 2}),
        ([group('service-time', (first, 1, 2), (second, 1, 50))], {'features': 'pg_init_retries 50'}),
        ([group('queue-length', (first, 1)), group('service-time', (second, 1, 100))],
         {'features': 'queue_if_no_path pg_init_retries 3 pg_init_delay_msecs 10 '
                      'retain_attached_hw_handler queue_mode bio', 'handler': 'alua'}),
        ([], {'features': 'pg_init_delay_msecs 7', 'initial': 0}),
    )
    for groups, words in lines:
        ours = create(t, *groups, **words)
        theirs = line(t, *groups, target='multipath', **words)
        t.a.check(f'dmsetup create theirs --table "{theirs}"')
        remove = t.stack.enter_context(Removed(t.a, 'theirs'))
        if groups:
            for device in ours, '/dev/mapper/theirs':
                t.a.check(f'dd if={device} of=/dev/null bs=4k count=2 iflag=direct && udevadm settle')
        in_tree_table = t.a.check('dmsetup table theirs').strip()
        expect(table(ours).replace('prmpath', 'multipath') == in_tree_table,
               f'ours: {table(ours)}\ntheirs: {in_tree_table}')

        def equal():
            pair = [stripped(t.a.check('dmsetup status mp0')), t.a.check('dmsetup status theirs').strip()]
            if 'handler' in words:          # tries: theirs of the last activation, ours of one going on
                pair = [re.sub(r'( multipath 2 \d+) \d+', r'\1', text) for text in pair]
            return pair[0] == pair[1]
        poll(equal, 10, 'ours: ' + t.a.check('dmsetup status mp0')
             + 'theirs: ' + t.a.check('dmsetup status theirs'))
        remove.now()
        ours.remove()


class Removed:
    """A device of another target that goes, at the latest when the case ends."""

    def __init__(self, host, name):
        self.host, self.name, self.there = host, name, True

    def now(self):
        self.there = False
        self.host.check(f'udevadm settle && dmsetup remove --retry {self.name}')

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if self.there:
            self.now()


@case(topology='tcm_loop', rules=['5.12'])
def selector_words(t):
    """words of the selectors that Debian's dm-multipath lacks, where upstream has them"""
    first, second = t.a.paths
    hst = [group('historical-service-time', (first, 0), (second, 0), words='1000 3')]
    mp = create(t, *hst)
    expect(f' 1 1 historical-service-time 2 1000 3 2 1 {first.number} 0 {second.number} 0'
           in table(mp), table(mp))
    t.a.check(f'dd if={mp} of=/dev/null bs=4k count=20 iflag=direct && udevadm settle')

    def idle():
        text = t.a.check(f'dmsetup status {mp.name}')
        found = re.search(rf' A 0 2 4 {first.number} A 0 (\d+) 0 (\d+) off'
                          rf' {second.number} A 0 (\d+) 0 (\d+) off$', text.strip())
        return found and [int(number) for number in found.groups()]
    numbers = poll(idle, 10, t.a.check(f'dmsetup status {mp.name}'))
    expect(all(numbers) and numbers[0] % 1024 == numbers[2] % 1024 == 0, numbers)

    reload(t, mp, group('io-affinity', (first, '1'), (second, 'ff,fffffffe')))
    expect(f' 1 1 io-affinity 0 2 1 {first.number} 1 {second.number} ff,fffffffe' in table(mp),
           table(mp))
    text = t.a.check(f'dmsetup status {mp.name}').strip()
    expect(text.endswith(f' A 0 2 2 {first.number} A 0 0 off '
                         f'{second.number} A 0 0 off'), text)


@case(topology='tcm_loop', rules=['5.12'])
def spread(t):
    """round-robin takes turns by repeat count; service-time goes by relative throughput"""
    first, second = t.a.paths
    mp = create(t, rr(first, second))
    same(write(t, mp, 40), [20, 20], 'even')
    reload(t, mp, group('round-robin', (first, 3), (second, 1)))
    same(write(t, mp, 40), [30, 10], 'repeat counts')
    reload(t, mp, group('queue-length', (first, 1), (second, 1)))
    expect(min(write(t, mp, 40)) >= 15, 'idle paths come in turn')
    reload(t, mp, group('service-time', (first, 1, 1), (second, 1, 1)))
    expect(min(write(t, mp, 40)) >= 15, 'likewise')
    # One at a time: both paths are idle, and the better one is the better choice.
    reload(t, mp, group('service-time', (first, 1, 10), (second, 1, 20)))
    same(write(t, mp, 40), [0, 40], 'relative throughput')
    reload(t, mp, group('service-time', (first, 1, 1), (second, 1, 0)))
    same(write(t, mp, 40), [40, 0], 'a throughput of 0 is for the worst case')
    mp.message('fail_path', first.number)
    same(write(t, mp, 10), [0, 10], 'the worst case')


@case(topology='tcm_loop', rules=['5.12'], cpus=2)
def affinity(t):
    """io-affinity: each CPU has its path"""
    first, second = t.a.paths
    mp = create(t, group('io-affinity', (first, '1'), (second, '2')))
    expect(write(t, mp, 20, before='taskset -c 0') == [20, 0], 'CPU 0')
    expect(write(t, mp, 20, before='taskset -c 1') == [0, 20], 'CPU 1')
    reload(t, mp, group('io-affinity', (first, '2'), (second, '1')))
    expect(write(t, mp, 20, before='taskset -c 0') == [0, 20], 'CPU 0, the other way round')
    mp.message('fail_path', second.number)
    expect(write(t, mp, 20, before='taskset -c 0') == [20, 0], "CPU 0 without its path")


class SlowPort:
    """A port of tcm_loop with a backstore of its own, whose LUN has the name of another one."""

    def __init__(self, t, name, device):
        store = Backstore(t.vm, name, device=device)
        t.cleanup(store.remove)
        port = f'{CONFIGFS}/loopback/naa.60014059f0000000/tpgt_1'
        address = t.vm.check(f'''set -e
            mkdir -p {port}
            echo naa.60014059ff000000 > {port}/nexus
            mkdir {port}/lun/lun_0
            ln -s {store.path} {port}/lun/lun_0/{name}
            cat {port}/address''').strip()
        t.cleanup(t.vm.check, f'''set -e
            rm {port}/lun/lun_0/{name}
            rmdir {port}/lun/lun_0
            echo NULL > {port}/nexus
            rmdir {port} {port.rsplit("/", 1)[0]}''')
        self.dev = poll(lambda: find_disk(t.vm, f'/sys/class/scsi_device/{address}:0'), 20, 'the slow disk')
        t.vm.check('udevadm settle')


@case(topology='bare', rules=['5.12'], long=True)
def slow_path(t):
    """selectors that look at the load leave a slow path alone, round-robin does not"""
    t.vm.check('modprobe dm-delay && modprobe brd rd_nr=1 rd_size=65536 && '
               'dmsetup create slow --table "0 131072 delay /dev/ram0 0 100" && udevadm settle')
    t.cleanup(t.vm.check, 'udevadm settle; dmsetup remove --retry slow && modprobe -r brd dm-delay')
    # Two disks of one name and size: whose data they have is nothing to a selector.
    fast = TcmLoop(t.vm, paths=1, name='lun1')
    t.cleanup(fast.remove)
    slow = SlowPort(t, 'lun1', '/dev/mapper/slow')
    first, second = fast.hosts[0].paths[0], Path(t.vm, 1, slow.dev)
    t.a = Host('a', t.vm, [first, second])
    t.cleanup(t.remove_devices, t.a)

    def share():
        """Of 60 writes, 8 at a time."""
        before = writes(first, second)
        t.a.check(f'fio --name=load --filename={mp} --direct=1 --rw=randwrite --bs=4k --size=8m '
                  '--ioengine=libaio --iodepth=8 --number_ios=60')
        return [now - then for now, then in zip(writes(first, second), before)]

    mp = create(t, rr(first, second))
    fair = share()
    expect(abs(fair[0] - fair[1]) <= 10, f'round-robin: {fair}')
    for name, *words in (('queue-length', 1), ('service-time', 1, 1), ('historical-service-time', 1)):
        reload(t, mp, group(name, (first, *words), (second, *words)))
        found = share()
        expect(sum(found) >= 60 and found[0] > 2 * found[1], f'{name}: {found}')


# Hardware handlers

class PortGroup(AluaGroup):
    """A target port group with the port of one path of host a in it."""

    def __init__(self, t, path, state, kind='explicit'):
        super().__init__(t.lun.backstore, path.index + 1, kind, state)
        self.member = f'{path.port}/lun/lun_0/alua_tg_pt_gp'
        t.cleanup(self.remove)
        self.vm.check(f'echo {self.name} > {self.member}')
        # Which group a disk is in is read when it is scanned.
        self.vm.check(f'echo 1 > /sys/block/{path.name}/device/rescan')

    def remove(self):
        self.vm.check(f'echo default_tg_pt_gp > {self.member}')
        super().remove()

    def force(self, state):
        """By the administrator, whatever the kind."""
        self.vm.check(f'''kind=$(cat {self.path}/alua_access_type)
            echo 1 > {self.path}/alua_access_type
            echo {self.STATES[state]} > {self.path}/alua_access_state
            case "$kind" in *Implicit*Explicit*) kind=3;; *Explicit*) kind=2;; *) kind=1;; esac
            echo $kind > {self.path}/alua_access_type''')


def commands_of(t, path, text):
    """CDBs that went to a path, by a trace of the SCSI layer."""
    address = t.a.check(f'basename $(readlink /sys/block/{path.name}/device)').strip()
    host, channel, target, lun = address.split(':')
    return [bytes.fromhex(raw) for raw in re.findall(
        rf'host_no={host} channel={channel} id={target} lun={lun} .*raw=([0-9a-f ]+)\)', text)]


class Traced:
    """The SCSI layer's own account of the commands sent meanwhile."""
    TRACE = '/sys/kernel/tracing'

    def __init__(self, t):
        self.t, self.text = t, ''

    def __enter__(self):
        self.t.a.check(f'echo > {self.TRACE}/trace; '
                       f'echo 1 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')
        return self

    def __exit__(self, *what):
        self.text = self.t.a.check(f'cat {self.TRACE}/trace')
        self.t.a.check(f'echo 0 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')

    def codes(self, path):
        return [cdb[0] for cdb in commands_of(self.t, path, self.text)]

    def times(self, path, code):
        """When the commands of one operation code went to a path, in seconds."""
        address = self.t.a.check(f'basename $(readlink /sys/block/{path.name}/device)').strip()
        host, channel, target, lun = address.split(':')
        return [float(time) for time, raw in re.findall(
            rf' (\d+\.\d+): scsi_dispatch_cmd_start: host_no={host} channel={channel} id={target} '
            rf'lun={lun} .*raw=([0-9a-f ]+)\)', self.text) if int(raw[:2], 16) == code]


@case(topology='tcm_loop', rules=['5.12'])
def activation(t):
    """alua: a group is activated before I/O goes there, switch_group activates the other one"""
    first, second = t.a.paths
    one = PortGroup(t, first, 'standby')
    two = PortGroup(t, second, 'standby')
    with Traced(t) as trace:
        mp = create(t, rr(first), rr(second), handler='alua')
        expect(write(t, mp, 10)[0] >= 10, 'the first group')
    codes = trace.codes(first)
    sent = [code for code in codes if code in (STPG, WRITE_10, WRITE_16)]
    expect(sent.count(STPG) == 1 and sent[0] == STPG, f'activation comes first: {sent}')
    expect(one.state() == 'optimized' and two.state() == 'standby', f'{one.state()} {two.state()}')

    with Traced(t) as trace:
        expect(mp.message('switch_group', 2)[0] == 0, 'switch_group 2')
        same(write(t, mp, 10), [0, 10], 'the second group')
    sent = [code for code in trace.codes(second) if code in (STPG, WRITE_10, WRITE_16)]
    expect(sent.count(STPG) == 1 and sent[0] == STPG, f'activation comes first: {sent}')
    expect(two.state() == 'optimized', two.state())
    wait_shown(mp, 2, 'EA', 'AA')
    words = t.a.check('dmsetup status mp0').split()
    expect(words[4:6] == ['0', '0'], f'nothing waits and nothing is tried: {words}')
    expect([path['failures'] for path in mp.status()['paths'].values()] == [0, 0], mp.status())

    # The target took it away meanwhile: the same group again is activated again.
    two.force('standby')
    expect(mp.message('switch_group', 2)[0] == 0, 'switch_group 2 again')
    same(write(t, mp, 10), [0, 10], 'the second group again')
    expect(two.state() == 'optimized', two.state())


@case(topology='tcm_loop', rules=['5.12'])
def activation_idle(t):
    """alua: a group that nobody sends I/O to is not activated: who only looks on moves nothing"""
    first, second = t.a.paths
    PortGroup(t, first, 'standby')
    two = PortGroup(t, second, 'standby')
    mp = create(t, rr(first), rr(second), handler='alua')
    same(write(t, mp, 4), [4, 0], 'the first group')
    same(mp.message('switch_group', 2)[0], 0, 'switch_group 2')
    wait_shown(mp, 2, 'EA', 'AA')
    expect(never(lambda: two.state() != 'standby'), f'activated for nobody: {two.state()}')
    same(write(t, mp, 4), [0, 4], 'the second group')
    same(two.state(), 'optimized', 'activated by I/O')


@case(topology='tcm_loop', rules=['5.2', '5.12'])
def standby_comes_back(t):
    """path_check: a path in standby works where a handler can activate it, and only there"""
    first, second = t.a.paths
    PortGroup(t, first, 'optimized')
    PortGroup(t, second, 'standby')
    for handler, letter in ('alua', 'A'), ('', 'F'):
        mp = create(t, rr(first), rr(second), features='path_check 1', handler=handler)
        expect(mp.message('fail_path', second.number)[0] == 0, 'fail_path')
        if handler:
            poll(lambda mp=mp: mp.status()['paths'][second.number]['active'], 15, 'it comes back')
        else:
            # The checker has been there when a path that works is back.
            for _ in range(2):
                expect(mp.message('fail_path', first.number)[0] == 0, 'fail_path')
                poll(lambda mp=mp: mp.status()['paths'][first.number]['active'], 15, 'the other one')
        active = mp.status()['paths'][second.number]['active']
        expect(active == (letter == 'A'), f'handler {handler!r}: {mp.status()}')
        mp.remove()


@case(topology='tcm_loop', rules=['5.12'])
def activation_fails(t):
    """alua: a path that cannot be activated fails, and I/O goes on in the other group"""
    first, second = t.a.paths
    PortGroup(t, first, 'optimized')
    two = PortGroup(t, second, 'standby')
    mp = create(t, rr(first), rr(second), handler='alua')
    same(write(t, mp, 10), [10, 0], 'the first group')
    two.force('offline')
    expect(mp.message('switch_group', 2)[0] == 0, 'switch_group 2')
    same(write(t, mp, 10), [10, 0], 'back in the first group')
    wait_shown(mp, 1, 'AE', 'AF')
    logged(t, 'mp0 (dm-', f'path {second.number} failed: its hardware handler cannot activate it')
    expect(mp.status()['paths'][second.number]['failures'] == 1, mp.status())
    two.force('standby')
    mp.message('reinstate_path', second.number)
    wait_shown(mp, 1, 'AE', 'AA')
    mp.message('switch_group', 2)
    expect(write(t, mp, 10) == [0, 10] and two.state() == 'optimized', two.state())
    # A dead path in the group that is asked for: it fails as well.
    first.cut()
    expect(mp.message('switch_group', 1)[0] == 0, 'switch_group 1')
    same(write(t, mp, 10)[1], 10, 'no I/O in a group that is dead')
    wait_shown(mp, 2, 'EA', 'FA')
    first.restore()


@case(topology='tcm_loop', rules=['5.12'])
def activation_delay(t):
    """pg_init_delay_msecs holds back the activation of a disabled group, and only that"""
    first, second = t.a.paths
    PortGroup(t, first, 'optimized')
    PortGroup(t, second, 'standby')

    def seconds():
        """How long a read takes in the second group, reached by a bypass of both."""
        for number in (2, 1):
            mp.message('disable_group', number)
        mp.message('fail_path', first.number)
        out = t.a.check(f'dd if={mp} of=/dev/null bs=4k count=1 iflag=direct 2>&1')
        return float(re.search(r', ([0-9.e-]+) s,', out).group(1))

    def tries():
        return int(t.a.check('dmsetup status mp0').split()[5])

    mp = create(t, rr(first), rr(second), handler='alua',
                features='pg_init_retries 2 pg_init_delay_msecs 8000')
    expect('4 pg_init_retries 2 pg_init_delay_msecs 8000 1 alua' in table(mp), table(mp))
    job = t.a.spawn(f'''for group in 2 1; do dmsetup message mp0 0 disable_group $group; done
            dmsetup message mp0 0 fail_path {first.number}
            dd if={mp} of=/dev/null bs=4k count=1 iflag=direct''')
    poll(lambda: tries() == 1, 10, 'the status counts the attempt')
    same(job.wait()[0], 0, 'the read')
    poll(lambda: tries() == 0, 10, 'the attempt is over')
    mp.message('reinstate_path', first.number)
    mp.message('switch_group', 1)
    same(write(t, mp, 5), [5, 0], 'back in the first group')
    expect(seconds() > 4, 'not held back')
    mp.message('reinstate_path', first.number)
    reload(t, mp, rr(first), rr(second), handler='alua', features='pg_init_delay_msecs 0')
    expect(seconds() < 4, 'held back')


@case(topology='iscsi_loop', rules=['5.12'], hosts=('a',), long=True)
def activation_retries(t):
    """pg_init_retries: an activation that gets no answer is tried so often, then the path fails"""
    first, second = t.a.paths
    ports = [AluaGroup(t.lun.backstore, 1), AluaGroup(t.lun.backstore, 2)]
    for path, ports_of in zip(t.a.paths, ports):
        t.lun.target.join(path.index, ports_of)
        t.cleanup(leave, t, path, ports_of)
        t.a.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
    mp = create(t, rr(first), rr(second), handler='alua', features='pg_init_retries 3')
    same(write(t, mp, 4), [4, 0], 'the first group')
    # The disk refuses commands once the session is given up.
    second.cut()
    poll(lambda: 'transport-offline' in t.a.check(f'cat /sys/block/{second.name}/device/state'), 40,
         'the session is given up')

    def attempts():
        before = log(t).count('rtpg failed, result')
        same(mp.message('switch_group', 2)[0], 0, 'switch_group 2')
        same(write(t, mp, 4), [4, 0], 'back in the first group')
        wait_shown(mp, 1, 'AE', 'AF')
        return log(t).count('rtpg failed, result') - before
    same(attempts(), 4, 'one attempt and three retries')
    mp.message('reinstate_path', second.number)
    reload(t, mp, rr(first), rr(second), handler='alua')
    wait_shown(mp, 1, 'AE', 'AA')
    same(attempts(), 1, 'no retry unless asked for')
    second.restore()


def leave(t, path, ports):
    """The port of a path goes back to where it was, and its group away."""
    t.a.check(f'echo default_tg_pt_gp > {t.lun.target.tpgs[path.index]}/lun/lun_0/alua_tg_pt_gp')
    ports.remove()


START_STOP, SWITCHING = 0x1b, '0 0 0x2 0x2 0x4 0x3'     # not ready: manual intervention required
HP_SW_TRIES = 4                                         # of the handler itself


@case(topology='bare', rules=['5.12'], kernels=('6.12',))
def activation_later(t):
    """a handler that asks for time: pg_init_delay_msecs between its tries, pg_init_retries of them

    Only hp_sw asks for it (rdac too, without memory), of an array that is switching over: scsi_debug
    can say that in 6.12, not yet in 6.1. alua repeats its own commands until it knows.
    """
    # Else alua takes the disks of scsi_debug as they come.
    t.vm.check('modprobe -r scsi_dh_alua && modprobe scsi_dh_hp_sw')
    t.cleanup(t.vm.check, 'modprobe -r scsi_dh_hp_sw && modprobe scsi_dh_alua')
    debug = ScsiDebug(t)
    first, second = t.a.paths
    delay = 3
    mp = create(t, rr(first), rr(second), handler='hp_sw',
                features=f'pg_init_retries 2 pg_init_delay_msecs {delay * 1000}')
    same(t.a.check(f'cat /sys/block/{second.name}/device/dh_state').strip(), 'hp_sw', 'the handler')
    same(write(t, mp, 4), [4, 0], 'the first group')
    # The passive path of such an array says what a stopped disk says. (An open would start it.)
    t.a.check(f'sg_start --stop /dev/$(ls /sys/block/{second.name}/device/scsi_generic)')

    def starts(activations):
        """When START STOP UNIT went to the second path while that many activations fail."""
        t.a.check(f'echo "2 -{activations * HP_SW_TRIES} {START_STOP:#x} {SWITCHING}" > '
                  f'/sys/kernel/debug/scsi_debug/{debug.address(second)}/error')
        with Traced(t) as trace:
            same(mp.message('switch_group', 2)[0], 0, 'switch_group 2')
            same(write(t, mp, 4)[0], 4, 'back in the first group')
            wait_shown(mp, 1, 'AE', 'AF')
        return trace.times(second, START_STOP)

    def pauses(times):
        return [after - before for before, after in zip(times[HP_SW_TRIES - 1::HP_SW_TRIES],
                                                        times[HP_SW_TRIES::HP_SW_TRIES])]
    times = starts(activations=9)
    same(len(times), 3 * HP_SW_TRIES, f'one attempt and two retries: {times}')
    expect(all(delay <= pause < 3 * delay for pause in pauses(times)), f'{delay} s between: {times}')
    logged(t, 'mp0 (dm-', f'path {second.number} failed: its hardware handler cannot activate it')

    mp.message('reinstate_path', second.number)
    reload(t, mp, rr(first), rr(second), handler='hp_sw', features='pg_init_delay_msecs 60000')
    wait_shown(mp, 1, 'AE', 'AA')
    same(len(starts(activations=9)), HP_SW_TRIES, 'no retry unless asked for')

    # The array is ready at the second attempt; hp_sw takes I/O only when it has asked once more.
    mp.message('reinstate_path', second.number)
    reload(t, mp, rr(first), rr(second), handler='hp_sw',
           features='pg_init_retries 1 pg_init_delay_msecs 100')
    t.a.check(f'echo "- 2 {START_STOP:#x}" > /sys/kernel/debug/scsi_debug/{debug.address(second)}/error')
    wait_shown(mp, 1, 'AE', 'AA')
    times = starts(activations=1)
    same(len(times), HP_SW_TRIES + 1, f'the last one succeeds: {times}')
    mp.message('reinstate_path', second.number)
    same(mp.message('switch_group', 2)[0], 0, 'switch_group 2')
    same(write(t, mp, 4), [0, 4], 'the second group')


@case(topology='tcm_loop', rules=['5.12'])
def retained_handler(t):
    """retain_attached_hw_handler: the table shows the handler that the paths have, whatever it asked for"""
    first, second = t.a.paths
    for path in first, second:
        state = f'/sys/block/{path.name}/device/dh_state'
        t.a.check(f'[ "$(cat {state})" = alua ] || echo alua > {state}')
    mp = create(t, rr(first, second), features='retain_attached_hw_handler')
    expect(' 1 retain_attached_hw_handler 1 alua 1 1 round-robin' in table(mp), table(mp))
    same(write(t, mp, 4), [2, 2], 'I/O')
    reload(t, mp, rr(first, second), features='retain_attached_hw_handler', handler='alua')
    expect(' 1 retain_attached_hw_handler 1 alua 1 1 round-robin' in table(mp), table(mp))
    reload(t, mp, rr(first, second))
    expect(' prmpath 0 0 1 1 round-robin' in table(mp), table(mp))


# Queueing

@case(topology='tcm_loop', rules=['5.12'])
def features(t):
    """queue_mode is accepted, features come back as they were, queue_if_no_path follows messages"""
    first, second = t.a.paths
    notice = 'queue_mode of requests is accepted, but this target sends bios'
    count = 0
    for words in ('queue_mode bio', 'queue_mode rq', 'queue_mode mq',
                  'pg_init_retries 7 queue_mode rq queue_if_no_path',
                  'queue_if_no_path pg_init_delay_msecs 0 retain_attached_hw_handler pg_init_retries 1',
                  'path_check 3 pg_init_delay_msecs 60000 queue_mode bio'):
        mp = create(t, rr(first, second), features=words)
        count += 'rq' in words or 'mq' in words
        expect(log(t).count(notice) == count, f'{words}: one notice each:\n{log(t)}')
        expect(f' prmpath {len(words.split())} {words} ' in table(mp), f'{words}: {table(mp)}')
        mp.remove()

    mp = create(t, rr(first, second), features='pg_init_retries 7 queue_if_no_path path_check 0')
    expect(mp.message('fail_if_no_path')[0] == 0, 'fail_if_no_path')
    expect(' prmpath 4 pg_init_retries 7 path_check 0 ' in table(mp), table(mp))
    expect(mp.message('Queue_If_No_Path')[0] == 0, 'queue_if_no_path')
    expect(' prmpath 5 pg_init_retries 7 queue_if_no_path path_check 0 ' in table(mp), table(mp))
    reload(t, mp, rr(first, second), features='pg_init_retries 7')
    mp.message('queue_if_no_path')
    expect(' prmpath 3 queue_if_no_path pg_init_retries 7 ' in table(mp), table(mp))

    for path in first, second:
        mp.message('fail_path', path.number)
    job = t.a.spawn(f'dd if={mp} of=/dev/null bs=4k count=1 iflag=direct')
    expect(waits(job), f'not queued: {job.output()}')
    mp.message('fail_if_no_path')
    code, out = job.wait(20)
    expect(code and 'Input/output error' in out, f'{code} {out}')


@case(topology='tcm_loop', rules=['5.12'])
def queueing_ends(t):
    """queue_if_no_path_timeout_secs: I/O fails that long after the last path did"""
    limit = '/sys/module/dm_prmpath/parameters/queue_if_no_path_timeout_secs'
    t.a.check(f'echo 3 > {limit}')
    mp = create(t, rr(t.a.paths[0]), rr(t.a.paths[1]), features='queue_if_no_path')
    same(write(t, mp, 2), [2, 0], 'I/O')
    job = t.a.spawn(f'''for path in {" ".join(p.number for p in t.a.paths)}; do
            dmsetup message mp0 0 fail_path $path; done
            dd if={mp} of=/dev/null bs=4k count=1 iflag=direct''')
    expect(waits(job), f'not queued: {job.output()}')
    code, out = job.wait(20)
    expect(code and 'Input/output error' in out, f'{code} {out}')
    logged(t, 'mp0 (dm-', '): no path for 3 s: queue_if_no_path is turned off')
    expect(' prmpath 0 0 2 ' in table(mp), table(mp))
    # On again by message, and a path in time: nothing is turned off.
    mp.message('queue_if_no_path')
    job = t.a.spawn(f'dd if={mp} of=/dev/null bs=4k count=1 iflag=direct')
    expect(waits(job), f'not queued: {job.output()}')
    mp.message('reinstate_path', t.a.paths[1].number)
    expect(job.wait(20)[0] == 0, job.output())
    expect(' prmpath 1 queue_if_no_path 0 2 ' in table(mp), table(mp))


# Module options

@case(topology='bare', rules=['2.3', '5.8'])
def module_options(t):
    """a wrong module option is refused with the line that says what, and nothing is left"""
    module = module_path(t.kernel)
    in_tree = 'dm-service-time dm-queue-length dm-round-robin'
    t.vm.check('rmmod dm_prmpath')
    t.cleanup(t.vm.run, f'insmod {module}')
    only = 'module option features: without multipath=1, expected both or none'
    lines = (
        ('features="pr_key 0xa1"', only),
        ('features=""', only),
        ('multipath=1 features="pr_kez 0xa1"',
         "module option features: features: 'pr_kez' is no feature, expected queue_if_no_path "),
        ('multipath=1 features="pr_key 0"',
         "module option features: pr_key: '0' is no key, expected a number of 64 bits other than 0, "
         'such as 0xabc1'),
        ('multipath=1 features="pr_key hugo"',
         "module option features: pr_key: 'hugo' is no key, expected a number of 64 bits other than 0, "
         'such as 0xabc1'),
        ('multipath=1 features="pr_key"',
         'module option features: pr_key: the features end here, expected its value'),
        ('multipath=1 features="pr_key 0xa1 pr_key 0xa1"',
         'module option features: pr_key: given twice, expected it once'),
        ('multipath=1 features="pr_shared"',
         'module option features: pr_shared without pr_key, expected pr_key and a key'),
        ('multipath=1 features="pr_key 0xa1 pr_poll 3601"',
         "module option features: pr_poll: '3601' is out of range, expected 0 to 3600"),
    )
    for options, text in lines:
        t.vm.check('dmesg --clear')
        # The kernel takes a value with blanks in quotes.
        words = ' '.join(shlex.quote(word) for word in re.split(' (?=features)', options))
        code, out = t.vm.run(f'insmod {module} {words}')
        said_line = t.vm.check('dmesg')
        expect(code, f'{options} was accepted')
        expect(f'device-mapper: prmpath: {text}' in said_line, f'{options}: {out}\n{said_line}')
        expect(text.endswith(' ') or re.search(re.escape(text) + '$', said_line, re.M),
               f'{options}: more than {text}: {said_line}')
        left = t.vm.run('lsmod | grep -w dm_prmpath; dmsetup targets | grep -E "prmpath|multipath"; '
                        'ls /dev/prmpath-control 2>/dev/null')[1]
        expect(not left, f'{options}: left over: {left}')
    t.vm.check(f'modprobe -a dm-multipath {in_tree}')
    code, _ = t.vm.run(f'insmod {module} multipath=1')
    text = t.vm.check('dmesg')
    expect(code and 'multipath=1: dm-multipath is loaded, expected modprobe -r dm-multipath' in text,
           text)
    expect(t.vm.run('lsmod | grep -w dm_prmpath')[0] != 0, 'loaded')
    t.vm.check(f'modprobe -r {in_tree} && modprobe -r dm-multipath && '
               f'insmod {module} multipath=1 \'features="pr_key 0xa1"\' && rmmod dm_prmpath')


# Table lines

@case(topology='tcm_loop', rules=['5.8', '5.12'])
def wrong_lines(t):
    """a wrong table line is refused with a line that names the word and what was expected"""
    mp = create(t, rr(*t.a.paths))
    number, sectors = t.a.paths[0].number, t.a.check(f'blockdev --getsz {t.a.paths[0]}').strip()
    missing = {'6.1': -19, '6.12': -2}[t.line]        # ENODEV, ENOENT
    known = 'round-robin or queue-length or service-time or historical-service-time or io-affinity'
    lines = (
        ('x 0 0 0', "number of features: 'x' is no number, expected one"),
        ('9 0 0 0', "number of features: '9' is more than the line has, expected at most 3"),
        ('1 pg_init_retries 0 0 0', 'pg_init_retries: the features end here, expected its value'),
        ('2 pg_init_retries 51 0 0 0',
         "pg_init_retries: '51' is out of range, expected 1 to 50"),
        ('2 pg_init_delay_msecs 60001 0 0 0',
         "pg_init_delay_msecs: '60001' is out of range, expected 0 to 60000"),
        ('2 queue_mode fast 0 0 0',
         "queue_mode: 'fast' is no choice, expected bio or rq or mq"),
        ('2 queue_if_no_path queue_if_no_path 0 0 0', 'queue_if_no_path: given twice, expected it once'),
        ('0 queue_if_no_path 0 0 0', "number of features: '0' leaves out 'queue_if_no_path', "
                                     'expected a count of all their words'),
        ('0 7 0 0', "number of hardware handler words: '7' is more than the line has, "
                    'expected at most 2'),
        ('0 0 65 1', "number of groups: '65' is out of range, expected 0 to 64"),
        ('0 0 2 3', "initial group: '3' is out of range, expected 1 to 2"),
        ('0 0 1 0', "initial group: '0' is out of range, expected 1 to 1"),
        (f'0 0 1 1 fastest 0 1 0 {number}',
         f"group 1: 'fastest' is no path selector, expected {known}"),
        (f'0 0 1 1 round-robin 1 5 1 0 {number}',
         "group 1: number of selector words: '1' is too many, expected at most 0"),
        ('0 0 1 1 round-robin 0 0 0', "group 1: number of paths: '0' is out of range, expected 1 to 64"),
        (f'0 0 1 1 round-robin 0 1 2 {number} 1 1',
         "group 1: number of path words: '2' is out of range, expected 0 to 1"),
        (f'0 0 1 1 round-robin 0 2 1 {number} 1',
         'group 1: paths: the line has 2 more words, expected 4'),
        (f'0 0 1 1 round-robin 0 1 1 {number} 0',
         f"group 1: path '{number}': '0' is wrong, expected a repeat count of 1 to 4294967295"),
        (f'0 0 1 1 service-time 0 1 2 {number} 1 101',
         f"group 1: path '{number}': '101' is wrong, expected a relative throughput of 0 to 100"),
        (f'0 0 1 1 io-affinity 0 1 0 {number}',
         f"group 1: path '{number}': no word, expected a hexadecimal CPU mask other than 0, "
         'such as ff or 1,00000000'),
        (f'0 0 1 1 historical-service-time 1 1024 1 0 {number}',
         "group 1: historical-service-time: '1024' is wrong, expected a base weight of 0 to 1023"),
        (f'0 0 2 1 round-robin 0 1 0 {number} round-robin 0 1 0 {number}',
         f"group 2: path '{number}': already in group 1, expected every path once"),
        (f'0 0 1 1 round-robin 0 1 0 {number} 5',
         "end of the line: '5' is left over, expected nothing (number of groups: 1)"),
        ('0 0 1 1 round-robin 0 1 0 /dev/nosuch', f'path /dev/nosuch cannot be opened ({missing})'),
        (f'0 1 nosuch 1 1 round-robin 0 1 0 {number}',
         f"path {number}: hardware handler 'nosuch' cannot be attached (-22), its words: ''"),
    )
    before = table(mp)
    for words, text in lines:
        t.a.check('dmesg --clear')
        code, _ = t.a.run(f'dmsetup reload mp0 --table "0 {sectors} prmpath {words}"')
        expect(code, f'"{words}" was accepted')
        found = [entry.split('prmpath: ', 1)[1] for entry in t.a.check('dmesg').splitlines()
                 if 'device-mapper: prmpath: ' in entry]
        expect(found and re.fullmatch(r'\S+: ' + re.escape(text), found[0]),
               f'"{words}": {found}, expected {text}')
    expect(table(mp) == before and write(t, mp, 4) == [2, 2], 'the table that works stays')


# Events

class Uevents:
    """Uevents of the kernel about block devices, as dicts."""

    def __init__(self, t):
        self.job = t.vm.spawn('exec stdbuf -oL udevadm monitor --kernel --property '
                              '--subsystem-match=block')
        t.cleanup(self.job.kill)
        poll(lambda: 'KERNEL -' in self.job.output(), 20, 'the monitor listens')

    def path(self):
        """(action, path, valid paths, device) of dm's path events."""
        found = [dict(entry.split('=', 1) for entry in block.splitlines() if '=' in entry)
                 for block in self.job.output().split('\n\n')]
        return [(event['DM_ACTION'], event['DM_PATH'], event['DM_NR_VALID_PATHS'], event['DM_NAME'])
                for event in found if 'DM_ACTION' in event and 'DM_PATH' in event]

    def reach(self, wanted):
        poll(lambda: len(self.path()) >= len(wanted), 20, f'{wanted}, got {self.path()}')
        same(self.path()[:len(wanted)], wanted, 'path events')

    def end(self, wanted):
        """These and no more."""
        self.reach(wanted)
        same(self.path(), wanted, 'path events')


@case(topology='tcm_loop', rules=['5.12'])
def uevents(t):
    """a path that fails or returns is told once, as dm-multipath tells it"""
    first, second = t.a.paths
    mp = create(t, rr(first, second), features='path_check 1')
    monitor = Uevents(t)
    wanted = []

    def told(action, path, valid):
        wanted.append((action, path.number, str(valid), 'mp0'))
        monitor.reach(wanted)

    before = events(mp)
    mp.message('fail_path', first.number)
    told('PATH_FAILED', first, 1)
    poll(lambda: events(mp) > before, 10, 'an event of the table')
    told('PATH_REINSTATED', first, 2)           # path_check found it in order
    second.cut()
    expect(write(t, mp, 10)[0] >= 9, 'I/O goes on')
    told('PATH_FAILED', second, 1)
    mp.message('fail_path', first.number)
    told('PATH_FAILED', first, 0)
    told('PATH_REINSTATED', first, 1)
    second.restore()
    told('PATH_REINSTATED', second, 2)

    # Checks, messages that change nothing and I/O are no news.
    quiet = events(mp)
    for path in first, second:
        mp.message('reinstate_path', path.number)
    same(write(t, mp, 50), [25, 25], 'I/O')
    mp.message('queue_if_no_path')
    mp.message('fail_if_no_path')
    same(events(mp), quiet, 'news about nothing')
    monitor.end(wanted)


def sent(path):
    return int(path.vm.check(f'cat /sys/block/{path.name}/device/iorequest_cnt'), 16)


@case(topology='tcm_loop', rules=['5.12'])
def uevents_dead(t):
    """a path that stays dead is told once, however often it is checked"""
    first, second = t.a.paths
    mp = create(t, rr(first, second), features='path_check 1')
    monitor = Uevents(t)
    second.cut()
    expect(write(t, mp, 4)[0] >= 3, 'I/O goes on')
    wanted = [('PATH_FAILED', second.number, '1', 'mp0')]
    monitor.reach(wanted)
    quiet = events(mp), sent(second)
    same(mp.message('fail_path', second.number)[0], 0, 'fail_path of a path that has failed')
    same(mp.status()['paths'][second.number]['failures'], 1, 'failures')
    poll(lambda: sent(second) >= quiet[1] + 3, 20, 'three checks of the dead path')
    same(events(mp), quiet[0], 'events about nothing')
    monitor.end(wanted)
    second.restore()
    monitor.end([*wanted, ('PATH_REINSTATED', second.number, '2', 'mp0')])


# Links

@case(topology='iscsi_loop', rules=['5.2', '5.3'], hosts=('a',), long=True)
def flapping(t):
    """links that go and come, each in turn, under an owner: fio loses nothing and nothing is left"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1')
    mp.wait_status(keys_own=2)
    fio = Fio(t, mp)
    mp.wait_status(state='owner')

    def alive(path):
        entry = mp.status()['paths'][path.number]
        return entry['active'] and entry['pr'] == 'registered'
    for path in t.a.paths:
        path.cut()
        poll(lambda path=path: not mp.status()['paths'][path.number]['active'], 40, 'it fails')
        expect(mp.status()['paths'][path.number]['pr'] != 'registered', mp.status())
        fio.goes_on()
        path.restore()
        poll(lambda path=path: alive(path), 40, 'it is back, registered')
        fio.goes_on()
    for _ in range(3):                      # shorter than any timer
        for path in t.a.paths:
            path.cut()
            t.a.run('sleep 0.5')
            path.restore()
    poll(lambda: all(alive(path) for path in t.a.paths), 60, 'all is well')
    fio.goes_on()
    fio.finish()
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder is None, state)
