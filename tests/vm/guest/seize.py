#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Register a path and preempt a key from it, one command right after the other.

Two runs of sg_persist leave an owner's watcher the time to remove the registration.
usage: seize.py DEVICE KEY VICTIM TYPE ACTION
keys in hexadecimal; ACTION preempt or preempt-abort; exit code 1: not done
"""
import array
import fcntl
import os
import struct
import sys

SG_IO = 0x2285
TO_DEVICE = -2
PERSISTENT_RESERVE_OUT = 0x5f
REGISTER_AND_IGNORE = 6
ACTIONS = {'preempt': 4, 'preempt-abort': 5}
CHECK_CONDITION, UNIT_ATTENTION = 2, 6
HEADER = struct.Struct('@iiBBHIPPPIIiPBBBBHHiII4x')
ATTEMPTS = 8                # a unit attention takes an attempt


def send(device, action, kind, key, action_key):
    """Status, host status and sense key of one PERSISTENT RESERVE OUT."""
    cdb = array.array('B', struct.pack('>BBB4xH', PERSISTENT_RESERVE_OUT, action, kind, 24) + b'\0')
    data = array.array('B', struct.pack('>QQ8x', key, action_key))
    sense = array.array('B', bytes(32))
    header = bytearray(HEADER.pack(
        ord('S'), TO_DEVICE, len(cdb), len(sense), 0, len(data), data.buffer_info()[0],
        cdb.buffer_info()[0], sense.buffer_info()[0], 20000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    fcntl.ioctl(device, SG_IO, header)
    answer = HEADER.unpack(header)
    return answer[13], answer[17], sense[2] & 0xf


def persist(device, *words):
    for _ in range(ATTEMPTS):
        status, host, key = send(device, *words)
        if (status, host, key) != (CHECK_CONDITION, 0, UNIT_ATTENTION):
            break
    if status or host:
        sys.exit(f'action {words[0]}: status {status:#x}, host status {host:#x}, sense key {key:#x}')


def main():
    path, key, victim, kind = sys.argv[1], *(int(word, 16) for word in sys.argv[2:5])
    action = ACTIONS[sys.argv[5]]
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    persist(device, REGISTER_AND_IGNORE, 0, 0, key)
    persist(device, action, kind, key, victim)


if __name__ == '__main__':
    main()
