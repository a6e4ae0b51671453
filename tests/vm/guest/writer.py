# SPDX-License-Identifier: GPL-2.0-only
"""Writes numbered 4 KiB blocks with O_DIRECT, or shows them.

writer.py write DEVICE NAME FIRST THREADS	until killed, or one write fails
writer.py read DEVICE FIRST			NAME and number in each block

Write n of thread i goes to block FIRST + i * SPAN + n % SPAN. A writer prints a
line per write that was acknowledged, and after an error it keeps DEVICE open.
"""
import errno
import mmap
import os
import sys
import threading
import time

BLOCK = 4096
SPAN = 64
PACE = 0.02


def write(fd, name, first, thread):
    buffer = mmap.mmap(-1, BLOCK)
    for n in range(1 << 30):
        buffer[:] = f'{name} {n}\n'.encode().ljust(BLOCK, b'.')
        try:
            os.pwrite(fd, buffer, (first + thread * SPAN + n % SPAN) * BLOCK)
        except OSError as error:
            print(f'error {errno.errorcode[error.errno]} {thread} {n}', flush=True)
            return
        print(f'wrote {thread} {n}', flush=True)
        time.sleep(PACE)


def write_all(device, name, first, threads):
    fd = os.open(device, os.O_RDWR | os.O_DIRECT)
    print('open', flush=True)
    for thread in range(int(threads)):
        threading.Thread(target=write, args=(fd, name, int(first), thread)).start()
    threading.Event().wait()


def read(device, first):
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT | os.O_NONBLOCK)
    buffer = mmap.mmap(-1, BLOCK)
    for block in range(int(first), int(first) + SPAN):
        os.preadv(fd, [buffer], block * BLOCK)
        print(block, buffer[:].split(b'\n')[0][:32].decode(errors='replace').strip('\0') or '-')


if __name__ == '__main__':
    {'write': write_all, 'read': read}[sys.argv[1]](*sys.argv[2:])
