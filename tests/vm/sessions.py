# SPDX-License-Identifier: GPL-2.0-only
"""Opens, writers and other hosts, for cases about who may write."""
import re
import shlex

from harness import close, expect, poll

WRITER = 'python3 /prm/tests/vm/guest/writer.py'
PRMPATH = '/prm/build/tools/prmpath'
SPAN = 64
BUSY = 3                    # exit status of prmpath when another host holds the LUN


class Session:
    """A process that has a device open until it is closed."""

    def __init__(self, t, host, command, what):
        self.host, self.what = host, what
        self.job = host.spawn(command)
        t.cleanup(self.job.kill)

    def settled(self, deadline=60):
        """Wait until the open has succeeded or failed; return whether it has the device."""
        def opened():
            return re.search('^open$', self.job.output(), re.M)
        poll(lambda: opened() or self.job.poll() is not None, deadline,
             f'{self.what}: open or refused')
        return bool(opened()) and self.job.poll() is None

    def opened(self, deadline=60):
        expect(self.settled(deadline), f'{self.what} refused: {self.job.output()}')
        return self

    def close(self):
        """End it; the last close of the device has returned then."""
        close(self.job)


def hold(t, device, options='', before=''):
    """Open device; options as prmpath open takes them, '' for a plain open(2)."""
    command = f'{before}exec 3<>{device} && echo open && exec sleep 600'
    if options:
        words = ' '.join(f'--{word.replace("_", "-")}' for word in options.split(','))
        command = (f'{before}LD_LIBRARY_PATH=/prm/build/tools exec {PRMPATH} open {words} {device} '
                   f'-- sh -c "echo open; exec sleep 600"')
    return Session(t, device.host, command, f'{device.name} {options}')


def try_open(device, options=''):
    """Open and close at once; return (exit status, output)."""
    if not options:
        return device.host.run(f'true <> {device}')
    words = ' '.join(f'--{word.replace("_", "-")}' for word in options.split(','))
    return device.host.run(f'LD_LIBRARY_PATH=/prm/build/tools {PRMPATH} open {words} {device} -- true')


class Writer(Session):
    """Writes numbered blocks to a device; see guest/writer.py."""

    def __init__(self, t, device, first=0, threads=1):
        self.name, self.first = device.host.name, first
        super().__init__(t, device.host,
                         f'exec {WRITER} write {device} {self.name} {first} {threads}',
                         f'writer on {device.name}')

    def written(self, thread=0):
        """How many of its writes were acknowledged."""
        return len(re.findall(f'^wrote {thread} ', self.job.output(), re.M))

    def errors(self):
        return re.findall('^error ([A-Z]+)', self.job.output(), re.M)

    def goes_on(self, deadline=60, more=20):
        """Wait until it has written more; an error is a failure."""
        goal = self.written() + more

        def enough():
            expect(not self.errors(), f'{self.what}: {self.errors()}')
            return self.written() >= goal
        poll(enough, deadline, f'{self.what} writes on')

    def failed(self, deadline=60):
        """Wait for the first error; return its name."""
        return poll(self.errors, deadline, f'{self.what} fails')[0]


def blocks(host, device, first=0):
    """What the blocks of a writer hold: a list of "NAME NUMBER"."""
    out = host.check(f'{WRITER} read {device} {first}')
    return [line.split(' ', 1)[1] for line in out.splitlines()]


def check_blocks(host, device, writer):
    """Every acknowledged write of a (stopped) writer is on the LUN."""
    written = writer.written()
    expect(written, 'nothing written')
    found = blocks(host, device, writer.first)
    for number in range(max(0, written - SPAN), written):
        text = found[number % SPAN]
        # One more may have landed before its answer was lost.
        expect(text in (f'{writer.name} {number}', f'{writer.name} {number + SPAN}'),
               f'block {number % SPAN}: {text}, expected write {number}')


class Raw:
    """A host that uses sg_persist instead of our module."""

    def __init__(self, host, key):
        self.host, self.key = host, key

    def pr_out(self, path, action, *words):
        return self.host.run(f'sg_persist --no-inquiry --out --{action} {shlex.join(words)} '
                             f'{self.host.paths[path]}')

    def must(self, path, action, *words):
        """As pr_out; the first answers may be unit attentions."""
        poll(lambda: self.pr_out(path, action, *words)[0] == 0, 10,
             f'sg_persist {action} {words}')

    def register(self, *paths):
        for path in paths or range(len(self.host.paths)):
            self.must(path, 'register-ignore', f'--param-sark={self.key:#x}')
        return self

    def reserve(self, path=0, kind=5):
        self.must(path, 'reserve', f'--param-rk={self.key:#x}', f'--prout-type={kind}')
        return self

    def release(self, path=0, kind=5):
        self.must(path, 'release', f'--param-rk={self.key:#x}', f'--prout-type={kind}')

    def unregister(self, *paths):
        for path in paths:
            self.must(path, 'register', f'--param-rk={self.key:#x}', '--param-sark=0')

    def seize(self, key, path=0, action='preempt-abort'):
        """Register one path and preempt key from there, in one breath."""
        return self.host.run(f'python3 /prm/tests/vm/guest/seize.py {self.host.paths[path]} '
                             f'{self.key:x} {key:x} 5 {action}')

    def must_seize(self, *words):
        code, out = self.seize(*words)
        expect(code == 0, f'seize.py: {out}')

    def writes(self, path=0):
        """Whether a write through the bare path succeeds."""
        return self.host.run(f'dd if=/dev/zero of={self.host.paths[path]} bs=4k count=1 seek=4000 '
                             f'oflag=direct')[0] == 0


def log(t, vm=None):
    """Kernel messages of this case."""
    text = (vm or t.vm).check('dmesg')
    return text.rsplit(f'case {t.case.name}', 1)[-1]


def keys_of(host, key, path=0):
    """How often the target lists key."""
    return host.pr_state(path).keys.count(key)


def holder_and_other(device):
    """The path that holds the reservation, and one that does not."""
    number = device.status()['holder'].split(':', 1)[1]
    paths = sorted(device.host.paths, key=lambda path: path.number != number)
    expect(paths[0].number == number, f'{number} is no path of {device.host.name}')
    return paths[0], paths[1]


def writes_through(path):
    """How many writes the path has carried."""
    return int(path.vm.check(f'cat /sys/block/{path.name}/stat').split()[4])
