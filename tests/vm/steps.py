# SPDX-License-Identifier: GPL-2.0-only
"""Steps that many cases share."""
import re

from harness import Host, Path, close, expect, poll

PRMPATH = '/prm/build/tools/prmpath'
EXTENDED_OPEN = 'python3 /prm/tests/vm/guest/extended-open.py'
TRACE = '/sys/kernel/tracing'
EVENT = f'{TRACE}/events/scsi/scsi_dispatch_cmd_start/enable'

# Exit codes of "prmpath open" when it cannot open.
USAGE, BUSY, IO, NO_PR, TIMEOUT, PERMISSION, NOT_PRMPATH = range(2, 9)

# Operation codes, and service actions of PERSISTENT RESERVE OUT.
WRITE_10, PR_IN, PR_OUT = 0x2a, 0x5e, 0x5f
REGISTER, RESERVE, RELEASE, PREEMPT, PREEMPT_ABORT, REGISTER_IGNORE = 0, 1, 2, 4, 5, 6
READ_KEYS, READ_RESERVATION = 0, 1

EBADE = 'Invalid exchange'


def holding(t, host, command):
    """A process that prints "open" once it has a device open; ends with the case."""
    holder = host.spawn(command)
    poll(lambda: 'open\n' in holder.output() or holder.poll() is not None, 60, command)
    expect(holder.poll() is None, f'{command}: {holder.output()}')
    t.cleanup(close, holder)
    return holder


def hold(t, host, device, flags='<>'):
    """A plain open: flags is bash's redirection, < for reading only."""
    return holding(t, host, f'exec 3{flags}{device} && echo open && exec sleep 600')


def hold_extended(t, host, device, *options):
    """prmpath open --option..."""
    return holding(t, host, f'{PRMPATH} open {dashed(options)} {device} -- '
                            'sh -c "echo open; exec sleep 600"')


def hold_bypass(t, host, device):
    """O_NONBLOCK, for writing."""
    return hold_extended(t, host, device, 'bypass')


def dashed(options):
    return ' '.join(f'--{option}' for option in options)


def try_open(host, device, *options):
    """prmpath open and close at once; (exit code, what it said)."""
    return host.run(f'{PRMPATH} open {dashed(options)} {device} -- true')


def refused(host, device, code, *options):
    """An extended open that must fail with this exit code."""
    got, out = try_open(host, device, *options)
    expect(got == code, f'open ({options}): exit code {got}, expected {code}: {out}')


def plain_refused(host, device, error, flags='<>'):
    """A plain open that must fail with this text of strerror()."""
    code, out = host.run(f'exec 3{flags}{device}')
    expect(code and error in out, f'plain open: expected {error}: {code} {out}')


def sg_out(host, words, path=0):
    """sg_persist --out; unit attentions are drained first."""
    dev = host.paths[path]
    return host.check(f'for i in 1 2 3; do sg_turs {dev} > /dev/null 2>&1 && break; done; '
                      f'sg_persist -n --out {words} {dev}')


def foreign_register(host, key=0xb, path=0):
    sg_out(host, f'--register --param-sark={key:#x}', path)


def foreign_reserve(host, key=0xb, kind=5, path=0):
    """What another host does, without our module."""
    foreign_register(host, key, path)
    sg_out(host, f'--reserve --param-rk={key:#x} --prout-type={kind}', path)


def foreign_leave(host, key=0xb, path=0):
    """Unregister, which ends the reservation as well."""
    sg_out(host, f'--register --param-rk={key:#x}', path)


def write(host, device, byte, offset=0, count=1, flags='oflag=direct'):
    """Write count blocks of 4 KiB of one byte; (exit code, output)."""
    return host.run(f"head -c {count * 4096} /dev/zero | tr '\\0' '\\{byte:o}' | "
                    f'dd of={device} bs=4k seek={offset} count={count} conv=notrunc '
                    f'iflag=fullblock {flags}')


def check_write(host, device, byte, **how):
    code, out = write(host, device, byte, **how)
    expect(code == 0, f'write to {device}: {out}')


def write_fails(host, device, error=EBADE, **how):
    code, out = write(host, device, 0x66, **how)
    expect(code and error in out, f'write to {device}: expected {error}: {code} {out}')


def read_byte(host, device, offset=0, flags='iflag=direct'):
    """The first byte of a 4 KiB block."""
    out = host.check(f'dd if={device} bs=4k skip={offset} count=1 {flags} 2>/dev/null | '
                     'od -An -tu1 -N1')
    return int(out)


def log(t, host=None):
    """Kernel log of this case."""
    text = (host or t).vm.check('dmesg')
    return text.rsplit(f'case {t.case.name}\n', 1)[-1]


def logged(t, *words):
    """The kernel log of this case, which must have a line with all these words."""
    text = log(t)
    lines = text.splitlines()
    expect(any(all(word in line for word in words) for line in lines),
           f'no line with {words} in:\n' + '\n'.join(lines[-20:]))
    return text


class Commands:
    """SCSI commands that the guest sent meanwhile, seen by the SCSI layer: a list of bytes."""

    def __init__(self, vm):
        self.vm, self.cdbs = vm, []

    def __enter__(self):
        self.vm.check(f'echo > {TRACE}/trace; echo 1 > {EVENT}')
        return self

    def __exit__(self, *what):
        self.read()
        self.vm.check(f'echo 0 > {EVENT}')

    def read(self):
        text = self.vm.check(f'cat {TRACE}/trace')
        self.cdbs = [bytes.fromhex(raw) for raw in re.findall(r'raw=([0-9a-f ]+)\)', text)]
        return self

    def pr(self):
        """(operation code, service action) of the PR commands, in order."""
        return [(c[0], c[1] & 0x1f) for c in self.cdbs if c[0] in (PR_IN, PR_OUT)]

    def pr_out(self):
        """Service actions of PERSISTENT RESERVE OUT, in order."""
        return [action for code, action in self.pr() if code == PR_OUT]


class ScsiDebug:
    """scsi_debug in a guest without a LUN: host t.a, whose paths are ports of one disk."""

    def __init__(self, t, paths=2, options=''):
        # One store for all hosts, and one name: vpd_use_hostno.
        t.vm.check(f'modprobe scsi_debug add_host={paths} vpd_use_hostno=0 dev_size_mb=64 '
                   f'ndelay=20000 {options}', timeout=120)
        t.cleanup(t.vm.check, 'udevadm settle; modprobe -r scsi_debug')
        names = poll(lambda: self.disks(t.vm, paths), 30, 'disks of scsi_debug')
        t.vm.check('udevadm settle')
        self.vm = t.vm
        self.paths = [Path(t.vm, number, f'/dev/{name}') for number, name in enumerate(names)]
        t.a = Host('a', t.vm, self.paths)
        t.cleanup(t.remove_devices, t.a)

    @staticmethod
    def disks(vm, count):
        names = vm.run('ls -d /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*:0/block/* '
                       '2>/dev/null')[1].split()
        return [name.rsplit('/', 1)[1] for name in names] if len(names) == count else None

    def address(self, path):
        """H:C:T:L of a path."""
        return self.vm.check(f'basename $(readlink /sys/block/{path.name}/device)').strip()
