# SPDX-License-Identifier: GPL-2.0-only
"""The Debian packages in a guest with systemd, DKMS and a compiler.

The cases share a guest: the first installs the packages of build/deb ("make deb"), which
takes as long as building the module does there, and the last one removes them.
"""
import re

from cases import MODULE, case, expect, poll, unload
from harness import Mapped
from sessions import Raw
from steps import BUSY

NAMES = ('dm-prmpath-dkms', 'prmpath', 'libprmpath1', 'libprmpath-dev')
BUILD = 900                     # seconds for a module, in a guest without KVM on a busy machine
FOREIGN = 0xb2
MOUNT = '/srv/data'


def running(vm):
    return vm.check('uname -r').strip()


def other_kernel(vm):
    """The release of the headers that the running kernel has nothing to do with."""
    found = vm.check("cd /usr/src && ls -d linux-headers-*-amd64").split()
    others = [name.removeprefix('linux-headers-') for name in found if not name.endswith(running(vm))]
    expect(len(others) == 1, f'headers of {found}: expected the running kernel and one more')
    return others[0]


def built(vm, release):
    """DKMS' module for a kernel, or an empty string."""
    return vm.run(f'ls /lib/modules/{release}/updates/dkms/dm-prmpath.ko* 2> /dev/null')[1].strip()


def writable_modules(vm):
    """/lib/modules of the running kernel is read-only in a guest: give it a layer, and headers."""
    folder = f'/usr/lib/modules/{running(vm)}'
    vm.check(f'''set -e
        [ ! -e {folder}/build ] || exit 0
        mkdir -p /run/modules/upper /run/modules/work
        mount -t overlay -o lowerdir={folder},upperdir=/run/modules/upper,workdir=/run/modules/work \
            overlay {folder}
        ln -s /usr/src/linux-headers-{running(vm)} {folder}/build''')


def packages(vm):
    """Names of ours that dpkg knows, also those of which only configuration is left."""
    out = vm.check("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'")
    return {name: state for name, state in (line.split() for line in out.splitlines())
            if name in NAMES}


def clear(t):
    """A module that a case has loaded, by a table, must be gone when it ends."""
    for host in t.hosts:
        t.remove_devices(host)
    if t.vm.run(f'[ -d /sys/module/{MODULE} ]')[0] == 0:
        unload(t.vm)


def installed(t):
    """Install what is not."""
    vm = t.vm
    t.cleanup(clear, t)
    if set(packages(vm).values()) == {'installed'}:
        return
    writable_modules(vm)
    files = ' '.join(f'/prm/build/deb/{name}_*.deb' for name in NAMES)
    log = vm.check(f'DEBIAN_FRONTEND=noninteractive dpkg -i {files}', BUILD)
    expect(packages(vm) == dict.fromkeys(NAMES, 'installed'), log)
    expect(built(vm, running(vm)), f'no module was built:\n{log}')


def create(t, name='data', options=''):
    host = t.a
    paths = ' '.join(map(str, host.paths))
    host.check(f'prmpath create --only {options} {name} {paths}')
    device = Mapped(host, name)
    host.devices.append(device)
    device.wait_status(keys_own=len(host.paths))
    return device


def properties(vm, dev):
    """What udev knows of a device."""
    vm.check('udevadm settle')
    out = vm.check(f'udevadm info --query=property --name={dev}')
    return dict(line.split('=', 1) for line in out.splitlines() if '=' in line)


def is_active(vm, unit):
    return vm.run(f'systemctl is-active {unit}')[1].strip()


@case(topology='packages', rules=['6.1'], module=False, cpus=2, hosts=('a',), long=['6.1'])
def install(t):
    """the packages install, DKMS builds a module that signs, loads and serves a LUN"""
    installed(t)
    vm = t.vm
    # A table with the target loads the module: nobody names it.
    expect(vm.run(f'[ -d /sys/module/{MODULE} ]')[0], 'the module was loaded by the installation')
    device = create(t)
    expect(vm.check(f'cat /sys/module/{MODULE}/version').strip() in vm.check('prmpath --version'),
           'module and command are of different releases')
    vm.check(f'prmpath open data -- dd if=/dev/zero of={device} bs=4k count=10 oflag=direct')
    log = vm.check('dkms status', BUILD)
    expect(re.search(rf'dm-prmpath/\S+, {re.escape(running(vm))}, x86_64: installed', log), log)
    expect(vm.check(f'modinfo -F signer {built(vm, running(vm))}').strip(), 'DKMS has not signed it')
    # Compiles and links against what the library's package has.
    vm.check('''echo '#include <libprmpath.h>
        int main(void) { return !prm_strerror(5); }' > /tmp/try.c &&
        cc -Wall -Werror -o /tmp/try /tmp/try.c $(pkg-config --cflags --libs libprmpath) && /tmp/try''')
    out = vm.check('systemd-analyze verify --man=no prmpath-hold@data.service prmpath-device@data.service')
    expect('prmpath' not in out, out)
    # The agents for Pacemaker; the resource agent needs the functions of resource-agents.
    vm.check('test -x /usr/lib/ocf/resource.d/prmpath/prmpath')
    expect('<resource-agent' in vm.check('fence_prmpath -o metadata'), 'meta-data of the fence agent')


@case(topology='packages', rules=['2.5'], module=False, cpus=2, hosts=('a',), long=['6.1'])
def snippets(t):
    """the examples for multipath, modprobe and LVM are understood by those whose they are"""
    installed(t)
    vm = t.vm
    examples = '/usr/share/doc/prmpath/examples'
    # "multipath -t" loads what it would drive.
    t.cleanup(vm.run, 'modprobe -r dm-multipath')
    t.cleanup(vm.check, 'rm -rf /etc/multipath /run/lvm-example /etc/modprobe.d/multipath-prmpath.conf')
    vm.check('mkdir -p /etc/multipath/conf.d /run/lvm-example')
    for name, line in ('multipath-beside.conf', 'wwid "36001405'), ('multipath-driven.conf', 'skip_kpartx "yes"'):
        vm.check(f'cp {examples}/{name} /etc/multipath/conf.d')
        out = vm.check('multipath -t 2>&1')
        expect(line in out, f'{name}: {line} is not in {out}')
        expect('invalid keyword' not in out and 'conf.d' not in out, f'{name}: {out}')
    vm.check(f'cp {examples}/lvm.conf /run/lvm-example/lvm.conf')
    out = vm.check('LVM_SYSTEM_DIR=/run/lvm-example lvmconfig activation/auto_activation_volume_list 2>&1')
    expect(out.strip() == 'auto_activation_volume_list="system"', out)
    vm.check('cp /usr/share/dm-prmpath/modprobe-multipath.conf /etc/modprobe.d/multipath-prmpath.conf')
    expect('install dm_multipath /sbin/modprobe dm-prmpath' in vm.check('modprobe -c'), 'modprobe -c')
    out = vm.check('modprobe -n -v dm-prmpath')
    expect(re.search(r'dm-prmpath\.ko\S* multipath=1', out), out)


@case(topology='packages', rules=['6.1'], module=False, cpus=2, hosts=('a',), long=True)
def kernel_upgrade(t):
    """a second kernel gets its module when it is installed; one out of range disturbs nothing"""
    installed(t)
    vm, new = t.vm, other_kernel(t.vm)
    expect(not built(vm, new), f'{new} has a module already')

    def kernel(release):
        """What installing a kernel's packages leaves, and who is told of it."""
        vm.check(f'''mkdir -p /lib/modules/{release} && cd /lib/modules/{release} &&
            touch modules.order modules.builtin &&
            ln -sfn /usr/src/linux-headers-{new} build''')
        t.cleanup(vm.check, f'rm -rf /lib/modules/{release}')
        return vm.check(f'/etc/kernel/postinst.d/dkms {release}', BUILD)

    log = kernel(new)
    expect(built(vm, new), f'no module for {new}:\n{log}')
    magic = vm.check(f'modinfo -F vermagic {built(vm, new)}')
    expect(magic.startswith(f'{new} '), f'built for {magic}, expected {new}')
    expect(built(vm, running(vm)), f'{running(vm)} has lost its module')

    # The newest that dkms.conf lets through is what is tested.
    log = kernel('6.99.0-1-amd64')
    expect(not built(vm, '6.99.0-1-amd64'), f'a module for a kernel that is not tested:\n{log}')
    expect(vm.run('ls -d /var/lib/dkms/dm-prmpath/*/6.99*')[0], 'DKMS has begun to build for it')
    # And a kernel's end: its module goes with it.
    vm.check(f'/etc/kernel/prerm.d/dkms {new}', BUILD)
    expect(not built(vm, new), f'{new} is removed, and its module stays')


def next_package(vm):
    """A package of the module's next release, of the same sources; its file and the release."""
    old = vm.check('dpkg-deb -f /prm/build/deb/dm-prmpath-dkms_*.deb Version').rsplit('-', 1)[0]
    new = vm.check("dpkg-query -W -f '${Version}' dm-prmpath-dkms").rsplit('-', 1)[0] + '.1'
    vm.check(f'''set -e
        rm -rf /tmp/next
        dpkg-deb -R /prm/build/deb/dm-prmpath-dkms_*.deb /tmp/next
        cd /tmp/next
        mv usr/src/dm-prmpath-{old} usr/src/dm-prmpath-{new}
        rm DEBIAN/md5sums
        grep -rlF {old} DEBIAN usr/src | xargs sed -i 's/{re.escape(old)}/{new}/g'
        cd / && dpkg-deb -b /tmp/next /tmp/next.deb && rm -rf /tmp/next''', 120)
    return '/tmp/next.deb', new


def loaded(vm):
    """The release of the module that runs."""
    return vm.check(f'cat /sys/module/{MODULE}/version').strip()


@case(topology='packages', rules=['4.5', '4.8', '6.1'], module=False, cpus=2, long=True)
def module_upgrade(t):
    """a new package leaves what runs alone; the module is exchanged under a LUN that stays this host's"""
    installed(t)
    vm = t.vm
    package, new = next_package(vm)
    device = create(t)
    old = loaded(vm)
    key = int(vm.check('prmpath key'), 16)
    vm.check(f'mkfs.ext4 -q {device} && mkdir -p {MOUNT} && mount {device} {MOUNT}')
    t.cleanup(vm.run, f'umount {MOUNT}')
    vm.check(f'echo before > {MOUNT}/file')
    generation = t.b.pr_state().generation
    log = vm.check(f'DEBIAN_FRONTEND=noninteractive dpkg -i {package}', BUILD)
    expect(vm.check(f'modinfo -F version {built(vm, running(vm))}').strip() == new, log)
    now = t.b.pr_state()
    expect((loaded(vm), now.holder, now.generation) == (old, key, generation), f'disturbed: {now}')
    vm.check(f'echo meanwhile >> {MOUNT}/file && sync {MOUNT}/file')

    # As prmpath-boot(7) has it.
    vm.check('prmpath open --retain data -- true')
    vm.check(f'umount {MOUNT}')
    device.wait_status(state='retained')
    uuid = properties(vm, device)['DM_UUID']
    vm.check('dmsetup table data > /tmp/table && dmsetup info -c --noheadings -o uuid data > /tmp/uuid')
    vm.check('prmpath remove data')
    t.a.devices.remove(device)
    held = t.b.pr_state()
    expect((held.holder, held.keys) == (key, [key] * 2), f'without the device: {held}')
    unload(vm)
    expect(t.b.pr_state().holder == key, 'the reservation went with the module')
    expect(not Raw(t.b, FOREIGN).writes(), 'another host writes while there is no module')
    vm.check('modprobe dm-prmpath')
    expect(loaded(vm) == new, f'{loaded(vm)} is loaded, expected {new}')

    vm.check('dmsetup create data --uuid $(cat /tmp/uuid) < /tmp/table && rm /tmp/table /tmp/uuid')
    expect(properties(vm, '/dev/mapper/data')['DM_UUID'] == uuid, uuid)
    t.a.devices.append(device)
    vm.check(f'mount {device} {MOUNT}', 120)
    expect(vm.check(f'cat {MOUNT}/file') == 'before\nmeanwhile\n', 'the file')
    vm.check(f'echo after > {MOUNT}/file && sync {MOUNT}/file')
    device.wait_status(state='owner')
    now = t.b.pr_state()
    expect(now.holder == key and set(now.keys) == {key}, now)
    expect(now.generation >= generation, f'the target restarted: {generation}, {now}')


@case(topology='packages', rules=['5.6'], module=False, cpus=2, long=['6.1'])
def hold(t):
    """prmpath-hold@: held before the mount, released after it, and a lost LUN takes the mount along"""
    installed(t)
    vm = t.vm
    device = create(t)
    key = int(vm.check('prmpath key'), 16)
    vm.check(f'mkfs.ext4 -q {device} && mkdir -p {MOUNT} /etc/prmpath/hold')
    vm.put('/etc/prmpath/hold/data', 'PRMPATH_HOLD=\n')
    vm.put('/etc/systemd/system/srv-data.mount',
           f'[Mount]\nWhat={device}\nWhere={MOUNT}\n')
    vm.check('install -D -m 644 /usr/share/doc/prmpath/examples/mount.conf '
             '/etc/systemd/system/srv-data.mount.d/prmpath.conf && systemctl daemon-reload')
    t.cleanup(vm.check, 'rm -r /etc/systemd/system/srv-data.mount* /etc/prmpath/hold/data && '
                        'systemctl daemon-reload && systemctl reset-failed')
    t.cleanup(vm.run, 'systemctl stop srv-data.mount prmpath-hold@data')
    # Local mounts come before sysinit.target: what they need must not wait for that.
    out = vm.check('systemd-analyze verify --man=no srv-data.mount')
    expect('cycle' not in out, out)

    def when(unit, change):
        return int(vm.check(f'systemctl show -p {change}TimestampMonotonic --value {unit}'))

    vm.check('systemctl start srv-data.mount', 180)
    expect(is_active(vm, 'prmpath-hold@data') == 'active', 'mounted without being held')
    expect(when('prmpath-hold@data', 'ActiveEnter') <= when('srv-data.mount', 'InactiveExit'),
           'the mount has not waited for the reservation')
    expect(t.b.pr_state().holder == key, 'held, and not reserved')
    status = vm.check('systemctl show -p StatusText --value prmpath-hold@data').strip()
    expect(status == 'owner', f"the unit's status is '{status}'")

    vm.check('systemctl stop prmpath-hold@data', 120)
    expect(is_active(vm, 'srv-data.mount') != 'active', 'still mounted, and not held')
    expect(when('srv-data.mount', 'InactiveEnter') <= when('prmpath-hold@data', 'ActiveExit'),
           'released before it was unmounted')
    poll(lambda: t.b.pr_state().holder is None, 30, 'the LUN is free')

    vm.check('systemctl start srv-data.mount', 180)
    Raw(t.b, FOREIGN).must_seize(key)
    t.cleanup(vm.run, f'sg_persist -n --out --clear --param-rk={FOREIGN:#x} {t.b.paths[0]}')
    poll(lambda: is_active(vm, 'prmpath-hold@data') == 'failed', 60, 'the unit ends when fenced')
    code = vm.check('systemctl show -p ExecMainStatus --value prmpath-hold@data').strip()
    expect(code == str(BUSY), f'exit status {code}')
    poll(lambda: is_active(vm, 'srv-data.mount') != 'active', 60, 'the mount goes with it')
    poll(lambda: device.status()['state'] == 'foreign', 60, 'all opens are closed')

    code, out = vm.run('systemctl start srv-data.mount', 180)
    expect(code, "mounted while another host has the LUN")
    expect(t.b.pr_state().holder == FOREIGN, t.b.pr_state())
    vm.put('/etc/prmpath/hold/data', 'PRMPATH_HOLD="--forced --retain"\n')
    vm.check('systemctl reset-failed && systemctl start srv-data.mount', 180)
    expect(t.b.pr_state().holder == key, f'forced: {t.b.pr_state()}')
    vm.check('systemctl stop prmpath-hold@data', 120)
    expect(t.b.pr_state().holder == key, f'retained: {t.b.pr_state()}')
    vm.check('prmpath release --unregister data')


@case(topology='packages', rules=['6.1'], module=False, cpus=2, hosts=('a',), long=['6.1'])
def claims(t):
    """paths are claimed by name and by table, and free again; the device has their links"""
    installed(t)
    vm, path = t.vm, t.a.paths[0]
    wwid = vm.check(f'cat /sys/block/{path.name}/device/wwid').strip()
    expect(wwid.startswith('naa.'), wwid)
    wwn = f'/dev/disk/by-id/wwn-0x{wwid[4:]}'
    # A file system on the LUN: udev has something to find on each path.
    vm.check(f'mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 {path} && udevadm trigger -c change {path}')
    link = '/dev/disk/by-uuid/11111111-2222-3333-4444-555555555555'
    poll(lambda: vm.run(f'test -e {link}')[0] == 0, 30, 'udev finds the file system of a path')
    expect(properties(vm, path).get('SYSTEMD_READY') != '0', 'claimed by nobody')

    def claimed(*wanted):
        return [properties(vm, path).get('SYSTEMD_READY') for path in t.a.paths] == list(wanted)

    device = create(t, options='--open bypass')
    poll(lambda: claimed('0', '0'), 30, 'both paths are claimed by the table')
    expect(properties(vm, path)['ID_FS_TYPE'] == 'prmpath_member', properties(vm, path))
    for name in (link, wwn, f'/dev/disk/by-id/scsi-3{wwid[4:]}', f'/dev/disk/by-id/dm-uuid-prmpath-{wwid}'):
        poll(lambda name=name: vm.run(f'readlink -f {name}')[1].strip().startswith('/dev/dm-'), 30,
             f'{name} is the device')
    vm.check(f'prmpath drop-path data {t.a.paths[1]}')
    poll(lambda: claimed('0', None), 30, 'the dropped path is free')
    vm.check(f'prmpath add-path data {t.a.paths[1]}')
    poll(lambda: claimed('0', '0'), 30, 'the added path is claimed')
    device.remove()
    poll(lambda: claimed(None, None), 30, 'the paths are free')
    poll(lambda: vm.run(f'test -e {link}')[0] == 0, 30, 'the file system is found again')

    # By name, before there is a device; then the unit makes it.
    vm.put('/etc/prmpath/devices/data', f'WWID={wwid}\nPATHS=2\nWAIT=5\nOPTIONS="--open bypass"\n')
    t.cleanup(vm.check, 'rm /etc/prmpath/devices/data && udevadm trigger -s block && udevadm settle')
    vm.check('udevadm trigger -s block')
    poll(lambda: claimed('0', '0'), 30, 'both paths are claimed by name')
    expect(vm.run(f'test -e {link}')[0], 'a link to what is on a claimed path')
    vm.check('systemctl start prmpath-device@data', 120)
    poll(lambda: vm.run(f'readlink -f {link}')[1].strip().startswith('/dev/dm-'), 30, 'the device')
    expect(len(Mapped(t.a, 'data').status()['paths']) == 2, 'paths of the device')
    vm.check('systemctl stop prmpath-device@data')
    expect(vm.run('dmsetup info data')[0], 'stopped, and the device is there')


@case(topology='packages', rules=['6.1'], module=False, cpus=2, hosts=('a',), long=['6.1'])
def remove(t):
    """removed and purged, nothing of the packages is left"""
    installed(t)
    vm = t.vm
    files = [file for name in NAMES for file in vm.check(f'dpkg -L {name}').splitlines()]
    vm.check('prmpath key set 0x1000000000000001')
    vm.check('systemctl enable prmpath-device@data prmpath-hold@data')
    vm.check(f'dpkg --remove {" ".join(NAMES)}', BUILD)
    expect(vm.check('cat /etc/prmpath/key').strip() == '0x1000000000000001',
           'a removal loses the key that was chosen')
    expect(not built(vm, running(vm)), 'the module is left')
    vm.check(f'dpkg --purge {" ".join(NAMES)}', BUILD)
    expect(set(packages(vm).values()) <= {'not-installed'}, packages(vm))
    left = vm.check('find / -xdev \\( -iname "*prmpath*" -o -name "dm_prmpath*" \\) '
                    '-not -path "/prm*" -not -path "/proc/*" -not -path "/sys/*"').split()
    left += vm.run('find /lib/modules/$(uname -r)/ -iname "*prmpath*"')[1].split()
    expect(not left, f'left behind: {left}')
    # Folders of others stay; none of ours.
    own = [file for file in files if 'prmpath' in file]
    expect(own and vm.run(' || '.join(f'test -e {file}' for file in own))[0], own)
    expect(vm.run('modprobe -n dm-prmpath')[0], 'depmod still knows the module')
