# SPDX-License-Identifier: GPL-2.0-only
"""Debian's multipathd in a guest, unmodified, over a target that is named multipath.

MULTIPATH=in-tree runs the cases over the kernel's own dm-multipath: what they say
of multipathd must hold there too, and what they say of reservations is left out.
"""
import json
import os
import re
import signal

import cases
from cases import module_path
from harness import Mapped, expect, poll
from sessions import hold

IN_TREE = os.environ.get('MULTIPATH') == 'in-tree'
KEY = 0xa1
READY = 'active', 'ready'
FAULTY = 'failed', 'faulty'
ALIAS = 'mpatha'

# Keywords that "overrides" does not take.
DEFAULTS = 'reservation_key', 'queue_without_daemon'

# A check each second, and a link that is given up soon.
CONF = '''defaults {{
	user_friendly_names yes
	find_multipaths greedy
	polling_interval 1
	max_polling_interval 1
{defaults}
}}
blacklist {{
	devnode "^({ignored})$"
}}
overrides {{
	fast_io_fail_tmo 1
{overrides}
}}
'''


def load(vm, parameters='multipath=1'):
    """Load the target that is called multipath."""
    if IN_TREE:
        load_in_tree(vm)
    else:
        vm.check(f'insmod {module_path(vm.kernel)} {parameters}')


def load_in_tree(vm):
    vm.check('modprobe -a dm-multipath dm-service-time dm-round-robin dm-queue-length')


def unload(vm):
    if IN_TREE:
        unload_in_tree(vm)
    else:
        cases.unload(vm)


def unload_in_tree(vm):
    vm.check('modprobe -r dm-service-time dm-round-robin dm-queue-length && modprobe -r dm-multipath')


class Multipathd:
    """multipathd of a host's guest.

    key is in the features of every map, unless None; ignored are paths it must not touch
    (of other hosts in the same guest); overrides are lines of that section or of DEFAULTS.
    The target is loaded, unless it is, and unloaded when the case ends.
    """

    def __init__(self, t, host, key=KEY, features='', ignored=(), parameters='multipath=1',
                 loaded=False, **overrides):
        self.t, self.host, self.vm = t, host, host.vm
        self.job = None
        if not loaded:
            load(self.vm, parameters)
            t.cleanup(unload, self.vm)
        t.cleanup(self.leave)
        self.configure(key, features, ignored, **overrides)

    def configure(self, key=KEY, features='', ignored=(), **overrides):
        """Write multipath.conf."""
        words = features.split()
        if key and not IN_TREE:
            words += ['pr_key', hex(key), 'pr_poll', '1']
        if words:
            overrides['features'] = f'"{len(words)} {" ".join(words)}"'
        lines = [[f'\t{name} {value}' for name, value in overrides.items()
                  if (name in DEFAULTS) == wanted] for wanted in (True, False)]
        self.vm.put('/etc/multipath.conf', CONF.format(
            defaults='\n'.join(lines[0]), overrides='\n'.join(lines[1]),
            ignored='|'.join(path.name for path in ignored) or 'none'))

    def start(self):
        """Start it; return when it answers."""
        self.job = self.vm.spawn('exec multipathd -d -s -v2')
        poll(lambda: 'idle' in self.vm.run('multipathd show daemon')[1], 30, 'multipathd answers')
        expect('invalid' not in self.log(), self.log())
        return self

    def stop(self):
        """End it as its service does."""
        # It may be gone before it has answered.
        self.vm.run('multipathd shutdown')
        self.job.wait(30)

    def kill(self):
        self.job.kill(signal.SIGKILL)
        self.job.wait(30)

    def command(self, *words):
        """multipathd COMMAND; return what it says."""
        out = self.vm.check(f'multipathd {" ".join(map(str, words))}')
        expect('fail' not in out, f'multipathd {words}: {out}')
        return out

    def log(self):
        """What it has printed since its start."""
        return self.job.output()

    def leave(self):
        """No daemon, no maps, no memory of them."""
        if self.job and self.job.poll() is None:
            self.stop()
        self.vm.run('nft delete table ip prm')
        # udev looks at a map that was closed, and holds it open meanwhile.
        poll(lambda: 'No devices' in self.vm.check('udevadm settle; '
             'dmsetup ls --target multipath | grep -q "^No devices" || multipath -F; dmsetup ls'),
             30, 'no mapped device is left')
        self.vm.check('rm -rf /etc/multipath /etc/multipath.conf')

    def maps(self):
        return json.loads(self.vm.check('multipathd show maps json'))['maps']

    def map(self, paths=None, ready=True, deadline=30):
        """The map of the host's paths once it is there; ready=False: some are in standby."""
        device = Map(self)
        count = len(self.host.paths) if paths is None else paths
        if ready:
            device.wait_paths(READY, count=count, deadline=deadline)
        else:
            poll(lambda: len(device.members()) == count, deadline, f'{count} paths')
        poll(lambda: self.vm.run(f'udevadm settle && test -b {device}')[0] == 0, 20, f'{device}')
        if not IN_TREE and device.status().get('state', 'off') not in ('off', 'foreign', 'fenced'):
            poll(lambda: device.registered() == count, deadline, f'{count} registered paths')
        return device

    def checks(self, count=3):
        """Wait until each path has been checked that often."""
        def sent():
            return [int(self.vm.check(f'cat /sys/block/{path.name}/device/iorequest_cnt'), 16)
                    for path in self.host.paths]
        before = sent()
        poll(lambda: min(now - then for now, then in zip(sent(), before)) >= count, 40,
             f'{count} checks of each path')


class Map(Mapped):
    """A multipath map, as multipathd and as the target describe it."""

    def __init__(self, daemon, name=ALIAS):
        super().__init__(daemon.host, name)
        self.daemon = daemon

    def described(self):
        """What "show maps json" says about it, or None."""
        return next((entry for entry in self.daemon.maps() if entry['name'] == self.name), None)

    def groups(self):
        """Per priority group: its entry, with paths by name of the disk."""
        entry = self.described()
        return [{**group, 'paths': {path['dev']: path for path in group['paths']}}
                for group in entry['path_groups']] if entry else []

    def members(self):
        """(state in the target, state of the checker) by name of the disk."""
        return {name: (path['dm_st'], path['chk_st'])
                for group in self.groups() for name, path in group['paths'].items()}

    def wait_paths(self, state, *paths, count=None, deadline=30):
        """Wait until paths, by default all, are in state; count is how many there must be."""
        def reached():
            seen = self.members()
            names = [path.name for path in paths] or list(seen)
            return (names and count in (None, len(seen))
                    and all(seen.get(name) == state for name in names))
        poll(reached, deadline, f'{self.name}: {[path.name for path in paths] or "all"} {state}')

    def table_line(self):
        return self.host.check(f'dmsetup table {self.name}').strip()

    def registered(self):
        """How many paths the target of the map calls registered."""
        return sum(path['pr'] == 'registered' for path in self.status()['paths'].values())

    def loads(self):
        """What changes when a table is loaded or a uevent sent: both must be rare."""
        return (self.described()['map_loads'],
                int(self.host.check('cat /sys/kernel/uevent_seqnum')))

    def owner(self, paths=None):
        """This host holds the LUN, every path (or this many) registered."""
        if IN_TREE:
            return
        count = len(self.host.paths) if paths is None else paths
        poll(lambda: self.status()['state'] == 'owner' and self.registered() == count, 30,
             f'owner with {count} paths')
        expect(self.status()['gate'] == 'open', self.status())


class Fio:
    """fio that writes, reads back and compares, until it is told to stop.

    It opens the device anew for each round of size MiB, so a session is held around it,
    and each time udev has something to say.
    """

    def __init__(self, t, device, offset=0, size=4):
        self.device = device
        self.vm = device.host.vm
        self.session = hold(t, device).opened()
        name = self.vm.check(f'basename $(readlink -f {device})').strip()
        self.stat = f'/sys/block/{name}/stat'
        self.job = self.vm.spawn(
            f'exec fio --name=data --filename={device} --offset={offset} --direct=1 '
            f'--rw=randwrite --bs=4k --size={size}m --loops=100000 --rate_iops=40,40 '
            '--verify=crc32c --verify_fatal=1 --verify_backlog=64')
        t.cleanup(self.job.kill)
        self.goes_on(more=1)

    def done(self):
        """Writes that the device has completed."""
        return int(self.vm.check(f'cat {self.stat}').split()[4])

    def running(self):
        expect(self.job.poll() is None, f'fio ended: {self.job.output()}')

    def goes_on(self, more=50, deadline=60):
        goal = self.done() + more

        def enough():
            self.running()
            return self.done() >= goal
        poll(enough, deadline, 'fio goes on')

    def finish(self):
        """Stop it; nothing may have failed or differed."""
        self.running()
        self.job.kill(signal.SIGINT)
        _, out = self.job.wait(60)
        expect(re.search(r'err= 0', out) and 'verify:' not in out, f'fio: {out}')
        compared = re.search(r'issued rwts: total=(\d+)', out)
        expect(int(compared.group(1)) > 0, f'fio compared nothing: {out}')
        self.session.close()


def registrations(vm, device):
    """What the target has: {(initiator port, relative target port): key}, and the holder's pair."""
    out = poll(lambda: (lambda code, text: text if code == 0 else None)(
        *vm.run(f'sg_persist --no-inquiry --in --read-full-status {device}')), 10, 'full status')
    found, holder = {}, None
    for part in re.split(r'^\s+Key=', out, flags=re.M)[1:]:
        nexus = (re.search(r'iSCSI .*: (\S+)', part).group(1),
                 int(re.search(r'Relative port address: (0x[0-9a-f]+)', part).group(1), 16))
        found[nexus] = int(part.split()[0], 16)
        if re.search(r'<< Reservation holder', part):
            holder = nexus
    return found, holder


def target_port(path):
    """Relative target port of a path."""
    out = path.vm.check(f'sg_vpd --page=di {path}')
    return int(re.search(r'Relative target port: (0x[0-9a-f]+)', out).group(1), 16)


class Sent:
    """SCSI commands by disk, in order, meanwhile."""
    TRACE = '/sys/kernel/tracing'

    def __init__(self, vm):
        self.vm = vm

    def __enter__(self):
        self.vm.check(f'echo > {self.TRACE}/trace; '
                      f'echo 1 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')
        return self

    def __exit__(self, *what):
        self.vm.check(f'echo 0 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')

    def to(self, path):
        """CDBs that went to a disk, as bytes."""
        address = self.vm.check(f'basename $(readlink /sys/block/{path.name}/device)').strip()
        host, channel, target, lun = address.split(':')
        return [bytes.fromhex(raw) for raw in re.findall(
            rf'host_no={host} channel={channel} id={target} lun={lun} .*raw=([0-9a-f ]+)\)',
            self.vm.check(f'cat {self.TRACE}/trace'))]
