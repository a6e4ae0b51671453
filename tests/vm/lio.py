# SPDX-License-Identifier: GPL-2.0-only
"""LIO as the target under test: backstores, ports and logins.

Everything goes through configfs (a tenth of a second); TargetcliTarget does
what the documentation shows users. Every path has a port of its own and
every host an explicit initiator name, so that a path is one I_T nexus.
"""
from harness import Host, Path, device_numbers, patience, poll

CONFIGFS = '/sys/kernel/config/target'
IQN = 'iqn.2003-01.org.example'

# Short timers: no-op after 1 s, answer within 2 s, commands fail 5 s after that. A login gets 5 s,
# and longer in guests that are slow.
ISCSID_CONF = '''\
iscsid.startup = /usr/sbin/iscsid
node.startup = manual
node.session.timeo.replacement_timeout = 5
node.conn[0].timeo.noop_out_interval = 1
node.conn[0].timeo.noop_out_timeout = 2
node.session.initial_login_retry_max = 2
node.session.err_timeo.abort_timeout = 5
node.session.err_timeo.lu_reset_timeout = 5
node.session.scan = auto
'''


class Backstore:
    """A disk of the target: a ramdisk, a file that outlives the target, or a block device.

    handler: tcmu-runner's handler of that name serves file; the daemon must be running.
    attributes: of attrib/, also those that cannot change once the disk has ports.
    """

    def __init__(self, vm, name='lun0', megabytes=64, file=None, device=None, handler=None,
                 attributes=()):
        self.vm, self.name = vm, name
        size = megabytes << 20
        kind, driver, control = (
            ('user_0', 'target_core_user', f'dev_config={handler}/{file},dev_size={size}') if handler else
            ('iblock_0', 'target_core_iblock', f'udev_path={device}') if device else
            ('fileio_0', 'target_core_file', f'fd_dev_name={file},fd_dev_size={size}') if file else
            ('rd_mcp_0', '', f'rd_pages={size >> 12}'))
        self.path = f'{CONFIGFS}/core/{kind}/{name}'
        vm.check(f'''set -e
            modprobe -a target_core_mod {driver}
            {f"[ -e {file} ] || truncate -s {size} {file}" if file else ""}
            mkdir -p {self.path}
            echo -n {control} > {self.path}/control
            echo 1 > {self.path}/enable
            echo -n prm-{name} > {self.path}/wwn/vpd_unit_serial''')
        for attribute, value in dict(attributes).items():
            self.attribute(attribute, value)

    def attribute(self, name, value):
        """Set attrib/NAME, for instance emulate_pr."""
        self.vm.check(f'echo {value} > {self.path}/attrib/{name}')

    def remove(self):
        self.vm.check(f'rmdir {self.path}')


class AluaGroup:
    """A target port group; ports join by IscsiTarget.join()."""
    STATES = {'optimized': 0, 'nonoptimized': 1, 'standby': 2, 'unavailable': 3, 'offline': 14}
    TYPES = {'implicit': 1, 'explicit': 2, 'both': 3}

    def __init__(self, backstore, number, kind='both', state='optimized'):
        self.vm, self.name = backstore.vm, f'group{number}'
        self.path = f'{backstore.path}/alua/{self.name}'
        # The target takes a state from its administrator only while implicit changes are on.
        self.vm.check(f'''set -e
            mkdir {self.path}
            echo {number} > {self.path}/tg_pt_gp_id
            echo 0 > {self.path}/nonop_delay_msecs
            echo {self.TYPES['implicit']} > {self.path}/alua_access_type
            echo {self.STATES[state]} > {self.path}/alua_access_state
            echo {self.TYPES[kind]} > {self.path}/alua_access_type''')

    def become(self, state):
        self.vm.check(f'echo {self.STATES[state]} > {self.path}/alua_access_state')

    def state(self):
        number = int(self.vm.check(f'cat {self.path}/alua_access_state'))
        return next(name for name, value in self.STATES.items() if value == number)

    def remove(self):
        self.vm.check(f'rmdir {self.path}')


class LoopPath(Path):
    """tcm_loop: cut means commands end with DID_TRANSPORT_DISRUPTED."""

    def __init__(self, vm, index, dev, port, number=None):
        super().__init__(vm, index, dev, number)
        self.port = port

    def cut(self):
        self.vm.check(f'echo offline > {self.port}/transport_status')

    def restore(self):
        self.vm.check(f'echo online > {self.port}/transport_status')


class TcmLoop:
    """Hosts and paths inside one guest by tcm_loop. No preempt-and-abort: LIO deadlocks."""

    def __init__(self, vm, paths=2, hosts=('a',), name='lun0', **backstore):
        self.vm = vm
        self.backstore = Backstore(vm, name, **backstore)
        number = int(name.strip('abcdefghijklmnopqrstuvwxyz') or 0)
        self.ports = {(h, p): f'{CONFIGFS}/loopback/naa.6001405{number:02x}{h:02x}{p:02x}000/tpgt_1'
                      for h in range(len(hosts)) for p in range(paths)}
        script = ['set -e', 'modprobe tcm_loop']
        for (h, p), port in self.ports.items():
            script.append(f'''mkdir -p {port}
                echo naa.6001405ff{h:02x}{p:02x}{number:02x}0 > {port}/nexus
                mkdir {port}/lun/lun_0
                ln -s {self.backstore.path} {port}/lun/lun_0/{name}
                cat {port}/address''')
        addresses = dict(zip(self.ports, vm.check('\n'.join(script)).split()))
        # "host:channel:target" of the port
        folders = [f'/sys/class/scsi_device/{address}:0' for address in addresses.values()]
        devs = poll(lambda: find_disks(vm, folders), 20, f'disks at {folders}')
        disks = dict(zip(addresses, zip(devs, device_numbers(vm, devs))))
        vm.check('udevadm settle')
        self.hosts = [Host(host, vm, [LoopPath(vm, p, dev, self.ports[h, p], number)
                                      for p, (dev, number) in ((p, disks[h, p]) for p in range(paths))])
                      for h, host in enumerate(hosts)]

    def remove(self):
        script = ['set -e']
        for port in self.ports.values():
            script.append(f'''rm {port}/lun/lun_0/{self.backstore.name}
                rmdir {port}/lun/lun_0
                echo NULL > {port}/nexus
                rmdir {port} {port.rsplit("/", 1)[0]}''')
        self.vm.check('\n'.join([*script, f'rmdir {self.backstore.path}']))


def find_disks(vm, folders):
    """/dev/sdX below each of these folders of sysfs once all are there."""
    code, out = vm.run(f'for folder in {" ".join(folders)}; do ls $folder/device/block || exit; done 2>&1')
    return [f'/dev/{name}' for name in out.split()] if code == 0 and out.count('\n') == len(folders) else None


def find_disk(vm, folder):
    """Of one."""
    return (find_disks(vm, [folder]) or [None])[0]


def initiator(host):
    return f'{IQN}:host-{host}'


def target_name(path):
    return f'{IQN}:path{path}'


class IscsiTarget:
    """One target name per path, with a portal per host; an ACL for each host.

    portals: {(host number, path): address}.
    """

    def __init__(self, backstore, hosts, portals):
        self.vm = backstore.vm
        self.tpgs = {p: f'{CONFIGFS}/iscsi/{target_name(p)}/tpgt_1' for p in sorted({p for _, p in portals})}
        self.portals, self.hosts = portals, hosts
        self.build(backstore)

    def build(self, backstore):
        self.backstore, portals = backstore, self.portals
        script = ['set -e', 'modprobe iscsi_target_mod', f'mkdir -p {CONFIGFS}/iscsi']
        for p, tpg in self.tpgs.items():
            script.append(f'''mkdir -p {tpg}/lun/lun_0
                ln -s {backstore.path} {tpg}/lun/lun_0/{backstore.name}
                echo 0 > {tpg}/attrib/authentication
                echo 0 > {tpg}/attrib/generate_node_acls''')
            for h, host in enumerate(self.hosts):
                acl = f'{tpg}/acls/{initiator(host)}'
                script.append(f'''mkdir -p {tpg}/np/{portals[h, p]}:3260 {acl}/lun_0
                    ln -s {tpg}/lun/lun_0 {acl}/lun_0/lun_0''')
            script.append(f'echo 1 > {tpg}/enable')
        self.vm.check('\n'.join(script))

    def remove(self):
        script = ['set -e']
        for p, tpg in self.tpgs.items():
            script.append(f'''echo 0 > {tpg}/enable
                rm {tpg}/acls/*/lun_0/lun_0
                rmdir {tpg}/acls/*/lun_0 {tpg}/acls/* {tpg}/np/*
                rm {tpg}/lun/lun_0/{self.backstore.name}
                rmdir {tpg}/lun/lun_0 {tpg} {tpg.rsplit("/", 1)[0]}''')
        self.vm.check('\n'.join([*script, f'rmdir {self.backstore.path}']))

    def join(self, path, group):
        """Put the port of a path into an ALUA group."""
        self.vm.check(f'echo {group.name} > {self.tpgs[path]}/lun/lun_0/alua_tg_pt_gp')

    def restart(self):
        """A target that lost everything but its identity; initiators log in again by themselves."""
        self.remove()
        self.build(Backstore(self.vm, self.backstore.name))


def drop_nothing(vm):
    """What still drops packets would fail the logins of the next case."""
    # Both at once: no error where there is none.
    poll(lambda: vm.run("nft 'add table ip prm; delete table ip prm'")[0] == 0,
         20, 'no path is cut any more')


class IscsiPath(Path):
    """cut makes the portal a black hole; the no-op timers find out."""

    def __init__(self, vm, index, dev, portal, number=None):
        super().__init__(vm, index, dev, number)
        self.portal = portal

    def cut(self):
        self.vm.check('nft add table ip prm && nft add chain ip prm out '
                      '"{ type filter hook output priority 0; }" && '
                      f'nft add rule ip prm out ip daddr {self.portal} drop && '
                      f'nft add rule ip prm out ip saddr {self.portal} drop')

    def restore(self):
        """Restores all cut paths of the guest."""
        drop_nothing(self.vm)


class WirePath(Path):
    """cut pulls the cable."""

    def __init__(self, vm, index, dev, wire):
        super().__init__(vm, index, dev)
        self.wire = wire
        self.cut, self.blackhole, self.restore = wire.cut, wire.blackhole, wire.restore


def login(vm, host, portals):
    """Log in to target path p at portals[p] as host; return the disks by path."""
    vm.put('/etc/iscsi/iscsid.conf', ISCSID_CONF +
           f'node.conn[0].timeo.login_timeout = {round(5 * patience())}\n')
    vm.put('/etc/iscsi/initiatorname.iscsi', f'InitiatorName={initiator(host)}\n')
    vm.put(f'/etc/iscsi/ifaces/{host}', f'''iface.iscsi_ifacename = {host}
iface.transport_name = tcp
iface.initiatorname = {initiator(host)}
''')
    new = [f'iscsiadm -m node -T {target_name(p)} -p {portal}:3260 -I {host} -o new > /dev/null'
           for p, portal in enumerate(portals)]
    vm.check('\n'.join(['''set -e
        [ -d /sys/module/iscsi_tcp ] || modprobe iscsi_tcp
        pidof iscsid > /dev/null || iscsid''', *new, f'iscsiadm -m node -I {host} --login']))

    def disks():
        found = iscsi_disks(vm, host)
        return len(found) == len(portals) and [found[target_name(p)] for p in range(len(portals))]
    return poll(disks, 20, f'disks of {host}')


def iscsi_disks(vm, host):
    """The disk at each target where host is logged in: {target's name: /dev/sdX}."""
    out = vm.check(f'''for s in /sys/class/iscsi_session/session*; do
            read -r name < $s/initiatorname && [ "$name" = {initiator(host)} ] &&
                read -r name < $s/targetname || continue
            for disk in $s/device/target*/*:0/block/*; do
                [ ! -d "$disk" ] || echo "$name /dev/${{disk##*/}}"
            done
        done 2> /dev/null''')
    return dict(line.split() for line in out.splitlines())


def iscsi_disk(vm, host, path):
    """Or None."""
    return iscsi_disks(vm, host).get(target_name(path))


LOGOUT = 'iscsiadm -m node -U all; rm -rf /etc/iscsi/nodes /var/lib/iscsi/nodes /etc/iscsi/ifaces/*'


def logout(vm):
    vm.run(LOGOUT)


def loopback(hosts, paths):
    """Portals inside one guest: {(host number, path): address}."""
    return {(h, p): f'127.0.{h + 1}.{p + 1}' for h in range(hosts) for p in range(paths)}


class LoopbackHosts:
    """Hosts and paths inside one guest, by iSCSI over loopback addresses; target is up already."""

    def __init__(self, vm, target, hosts, portals):
        self.vm, self.target, self.portals = vm, target, portals
        self.hosts = []
        for h, host in enumerate(hosts):
            addresses = [address for (number, _), address in portals.items() if number == h]
            devs = login(vm, host, addresses)
            self.hosts.append(Host(host, vm, [IscsiPath(vm, p, *disk) for p, disk in enumerate(
                zip(devs, addresses, device_numbers(vm, devs)))]))
        vm.check('udevadm settle')

    def remove(self):
        drop_nothing(self.vm)
        self.vm.run(LOGOUT)
        self.target.remove()


class IscsiLoop(LoopbackHosts):
    """LIO as their target."""

    def __init__(self, vm, paths=2, hosts=('a', 'b'), name='lun0', **backstore):
        portals = loopback(len(hosts), paths)
        target = IscsiTarget(Backstore(vm, name, **backstore), hosts, portals)
        self.backstore = target.backstore
        super().__init__(vm, target, hosts, portals)


class IscsiWired:
    """A target guest and one guest per host; wires[host number][path], end 0 at the target."""

    def __init__(self, target, guests, wires, name='lun0', targetcli=False, **backstore):
        portals = {(h, p): wire.address(0) for h, row in enumerate(wires) for p, wire in enumerate(row)}
        hosts = [guest.name for guest in guests]
        self.guests = guests
        if targetcli:
            self.target = TargetcliTarget(target, hosts, portals, name, **backstore)
        else:
            self.target = IscsiTarget(Backstore(target, name, **backstore), hosts, portals)
        self.backstore = self.target.backstore
        self.hosts = []
        for h, guest in enumerate(guests):
            devs = login(guest, guest.name, [wire.address(0) for wire in wires[h]])
            self.hosts.append(Host(guest.name, guest, [WirePath(guest, p, dev, wires[h][p])
                                                       for p, dev in enumerate(devs)]))
            guest.check('udevadm settle')

    def remove(self):
        for guest in self.guests:
            logout(guest)
        self.target.remove()


class TargetcliTarget:
    """The same target by the commands that the documentation shows; lines has them."""

    def __init__(self, vm, hosts, portals, name='lun0', megabytes=64):
        self.vm, self.backstore = vm, None
        self.lines = [f'/backstores/ramdisk create {name} {megabytes}M']
        for p in sorted({p for _, p in portals}):
            tpg = f'/iscsi/{target_name(p)}/tpg1'
            self.lines += [f'/iscsi create {target_name(p)}',
                           f'{tpg}/luns create /backstores/ramdisk/{name}',
                           f'{tpg}/portals delete 0.0.0.0 3260']
            self.lines += [f'{tpg}/portals create {portals[h, p]} 3260' for h in range(len(hosts))]
            self.lines += [f'{tpg}/acls create {initiator(host)}' for host in hosts]
        # It looks for tcmu-runner on the system bus and gives up without a bus.
        vm.check('pidof dbus-daemon || { mkdir -p /run/dbus && dbus-daemon --system; }')
        self.targetcli('\n'.join(self.lines))

    def targetcli(self, lines):
        self.vm.put('/run/targetcli.in', lines + '\nexit\n')
        return self.vm.check('targetcli < /run/targetcli.in', timeout=180)

    def remove(self):
        self.targetcli('clearconfig confirm=True')
