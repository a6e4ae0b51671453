# SPDX-License-Identifier: GPL-2.0-only
"""Runs in a guest: many at once open, reload, suspend, remove and yank one device.

usage: actors.py PLAN		a file of JSON, see class Plan

Each actor is a thread that does a number of rounds, drawn from a seed, and counts
what came of each operation: "ok" or the name of an errno. The counts, and the
longest time that each operation took, are printed as JSON when all have ended.
What may come of an operation is the case's to judge.
"""
import collections
import ctypes
import errno
import fcntl
import glob
import json
import mmap
import os
import random
import struct
import sys
import threading
import time

# <linux/dm-ioctl.h>
DM_HEADER = struct.Struct('=3I2IIiI2IQ128s129s7x')
DM_SPEC = struct.Struct('=QQiI16s')
(CREATE, REMOVE, SUSPEND, STATUS, LOAD, CLEAR, DEPS, TABLE, MESSAGE) = (
    3, 4, 6, 7, 9, 10, 11, 12, 14)
SUSPENDED, PERSISTENT, STATUS_TABLE, SKIP_LOCKFS, NOFLUSH, INACTIVE, DEFERRED = (
    1 << 1, 1 << 3, 1 << 4, 1 << 10, 1 << 11, 1 << 12, 1 << 17)
BUFFER = 16384

# uapi/prmpath.h
PRM_IOC_OPEN = 1 << 30 | 16 << 16 | 0xdb << 8 | 1
PRM_FORCED, PRM_RETAIN, PRM_NO_RESERVE, PRM_SINGLE, PRM_BYPASS = 1, 2, 4, 8, 16

BLOCK = 4096
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_DELETE_MODULE, SYS_FINIT_MODULE = 176, 313      # x86_64


def dm_ioctl(command, name, flags=0, payload=b'', targets=0, dev=0):
    control = os.open('/dev/mapper/control', os.O_RDWR)
    try:
        head = DM_HEADER.pack(4, 0, 0, BUFFER, DM_HEADER.size, targets, 0, flags, 0, 0, dev,
                              name.encode(), b'')
        buffer = bytearray((head + payload).ljust(BUFFER, b'\0'))
        fcntl.ioctl(control, 3 << 30 | DM_HEADER.size << 16 | 0xfd << 8 | command, buffer)
        return buffer
    finally:
        os.close(control)


def dm_load(name, sectors, kind, words):
    text = words.encode() + b'\0'
    text += b'\0' * (-len(text) % 8)
    spec = DM_SPEC.pack(0, sectors, 0, DM_SPEC.size + len(text), kind.encode())
    dm_ioctl(LOAD, name, payload=spec + text, targets=1)


def dm_message(name, text):
    dm_ioctl(MESSAGE, name, payload=struct.pack('=Q', 0) + text.encode() + b'\0')


class Plan:
    """seed; device; minor; sectors; module (file); addresses (H:C:T of each path);
    tables: {name: [target, words, which paths]}, "{paths}" in the words becomes groups and
    paths, "{first}" the first path; home: the name of the table to begin and end with;
    actors: [[kind, rounds, {words}]...].
    """

    def __init__(self, path):
        with open(path) as file:
            self.__dict__.update(json.load(file))
        self.number = f'/dev/dm-{self.minor}'
        with open('/proc/devices') as file:
            self.major = next(int(line.split()[0]) for line in file
                              if line.split()[1:] == ['device-mapper'])
        self.lock = threading.Lock()
        self.counts = collections.defaultdict(collections.Counter)
        self.longest = collections.Counter()

    def attempt(self, name, function, *args, **words):
        """Do it, count what came of it; return (whether it did not fail, its result)."""
        begin = time.monotonic()
        outcome, result = 'ok', None
        try:
            result = function(*args, **words)
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, str(error.errno))
        with self.lock:
            self.counts[name][outcome] += 1
            self.longest[name] = max(self.longest[name], time.monotonic() - begin)
        return outcome == 'ok', result

    def path(self, address):
        """major:minor of the disk there now, or None."""
        for file in glob.glob(f'/sys/class/scsi_device/{address}:0/device/block/*/dev'):
            try:
                with open(file) as text:
                    return text.read().strip()
            except OSError:
                pass
        return None

    def table(self, name):
        kind, words, which = self.tables[name]
        paths = [number for number in (self.path(self.addresses[i]) for i in which) if number]
        if '{' in words and not paths:
            return None
        members = ' '.join(f'{path} 1' for path in paths)
        return kind, words.format(paths=f'1 1 round-robin 0 {len(paths)} 1 {members}',
                                  first=paths[0] if paths else '')

    def load(self, name, what='load'):
        table = self.table(name)
        if table is None:
            with self.lock:
                self.counts[what]['no path'] += 1
            return False
        return self.attempt(what, dm_load, self.device, self.sectors, *table)[0]

    def suspend(self, flags=0):
        return self.attempt('suspend', dm_ioctl, SUSPEND, self.device, SUSPENDED | flags)[0]

    def resume(self):
        return self.attempt('resume', dm_ioctl, SUSPEND, self.device)[0]

    def create(self):
        return self.attempt('create', dm_ioctl, CREATE, self.device, PERSISTENT,
                            dev=os.makedev(self.major, self.minor))[0]


# Actors: what one does in a round

def use(plan, draw, fd):
    """Writes of all kinds, or none."""
    for _ in range(draw.randrange(3)):
        block = draw.randrange(256) * BLOCK
        if plan.attempt('write', os.pwrite, fd, bytes([draw.randrange(256)]) * BLOCK, block)[0] \
                and draw.randrange(3) == 0:
            plan.attempt('fsync', os.fsync, fd)


def open_write(plan, draw, flags=0, name='open'):
    """open(2) for writing; the last close may be a dirty one."""
    done, fd = plan.attempt(name, os.open, plan.number, os.O_RDWR | flags)
    if done:
        use(plan, draw, fd)
        plan.attempt('close', os.close, fd)


def open_bypass(plan, draw):
    open_write(plan, draw, os.O_NONBLOCK, 'open bypass')


def open_direct(plan, draw):
    done, fd = plan.attempt('open', os.open, plan.number, os.O_RDWR | os.O_DIRECT)
    if not done:
        return
    buffer = mmap.mmap(-1, BLOCK)
    for _ in range(draw.randrange(4)):
        place = draw.randrange(256) * BLOCK
        if draw.randrange(2):
            plan.attempt('write direct', os.pwrite, fd, buffer, place)
        else:
            plan.attempt('read direct', os.preadv, fd, [buffer], place)
    plan.attempt('close', os.close, fd)


def open_read(plan, draw):
    done, fd = plan.attempt('open read', os.open, plan.number, os.O_RDONLY)
    if done:
        plan.attempt('read', os.pread, fd, BLOCK, draw.randrange(256) * BLOCK)
        plan.attempt('close', os.close, fd)


def open_extended(plan, draw):
    done, fd = plan.attempt('open bypass', os.open, plan.number, os.O_RDWR | os.O_NONBLOCK)
    if not done:
        return
    done, control = plan.attempt('open control', os.open, '/dev/prmpath-control', os.O_RDONLY)
    if done:
        options = draw.choice((0, PRM_NO_RESERVE, PRM_SINGLE, PRM_BYPASS))
        if plan.attempt('open extended', fcntl.ioctl, control, PRM_IOC_OPEN,
                        struct.pack('=iIQ', fd, options, 0))[0]:
            use(plan, draw, fd)
        os.close(control)
    plan.attempt('close', os.close, fd)


def reload(plan, draw, tables=()):
    name = draw.choice(tables)
    if plan.load(name):
        if draw.randrange(3) == 0:
            plan.suspend(draw.choice((0, NOFLUSH, SKIP_LOCKFS, NOFLUSH | SKIP_LOCKFS)))
        if draw.randrange(6):
            plan.resume()
        else:
            plan.attempt('clear', dm_ioctl, CLEAR, plan.device)
            plan.resume()


def pause(plan, draw):
    plan.suspend(draw.choice((0, NOFLUSH, SKIP_LOCKFS, NOFLUSH | SKIP_LOCKFS)))
    plan.resume()


def remove(plan, draw):
    """Removed plainly, deferred or by force, and made again."""
    way = draw.randrange(3)
    if way == 2:
        dm = plan.attempt('load error', dm_load, plan.device, plan.sectors, 'error', '')
        if dm[0]:
            plan.suspend(NOFLUSH)
            plan.resume()
    plan.attempt('remove deferred' if way == 1 else 'remove', dm_ioctl, REMOVE, plan.device,
                 DEFERRED if way == 1 else 0)
    plan.create()
    if plan.load(draw.choice(list(plan.tables))):
        plan.resume()


def unload(plan, draw):
    """The module goes if it can, and comes back."""
    def call(*args):
        if LIBC.syscall(*args) < 0:
            raise OSError(ctypes.get_errno(), '')
    if plan.attempt('rmmod', call, SYS_DELETE_MODULE, b'dm_prmpath', os.O_NONBLOCK)[0]:
        with open(plan.module, 'rb') as file:
            plan.attempt('insmod', call, SYS_FINIT_MODULE, file.fileno(), b'', 0)


def message(plan, draw, texts=()):
    text = draw.choice(texts)
    name = 'message ' + text.split()[0]
    if '{path}' in text:
        text = text.format(path=plan.path(draw.choice(plan.addresses)) or '0:0')
    plan.attempt(name, dm_message, plan.device, text)


def look(plan, draw):
    command, flags = draw.choice(((TABLE, 0), (TABLE, STATUS_TABLE), (TABLE, NOFLUSH),
                                  (TABLE, INACTIVE | STATUS_TABLE), (DEPS, 0), (STATUS, 0)))
    plan.attempt('status', dm_ioctl, command, plan.device, flags)


def yank(plan, draw, which=()):
    """A path's disk is deleted, found again and put into the table."""
    address = plan.addresses[draw.choice(which)]
    host, channel, target = address.split(':')

    def echo(text, file):
        with open(file, 'w') as out:
            out.write(text)
    plan.attempt('delete', echo, '1', f'/sys/class/scsi_device/{address}:0/device/delete')
    plan.attempt('scan', echo, f'{channel} {target} -', f'/sys/class/scsi_host/host{host}/scan')
    # A table knows the disks it was loaded with: somebody has to load another.
    if plan.load(plan.home):
        plan.resume()


def wait_for_disks(plan):
    """A scan of a deleted disk that is still going may have found nothing."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        missing = [address for address in plan.addresses if not plan.path(address)]
        if not missing:
            return
        for address in missing:
            host, channel, target = address.split(':')
            with open(f'/sys/class/scsi_host/host{host}/scan', 'w') as out:
                out.write(f'{channel} {target} -')
        time.sleep(0.1)
    sys.exit(f'no disk at {missing}')


BEGINNINGS = 200

ACTORS = {function.__name__: function for function in (
    open_write, open_bypass, open_direct, open_read, open_extended, reload, pause, remove,
    unload, message, look, yank)}


def main():
    plan = Plan(sys.argv[1])

    def act(index, kind, rounds, words):
        draw = random.Random(f'{plan.seed} {index}')
        for _ in range(rounds):
            ACTORS[kind](plan, draw, **words)

    plan.create()
    # Allocations may fail already.
    if not any(plan.load(plan.home) and plan.resume() for _ in range(BEGINNINGS)):
        sys.exit(f'cannot begin: {dict(plan.counts)}')
    threads = [threading.Thread(target=act, args=(index, *actor))
               for index, actor in enumerate(plan.actors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for_disks(plan)
    print(json.dumps({'counts': plan.counts, 'longest': plan.longest}))


if __name__ == '__main__':
    main()
