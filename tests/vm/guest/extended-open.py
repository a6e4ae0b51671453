# SPDX-License-Identifier: GPL-2.0-only
"""The extended open's system calls, without the library.

usage: extended-open.py FILE rw|ro|none OPTIONS [RESERVED]

Opens FILE with O_NONBLOCK, or with "none" takes it as a descriptor number, and
passes it on. Prints OK or the error's name.
"""
import errno
import fcntl
import os
import struct
import sys

PRM_IOC_OPEN = 1 << 30 | 16 << 16 | 0xdb << 8 | 1

name, mode, options = sys.argv[1], sys.argv[2], int(sys.argv[3], 0)
reserved = int(sys.argv[4], 0) if len(sys.argv) > 4 else 0
flags = {'rw': os.O_RDWR, 'ro': os.O_RDONLY}
fd = int(name) if mode == 'none' else os.open(name, flags[mode] | os.O_NONBLOCK)
control = os.open('/dev/prmpath-control', os.O_RDONLY)
try:
    fcntl.ioctl(control, PRM_IOC_OPEN, struct.pack('=iIQ', fd, options, reserved))
    print('OK')
except OSError as error:
    print(errno.errorcode[error.errno])
