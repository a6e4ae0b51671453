# SPDX-License-Identifier: GPL-2.0-only
"""Test guests, the cables between them, and what cases need from them.

Vm is one guest, Wire a cable between two, Host one initiator with its paths to
the LUN under test (several Hosts may share a guest), Mapped a prmpath device.
How to write a case: tests/vm/README.md.
"""
import atexit
import base64
import collections
import fcntl
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get('PRMPATH_CACHE', pathlib.Path.home() / '.cache/dm-prmpath'))
LOGS = ROOT / os.environ.get('PRMPATH_LOGS', 'build/logs')
BOOT_DEADLINE = 120
# All time limits by so much, for busy machines.
PATIENCE = int(os.environ.get('PRMPATH_PATIENCE', 1))
# Of a thread: its slowness, for kernels that check everything: those limits once more; and
# words, which the kernels of its guests are told.
HERE = threading.local()
# Guests that have power, and the thread that gave it to them.
POWERED = {}

# What a kernel says when something is broken; any line fails the case.
KERNEL_TROUBLE = re.compile(
    r'WARNING:|BUG:|KASAN|UBSAN|kmemleak: \d+ new|possible recursive|circular locking|'
    r'inconsistent lock state|INFO: .*blocked for more than|Oops|refcount_t|'
    r'general protection|rcu.*(stall|self-detected)|Kernel panic|suspicious RCU|'
    r'scheduling while atomic|sleeping function called|list_(add|del) corruption|soft lockup|'
    r'ODEBUG:|DEBUG_LOCKS_WARN_ON|held lock freed|lock held when returning|bad unlock balance|'
    r'BUG kmalloc|workqueue lockup')
MODULE = 'dm_prmpath'
# The kernel's own, README.md lists them: a logout of iSCSI flushes a queue that it should not
# (6.12); LIO takes a lock in a timer that elsewhere waits for one that a timer may interrupt;
# LIO over tcm_loop flushes the work that it runs in, which tests/vm/cases/around.py shows;
# tracing warns when a module that is loaded gets no memory for its events; and dm-multipath
# clones a request inside of a write-back that a disk's removal waits for elsewhere (6.12).
# By the line that begins it: else it could hide a complaint of ours shortly before.
NOT_OURS = re.compile(r'[^\n]*(?:' + '|'.join((
    r'check_flush_dependency[\s\S]*iscsi_ctrl',
    r'irq lock inversion[\s\S]*iscsit_handle_time2retain_timeout',
    r'recursive locking[\s\S]*q->sq\.work[\s\S]*core_tmr_lun_reset',
    r'circular locking(?:(?!' + MODULE + r')[\s\S])*dm_mq_queue_rq(?![\s\S]*' + MODULE + ')',
    r'WARNING: [^\n]* event_(define_fields|file_put)')) + ')')
# So much of a console belongs to one complaint.
REPORT_LINES = 40
# What ends lockdep's work in this guest.
LOCKDEP = re.compile(r'locking (dependency )?detected|lock inversion|inconsistent lock|suspicious RCU')


class Failed(AssertionError):
    """A check of a case that did not hold."""


class GuestError(Failed):
    """A command in a guest failed, or the guest did not answer in time."""


def patience():
    """What a time limit is multiplied by in this thread."""
    return PATIENCE * getattr(HERE, 'slowness', 1)


def poll(condition, deadline=15, what='', every=0.1):
    """Call condition until it returns something true, and return that.

    Asking costs the guest's only processor: what takes long is asked less often.
    """
    end = time.monotonic() + deadline * patience()
    while True:
        start = time.monotonic()
        result = condition()
        if result:
            return result
        now = time.monotonic()
        if now > end:
            raise Failed(f'not within {deadline} s: {what or condition}')
        time.sleep(max(every, min(2 * (now - start), 0.5 * patience())))


def expect(condition, message):
    if not condition:
        raise Failed(message)


class Job:
    """A command under way in a guest."""

    def __init__(self, vm, ident, cmd):
        self.vm, self.id, self.cmd = vm, ident, cmd
        self.ended = threading.Event()
        self.reply = None

    def finish(self, reply):
        self.reply = reply
        self.ended.set()

    def poll(self):
        """The exit code, or None while it runs."""
        return self.reply['rc'] if self.ended.is_set() else None

    def wait(self, timeout=60):
        if not self.ended.wait(timeout * patience()):
            self.kill()
            self.ended.wait(5)
            out = self.reply.get('out', '') if self.reply else ''
            raise GuestError(f'{self.vm.name}: no end within {timeout} s: {self.cmd}\n{out}')
        return self.reply['rc'], self.reply.get('out', '')

    def output(self):
        """What it has printed up to now."""
        if not self.ended.is_set():
            try:
                return self.vm.get(f'/run/agent/{self.id}').decode(errors='replace')
            except GuestError:
                pass        # not begun, or just ended
        return self.reply.get('out', '') if self.ended.is_set() else ''

    def kill(self, sig=signal.SIGKILL):
        """Signal its whole process group."""
        if not self.ended.is_set():
            self.vm.request(op='kill', target=self.id, sig=int(sig)).wait(20)


class Qmp:
    def __init__(self, path):
        self.sock = connect(path)
        # It answers at once; a QEMU that hangs never does.
        self.sock.settimeout(60 * patience())
        self.file = self.sock.makefile('r')
        self.file.readline()
        self('qmp_capabilities')

    def __call__(self, command, **arguments):
        self.sock.sendall(json.dumps({'execute': command, 'arguments': arguments}).encode())
        while True:
            try:
                line = self.file.readline()
            except TimeoutError as error:
                raise Failed(f'QMP {command}: QEMU does not answer') from error
            if not line:
                raise Failed(f'QMP {command}: QEMU is gone')
            answer = json.loads(line)
            if 'error' in answer:
                raise Failed(f'QMP {command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']


def connect(path, deadline=20):
    sock = socket.socket(socket.AF_UNIX)

    def attempt():
        try:
            sock.connect(str(path))
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    poll(attempt, deadline, f'socket {path}', every=0.02)
    return sock


# udev looks at what a writer has closed, and that is an open as well, which may be the last.
UDEV_READS = ('dmsetup info -c --noheadings -o open | grep -q "[1-9]" && '
              'ls -l $(pgrep -x .udev-worker. | sed "s,.*,/proc/&/fd,") 2>/dev/null | grep -q /dev/dm-')


def close(job):
    """Kill a process that has a device open; return when its last close is over."""
    if job.ended.is_set():
        return
    job.kill()
    job.wait(60)
    # Bounded: udev itself may wait for a device that queues.
    job.vm.run(f'n=0; while {UDEV_READS} && [ $((n += 1)) -lt 100 ]; do sleep 0.1; done')


class Wire:
    """A point-to-point cable; ends 0 and 1, one network of its own."""
    numbers = itertools.count()

    def __init__(self, net):
        self.net = net                      # '10.1.0': end n has address .n+1
        self.number = next(Wire.numbers)
        self.dir = tempfile.mkdtemp(prefix='prm-wire-')
        atexit.register(shutil.rmtree, self.dir, True)
        self.ends = {}

    def address(self, end):
        return f'{self.net}.{end + 1}'

    def mac(self, end):
        return f'52:54:00:{self.number >> 8:02x}:{self.number & 255:02x}:{end:02x}'

    def options(self, end):
        ident, here, there = self.id(end), f'{self.dir}/{end}', f'{self.dir}/{1 - end}'
        return ['-netdev', f'dgram,id=net-{ident},local.type=unix,local.path={here},'
                           f'remote.type=unix,remote.path={there}',
                '-device', f'virtio-net-pci,netdev=net-{ident},id={ident},'
                           f'mac={self.mac(end)},romfile=']

    def id(self, end):
        return f'wire{self.number}-{end}'

    def _set(self, ends, up):
        for end in ends:
            self.ends[end].qmp('set_link', name=self.id(end), up=up)

    def cut(self):
        """Pull the cable: both ends lose carrier."""
        self._set((0, 1), False)

    def blackhole(self):
        """Nothing arrives any more, but end 1 still has carrier."""
        self._set((0,), False)

    def restore(self):
        self._set((0, 1), True)


class Vm:
    """One guest. links is a list of (wire, end).

    icount: one instruction takes one nanosecond of guest time; needs cpus=1.
    image: root, root-cluster with a cluster and a database, or root-packages with systemd
    and DKMS; words: more of the kernel's command line.
    """

    boot_lock = 'boot.lock'

    def __init__(self, kernel, name='vm', cpus=1, mem=640, links=(), icount=False, image='root',
                 words=''):
        self.kernel, self.name, self.cpus, self.mem, self.links = kernel, name, cpus, mem, links
        self.icount, self.image, self.words = icount, image, words
        # What a debug kernel keeps about memory takes memory itself.
        if '-' in kernel:
            self.mem += 512
        self.process = None

    def start(self):
        """Power on and wait for the agent. Boots are serial: two at once can miscalibrate timers.

        The guest ends with the thread that calls this.
        """
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='prm-vm-'))
        atexit.register(shutil.rmtree, self.dir, True)
        LOGS.mkdir(parents=True, exist_ok=True)
        self.console_path = LOGS / f'{self.name}-{self.kernel}-{os.getpid()}-{self.dir.name[7:]}.console'
        self.scanned, self.blind = 0, False
        self.jobs, self.ids = {}, itertools.count(1)
        self.lock = threading.Lock()
        ready = Job(self, 0, 'boot')
        self.jobs[0] = ready
        with open(CACHE / self.boot_lock, 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                            stdout=open(self.dir / 'qemu.log', 'w'),
                                            stderr=subprocess.STDOUT)
            atexit.register(self.kill)
            POWERED[self] = threading.get_ident()
            try:
                self.agent = connect(self.dir / 'agent')
                self.agent.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                                      struct.pack('ll', 60 * patience(), 0))
                threading.Thread(target=self.receive, daemon=True).start()
                self.qmp = Qmp(self.dir / 'qmp')
                self.booting(ready)
            except (Failed, OSError) as error:
                self.kill()
                raise GuestError(f'{self.name}: no boot: {error}\n'
                                 + (self.dir / 'qemu.log').read_text() + self.console()[-2000:])
        script = []
        for wire, end in self.links:
            wire.ends[end] = self
            script.append(f'dev=$(basename "$(dirname "$(grep -l {wire.mac(end)} '
                          f'/sys/class/net/*/address)")") && ip addr add {wire.address(end)}/24 '
                          f'dev $dev && ip link set $dev up')
        if script:
            self.check(' && '.join(script))
        return self

    def booting(self, ready):
        """Power is on; ready ends when the agent answers."""
        ready.wait(BOOT_DEADLINE)

    def cmdline(self):
        # norandmaps: TCG translates by virtual address, so every process would be translated anew.
        return ('console=ttyS0 loglevel=5 panic=-1 oops=panic panic_on_warn=0 '
                'mitigations=off nokaslr norandmaps no_timer_check random.trust_cpu=on audit=0 '
                'net.ifnames=0 rcupdate.rcu_cpu_stall_timeout=120 '
                f'prm.name={self.name} {self.words} {getattr(HERE, "words", "")}')

    def firmware(self):
        """What boots it, and its console."""
        kernel = CACHE / 'kernels' / self.kernel
        return ['-machine', 'q35', '-kernel', kernel / 'vmlinuz', '-initrd', kernel / 'initramfs',
                '-append', self.cmdline(), '-serial', f'file:{self.console_path}']

    def command(self):
        kernel = CACHE / 'kernels' / self.kernel
        links = [option for wire, end in self.links for option in wire.options(end)]
        disks = [option for image in (CACHE / f'image/{self.image}.squashfs', kernel / 'modules.squashfs')
                 for option in ('-drive', f'file={image},format=raw,if=virtio,readonly=on')]
        return ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64',
                '-accel', f'tcg,thread={"single" if self.icount else "multi"},tb-size=256',
                *(['-icount', 'shift=0,sleep=off'] if self.icount else []), '-cpu', 'qemu64,+rdrand',
                '-smp', str(self.cpus), '-m', str(self.mem),
                '-nodefaults', '-display', 'none', '-no-reboot', *self.firmware(),
                '-qmp', f'unix:{self.dir}/qmp,server=on,wait=off',
                '-device', 'virtio-serial-pci',
                '-chardev', f'socket,id=agent,path={self.dir}/agent,server=on,wait=off',
                '-device', 'virtserialport,chardev=agent,name=org.prmpath.agent',
                '-fsdev', f'local,id=prm,path={ROOT},security_model=none,readonly=on',
                '-device', 'virtio-9p-pci,fsdev=prm,mount_tag=prm', *disks, *links]

    def receive(self):
        jobs = self.jobs        # the next boot has others
        try:
            for line in self.agent.makefile('r', errors='replace'):
                reply = json.loads(line)
                jobs.pop(reply['id']).finish(reply)
        except OSError:
            pass                # killed
        for job in list(jobs.values()):
            job.finish({'rc': -1, 'out': 'guest is gone'})

    def request(self, cmd='', **fields):
        with self.lock:
            job = Job(self, next(self.ids), cmd or str(fields))
            self.jobs[job.id] = job
            if self.process is None:
                raise GuestError(f'{self.name} is off')
            try:
                self.agent.sendall((json.dumps({'id': job.id, 'cmd': cmd, **fields}) + '\n').encode())
            except OSError as error:
                raise GuestError(f'{self.name} is gone: {error}') from error
        return job

    def spawn(self, cmd):
        """Start cmd (bash, as root) in the background."""
        return self.request(cmd, op='run')

    def run(self, cmd, timeout=60):
        """Run cmd; return (exit code, stdout and stderr)."""
        return self.spawn(cmd).wait(timeout)

    def check(self, cmd, timeout=60):
        """Run cmd, which must succeed; return its output."""
        code, out = self.run(cmd, timeout)
        if code:
            raise GuestError(f'{self.name}: exit code {code}: {cmd}\n{out}')
        return out

    def put(self, path, text, mode=0o644):
        data = base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
        self.file_request(op='put', path=path, data=data, mode=mode)

    def get(self, path):
        return base64.b64decode(self.file_request(op='get', path=path)['data'])

    def file_request(self, **fields):
        job = self.request(**fields)
        job.wait(20)
        if job.reply['rc']:
            raise GuestError(f'{self.name}: {job.reply["out"]}')
        return job.reply

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def cpu_seconds(self):
        """Processor time that it has taken since power-on."""
        try:
            fields = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        except (AttributeError, OSError):
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def kill(self):
        """Power off at once, as if the plug was pulled."""
        process = self.process
        if process:
            POWERED.pop(self, None)
            process.kill()
            process.wait(60)
            self.process = None
            atexit.unregister(self.kill)

    def reboot(self):
        """Power cycle; nothing in the guest survives."""
        self.kill()
        return self.start()

    def pause(self):
        """Freeze the whole guest: a host that hangs and may come back."""
        self.qmp('stop')

    def resume(self):
        self.qmp('cont')

    def console(self):
        return self.console_path.read_text(errors='replace') if self.console_path.exists() else ''

    def trouble(self):
        """Kernel complaints on the console since the last call."""
        text = self.console()
        new, self.scanned = text[self.scanned:], len(text)
        lines = new.splitlines()
        for number, line in enumerate(lines):
            report = '\n'.join(lines[number:number + REPORT_LINES])
            # The kernel's own data races are many.
            if 'KCSAN' in line and MODULE not in report:
                continue
            if not KERNEL_TROUBLE.search(line):
                continue
            if not NOT_OURS.match(report):
                return f'{self.name}: {report}'
            self.blind = self.blind or bool(LOCKDEP.search(line))
        return None


SPLIT = '===='
PrState = collections.namedtuple('PrState', 'keys generation holder type')


def pr_state(vm, device):
    """What sg_persist, an independent observer, reads through device.

    keys: sorted list with duplicates; holder: key of the holder (0 for the
    all-registrants types) or None; type: number or None. A unit attention that
    waits on that path is consumed.
    """
    ask = 'sg_persist --no-inquiry --in'

    def attempt():
        code, out = vm.run(f'{ask} --read-keys {device} && echo {SPLIT} && '
                           f'{ask} --read-reservation {device}')
        return out.split(SPLIT) if code == 0 else None

    keys, holder = poll(attempt, 5, f'sg_persist {device} on {vm.name}')
    generation = int(re.search(r'PR generation=0x([0-9a-f]+)', keys).group(1), 16)
    key = re.search(r'Key=0x([0-9a-f]+)', holder)
    kind = re.search(r'type: (.*)', holder)
    return PrState(sorted(int(k, 16) for k in re.findall(r'^\s+0x([0-9a-f]+)\s*$', keys, re.M)),
                   generation, int(key.group(1), 16) if key else None,
                   PR_TYPES[kind.group(1).strip()] if kind else None)


PR_TYPES = {
    'Write Exclusive': 1,
    'Exclusive Access': 3,
    'Write Exclusive, registrants only': 5,
    'Exclusive Access, registrants only': 6,
    'Write Exclusive, all registrants': 7,
    'Exclusive Access, all registrants': 8,
}


def device_numbers(vm, devs):
    """major:minor of each."""
    return vm.check('cat ' + ' '.join(f'/sys/block/{dev.rsplit("/", 1)[1]}/dev' for dev in devs)).split()


class Path:
    """One I_T nexus of a host: dev is /dev/sdX, number its major:minor."""

    def __init__(self, vm, index, dev, number=None):
        self.vm, self.index, self.dev = vm, index, dev
        self.name = dev.rsplit('/', 1)[1]
        self.number = number or device_numbers(vm, [dev])[0]

    def cut(self):
        """Break it so that commands do not get through."""
        raise NotImplementedError

    def restore(self):
        raise NotImplementedError

    def scsi_state(self, state):
        """Set the SCSI device's state: offline or running."""
        self.vm.check(f'echo {state} > /sys/block/{self.name}/device/state')

    def __str__(self):
        return self.dev


class Host:
    """An initiator: the guest it runs in and its paths to the LUN."""

    def __init__(self, name, vm, paths):
        self.name, self.vm, self.paths = name, vm, paths
        self.run, self.check, self.spawn = vm.run, vm.check, vm.spawn
        self.devices = []

    def pr_state(self, path=0):
        return pr_state(self.vm, self.paths[path].dev)

    def table(self, features='', paths=None, groups=1):
        """A prmpath table line: features as words, paths spread over groups."""
        paths = self.paths if paths is None else paths
        words = features.split()
        sectors = self.check(f'blockdev --getsz {paths[0]}').strip()
        line = f'0 {sectors} prmpath {len(words)} {features} 0 {groups} 1'
        for group in range(groups):
            members = paths[group::groups]
            line += f' round-robin 0 {len(members)} 1 ' + ' '.join(f'{p.number} 1' for p in members)
        return re.sub(' +', ' ', line)

    def prmpath(self, name='mp0', features='', paths=None, groups=1):
        """Create a prmpath device; it is removed when the case ends."""
        device = Mapped(self, name)
        self.check(f'dmsetup create {name} --table "{self.table(features, paths, groups)}"')
        self.devices.append(device)
        return device


class Mapped:
    """A prmpath device."""

    def __init__(self, host, name):
        self.host, self.name, self.dev = host, name, f'/dev/mapper/{name}'

    def status(self):
        """dmsetup status: a dict of its key=value words, and paths by major:minor."""
        line = self.host.check(f'dmsetup status {self.name}')
        result = dict(word.split('=', 1) for word in line.split() if '=' in word)
        result['paths'] = {
            number: {'active': flag == 'A', 'failures': int(count), 'pr': pr}
            for number, flag, count, pr in
            re.findall(r' (\d+:\d+) ([AF]) (\d+)(?: [0-9-]+)* ([a-z]+)', line)}
        return result

    def wait_status(self, deadline=15, **wanted):
        """Wait until status has all of wanted; return it."""
        def attempt():
            status = self.status()
            return status if all(status.get(k) == str(v) for k, v in wanted.items()) else None
        return poll(attempt, deadline, f'{self.name} on {self.host.name}: {wanted}')

    def message(self, *words):
        """dmsetup message; returns (exit code, output)."""
        return self.host.run(f'dmsetup message {self.name} 0 {shlex.join(map(str, words))}')

    def reload(self, features='', paths=None, groups=1):
        table = self.host.table(features, paths, groups)
        self.host.check(f'dmsetup reload {self.name} --table "{table}" && dmsetup resume {self.name}')

    def remove(self):
        self.host.check(f'dmsetup remove --retry {self.name}')
        self.host.devices.remove(self)

    def __str__(self):
        return self.dev
