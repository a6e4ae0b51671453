# SPDX-License-Identifier: GPL-2.0-only
"""Does to three guests what a plan says, and writes down what they were told.

The target has the LUN in a file, two hosts have two links each, and an outsider (a
third initiator name, inside the target's guest) sees the target's own view. What
programs on the hosts tell goes through virtio-serial ports into files of this
machine, so that it outlives a guest that loses power.
"""
import base64
import json
import pathlib
import queue
import re
import subprocess
import threading
import time

from cases import MODULE, module_path
from harness import ROOT, Failed, GuestError, Host, Mapped, poll, pr_state
from judge import INFINITY, History, Verdict, find_epochs, judge
from lio import Backstore, IscsiTarget, WirePath, login, logout
from multipath_tools import ALIAS, Multipathd

KEYS = {'a': 0xa1, 'b': 0xb1}
OUTSIDER = 0xc1
WERO = 5
SLOTS = 4
READER = SLOTS                  # the port after those of the slots
BITS = {'forced': 1, 'retain': 2, 'no_reserve': 4, 'single': 8, 'bypass': 16}
AREA_MB = 16
LUN_FILE = '/run/lun0'
WRITER = 'build/torture/writer'
PORT = 'org.prmpath.torture'
POLL = 0.01
LOOK_EVERY = 3
REST_LIMIT = 180
# What a target does that is LIO's own, or QEMU's: the run says nothing then.
TARGET_LOST = re.compile(r'__core_scsi3_free_registration|Oops: int3|core_tmr_|target_core|iscsi_target|'
                         r'iscsit_')

# A process that eats what memory there is, and leaves dirty pages beyond the judged area.
PRESSURE = '''
import os, re, sys, time
free = int(re.search(r'MemAvailable:\\s+(\\d+)', open('/proc/meminfo').read()).group(1)) >> 10
hog = bytearray(max(free - 90, 1) << 20)
try:
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
    for n in range(8):
        os.pwrite(fd, b'.' * (1 << 20), (8 + n) << 20)
    os.fsync(fd)
except OSError as error:
    print(error)
time.sleep(1)
'''


class TargetFailed(Exception):
    """The target itself broke: no verdict on the module."""


def build_writer():
    out = ROOT / WRITER
    source = ROOT / 'tests/torture/writer.c'
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists() or out.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(['cc', '-O2', '-Wall', '-Wextra', '-static', '-pthread', f'-I{ROOT}/uapi',
                        '-o', out, source], check=True)


class Target(IscsiTarget):
    """Its LUN's data outlive a restart; its registrations do if they are written back."""

    def __init__(self, vm, portals):
        super().__init__(self.make_backstore(vm), ['a', 'b', 'c'], portals)

    def make_backstore(self, vm):
        return Backstore(vm, 'lun0', megabytes=AREA_MB, file=LUN_FILE)

    def restart(self, remember):
        """Tear LIO down and build it again, with or without the registrations it had."""
        vm, saved = self.vm, ''
        if remember:
            # Ports first: what is saved is what every initiator was told.
            for tpg in self.tpgs.values():
                vm.check(f'echo 0 > {tpg}/enable')
            saved = vm.run('cat /var/target/pr/aptpl_prm-lun0 /etc/target/pr/aptpl_prm-lun0 '
                           '/etc/rtslib-fb-target/pr/aptpl_prm-lun0 2>/dev/null')[1]
        self.remove()
        backstore = self.make_backstore(vm)
        for record in re.findall(r'PR_REG_START: \d+\n(.*?)PR_REG_END', saved, re.S):
            vm.put('/run/registration', ','.join(record.split()))
            vm.check(f'cat /run/registration > {backstore.path}/pr/res_aptpl_metadata')
        self.build(backstore)
        return saved.count('PR_REG_START')


class Side:
    """One of the two hosts."""

    def __init__(self, vm, wires):
        self.vm, self.name, self.wires = vm, vm.name, wires
        self.key = KEYS[vm.name]
        self.up = self.frozen = False
        self.boots = 0
        self.files, self.slots, self.asked = {}, {}, []
        self.booted = threading.Event()
        self.booted.set()
        self.host = self.device = self.daemon = self.members = None


class Stage:
    """A run: set(), play(), finish(); wrong is what is not as it must be, beside the judge."""

    def __init__(self, site, kernel, plan, folder):
        build_writer()
        self.site, self.kernel, self.plan, self.folder = site, kernel, plan, folder
        self.target = site.target
        self.sides = {vm.name: Side(vm, site.wires[h]) for h, vm in enumerate(site.guests)}
        self.zero = time.monotonic()
        self.lock = threading.RLock()
        self.history, self.wrong, self.counts = History(), [], {}
        self.jobs = []              # (session number, side, slot, job)
        self.causes = []            # times of what may fence or release behind a host's back
        self.ended = threading.Event()
        self.wake = threading.Event()
        self.boots = queue.Queue()
        threading.Thread(target=self.boot, daemon=True).start()
        self.failure = None
        self.looks = self.rests = 0
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob('stream-*'):
            old.unlink()
        self.history_file = open(folder / 'history', 'w')
        self.log_file = open(folder / 'log', 'w')
        self.log(str(plan))

    # --- the record -----------------------------------------------------------------

    def now(self):
        return time.monotonic() - self.zero

    def log(self, text):
        print(f'{self.now():8.2f} {text}', file=self.log_file, flush=True)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def feed(self, lo, hi, kind, *words):
        with self.lock:
            self.history.feed(lo, hi, kind, *words)
            self.history_file.write(json.dumps([round(lo, 4), round(hi, 4), kind, *words]) + '\n')

    def fail(self, text):
        self.log(f'WRONG: {text}')
        self.wrong.append(f'{self.now():.2f}: {text}')

    def follow(self):
        """Thread: stamps what the hosts tell."""
        try:
            while not self.ended.wait(POLL):
                self.read_streams()
                self.reap()
        except Exception as error:          # pylint: disable=broad-except
            self.failure = f'follow: {error!r}'
            raise

    def read_streams(self):
        with self.lock:
            for side in self.sides.values():
                for path, state in side.files.items():
                    self.read_stream(path, state)

    def read_stream(self, path, state):
        lo, state['at'] = state['at'], self.now()
        try:
            data = path.open('rb')
        except FileNotFoundError:
            return
        with data:
            data.seek(state['offset'])
            text = data.read()
        if not text:
            return
        state['offset'] += len(text)
        *lines, state['rest'] = (state['rest'] + text).split(b'\n')
        hi = self.now()
        for line in lines:
            number, kind, *words = line.decode().split()
            words = [int(w) if w.isdigit() else w for w in words]
            self.feed(lo, hi, kind, int(number), *words)
            if kind == 'open':
                self.opened(int(number), words[0])

    def opened(self, number, result):
        session = self.history.sessions[number]
        self.count(f'open {"+".join(sorted(session.options)) or "default"}: {result}')
        self.log(f'open {number} on {session.host} {sorted(session.options)}: {result}')
        if not result and 'forced' in session.options:
            self.wake.set()

    def reap(self):
        """Programs that have ended."""
        for entry in list(self.jobs):
            number, side, slot, job = entry
            if job.poll() is None:
                continue
            self.read_streams()
            with self.lock:
                self.feed(self.now(), self.now(), 'gone', number)
                self.jobs.remove(entry)
                side.slots.pop(slot, None)
            out = job.reply.get('out', '').strip()
            if out and job.poll() != -1:
                self.log(f'open {number}: {out}')

    def look_around(self):
        """Thread: reads the area through the target's file, most of all after a takeover."""
        again = False
        while not self.ended.is_set():
            self.wake.wait(LOOK_EVERY if not again else 0.5)
            again = self.wake.is_set()
            self.wake.clear()
            try:
                self.look()
            except (Failed, OSError) as error:
                if not self.ended.is_set():
                    self.failure = f'look: {error}'
                return

    def look(self):
        lo = self.now()
        out = self.target.check(f'/prm/{WRITER} dump {LUN_FILE}', 120)
        self.feed(lo, self.now(), 'look', out.splitlines())
        self.looks += 1

    # --- guests ---------------------------------------------------------------------

    def set(self):
        """LUN, outsider, hosts and their devices."""
        portals = {(h, p): wire.address(0) for h, row in enumerate(self.site.wires)
                   for p, wire in enumerate(row)}
        portals.update({(2, p): f'127.0.3.{p + 1}' for p in range(len(self.site.wires[0]))})
        self.target.run(f'rm -f {LUN_FILE}')
        self.lun = Target(self.target, portals)
        self.outsider = login(self.target, 'c', [portals[2, 0]])[0]
        for side in self.sides.values():
            self.dress(side)
        self.look()
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.follow, self.look_around)]
        for thread in self.threads:
            thread.start()

    def dress(self, side):
        """A booted host: ports, paths, module, device."""
        side.boots += 1
        vm = side.vm
        for k in range(SLOTS + 1):
            path = self.folder / f'stream-{side.name}-{side.boots}-{k}'
            path.touch()
            vm.qmp('chardev-add', id=f'torture{k}',
                   backend={'type': 'file', 'data': {'out': str(path), 'append': True}})
            vm.qmp('device_add', driver='virtserialport', chardev=f'torture{k}', id=f'port{k}',
                   name=f'{PORT}.{k}')
            with self.lock:
                side.files[path] = {'at': self.now(), 'offset': 0, 'rest': b''}
        poll(lambda: vm.run(f'[ $(cat /sys/class/virtio-ports/*/name | grep -c {PORT}) = {SLOTS + 1} ]'
                            )[0] == 0, 30, 'ports')
        devs = login(vm, side.name, [wire.address(0) for wire in side.wires])
        daemon = self.plan.daemon and side.name == 'a'
        vm.check(f'udevadm settle; insmod {module_path(self.kernel)} {"multipath=1" if daemon else ""}')
        side.host = Host(side.name, vm, [WirePath(vm, p, dev, side.wires[p])
                                         for p, dev in enumerate(devs)])
        side.sectors = vm.check(f'blockdev --getsz {devs[0]}').strip()
        side.members = list(range(len(devs)))
        if daemon:
            side.daemon = Multipathd(Cleanups(), side.host, key=side.key, loaded=True,
                                     features='path_check 1').start()
            side.device = side.daemon.map()
        else:
            side.device = Mapped(side.host, 'lun')
            vm.check(f'dmsetup create lun --table "{self.table(side, side.members)}"')
        vm.check(f'udevadm settle; ls {side.device}')
        side.up, side.frozen = True, False

    def table(self, side, members):
        words = f'pr_key {side.key:#x} pr_poll 1 path_check 1 {self.plan.features}'.split()
        groups = [members[g::self.plan.groups] for g in range(self.plan.groups)]
        groups = [group for group in groups if group]
        line = f'0 {side.sectors} prmpath {len(words)} {" ".join(words)} 0 {len(groups)} 1'
        for group in groups:
            paths = ' '.join(f'{side.host.paths[p].number} 1' for p in group)
            line += f' round-robin 0 {len(group)} 1 {paths}'
        return line

    def ask(self, side, cmd):
        """Start a command on a host, whose end only a rest waits for; None if it is off."""
        try:
            job = side.vm.spawn(cmd) if side.up else None
        except GuestError:
            return None
        side.asked.append(job)
        return job

    # --- the plan -------------------------------------------------------------------

    def play(self):
        """All steps of the plan; what takes long shifts what follows."""
        shift = self.now()
        for step in self.plan.steps:
            while self.now() < step.at + shift:
                time.sleep(min(0.05, max(0, step.at + shift - self.now())))
                self.alive()
            begin = self.now()
            outcome = getattr(self, 'do_' + step.action)(**step.args)
            self.count(step.action if outcome is None else f'{step.action} (left out)')
            self.log(f'{step.at:.2f} {step.action} {step.args}'
                     + (f': left out, {outcome}' if outcome else ''))
            if step.action in ('rest', 'restart', 'forget', 'outsider'):
                shift += self.now() - begin

    def alive(self):
        if self.failure:
            failure = self.failure
            if 'target' in failure or not self.target.alive():
                self.target_trouble()
            raise Failed(failure)
        if not self.target.alive():
            self.target_trouble()
            raise TargetFailed(self.target.console()[-3000:])
        for side in self.sides.values():
            if side.up and not side.vm.alive():
                raise Failed(f'{side.name} crashed: {side.vm.console()[-3000:]}')

    def target_trouble(self):
        trouble = self.target.trouble()
        if trouble:
            raise TargetFailed(trouble)

    # --- steps ----------------------------------------------------------------------

    def do_open(self, number, host, options, how, threads, pace):
        side = self.sides[host]
        with self.lock:
            slot = READER if not threads else next((k for k in range(SLOTS) if k not in side.slots), None)
            if not side.up:
                return 'the host is off'
            if slot is None or slot in side.slots:
                return 'no port is free'
            self.feed(self.now(), self.now(), 'session', number, host, list(options), side.boots)
            bits = sum(BITS[word] for word in options)
            command = (f'exec /prm/{WRITER} {"write" if threads else "read"} {PORT}.{slot} {side.device} '
                       f'{number} {how} {bits} {f"{slot} {threads} " if threads else ""}{pace}')
            try:
                job = side.vm.spawn(command)
            except GuestError:
                return 'the host is off'
            side.slots[slot] = number
            self.jobs.append((number, side, slot, job))

    def end_program(self, number, sig):
        with self.lock:
            entry = next((e for e in self.jobs if e[0] == number), None)
        if entry is None:
            return 'it has ended'
        side, job = entry[1], entry[3]
        if sig == 9:
            self.feed(self.now(), self.now(), 'killed', number)
        try:
            side.vm.request(op='kill', target=job.id, sig=sig)
        except GuestError:
            return 'the host is off'

    def do_close(self, number):
        return self.end_program(number, 15)

    def do_kill(self, number):
        return self.end_program(number, 9)

    def do_leave(self, host):
        """All programs of a host end."""
        with self.lock:
            numbers = [e[0] for e in self.jobs if e[1].name == host]
        for number in numbers:
            self.end_program(number, 15)

    def wired(method):
        def do(self, host, paths):
            side = self.sides[host]
            if not side.up:
                return 'the host is off'
            for p in paths:
                getattr(side.wires[p], method)()
        return do

    do_cut, do_blackhole, do_restore = wired('cut'), wired('blackhole'), wired('restore')
    del wired

    def do_freeze(self, host):
        side = self.sides[host]
        if not side.up:
            return 'the host is off'
        side.vm.pause()
        side.frozen = True

    def do_thaw(self, host):
        side = self.sides[host]
        if not side.up:
            return 'the host is off'
        side.vm.resume()
        side.frozen = False

    def do_reset(self, host):
        side = self.sides[host]
        if not side.up:
            return 'the host is off'
        side.up = False
        self.causes.append(self.now())
        self.complaints(side.vm)
        for wire in side.wires:             # it is going to log in
            wire.restore()
        jobs = list(side.vm.jobs.values())
        side.vm.kill()
        time.sleep(0.2)
        for job in jobs:
            if not job.ended.is_set():
                job.finish({'rc': -1, 'out': 'guest is gone'})
        self.read_streams()
        self.reap()
        side.booted.clear()
        self.boots.put(side)

    def boot(self):
        """Thread: powers hosts on again. A guest dies with the thread that started it."""
        while True:
            side = self.boots.get()
            try:
                side.vm.start()
                self.dress(side)
            except Exception as error:      # pylint: disable=broad-except
                self.failure = f'boot of {side.name}: {error}'
            side.booted.set()

    def restarted(self, remember):
        self.causes.append(self.now())
        count = self.lun.restart(remember)
        self.log(f'the target is back with {count} registrations')

    def do_restart(self):
        self.restarted(True)

    def do_forget(self):
        """Only while one host at most has the LUN: an old owner that does not know it yet
        could write to a LUN that has forgotten its new one."""
        with self.lock:
            hosts = {self.history.sessions[e[0]].host for e in self.jobs}
        if len(hosts) > 1 or any(side.frozen or not side.up for side in self.sides.values()):
            return 'two hosts are at it'
        self.feed(self.now(), self.now(), 'disturbed', 'forget')
        self.restarted(False)

    def do_outsider(self, what):
        sg = f'sg_persist --no-inquiry {self.outsider} --out'
        register = f'{sg} --register-ignore --param-sark={OUTSIDER:#x}'
        leave = f'{sg} --register --param-rk={OUTSIDER:#x} --param-sark=0'
        script = {
            'register': register,
            'clear': f'{register} && {sg} --clear --param-rk={OUTSIDER:#x}',
            'preempt': f'''key=$(sg_persist --no-inquiry --in --read-reservation {self.outsider} |
                    sed -n 's/.*Key=//p')
                {register} && {sg} --preempt-abort --param-rk={OUTSIDER:#x} \
                    --param-sark=$key --prout-type={WERO} &&
                {sg} --release --param-rk={OUTSIDER:#x} --prout-type={WERO}
                {leave}''',
        }[what]
        if what != 'register':
            self.causes.append(self.now())
            self.feed(self.now(), self.now(), 'disturbed', what)
        code, out = self.target.run(f'sg_turs {self.outsider}; {script}', 120)
        self.log(f'outsider {what}: {code} {" ".join(out.split())[:200]}')

    def manual(self, side):
        return ('the host is off' if not side.up else 'it is frozen' if side.frozen else
                'multipathd has the map' if side.daemon else None)

    def do_suspend(self, host, words):
        side = self.sides[host]
        if self.manual(side):
            return self.manual(side)
        self.ask(side, f'dmsetup suspend {words} {side.device.name}')

    def do_resume(self, host):
        side = self.sides[host]
        if self.manual(side):
            return self.manual(side)
        self.ask(side, f'dmsetup resume {side.device.name}')

    def do_table(self, host, paths):
        side = self.sides[host]
        if self.manual(side):
            return self.manual(side)
        # One after another, as an administrator would.
        self.ask(side, f'flock /run/table sh -c "dmsetup reload lun --table \'{self.table(side, paths)}\' && '
                       'dmsetup resume lun"')

    def do_pressure(self, host):
        side = self.sides[host]
        if not side.up:
            return 'the host is off'
        side.vm.request(op='put', path='/run/pressure.py', mode=0o644,
                        data=base64.b64encode(PRESSURE.encode()).decode())
        self.ask(side, f'python3 /run/pressure.py {side.device}')

    def do_daemon_kill(self, host):
        side = self.sides[host]
        if not side.up or side.frozen:
            return 'the host is off'
        self.ask(side, 'pkill -9 multipathd')

    def do_daemon_start(self, host):
        side = self.sides[host]
        if not side.up or side.frozen:
            return 'the host is off'
        side.vm.spawn('pidof multipathd || exec multipathd -d -s -v2')

    def do_daemon_path(self, host, path, what):
        side = self.sides[host]
        if not side.up or side.frozen:
            return 'the host is off'
        self.ask(side, f'multipathd {what} path {side.host.paths[path].name}')

    # --- rests ----------------------------------------------------------------------

    def do_rest(self, closed):
        """Everything is mended; what hosts and target say must fit, as section 3 has it."""
        self.rests += 1
        self.mend()
        if closed:
            for number in [e[0] for e in self.jobs]:
                self.end_program(number, 15)
            self.wait(lambda: not self.jobs, 'programs end after SIGTERM')
        self.wait(lambda: all(self.history.sessions[e[0]].result is not None for e in self.jobs),
                  'opens end')
        self.wait(lambda: all(self.settled(side) for side in self.sides.values()), 'hosts settle')
        self.agree(closed)
        if closed:
            self.wait(self.probe_gates, 'sessions end with the last close')
        self.look()
        for vm in self.site.all:
            self.complaints(vm)
        self.log(f'at rest ({"closed" if closed else "open"}): '
                 + ', '.join(f'{side.name} {side.device.status()["state"]}'
                             for side in self.sides.values()))

    def complaints(self, vm):
        trouble = vm.trouble()
        if trouble and vm is self.target and TARGET_LOST.search(trouble):
            raise TargetFailed(trouble)
        if trouble:
            self.fail(trouble)

    def wait(self, condition, what):
        end = self.now() + REST_LIMIT
        while not condition():
            self.alive()
            if self.now() > end:
                raise Failed(f'not within {REST_LIMIT} s: {what}; programs: '
                             f'{[e[0] for e in self.jobs]}; '
                             + '; '.join(side.vm.run(f'dmsetup status {side.device.name}')[1]
                                         for side in self.sides.values()))
            time.sleep(0.2)

    def probe_gates(self):
        """Without a session no write passes (rule 5.1); False while a session lasts."""
        for side in self.sides.values():
            if side.device.status()['state'] in ('owner', 'no_reserve'):
                return False
            code, out = side.vm.run(f'dd if=/dev/zero of={side.device} bs=4k count=1 seek=1030 '
                                    'oflag=direct,nonblock conv=notrunc')
            if not code or 'Invalid exchange' not in out:
                self.fail(f'a write on {side.name}, where nothing is open: {code} {out}')
        return True

    def mend(self):
        for side in self.sides.values():
            side.booted.wait(300)
            self.alive()
            if side.frozen:
                self.do_thaw(side.name)
            self.do_restore(side.name, list(range(len(side.wires))))
        # What is still under way with tables must not come after the last one.
        for side in self.sides.values():
            self.do_resume(side.name)
        self.asked_ended()
        for side in self.sides.values():
            if side.daemon:
                self.do_daemon_start(side.name)
                for p in range(len(side.wires)):
                    self.do_daemon_path(side.name, p, 'add')
            else:
                self.do_table(side.name, list(range(len(side.wires))))
                self.do_resume(side.name)
        self.asked_ended()

    def asked_ended(self):
        for side in self.sides.values():
            self.wait(lambda side=side: all(job is None or job.poll() is not None
                                            for job in side.asked), f'commands on {side.name} end')
            side.asked.clear()

    def settled(self, side):
        """Its paths are there, its state is decided."""
        paths = ' '.join(path.name for path in side.host.paths)
        # SCSI's error handler gives a disk up for good; an administrator brings it back.
        side.vm.run(f'for p in {paths}; do grep -q offline /sys/block/$p/device/state && '
                    f'echo running > /sys/block/$p/device/state; done')
        code, out = side.vm.run(f'dmsetup status {side.device.name}')
        if code or 'state=' not in out:
            return False
        status = side.device.status()
        paths = status['paths'].values()
        if len(paths) != len(side.wires):
            # A disk that was still offline cannot be opened: its table was refused.
            if all(job.poll() is not None for job in side.asked if job):
                self.do_table(side.name, list(range(len(side.wires))))
            return False
        if status['state'] in ('unknown', 'releasing'):
            return False
        if not all(path['active'] for path in paths):
            return False
        return status['state'] != 'owner' or all(path['pr'] == 'registered' for path in paths)

    def agree(self, closed):
        """Wait until hosts and target agree, or note why they do not."""
        end = self.now() + 40
        wrong = self.compare(closed)
        while wrong and self.now() < end:
            time.sleep(0.5)
            wrong = self.compare(closed)
        for text in wrong:
            self.fail(text)

    def compare(self, closed):
        """What does not fit, as texts."""
        wrong = []
        target = pr_state(self.target, self.outsider)
        with self.lock:
            verdict = Verdict()
            find_epochs(self.history, verdict)
            lasting = [e for e in verdict.epochs if e.end == INFINITY]
            open_now = {side.name: [s for s in (self.history.sessions[e[0]] for e in self.jobs)
                                    if s.host == side.name and s.ok] for side in self.sides.values()}
        states = {side.name: side.device.status() for side in self.sides.values()}
        says = f'{target}; ' + '; '.join(
            f'{name}: {status["state"]}, open {[s.number for s in open_now[name]]}'
            for name, status in states.items())
        owners = [name for name, status in states.items() if status['state'] == 'owner']
        if len(owners) > 1:
            wrong.append(f'two owners at rest: {says}')
        for name in owners:
            side = self.sides[name]
            if (target.holder, target.type) != (side.key, WERO) or \
                    target.keys != [side.key] * len(side.wires):
                wrong.append(f'{name} is owner, but the target has something else: {says}')
        for name, sessions in open_now.items():
            reserving = [s for s in sessions if s.reserves]
            state = states[name]['state']
            if reserving and state not in ('owner', 'fenced'):
                wrong.append(f'{name} has opens that reserve and is {state}: {says}')
            if state == 'fenced':
                if target.holder == self.sides[name].key:
                    wrong.append(f'{name} is fenced and holds the reservation: {says}')
                since = min((s.call for s in sessions), default=0)
                if sessions and not self.cause(name, since):
                    wrong.append(f'{name} is fenced without a cause: {says}')
        for epoch in lasting:
            if target.holder != KEYS[epoch.host]:
                wrong.append(f'{epoch.host} should hold the reservation since open '
                             f'{epoch.session.number}: {says}')
        if closed and target.holder is not None and not self.may_hold(target.holder):
            wrong.append(f'all is closed and nothing was retained, but the LUN is reserved: {says}')
        if not owners and OUTSIDER in target.keys:
            self.target.run(f'sg_persist --no-inquiry {self.outsider} --out --register '
                            f'--param-rk={OUTSIDER:#x} --param-sark=0')
        return wrong

    def cause(self, name, since):
        """Whether anything happened that may have fenced the host."""
        return (any(at >= since for at in self.causes)
                or any('forced' in s.options and s.host != name and s.call is not None
                       and s.opened >= since for s in self.history.sessions.values()))

    def may_hold(self, holder):
        """Its last opens were retained, or it lost power."""
        name = next((n for n, key in KEYS.items() if key == holder), None)
        return name is not None and (
            self.sides[name].boots > 1
            or any(s.host == name and s.ok and 'retain' in s.options
                   for s in self.history.sessions.values()))

    # --- the end --------------------------------------------------------------------

    def finish(self):
        """Each device can be taken, written, closed and removed, and the module unloaded."""
        for side in self.sides.values():
            out = side.vm.check(
                f'LD_LIBRARY_PATH=/prm/build/tools /prm/build/tools/prmpath open --forced {side.device} -- '
                f'dd if=/dev/zero of={side.device} bs=4k count=4 seek=1024 oflag=direct,nonblock '
                f'conv=notrunc', 150)
            self.log(f'{side.name}: {out.splitlines()[-1]}')
            poll(lambda: pr_state(self.target, self.outsider).holder is None, 40,
                 f'{side.name} releases at its last close')
        self.ended.set()
        self.wake.set()
        for thread in self.threads:
            thread.join(130)
        for side in self.sides.values():
            if side.daemon:
                side.vm.run('multipathd shutdown')
                poll(lambda: side.vm.run('udevadm settle; multipath -F; ! dmsetup ls | grep -q '
                                         + ALIAS)[0] == 0, 30, 'the map is gone')
            else:
                side.vm.check(f'dmsetup remove --retry {side.device.name}')
            poll(lambda: side.vm.run(f'rmmod {MODULE}')[0] == 0, 40, 'the module unloads')
        for vm in [*self.site.guests, self.target]:
            logout(vm)
        self.lun.remove()
        for vm in self.site.all:
            self.complaints(vm)

    def stop(self):
        """Whatever happened, the record is whole."""
        self.ended.set()
        self.wake.set()
        try:
            self.read_streams()
        finally:
            self.history_file.close()

    def verdict(self):
        with self.lock:
            return judge(self.history)

    def summary(self, verdict):
        history = self.history
        acknowledged = sum(w.acknowledged for w in history.writes.values())
        failed = sum(w.failed for w in history.writes.values())
        lines = ['actions: ' + ', '.join(f'{n} {k}' for k, n in sorted(self.counts.items())
                                         if not k.startswith('open ')),
                 'opens, by errno: ' + ', '.join(
                     f'{k.removeprefix("open ")} x{n}' for k, n in sorted(self.counts.items())
                     if k.startswith('open ') and ':' in k),
                 f'writes: {acknowledged} acknowledged, {failed} failed, '
                 f'{len(history.writes) - acknowledged - failed} unanswered, {verdict.late} late',
                 f'judged: {len(verdict.epochs)} epochs, {verdict.takeovers} takeovers, '
                 f'{verdict.overlapping} overlapping opens, {self.looks} snapshots, '
                 f'{len(history.reads)} reads of blocks, {self.rests} rests']
        return lines


class Cleanups:
    """What Multipathd wants of a test; a run ends in its own way."""

    @staticmethod
    def cleanup(*_):
        pass


def torture(site, kernel, plan, folder):
    """One run; returns (texts of what is wrong, lines of the summary). TargetFailed: no verdict."""
    folder = pathlib.Path(folder)
    stage = Stage(site, kernel, plan, folder)
    try:
        try:
            stage.set()
            stage.play()
            stage.finish()
        except Failed as error:
            stage.target_trouble()
            stage.fail(str(error))
    finally:
        stage.stop()
    verdict = stage.verdict()
    wrong = stage.wrong + verdict.wrong
    lines = stage.summary(verdict)
    for line in [*lines, *(f'WRONG: {text}' for text in wrong), 'verdict: ' + ('wrong' if wrong else 'ok')]:
        stage.log(line)
    return wrong, lines
