# SPDX-License-Identifier: GPL-2.0-only
"""An unmodified multipathd over our target under the name multipath.

With MULTIPATH=in-tree the same cases run over dm-multipath: that proves what they ask
of multipathd.
"""
import re

from cases import Skip, case, expect, module_path, poll
from lio import AluaGroup, IscsiLoop, IscsiPath, iscsi_disk, target_name
from multipath_tools import (ALIAS, FAULTY, IN_TREE, KEY, READY, Fio, Multipathd, Sent, load,
                             load_in_tree, registrations, target_port, unload, unload_in_tree)
from sessions import Writer, blocks, hold, log, try_open, writes_through
from steps import PR_OUT, REGISTER, REGISTER_IGNORE, WRITE_10


def single(rules, paths=2, **layout):
    return case(topology='iscsi_loop', rules=rules, module=False, hosts=('a',), paths=paths, **layout)


def uptime(vm):
    return float(vm.check('cat /proc/uptime').split()[0])


def quiet(mp):
    """Over several rounds of the checkers no table is loaded and no uevent sent."""
    def told():
        """Events of what was just done follow it."""
        loads = mp.loads()
        mp.host.check('udevadm settle')
        return loads if mp.loads() == loads else None
    before = poll(told, 15, 'the events of what was done are over')
    mp.daemon.checks()
    expect(mp.loads() == before, f'(tables, uevents) {before} became {mp.loads()}: {mp.daemon.log()}')


def queueing(mp):
    """Whether the target queues, by its status or its table."""
    return 'queue_if_no_path' in mp.table_line()


@single(['2.1', '5.12'], paths=4)
def appears(t):
    """a map appears by itself, multipathd tells the truth about it and leaves it alone"""
    daemon = Multipathd(t, t.a).start()
    mp = daemon.map()
    names = sorted(path.name for path in t.a.paths)
    expect(sorted(mp.members()) == names, mp.groups())
    said = t.vm.check('multipath -ll')
    expect(len(re.findall('active ready running', said)) == 4, said)
    said = t.vm.check('multipathd show paths')
    expect(len(re.findall(r'^\S+ +sd\w+ .* active +ready +running', said, re.M)) == 4, said)
    table = mp.table_line().split()
    expect(table[2] == 'multipath', table)
    entry = mp.described()
    expect(entry['map_loads'] == 1, f'one load makes it: {entry}')
    quiet(mp)
    session = hold(t, mp).opened()
    mp.owner()
    # A round of minutes: none ends while it has to be quiet.
    fio = Fio(t, mp, size=40)
    quiet(mp)
    fio.goes_on()
    for path in t.a.paths:
        expect(writes_through(path), f'{path} carries nothing')
    fio.finish()
    session.close()
    quiet(mp)
    daemon.command('reconfigure')
    mp.wait_paths(READY, count=4)
    expect(mp.described()['map_loads'] <= 1, f'a map that fits is not loaded again: {daemon.log()}')


def pull(mp, fio, path):
    """Each link goes and comes back under I/O."""
    path.cut()
    mp.wait_paths(FAULTY, path)
    fio.goes_on()
    path.restore()
    mp.wait_paths(READY)
    mp.owner()
    before = writes_through(path)
    fio.goes_on()
    poll(lambda: writes_through(path) > before, 20, f'{path} carries writes again')


@single(['5.2', '5.3'])
def links(t):
    """each link is pulled and comes back while fio writes and compares"""
    mp = Multipathd(t, t.a).start().map()
    fio = Fio(t, mp)
    mp.owner()
    for path in t.a.paths:
        pull(mp, fio, path)
        expect(mp.described()['map_loads'] <= 1, f'no table is loaded: {mp.daemon.log()}')
    fio.finish()


@single(['5.2', '5.5'])
def all_links_queue(t):
    """with no_path_retry queue the loss of all links is only a pause"""
    mp = Multipathd(t, t.a, no_path_retry='queue').start().map()
    expect(queueing(mp), mp.table_line())
    fio = Fio(t, mp)
    mp.owner()
    for path in t.a.paths:
        path.cut()
    mp.wait_paths(FAULTY)
    before, down = fio.done(), uptime(t.vm)
    poll(lambda: uptime(t.vm) > down + 3, 30, 'three seconds of the guest')
    expect(fio.done() == before, 'writes without a path')
    fio.running()
    t.a.paths[0].restore()
    mp.wait_paths(READY)
    fio.goes_on()
    mp.owner()
    fio.finish()


@single(['5.2', '5.5'])
def all_links_fail(t):
    """with no_path_retry fail writes fail, and a new one succeeds when a link is back"""
    mp = Multipathd(t, t.a, no_path_retry='fail').start().map()
    expect(not queueing(mp), mp.table_line())
    session = hold(t, mp).opened()
    writer = Writer(t, mp).opened()
    writer.goes_on()
    for path in t.a.paths:
        path.cut()
    expect(writer.failed() == 'EIO', writer.errors())
    mp.wait_paths(FAULTY)
    writer.close()
    t.a.paths[0].restore()
    mp.wait_paths(READY)
    mp.owner()
    Writer(t, mp, first=512).opened().goes_on()
    session.close()


@single(['5.2', '5.5'], long=True)
def queue_for_a_while(t):
    """with no_path_retry 3 writes wait for three checks, then fail, and recover"""
    mp = Multipathd(t, t.a, no_path_retry='3').start().map()
    writer = Writer(t, mp).opened()
    writer.goes_on()
    for path in t.a.paths:
        path.cut()
    expect(writer.failed() == 'EIO', writer.errors())
    poll(lambda: 'Disable queueing' in mp.daemon.log(), 5, mp.daemon.log())
    expect(not queueing(mp), mp.table_line())
    writer.close()
    t.a.paths[0].restore()
    mp.wait_paths(READY)
    expect(queueing(mp), f'queueing is back: {mp.table_line()}')
    Writer(t, mp, first=512).opened().goes_on()


@single(['5.12'])
def events(t):
    """a path that fails or comes back sends dm-multipath's uevents and a dm event"""
    mp = Multipathd(t, t.a).start().map()
    session = hold(t, mp).opened()
    monitor = t.vm.spawn('exec udevadm monitor --kernel --property --subsystem-match=block')
    t.cleanup(monitor.kill)
    poll(lambda: 'KERNEL' in monitor.output(), 10, 'udevadm monitor')
    path = t.a.paths[0]
    for state, members, action, left in (('offline', FAULTY, 'PATH_FAILED', 1),
                                         ('running', READY, 'PATH_REINSTATED', 2)):
        before = dm_events(mp)
        path.scsi_state(state)
        mp.wait_paths(members, path)
        wanted = {f'DM_ACTION={action}', f'DM_PATH={path.number}', f'DM_NR_VALID_PATHS={left}',
                  'DM_TARGET=multipath', f'DM_NAME={mp.name}'}
        poll(lambda wanted=wanted: any(wanted <= set(part.splitlines()) for part in
                                       monitor.output().split('\n\n')), 10, f'uevent {wanted}')
        expect(dm_events(mp) > before, 'no dm event')
    session.close()


def dm_events(mp):
    return int(mp.host.check(f'dmsetup info -c --noheadings -o events {mp.name}'))


@single(['3-default', '4.2'], long=True)
def opens_without_holder(t):
    """opens and closes in a row succeed while the path that held the reservation is dead"""
    mp = Multipathd(t, t.a).start().map()
    for path in t.a.paths:
        path.scsi_state('offline')
        mp.wait_paths(FAULTY, path)
        for number in range(5):
            code, out = t.vm.run(f'for n in 1 2 3 4 5; do true <> {mp} || exit 1; done')
            expect(code == 0, f'{path} dead, round {number}: {out}')
        path.scsi_state('running')
        mp.wait_paths(READY)
    session = hold(t, mp).opened()
    for path in t.a.paths:
        path.cut()
        mp.wait_paths(FAULTY, path)
        session.close()
        session = hold(t, mp).opened()
        path.restore()
        mp.wait_paths(READY)
        mp.owner()


@single(['5.2', '5.3'], long=True)
def flapping(t):
    """a link that comes and goes five times costs no write and no registration"""
    mp = Multipathd(t, t.a).start().map()
    fio = Fio(t, mp)
    mp.owner()
    flapper, steady = t.a.paths
    for _ in range(5):
        flapper.scsi_state('offline')
        mp.wait_paths(FAULTY, flapper)
        fio.goes_on(10)
        flapper.scsi_state('running')
        mp.wait_paths(READY, flapper)
    # And faster than the checkers.
    for _ in range(20):
        flapper.scsi_state('offline')
        flapper.scsi_state('running')
    mp.wait_paths(READY)
    mp.owner()
    for path in flapper, steady:
        before = writes_through(path)
        poll(lambda path=path, before=before: writes_through(path) > before, 30, f'{path} carries')
    fio.finish()


def log_in(t, path):
    """A new session for a path: another nexus, another disk."""
    node = f'iscsiadm -m node -T {target_name(path.index)} -p {path.portal}:3260 -I a'
    t.vm.check(f'{node} -l')
    disk = poll(lambda: iscsi_disk(t.vm, 'a', path.index), 20, 'the new disk')
    t.a.paths[path.index] = IscsiPath(t.vm, path.index, disk, path.portal)
    return t.a.paths[path.index]


def log_out(t, path):
    t.vm.check(f'iscsiadm -m node -T {target_name(path.index)} -p {path.portal}:3260 -I a -u')


@single(['5.2', '5.3', '4.8'], paths=3)
def path_added(t):
    """a path that multipathd adds is registered before it carries a write"""
    mp = Multipathd(t, t.a).start().map()
    fio = Fio(t, mp)
    mp.owner()
    # First the holder's path, then another one.
    for path in t.a.paths[:2]:
        log_out(t, path)
        poll(lambda: len(mp.members()) == 2, 20, 'the path is out of the map')
        fio.goes_on()
        with Sent(t.vm) as sent:
            path = log_in(t, path)
            mp.wait_paths(READY, count=3)
            poll(lambda path=path: writes_through(path) > 3, 30, f'{path} carries writes')
            first_use(sent.to(path))
        mp.owner()
        if not IN_TREE:
            every_path_registered(t)
    fio.finish()


def every_path_registered(t):
    """The target's view; what a session that ended had registered may still be there."""
    keys, holder = registrations(t.vm, t.a.paths[0])
    ports = {port for _, port in keys}
    expect(ports == {target_port(path) for path in t.a.paths} and set(keys.values()) == {KEY}
           and holder, (keys, holder))


def first_use(commands):
    """The first write to a path comes after its registration."""
    writes = [n for n, cdb in enumerate(commands) if cdb[0] == WRITE_10]
    expect(writes, 'no write')
    registers = [n for n, cdb in enumerate(commands) if cdb[0] == PR_OUT
                 and cdb[1] & 31 in (REGISTER, REGISTER_IGNORE)]
    expect(IN_TREE or registers and registers[0] < writes[0],
           f'registered by command {registers}, written by {writes[:3]}')


@single(['5.2', '5.3'], long=True)
def daemon_stops(t):
    """without multipathd, I/O and the session go on over the path that is left"""
    daemon = Multipathd(t, t.a, no_path_retry='queue').start()
    mp = daemon.map()
    fio = Fio(t, mp)
    mp.owner()
    daemon.stop()
    expect(not queueing(mp), f'nobody would end it: {mp.table_line()}')
    fio.goes_on()
    daemon.start()
    mp.wait_paths(READY, count=2)
    poll(lambda: queueing(mp), 20, 'queueing is back')
    fio.goes_on()
    mp.owner()
    fio.finish()


@single(['5.2', '5.3'])
def daemon_killed(t):
    """a path fails and comes back while multipathd is dead; the next one takes it in again"""
    daemon = Multipathd(t, t.a, no_path_retry='queue').start()
    mp = daemon.map()
    fio = Fio(t, mp)
    mp.owner()
    daemon.kill()
    expect(queueing(mp), mp.table_line())
    lost = t.a.paths[1]
    lost.cut()
    poll(lambda: re.search(rf' {lost.number} F ', t.vm.check(f'dmsetup status {mp.name}')), 30,
         'the target fails the path')
    fio.goes_on()
    daemon.start()
    mp.wait_paths(FAULTY, lost)
    fio.goes_on()
    daemon.kill()
    lost.restore()
    fio.goes_on()
    daemon.start()
    mp.wait_paths(READY)
    mp.owner()
    before = writes_through(lost)
    poll(lambda: writes_through(lost) > before, 20, f'{lost} carries writes again')
    fio.finish()


@single(['4.5', '4.8'])
def flush(t):
    """multipath -f and -F leave an open map alone, and take a closed one and its registrations"""
    daemon = Multipathd(t, t.a).start()
    for option in f'-f {ALIAS}', '-F':
        mp = daemon.map()
        session = hold(t, mp).opened()
        mp.owner()
        code, said = t.vm.run(f'multipath {option}')
        expect(code and mp.members(), f'an open map: {code} {said}')
        mp.owner()
        session.close()
        t.vm.check(f'udevadm settle && multipath {option}')
        expect('No devices' in t.vm.check('dmsetup ls'), t.vm.check('dmsetup ls'))
        if not IN_TREE:
            poll(lambda: not registrations(t.vm, t.a.paths[0])[0], 20, 'no registration is left')
        daemon.command('reconfigure')
    mp = daemon.map()
    Writer(t, mp).opened().goes_on()


class Growing:
    """A block device of the target that can grow: a loop device."""

    def __init__(self, vm, megabytes):
        self.vm, self.file = vm, '/tmp/growing'
        self.dev = vm.check(f'modprobe loop; truncate -s {megabytes}M {self.file}; '
                            f'losetup -f --show {self.file}').strip()

    def grow(self, megabytes):
        self.vm.check(f'truncate -s {megabytes}M {self.file}; losetup -c {self.dev}')

    def remove(self):
        self.vm.check(f'losetup -d {self.dev}; rm {self.file}')


@case(topology='bare', rules=['4.8', '2.1'], module=False, long=True)
def resize(t):
    """the LUN grows under I/O; multipathd resize map makes the map grow"""
    growing = Growing(t.vm, 32)
    t.cleanup(growing.remove)
    lun = IscsiLoop(t.vm, hosts=('a',), device=growing.dev)
    t.cleanup(lun.remove)
    host = lun.hosts[0]
    mp = Multipathd(t, host).start().map()
    fio = Fio(t, mp)
    mp.owner()
    growing.grow(64)
    for path in host.paths:
        t.vm.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
        poll(lambda path=path: sectors(t.vm, path) == 131072, 20, f'{path} is larger')
    mp.daemon.command('resize map', mp.name)
    expect(sectors(t.vm, mp) == 131072, 'the map is not larger')
    fio.goes_on()
    mp.owner()
    Writer(t, mp, first=12000).opened().goes_on()
    fio.finish()


def sectors(vm, device):
    return int(vm.check(f'blockdev --getsz {device}'))


def two_groups(t, kind, second='standby'):
    """Two ALUA groups of two paths each."""
    groups = []
    for number, state in enumerate(('optimized', second)):
        group = AluaGroup(t.lun.backstore, number + 1, kind, state)
        t.cleanup(group.remove)
        groups.append(group)
    for path in t.a.paths:
        t.lun.target.join(path.index, groups[path.index // 2])
        t.vm.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
    return groups


def active_group(mp):
    """The disks of the group that the target uses."""
    return next((sorted(group['paths']) for group in mp.groups() if group['dm_st'] == 'active'), None)


def carried_by(t, fio, paths):
    """fio goes on over these paths and, once multipathd has seen all of it, over no other ones."""
    others = [path for path in t.a.paths if path not in paths]

    def settled():
        before = {path: writes_through(path) for path in t.a.paths}
        fio.goes_on()
        return (all(writes_through(path) > before[path] for path in paths)
                and all(writes_through(path) == before[path] for path in others))
    poll(settled, 40, f'{[path.name for path in paths]} carry writes, and no other path')


def group_moves(t, second):
    """The target moves the active group there and back; I/O follows."""
    one, two = two_groups(t, 'implicit', second)
    halves = t.a.paths[:2], t.a.paths[2:]
    names = [sorted(path.name for path in half) for half in halves]
    daemon = Multipathd(t, t.a, failback='immediate').start()
    mp = daemon.map(ready=second == 'nonoptimized')
    expect([sorted(group['paths']) for group in mp.groups()] == names, mp.groups())
    fio = Fio(t, mp)
    mp.owner()
    expect(active_group(mp) == names[0], mp.groups())
    carried_by(t, fio, halves[0])
    two.become('optimized')
    one.become(second)
    poll(lambda: active_group(mp) == names[1], 30, 'the second group is used')
    carried_by(t, fio, halves[1])
    # Now the group goes before the other one is there: I/O meets a target that refuses it.
    two.become(second)
    one.become('optimized')
    poll(lambda: active_group(mp) == names[0], 30, 'the first group is used')
    carried_by(t, fio, halves[0])
    mp.owner()
    fio.finish()


@single(['5.2', '5.6'], paths=4, long=True)
def alua_standby(t):
    """the optimized group becomes standby: multipathd switches, fio goes on"""
    group_moves(t, 'standby')


@single(['5.2'], paths=4, long=True)
def alua_nonoptimized(t):
    """the optimized group becomes non-optimized: multipathd switches, fio goes on"""
    group_moves(t, 'nonoptimized')


@single(['5.2', '5.6'], paths=4, long=True)
def alua_explicit(t):
    """the links of the active group go: the handler makes the standby group active"""
    _, two = two_groups(t, 'both')
    mp = Multipathd(t, t.a, failback='immediate').start().map(ready=False)
    fio = Fio(t, mp)
    mp.owner()
    expect(two.state() == 'standby', two.state())
    for path in t.a.paths[:2]:
        path.scsi_state('offline')
    mp.wait_paths(FAULTY, *t.a.paths[:2])
    fio.goes_on()
    expect(two.state() == 'optimized', f'nobody told the target: {two.state()}')
    carried_by(t, fio, t.a.paths[2:])
    for path in t.a.paths[:2]:
        path.scsi_state('running')
    mp.wait_paths(READY)
    mp.owner()
    fio.finish()


def ours_only():
    if IN_TREE:
        raise Skip('dm-multipath knows no reservations')


def released(mp):
    """No session: the target holds no reservation for this host."""
    if not IN_TREE:
        # udev may open a partition once more before it is gone.
        poll(lambda: mp.status()['state'] == 'free' and mp.host.pr_state().holder is None, 30,
             'released, by our word and by the target')


MBR = '''import struct
with open("{device}", "r+b") as disk:
    disk.write(bytes(446) + struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 65536)
               + bytes(48) + b"\\x55\\xaa")
'''


def file_system(t, mp, device, kind, held=True):
    """mkfs, mount, write, umount, and read it all again: reserved from mount to umount."""
    options = '-q -F' if kind == 'ext4' else '-q -f'
    t.vm.check(f'mkfs.{kind} {options} {device} && mkdir -p /mnt && mount {device} /mnt', timeout=120)
    if held:
        mp.owner()
        expect(IN_TREE or mp.host.pr_state().holder == KEY, mp.host.pr_state())
    t.vm.check('head -c 3M /dev/urandom > /mnt/data && sha256sum /mnt/data > /mnt/sum && umount /mnt')
    t.vm.check(f'mount {device} /mnt && sha256sum -c /mnt/sum; umount /mnt')


@single(['2.1', '2.5', '4.2'], megabytes=320)
def file_systems(t):
    """mount of ext4 and xfs is an open that reserves, umount releases"""
    mp = Multipathd(t, t.a).start().map()
    # Debug kernels have no xfs: it is a sixth of their build.
    for kind in ('ext4', 'xfs') if t.kernel == t.line else ('ext4',):
        file_system(t, mp, mp.dev, kind)
        released(mp)


@single(['2.1', '2.5', '4.2'])
def partitions(t):
    """kpartx maps partitions; their maps and mounts hold the LUN until they go"""
    mp = Multipathd(t, t.a).start().map()
    t.vm.put('/run/mbr.py', MBR.format(device=mp))
    t.vm.check(f'python3 /run/mbr.py && udevadm settle && kpartx -a -s -p -part {mp}')
    part = f'{mp.dev}-part1'
    expect(sectors(t.vm, part) == 65536, t.vm.check('dmsetup table'))
    mp.owner()
    file_system(t, mp, part, 'ext4')
    code, _ = t.vm.run(f'dmsetup remove {mp.name}')
    expect(code, 'removed below a partition')
    t.vm.check(f'kpartx -d -p -part {mp}')
    released(mp)
    # The daemon's flush takes partition maps with it.
    t.vm.check(f'kpartx -a -s -p -part {mp}')
    mp.owner()
    t.vm.check(f'udevadm settle && multipath -f {mp.name}')
    expect('No devices' in t.vm.check('dmsetup ls'), t.vm.check('dmsetup ls'))


LVM = ('lvm {} --config \'devices {{ use_devicesfile=0 '
       'global_filter=["a|/dev/mapper/mpath|","r|.*|"] }}\'')


@single(['2.1', '2.5', '4.2'], megabytes=400, long=True)
def lvm(t):
    """an active logical volume holds the LUN; vgchange -an releases it"""
    mp = Multipathd(t, t.a).start().map()

    def command(words):
        return t.vm.check(f'{LVM.format(words)}', timeout=120)
    command(f'pvcreate -y {mp}')
    command(f'vgcreate vg {mp}')
    released(mp)
    command('lvcreate -y -W n -L 340M -n lv vg')
    t.cleanup(t.vm.run, 'umount /mnt; dmsetup remove vg-lv')
    mp.owner()
    file_system(t, mp, '/dev/mapper/vg-lv', 'ext4')
    t.a.paths[0].scsi_state('offline')
    mp.wait_paths(FAULTY, t.a.paths[0])
    t.vm.check('mount /dev/mapper/vg-lv /mnt && sha256sum -c /mnt/sum; umount /mnt')
    t.a.paths[0].scsi_state('running')
    mp.wait_paths(READY)
    mp.owner()
    command('vgchange -an vg')
    released(mp)
    command('vgchange -ay vg')
    mp.owner()
    command('vgchange -an vg')


@case(topology='three_hosts', rules=['3-default', '3-forced', '3.3', '5.3'], module=False)
def takeover(t):
    """host b takes the LUN from a, both under multipathd; a's daemon does not arm it again"""
    take_over(t, {}, {})


@case(topology='three_hosts', rules=['3-forced', '5.3'], module=False, long=True)
def takeover_with_reservation_key(t):
    """the same when multipathd may register the keys by itself"""
    take_over(t, {'reservation_key': '0xa1'}, {'reservation_key': '0xb1'})


def take_over(t, extra_a, extra_b):
    ours_only()
    a = Multipathd(t, t.a, key=0xa1, no_path_retry='queue', **extra_a).start()
    b = Multipathd(t, t.b, key=0xb1, no_path_retry='queue', **extra_b).start()
    mpa, mpb = a.map(), b.map()
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    mpa.owner()
    expect(try_open(mpb)[0] == 1, 'a plain open of b must be refused')
    for path in t.a.paths:
        path.blackhole()
    hold_b = hold(t, mpb, 'forced').opened()
    after = blocks(t.b, mpb)
    mpb.owner()
    for path in t.a.paths:
        path.restore()
    expect(writer.failed(90) == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced')
    mpa.wait_paths(READY)
    # Nothing that multipathd does changes it.
    a.command('reconfigure')
    mpa.wait_paths(READY)
    t.a.paths[0].cut()
    mpa.wait_paths(FAULTY, t.a.paths[0])
    t.a.paths[0].restore()
    mpa.wait_paths(READY)
    a.stop()
    a.start()
    mpa.wait_paths(READY)
    a.checks()
    expect(mpa.status()['state'] == 'fenced', mpa.status())
    expect(t.b.pr_state().keys == [0xb1, 0xb1], t.b.pr_state())
    expect(blocks(t.b, mpb) == after, 'a late write landed')
    expect(try_open(mpa)[0] and try_open(mpa, 'forced')[0], 'fenced, so a must be refused')
    writer.close()
    expect(try_open(mpa)[0], 'b holds the LUN')
    hold_b.close()
    Writer(t, mpa).opened().goes_on()
    state = t.b.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, state)


@single(['2.1'], megabytes=64)
def switch_over(t):
    """a running guest changes from dm-multipath to our target and back, its file system intact"""
    ours_only()
    load_in_tree(t.vm)
    t.cleanup(unload_in_tree, t.vm)
    daemon = Multipathd(t, t.a, key=None, loaded=True).start()
    mp = daemon.map()
    file_system(t, mp, mp.dev, 'ext4', held=False)
    t.vm.check(f'mount {mp} /mnt')
    code, _ = t.vm.run(f'insmod {module_path(t.kernel)} multipath=1')
    expect(code, 'two targets of one name')
    expect('modprobe -r dm-multipath' in log(t), f'the log must say what to do: {log(t)}')
    t.vm.check('umount /mnt && udevadm settle && multipath -F')
    unload_in_tree(t.vm)

    load(t.vm)
    daemon.configure()
    daemon.command('reconfigure')
    mp = daemon.map()
    t.vm.check(f'mount {mp} /mnt && sha256sum -c /mnt/sum && touch /mnt/ours')
    mp.owner()
    t.vm.check('umount /mnt')
    released(mp)
    t.vm.check('udevadm settle && multipath -F')
    unload(t.vm)
    expect(not t.a.pr_state().keys, t.a.pr_state())

    load_in_tree(t.vm)
    daemon.configure(key=None)
    daemon.command('reconfigure')
    mp = daemon.map()
    t.vm.check(f'mount {mp} /mnt && sha256sum -c /mnt/sum && test -e /mnt/ours; umount /mnt')


@single(['2.1', '5.12'])
def default_features(t):
    """the module option features gives a key to tables that have none; pr_off opts out"""
    ours_only()
    daemon = Multipathd(t, t.a, key=None,
                        parameters="multipath=1 'features=\"pr_key 0xa1\"'").start()
    mp = daemon.map()
    expect('pr_key' not in mp.table_line(), mp.table_line())
    quiet(mp)
    session = hold(t, mp).opened()
    mp.owner()
    expect(t.a.pr_state().holder == KEY, t.a.pr_state())
    session.close()
    released(mp)
    t.vm.check(f'udevadm settle && multipath -f {mp.name}')
    daemon.configure(key=None, features='pr_off')
    daemon.command('reconfigure')
    mp = daemon.map()
    expect('pr_off' in mp.table_line() and mp.status()['state'] == 'off', mp.status())
    quiet(mp)
    Writer(t, mp).opened().goes_on()
    expect(not t.a.pr_state().keys, t.a.pr_state())


@single(['5.3', '5.2'])
def reservation_key(t):
    """with our key as reservation_key multipathd may register a path first: it is ours all the same"""
    ours_only()
    mp = Multipathd(t, t.a, reservation_key=hex(KEY)).start().map()
    fio = Fio(t, mp)
    mp.owner()
    for path in t.a.paths:
        log_out(t, path)
        poll(lambda: len(mp.members()) == 1, 20, 'the path is out of the map')
        fio.goes_on()
        log_in(t, path)
        mp.wait_paths(READY, count=2)
        mp.owner()
        every_path_registered(t)
        fio.goes_on()
    fio.finish()


FOREIGN = 0xc1


@single(['5.11', '5.4', '3-default'])
def mpathpersist_beside_us(t):
    """mpathpersist that changes our registrations fences us; its reservation is a foreign one"""
    ours_only()
    mp = Multipathd(t, t.a, reservation_key=hex(FOREIGN)).start().map()
    writer = Writer(t, mp).opened()
    writer.goes_on()
    mp.owner()
    said = mpathpersist(t, f'--register-ignore --param-sark={FOREIGN:#x}', mp)
    state = t.a.pr_state()
    expect(set(state.keys) == {FOREIGN}, f'it re-registers every path: {state} {said}')
    expect(writer.failed(30) == 'EBADE', writer.errors())
    mp.wait_status(state='fenced', holder=f'foreign:{FOREIGN:#018x}')
    expect('FENCED' in log(t), log(t))
    mp.wait_paths(READY)
    expect(set(t.a.pr_state().keys) == {FOREIGN}, 'nothing re-registers')
    writer.close()
    expect(try_open(mp)[0], 'a reservation of mpathpersist is a foreign one')
    mpathpersist(t, f'--release --param-rk={FOREIGN:#x} --prout-type=5', mp)
    mpathpersist(t, f'--register --param-rk={FOREIGN:#x} --param-sark=0', mp)
    poll(lambda: not t.a.pr_state().keys, 10, 'it is gone')
    Writer(t, mp).opened().goes_on()
    mp.owner()


def mpathpersist(t, words, mp):
    return t.vm.check(f'mpathpersist --out {words} {mp}')


@single(['3.2', '5.11'], long=True)
def mpathpersist_registrant(t):
    """a key that mpathpersist registered before is removed by the open, and stays away"""
    ours_only()
    mp = Multipathd(t, t.a, reservation_key=hex(FOREIGN)).start().map()
    mpathpersist(t, f'--register-ignore --param-sark={FOREIGN:#x}', mp)
    state = t.a.pr_state()
    expect(set(state.keys) == {FOREIGN}, state)
    Writer(t, mp).opened().goes_on()
    mp.owner()
    state = t.a.pr_state()
    expect(state.keys == [KEY, KEY] and state.holder == KEY, state)
    log_out(t, t.a.paths[1])
    poll(lambda: len(mp.members()) == 1, 20, 'the path is out of the map')
    log_in(t, t.a.paths[1])
    mp.wait_paths(READY, count=2)
    mp.owner()
    every_path_registered(t)


def fence_mpath(host, action, key, mp):
    """Run Debian's agent; its exit code and what it says."""
    host.vm.run('mkdir -p /run/cluster')
    return host.run(f'fence_mpath -o {action} -n {key:x} -d {mp}')


def fenced_pair(t, features=''):
    """Host a has the LUN by our target, host b has only fence_mpath; maps and a's writer."""
    ours_only()
    for host in t.a, t.b:
        t.cleanup(host.run, 'rm -rf /run/cluster')
    a = Multipathd(t, t.a, key=0xa1, features=features, reservation_key='0xa1').start()
    b = Multipathd(t, t.b, key=None, reservation_key='0xb1').start()
    mpa, mpb = a.map(), b.map()
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    mpa.owner()
    return mpa, mpb, writer


@case(topology='three_hosts', rules=['3.2', '5.11'], module=False, long=True)
def fence_mpath_unasked(t):
    """fence_mpath finds our key, changes nothing under us, and another host's registration is removed"""
    mpa, mpb, writer = fenced_pair(t)
    before = t.b.pr_state()
    for action in 'status', 'on':
        code, said = fence_mpath(t.a, action, 0xa1, mpa)
        expect(code == 0 and 'ON' in said, f'{action} with our key: {code} {said}')
    code, said = fence_mpath(t.a, 'on', 0xc1, mpa)
    expect(code == 1 and 'Failed to verify' in said, f'another key on our paths: {code} {said}')
    expect(t.b.pr_state() == before, f'{before} became {t.b.pr_state()}')
    # It may be there for a moment: the agent succeeds if it looks before our watcher does.
    code, said = fence_mpath(t.b, 'on', 0xb1, mpb)
    poll(lambda: 'foreign registrations removed' in log(t, t.a.vm), 20, 'the log tells')
    poll(lambda: t.b.pr_state().keys == [0xa1, 0xa1], 20, 'nobody else is registered')
    code, said = fence_mpath(t.b, 'status', 0xb1, mpb)
    expect(code == 2 and 'OFF' in said, f'status of b: {code} {said}')
    fence_mpath(t.b, 'off', 0xa1, mpb)
    writer.goes_on()
    mpa.owner()
    expect(t.b.pr_state().holder == 0xa1, t.b.pr_state())


@case(topology='three_hosts', rules=['5.3', '5.4', '3-default'], module=False, long=True)
def fence_mpath_off(t):
    """with pr_shared fence_mpath's "off" of our key fences us, and its "on" does not arm us again"""
    mpa, mpb, writer = fenced_pair(t, 'pr_shared')
    code, said = fence_mpath(t.b, 'on', 0xb1, mpb)
    expect(code == 0, said)
    expect(t.b.pr_state().keys == [0xa1, 0xa1, 0xb1, 0xb1], t.b.pr_state())
    writer.goes_on()
    mpa.owner()
    code, said = fence_mpath(t.b, 'off', 0xa1, mpb)
    expect(code == 0 and 'OFF' in said, said)
    expect(writer.failed(30) == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced', holder='foreign:0x00000000000000b1')
    expect('FENCED' in log(t, t.a.vm), log(t, t.a.vm))
    state = t.b.pr_state()
    expect(state.keys == [0xb1, 0xb1] and state.holder == 0xb1, state)
    # A registration that we did not make lets nobody through our gate.
    code, said = fence_mpath(t.a, 'on', 0xa1, mpa)
    expect(code == 0, said)
    expect(t.b.pr_state().keys == [0xa1, 0xa1, 0xb1, 0xb1], t.b.pr_state())
    mpa.daemon.checks()
    expect(mpa.status()['state'] == 'fenced', mpa.status())
    expect(try_open(mpa)[0] and try_open(mpa, 'forced')[0], 'fenced, so a must be refused')
    writer.close()
    expect(try_open(mpa)[0], 'b holds the LUN')
    code, said = fence_mpath(t.b, 'off', 0xa1, mpb)
    expect(code == 0, said)
    hold(t, mpa, 'forced').opened()
    mpa.owner()
    expect(t.b.pr_state().holder == 0xa1, t.b.pr_state())


# What a host does when it goes down, in the right order and in wrong ones

LOG_OUT_ALL = 'iscsiadm -m node --logoutall=all'


def mounted(t, mp):
    """A file system with data that nobody has written back yet."""
    t.cleanup(t.vm.run, 'umount -l /mnt')
    t.vm.check(f'mkfs.ext4 -q -F {mp} && mkdir -p /mnt && mount {mp} /mnt && '
               'head -c 3M /dev/urandom > /mnt/data')
    mp.owner()


def at_the_target(t):
    """Who holds the LUN, and how many nexuses are registered, by LIO's own files: no path needed."""
    out = t.vm.check(f'cd {t.lun.backstore.path}/pr && cat res_holder res_pr_registered_i_pts')
    return 'No SPC-3 Reservation holder' not in out, len(re.findall('Key: 0x', out.split('\n', 1)[1]))


def all_gone(t):
    """What systemd-shutdown does last: every map goes, and nothing hangs."""
    poll(lambda: 'No devices' in t.vm.check('udevadm settle; dmsetup remove_all; dmsetup ls',
                                            timeout=60), 60, 'no mapped device is left')


def left_behind(t):
    """The reservation, which nobody could release; the log tells."""
    if not IN_TREE:
        expect(at_the_target(t)[0], 'released without a path')
        expect('the reservation could not be released' in log(t), log(t))


@single(['4.2', '4.4', '4.5'])
def shutdown(t):
    """umount first: the LUN is released, whether the daemon or the storage goes next"""
    daemon = Multipathd(t, t.a, no_path_retry='queue').start()
    mp = daemon.map()
    mounted(t, mp)
    daemon.stop()
    mp.owner()
    t.vm.check('umount /mnt')
    released(mp)
    t.vm.check('udevadm settle && multipath -F')
    expect('No devices' in t.vm.check('dmsetup ls'), t.vm.check('dmsetup ls'))
    expect(IN_TREE or at_the_target(t) == (False, 0), at_the_target(t))
    # As Debian's services are ordered.
    daemon.start()
    mp = daemon.map()
    t.vm.check(f'mount {mp} /mnt && touch /mnt/more')
    mp.owner()
    t.vm.check('umount /mnt')
    released(mp)
    t.vm.check(LOG_OUT_ALL)
    daemon.stop()
    all_gone(t)
    expect(not at_the_target(t)[0], at_the_target(t))
    unload(t.vm)
    load(t.vm)


@single(['5.5', '4.2', '6.3'], long=True)
def shutdown_storage_first(t):
    """the storage goes below a mounted file system: it waits while multipathd says so, and no longer"""
    daemon = Multipathd(t, t.a, no_path_retry='queue').start()
    mp = daemon.map()
    mounted(t, mp)
    t.vm.check(LOG_OUT_ALL, timeout=90)
    umount = t.vm.spawn('umount /mnt')
    before = uptime(t.vm)
    poll(lambda: uptime(t.vm) > before + 3, 60, 'three seconds of the guest')
    expect(umount.poll() is None, f'it should wait for a path: {umount.output()}')
    daemon.stop()
    umount.wait(90)
    all_gone(t)
    left_behind(t)
    unload(t.vm)
    load(t.vm)


@single(['5.5', '4.2', '6.3'], long=True)
def shutdown_daemon_first(t):
    """the daemon goes, then the storage, then umount: errors, no hang, the reservation stays"""
    daemon = Multipathd(t, t.a, no_path_retry='queue').start()
    mp = daemon.map()
    mounted(t, mp)
    daemon.stop()
    mp.owner()
    t.vm.check(LOG_OUT_ALL, timeout=90)
    t.vm.run('umount /mnt', timeout=90)
    expect(t.vm.run('mountpoint -q /mnt')[0], 'still mounted')
    all_gone(t)
    left_behind(t)
    unload(t.vm)
    load(t.vm)


@single(['4.5', '4.8', '6.3'])
def remove_all(t):
    """dmsetup remove_all leaves a mounted map alone; with --force the reservation stays, and is said"""
    daemon = Multipathd(t, t.a).start()
    mp = daemon.map()
    mounted(t, mp)
    t.vm.run('dmsetup remove_all')
    mp.owner()
    t.vm.check('sync && sha256sum /mnt/data')
    daemon.stop()
    t.vm.run('dmsetup remove_all --force', timeout=90)
    expect('error' in mp.table_line(), mp.table_line())
    t.vm.run('umount /mnt', timeout=90)
    all_gone(t)
    if not IN_TREE:
        expect('table gone while open: the reservation stays' in log(t), log(t))
        expect(at_the_target(t)[0], 'a device that is open is not released')
    unload(t.vm)
    load(t.vm)
