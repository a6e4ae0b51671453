# SPDX-License-Identifier: GPL-2.0-only
"""Opens a prmpath device in every way, against a target that misbehaves by a table; judges.

usage: opens.py PLAN.json

In a guest, in one process: a process per step costs more there than all that it does. The
plan has a table line with {} for the features, and the rows of tests/vm/cases/hostile.py. One
line per row is printed: "ok" with the seconds that each open took, or "not ok" with what was
wrong. What is true is asked of the target itself, not of the module and not through a path.
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

K = 0xa1
BITS = {'forced': 1, 'retain': 2, 'no_reserve': 4, 'single': 8, 'bypass': 16}
PRM_IOC_OPEN = 1 << 30 | 16 << 16 | 0xdb << 8 | 1
DM_TABLE_STATUS, DM_TARGET_MSG = 12, 14
SG_IO, SG_FROM_DEVICE = 0x2285, -3
HEADER = struct.Struct('=3I I I I i I I I Q 128s 129s 7x')
BLOCK = 4096
WRITE_S = 60
RATELIMIT_S = 6             # the kernel's is 5


class Wrong(AssertionError):
    """What was expected did not happen."""


def expect(condition, *what):
    if not condition:
        raise Wrong(' '.join(map(str, what)))


def poll(condition, deadline=20):
    """The first true result, or the last one."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result or time.monotonic() > end:
            return result
        time.sleep(0.05)


class Target:
    def __init__(self):
        self.file = socket.create_connection(('127.0.0.1', 3270)).makefile('rw')

    def __call__(self, do, **words):
        self.file.write(json.dumps({'do': do, **words}) + '\n')
        self.file.flush()
        answer = json.loads(self.file.readline())
        expect('ok' in answer, do, words, answer)
        return answer['ok']

    def state(self):
        return self('state')

    def writes(self):
        return sum(count.get('2a', 0) + count.get('8a', 0)
                   for count in self.state()['counts'].values())


class Log:
    """The kernel log from here on."""

    def __init__(self):
        self.fd = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)
        self.text = ''

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.text += os.read(self.fd, 8192).decode(errors='replace').split(';', 1)[1]
            except BrokenPipeError:         # overwritten meanwhile
                pass
        return self.text


class Device:
    def __init__(self, name, table):
        self.name, self.path = name, f'/dev/mapper/{name}'
        self.control = os.open('/dev/prmpath-control', os.O_RDONLY)
        self.dm = os.open('/dev/mapper/control', os.O_RDWR)
        self.dmsetup('create', name, '--table', table)

    def remove(self):
        self.dmsetup('remove', '--retry', self.name)
        os.close(self.control)
        os.close(self.dm)

    @staticmethod
    def dmsetup(*words):
        # There is no udev to wait for.
        subprocess.run(['dmsetup', *words], check=True, timeout=60, stderr=subprocess.DEVNULL,
                       env={**os.environ, 'DM_DISABLE_UDEV': '1'})

    def ioctl(self, number, payload=b''):
        size = 16384
        head = HEADER.pack(4, 0, 0, size, HEADER.size, 0, 0, 0, 0, 0, 0, self.name.encode(), b'')
        buffer = bytearray((head + payload).ljust(size, b'\0'))
        fcntl.ioctl(self.dm, 3 << 30 | HEADER.size << 16 | 0xfd << 8 | number, buffer)
        return buffer

    def line(self):
        buffer = self.ioctl(DM_TABLE_STATUS)
        start = struct.unpack_from('=I', buffer, 16)[0]
        return bytes(buffer[start + 40:]).split(b'\0', 1)[0].decode()

    def status(self):
        return dict(word.split('=', 1) for word in self.line().split() if '=' in word)

    def paths_work(self):
        return not re.search(r' \d+:\d+ F ', self.line())

    def message(self, text):
        try:
            self.ioctl(DM_TARGET_MSG, struct.pack('=Q', 0) + text.encode() + b'\0')
            return 0
        except OSError as error:
            return error.errno

    def open(self, option):
        """(descriptor, 0) or (None, errno)."""
        fd = None
        try:
            if option == 'default':
                return os.open(self.path, os.O_RDWR | os.O_DIRECT), 0
            fd = os.open(self.path, os.O_RDWR | os.O_DIRECT | os.O_NONBLOCK)
            bits = sum(BITS[word] for word in option.split(','))
            fcntl.ioctl(self.control, PRM_IOC_OPEN, struct.pack('=iIQ', fd, bits, 0))
            return fd, 0
        except OSError as error:
            if fd is not None:
                os.close(fd)
            return None, error.errno


class SgIoHeader(ctypes.Structure):
    """<scsi/sg.h>"""
    _fields_ = [(name, getattr(ctypes, f'c_{kind}')) for name, kind in (
        ('interface', 'int'), ('direction', 'int'), ('cdb_len', 'ubyte'), ('sense_len', 'ubyte'),
        ('iovecs', 'ushort'), ('data_len', 'uint'), ('data', 'void_p'), ('cdb', 'void_p'),
        ('sense', 'void_p'), ('timeout_ms', 'uint'), ('flags', 'uint'), ('pack_id', 'int'),
        ('user', 'void_p'), ('status', 'ubyte'), ('masked', 'ubyte'), ('msg', 'ubyte'),
        ('sense_written', 'ubyte'), ('host', 'ushort'), ('driver', 'ushort'), ('residual', 'int'),
        ('duration', 'uint'), ('info', 'uint'))]


def ask(fd, cdb, length=256):
    """Send a command through the mapped device: its sense, or its data-in, in hexadecimal digits."""
    data, sense = (ctypes.create_string_buffer(size) for size in (length, 64))
    command = ctypes.create_string_buffer(bytes.fromhex(cdb))
    head = SgIoHeader(ord('S'), SG_FROM_DEVICE, len(cdb) // 2, len(sense), 0, length,
                      ctypes.addressof(data), ctypes.addressof(command), ctypes.addressof(sense), 10000)
    fcntl.ioctl(fd, SG_IO, head)
    expect(not head.host, 'SG_IO: host byte', head.host)
    if head.status:
        return f'status {head.status:02x} sense {sense.raw[2] & 15:x}/{sense.raw[12]:02x}/{sense.raw[13]:02x}'
    return data.raw[:length - head.residual].hex()


def write(fd, byte):
    """0 or errno of a direct write."""
    page, result = mmap.mmap(-1, BLOCK), []
    page.write(bytes([byte]) * BLOCK)

    def attempt():
        try:
            os.pwrite(fd, page, 0)
            result.append(0)
        except OSError as error:
            result.append(error.errno)
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(WRITE_S)
    expect(result, f'a write has no end within {WRITE_S} s')
    return result[0]


def name_of(code):
    return errno.errorcode.get(code, str(code))


class Run:
    def __init__(self, plan):
        self.plan, self.target = plan, Target()
        self.generation, self.shared = 0x100, False

    def truth(self):
        state = self.target.state()
        return state['holder'], state['type'], state['keys']

    def prepare(self, row):
        """A target that nobody knows, and whoever else is registered there."""
        self.generation += 0x100
        self.shared = 'pr_shared' in row['features']
        self.target('reset', generation=self.generation)
        for call in row['before']:
            self.target(**call)

    def agrees(self, device, reserved):
        """Status and target say the same, and an owner is alone: nothing, or where they differ."""
        status, state = device.status(), self.target.state()
        own = state['keys'].count(K)
        wanted = {'state': 'owner' if reserved else 'no_reserve', 'gate': 'open'}
        if reserved:
            wanted |= {'keys_own': str(own), 'keys_foreign': str(len(state['keys']) - own),
                       'gen': str(state['generation'])}
        different = {key: (status.get(key), value) for key, value in wanted.items()
                     if status.get(key) != value}
        if reserved and not self.shared and own != len(state['keys']):
            different['not evicted'] = len(state['keys']) - own
        if (state['holder'] == K) != reserved:
            different['target'] = state['holder'], state['holder_nexus']
        return different

    def nothing_left(self, row, device, before):
        """What an open that failed did is undone, or known."""
        holder, kind, keys = self.truth()
        own = keys.count(K)
        if row['stays'] and device.status()['keys_own'] == str(own):
            keys = [key for key in keys if key != K]
        return (holder, kind, keys) == before

    def gate_is_shut(self, device):
        status = device.status()
        expect(status['gate'] == 'closed', f'gate: {status}')
        expect(status['state'] not in ('owner', 'no_reserve'), f'state: {status}')
        before = self.target.writes()
        fd, _ = device.open('bypass')
        code = write(fd, 0x66)
        os.close(fd)
        expect(name_of(code) == 'EBADE', 'a write that no session asked for:', name_of(code))
        expect(self.target.writes() == before, 'it reached the target')

    def watcher(self):
        """A condition: an owner's watcher knows the keys, and only reads who holds the LUN."""
        seen = None

        def knows():
            nonlocal seen
            counts = self.target.state()['counts'].values()
            keys, holders = (sum(count.get(word, 0) for count in counts) for word in ('5e/0', '5e/1'))
            if seen is None or seen[0] != keys:
                seen = keys, holders
            return holders > seen[1]
        return knows

    def troubled(self, row, device, fd, option):
        """What happens to a session under an answer that comes while it lasts."""
        def status_is():
            status = device.status()
            return all(status.get(word) in value.split('|') for word, value in row['then'].items())
        reserved, fenced = 'no_reserve' not in option, row['then'].get('state') == 'fenced'
        try:
            if row['during']:
                expect(poll(lambda: not self.agrees(device, reserved)), 'at first:', device.status(),
                       self.agrees(device, reserved))
                expect(not reserved or poll(self.watcher()), 'the watcher goes on reading keys')
                self.target('rules', rules=row['during'])
            held = self.truth()
            for _ in range(row['writes']):
                self.written = name_of(write(fd, 0x42))
            expect(not row['during'] or
                   poll(lambda: all(count >= row['uses'] for count in self.target('used')), 40),
                   'rules applied:', self.target('used'))
            expect(poll(status_is, 40), 'status', device.status(), 'expected', row['then'])
            for word, most in row['most'].items():
                count = sum(c.get(word, 0) for c in self.target.state()['counts'].values())
                expect(count <= most, f'{word} was sent {count} times, expected {most} at most')
            if device.status()['gate'] == 'closed':
                before = self.target.writes()
                expect(name_of(write(fd, 0x42)) == 'EBADE', 'a write while the gate is closed')
                expect(self.target.writes() == before, 'it reached the target')
            if row['written']:
                expect(self.written in row['written'].split('|'), 'write:', self.written)
            # Whatever it was told, it changed nothing.
            expect(self.truth() == held, 'target:', self.truth(), 'before:', held)
        finally:
            os.close(fd)
        for word, value in row['closed'].items():
            expect(poll(lambda: device.status()[word] == value), 'closed:', device.status())
        self.target('rules', rules=[])
        if 'retain' in option and not fenced:
            self.given_back(device)
        expect(poll(lambda: device.status()['state'] in ('free', 'foreign'), 40), 'closed:',
               device.status())
        # A fenced session leaves alone what it was told is not its own.
        if not fenced:
            expect(poll(lambda: self.truth()[0] != K), 'closed:', self.truth())

    def given_back(self, device):
        """The last close retained it; a message releases it."""
        expect(poll(lambda: device.status()['state'] == 'retained'), 'retained:', device.status())
        expect(self.truth()[0] == K, 'retained:', self.truth())
        self.target('rules', rules=[])
        expect(device.message('pr_release') == 0, 'pr_release')

    def session(self, device, fd, option, asks=None):
        """What an open that succeeded has to look like, and its close.

        asks: a command for the session to send, and what must come of it.
        """
        reserved = 'no_reserve' not in option
        try:
            different = {}

            def same():
                nonlocal different
                different = self.agrees(device, reserved)
                return not different
            expect(poll(same), f'status and target, should be: {different}')
            expect(write(fd, 0x41) == 0, 'a write of the session fails')
            writer = self.target.state()['writers'].get('0', 'nobody')
            expect(writer.startswith('a:'), 'the block was written by', writer)
            if asks:
                # A unit attention is the first answer of a path.
                expect(poll(lambda: ask(fd, asks['cdb']) == asks['answer'], 5), 'asked through the device:',
                       ask(fd, asks['cdb']), 'expected', asks['answer'])
                expect(poll(same), f'status and target afterwards, should be: {different}')
        finally:
            os.close(fd)
        if 'retain' in option:
            self.given_back(device)
        expect(poll(lambda: device.status()['state'] in ('free', 'foreign')), 'closed:', device.status())
        expect(self.truth()[0] != K, 'closed:', self.truth())

    def settled(self, device):
        """Nothing of the open before is under way."""
        expect(poll(lambda: device.status()['opens'] == '0'), 'opens:', device.status())
        # A command without an answer keeps its path until the midlayer ends it.
        expect(poll(lambda: not self.target.state()['waiting'], 60), 'commands of the open before')
        expect(poll(device.paths_work, 60), 'paths after the open before:', device.line())

    def one(self, row, device, option):
        """One open of a row; returns the seconds that it took."""
        wanted = row['ends'][option]
        self.settled(device)
        self.prepare(row)
        before = self.truth()
        self.target('rules', rules=row['rules'])
        start = time.monotonic()
        fd, code = device.open(option)
        took = time.monotonic() - start
        try:
            expect(code in wanted, f'open: {name_of(code)}, expected', *map(name_of, wanted))
            expect(took <= row['bound'], f'the open took {took:.1f} s, expected {row["bound"]}')
            if option in row['met']:
                expect(poll(lambda: all(self.target('used')), 5), 'the open did not meet the rules')
        except Wrong:
            if fd is not None:
                os.close(fd)
            raise
        if fd is not None and row['then']:
            self.troubled(row, device, fd, option)
        elif fd is not None:
            self.session(device, fd, option, row['asks'])
            self.target('rules', rules=[])
        else:
            self.gate_is_shut(device)
            self.target('rules', rules=[])
            self.gate_is_shut(device)
            expect(poll(lambda: self.nothing_left(row, device, before), 30),
                   'left at the target:', self.truth(), 'before:', before, device.status())
        return took

    @staticmethod
    def missing(row, log):
        return [word for word in row['words'] if word not in log.read()]

    def honest(self, row, device):
        """The trouble is over: the device works, and a path that was lost is registered no more."""
        self.settled(device)
        if row['before']:
            self.prepare({**row, 'before': []})
        fd, code = device.open('forced')
        expect(code == 0, 'with an honest target again:', name_of(code))
        self.session(device, fd, 'forced')

    def row(self, row):
        features = f'pr_key {K:#x} pr_poll 1 path_check 1 pr_register open {row["features"]}'.split()
        table = self.plan['table'].format(f'{len(features)} {" ".join(features)}')
        device, log, option, took = Device('mp0', table), Log(), '', []
        try:
            for option in row['options']:
                took.append(self.one(row, device, option))
            option = 'in the end'
            if self.missing(row, log):
                # The module's lines are limited in number; the next may pass.
                time.sleep(RATELIMIT_S)
                self.one(row, device, row['options'][0])
            expect(not self.missing(row, log), self.missing(row, log), 'not in:', log.read())
            self.honest(row, device)
        except Wrong as wrong:
            return f'not ok {row["name"]}, {option}: {wrong}\n{self.context(device, log)}'
        finally:
            self.target('rules', rules=[])
            device.remove()
        left = self.target.state()
        if K in left['keys']:
            return f'not ok {row["name"]}: left after the removal: {left}'
        return f'ok {row["name"]}: ' + ' '.join(f'{seconds:.1f}' for seconds in took)

    def context(self, device, log):
        commands = self.target('log')[-30:]
        lines = re.findall('.*prmpath.*', log.read())[-12:]
        return '\n'.join([f'  status {device.status()}', f'  target {self.target.state()}',
                          f'  commands {commands}', *('  ' + line for line in lines)])

    def all(self):
        good = True
        for row in self.plan['rows']:
            verdict = self.row(row)
            print(verdict, flush=True)
            good = good and verdict.startswith('ok ')
        return good


if __name__ == '__main__':
    with open(sys.argv[1]) as file:
        sys.exit(not Run(json.load(file)).all())
