#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A disk with persistent reservations that answers as a test tells it to: an iSCSI target.

Left alone it is an honest SPC-4 device: registrations per I_T nexus (initiator name, ISID,
target), types 1, 3 and 5 to 8, unit attentions, ALUA with a group for each path if --tpgs
says so. Rules, set through a control port (one JSON
object a line), make it answer a command otherwise: a status, a sense, other data, a wrong
residual, late, never, or by dropping the connection, with the command done or not done.
What it truly holds and what it received can be asked for at any time. tests/hostile/README.md
has the words of a rule.

One connection per session, no CHAP, no digests, error recovery level 0, one LUN.
"""
import argparse
import asyncio
import collections
import itertools
import json
import mmap
import struct
import time

BLOCK = 512
GOOD, CHECK, BUSY, CONFLICT, TASK_SET_FULL, ABORTED = 0x00, 0x02, 0x08, 0x18, 0x28, 0x40
PR_IN, PR_OUT = 0x5e, 0x5f
MAINTENANCE_IN, MAINTENANCE_OUT, TARGET_PORT_GROUPS = 0xa3, 0xa4, 0x0a
WITH_ACTION = (PR_IN, PR_OUT, MAINTENANCE_IN, MAINTENANCE_OUT)
NO_TAG = 0xffffffff
WINDOW = 64

WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS = (1, 5, 7), (3, 6, 8)
REGISTRANTS_ONLY, ALL_REGISTRANTS = (5, 6), (7, 8)
TYPES = WRITE_EXCLUSIVE + EXCLUSIVE_ACCESS
MULTI = REGISTRANTS_ONLY + ALL_REGISTRANTS

REPORTS_ATTENTION_NOT = (0x03, 0x12, 0xa0)          # REQUEST SENSE, INQUIRY, REPORT LUNS
READS, WRITES = (0x08, 0x28, 0xa8, 0x88), (0x0a, 0x2a, 0xaa, 0x8a)
CHANGES = WRITES + (0x35, 0x91, 0x42, 0x41, 0x93, 0x1b, 0x04, 0x15, 0x55, MAINTENANCE_OUT)

CLEARED, RELEASED, PREEMPTED = (0x2a, 3), (0x2a, 4), (0x2a, 5)
ACCESS_CHANGED = (0x2a, 6)

# Asymmetric access states: their number, the sense of what they refuse, and what they take
# (None: everything).
ANYWHERE = (0x03, 0x12, 0xa0)
STATES = {
    'optimized': (0, None, None), 'nonoptimized': (1, None, None),
    'standby': (2, (2, 4, 0x0b), ANYWHERE + (0x1a, 0x5a, *WITH_ACTION)),
    'unavailable': (3, (2, 4, 0x0c), ANYWHERE + (MAINTENANCE_IN, MAINTENANCE_OUT)),
    'offline': (14, (2, 4, 0x12), ANYWHERE),
    'transitioning': (15, (2, 4, 0x0a), ANYWHERE + (MAINTENANCE_IN,)),
}
SUPPORTED_STATES = 0xcf                             # all of them


def sense(key, asc, ascq):
    """Fixed format, current."""
    return bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0])


class Status(Exception):
    """A command ends otherwise than GOOD."""

    def __init__(self, status, sense_data=b''):
        super().__init__(status)
        self.status, self.sense = status, sense_data


def check(key, asc, ascq):
    return Status(CHECK, sense(key, asc, ascq))


INVALID_OPCODE, INVALID_FIELD = (5, 0x20, 0), (5, 0x24, 0)
INVALID_LIST, INVALID_LENGTH = (5, 0x26, 0), (5, 0x1a, 0)


def action_of(cdb):
    return cdb[1] & 31 if cdb[0] in WITH_ACTION else 0


class Nexus:
    """An initiator port, through one target port. It outlives its sessions."""

    def __init__(self, initiator, isid, path):
        self.initiator, self.isid, self.path = initiator, isid, path
        self.attentions = [(0x29, 0)]
        self.access = 'optimized'           # as it was told
        self.counts = collections.Counter()

    def attention(self, code):
        if code not in self.attentions:
            self.attentions.append(code)

    def __str__(self):
        return f'{self.initiator.rsplit("-", 1)[-1]}:{self.path}'

    def transport_id(self):
        name = f'{self.initiator},i,0x{self.isid}'.encode() + b'\0'
        name += b'\0' * (-len(name) % 4)
        return struct.pack('>BBH', 0x45, 0, len(name)) + name


class Device:
    """The logical unit.

    tpgs: as in INQUIRY; governing(path): the rule that decides about its access state.
    """

    def __init__(self, megabytes, tpgs, governing):
        self.tpgs, self.governing = tpgs, governing
        self.blocks = (megabytes << 20) // BLOCK
        self.store = mmap.mmap(-1, megabytes << 20)
        self.nexuses = {}
        self.reset()

    def reset(self, generation=0):
        """As manufactured."""
        self.keys = {}                      # nexus -> key
        self.holder, self.type, self.generation = None, 0, generation
        self.writers = {}                   # 4 KiB block -> nexus that wrote it last
        self.log = collections.deque(maxlen=4000)
        self.number = itertools.count(1)
        for nexus in self.nexuses.values():
            nexus.attentions.clear()
            nexus.access = 'optimized'
            nexus.counts.clear()

    def nexus(self, initiator, isid, path):
        ident = initiator, isid, path
        if ident not in self.nexuses:
            self.nexuses[ident] = Nexus(*ident)
        return self.nexuses[ident]

    def holds(self, nexus):
        if self.type in ALL_REGISTRANTS:
            return nexus in self.keys
        return self.holder is nexus

    # Commands

    def execute(self, nexus, cdb, data):
        """Returns data-in; raises Status."""
        access = self.state(nexus.path)
        if access != nexus.access and access != 'transitioning':
            nexus.attention(ACCESS_CHANGED)
        nexus.access = access
        if nexus.attentions and cdb[0] not in REPORTS_ATTENTION_NOT:
            raise check(6, *nexus.attentions.pop(0))
        self.check_access(nexus, cdb)
        self.check_reservation(nexus, cdb)
        function = COMMANDS.get(cdb[0])
        if not function:
            raise check(*INVALID_OPCODE)
        return function(self, nexus, cdb, data)

    def state(self, path):
        rule = self.governing(path)
        return rule.words['alua'] if rule else 'optimized'

    def check_access(self, nexus, cdb):
        _, refusal, taken = STATES[nexus.access]
        rule = self.governing(nexus.path)
        if rule:
            rule.met()
        if taken is not None and cdb[0] not in taken:
            raise check(*refusal)

    def check_reservation(self, nexus, cdb):
        if not self.type or self.holds(nexus):
            return
        if nexus in self.keys and self.type in MULTI:
            return
        if cdb[0] in CHANGES or cdb[0] in READS and self.type in EXCLUSIVE_ACCESS:
            raise Status(CONFLICT)

    def inquiry(self, nexus, cdb, _data):
        length = int.from_bytes(cdb[3:5], 'big')
        if not cdb[1] & 1:
            if cdb[2]:
                raise check(*INVALID_FIELD)
            return (bytes([0, 0, 6, 0x12, 91, self.tpgs << 4, 0, 2])
                    + b'PRM-TEST' + b'HOSTILE TARGET  ' + b'0001').ljust(96, b'\0')[:length]
        unit = b'prm-hostile-0'
        designators = (bytes([1, 3, 0, 8]) + bytes.fromhex('5001405a11ce0001')
                       + bytes([1, 0x14, 0, 4, 0, 0, 0, nexus.path + 1])
                       + (bytes([1, 0x15, 0, 4, 0, 0, 0, nexus.path + 1]) if self.tpgs else b''))
        pages = {0x00: bytes([0x00, 0x80, 0x83]), 0x80: unit, 0x83: designators}
        if cdb[2] not in pages:
            raise check(*INVALID_FIELD)
        page = pages[cdb[2]]
        return (struct.pack('>BBH', 0, cdb[2], len(page)) + page)[:length]

    def read_capacity_10(self, _nexus, _cdb, _data):
        return struct.pack('>II', min(self.blocks - 1, 0xffffffff), BLOCK)

    def service_action_in(self, _nexus, cdb, _data):
        if cdb[1] & 31 != 0x10:
            raise check(*INVALID_FIELD)
        length = int.from_bytes(cdb[10:14], 'big')
        return struct.pack('>QI', self.blocks - 1, BLOCK).ljust(32, b'\0')[:length]

    def mode_sense(self, _nexus, cdb, _data):
        caching = bytes([0x08, 0x12]) + bytes(0x12)
        pages = caching if cdb[2] & 0x3f in (0x08, 0x3f) else b''
        if cdb[0] == 0x1a:
            return (bytes([3 + len(pages), 0, 0, 0]) + pages)[:cdb[4]]
        header = struct.pack('>HBBHH', 6 + len(pages), 0, 0, 0, 0)
        return (header + pages)[:int.from_bytes(cdb[7:9], 'big')]

    def request_sense(self, _nexus, cdb, _data):
        return sense(0, 0, 0)[:cdb[4]]

    def report_luns(self, _nexus, cdb, _data):
        return struct.pack('>IIQ', 8, 0, 0)[:int.from_bytes(cdb[6:10], 'big')]

    def report_groups(self, _nexus, cdb, _data):
        """REPORT TARGET PORT GROUPS: a path is a group of one port."""
        self.check_maintenance(cdb, 3)
        body = bytes([0x10, 0, 0, 0]) if cdb[1] >> 5 == 1 else b''
        for path in range(PATHS):
            body += struct.pack('>BBHBBBBHH', STATES[self.state(path)][0], SUPPORTED_STATES, path + 1,
                                0, 0, 0, 1, 0, path + 1)
        return (struct.pack('>I', len(body)) + body)[:int.from_bytes(cdb[6:10], 'big')]

    def set_groups(self, _nexus, cdb, data):
        """SET TARGET PORT GROUPS, which can only make them optimized."""
        self.check_maintenance(cdb, 2)
        for state, _, group in struct.iter_unpack('>BBH', data[4:len(data) // 4 * 4]):
            if state or not 0 < group <= PATHS:
                raise check(*INVALID_LIST)
            while rule := self.governing(group - 1):
                rule.ended.add(group - 1)
        return b''

    def check_maintenance(self, cdb, tpgs):
        """tpgs: any of these bits must be on."""
        if not self.tpgs & tpgs:
            raise check(*INVALID_OPCODE)
        if cdb[1] & 31 != TARGET_PORT_GROUPS:
            raise check(*INVALID_FIELD)

    def nothing(self, _nexus, _cdb, _data):
        return b''

    @staticmethod
    def extent(cdb):
        """(first block, count) of a READ or WRITE."""
        if cdb[0] in (0x08, 0x0a):
            return int.from_bytes(cdb[1:4], 'big') & 0x1fffff, cdb[4] or 256
        if cdb[0] in (0x28, 0x2a):
            return int.from_bytes(cdb[2:6], 'big'), int.from_bytes(cdb[7:9], 'big')
        if cdb[0] in (0xa8, 0xaa):
            return int.from_bytes(cdb[2:6], 'big'), int.from_bytes(cdb[6:10], 'big')
        return int.from_bytes(cdb[2:10], 'big'), int.from_bytes(cdb[10:14], 'big')

    def checked_extent(self, cdb):
        first, count = self.extent(cdb)
        if first + count > self.blocks:
            raise check(5, 0x21, 0)
        return first, count

    def read(self, _nexus, cdb, _data):
        first, count = self.checked_extent(cdb)
        return self.store[first * BLOCK:(first + count) * BLOCK]

    def write(self, nexus, cdb, data):
        first, count = self.checked_extent(cdb)
        if len(data) < count * BLOCK:
            raise check(0xb, 0x4b, 0)
        self.store[first * BLOCK:(first + count) * BLOCK] = data[:count * BLOCK]
        for number in range(first * BLOCK >> 12, (first + count) * BLOCK + 4095 >> 12):
            self.writers[number] = str(nexus)
        return b''

    # PERSISTENT RESERVE IN

    def pr_in(self, _nexus, cdb, _data):
        function = PR_IN_ACTIONS.get(cdb[1] & 31)
        if not function:
            raise check(*INVALID_FIELD)
        return function(self)[:int.from_bytes(cdb[7:9], 'big')]

    def listed(self, body):
        return struct.pack('>II', self.generation, len(body)) + body

    def read_keys(self):
        return self.listed(b''.join(struct.pack('>Q', key) for key in self.keys.values()))

    def read_reservation(self):
        if not self.type:
            return self.listed(b'')
        key = 0 if self.type in ALL_REGISTRANTS else self.keys[self.holder]
        return self.listed(struct.pack('>QIBBH', key, 0, 0, self.type, 0))

    def report_capabilities(self):
        return struct.pack('>HBBHH', 8, 0x01, 0x81, 0xea01, 0)

    def read_full_status(self):
        body = b''
        for nexus, key in self.keys.items():
            name = nexus.transport_id()
            holds = self.type and self.holds(nexus)
            body += struct.pack('>QIBBIHI', key, 0, 1 if holds else 0, self.type if holds else 0,
                                0, nexus.path + 1, len(name)) + name
        return self.listed(body)

    # PERSISTENT RESERVE OUT

    def pr_out(self, nexus, cdb, data):
        function = PR_OUT_ACTIONS.get(cdb[1] & 31)
        if not function:
            raise check(*INVALID_FIELD)
        if int.from_bytes(cdb[5:9], 'big') != 24 or len(data) < 24:
            raise check(*INVALID_LENGTH)
        key, action_key = struct.unpack_from('>QQ', data)
        if function in (Device.register, Device.register_ignore):
            if data[20] & 0x0c:             # SPEC_I_PT, ALL_TG_PT
                raise check(*INVALID_LIST)
        elif self.keys.get(nexus) != key:
            raise Status(CONFLICT)
        function(self, nexus, cdb[2], key, action_key)
        return b''

    def others_attention(self, nexus, code):
        for other in self.keys:
            if other is not nexus:
                other.attention(code)

    def end_reservation(self, nexus):
        if self.type in MULTI:
            self.others_attention(nexus, RELEASED)
        self.holder, self.type = None, 0

    def drop(self, nexus):
        """Remove one registration, and the reservation that hangs on it."""
        held = self.type and self.holds(nexus)
        del self.keys[nexus]
        if held and (self.type not in ALL_REGISTRANTS or not self.keys):
            self.end_reservation(nexus)

    def register(self, nexus, kind, key, action_key):
        if self.keys.get(nexus, 0) != key:
            raise Status(CONFLICT)
        self.register_ignore(nexus, kind, key, action_key)

    def register_ignore(self, nexus, _kind, _key, action_key):
        if action_key:
            self.keys[nexus] = action_key
        elif nexus in self.keys:
            self.drop(nexus)
        else:
            return
        self.generation += 1

    @staticmethod
    def checked_type(kind):
        if kind >> 4 or kind not in TYPES:
            raise check(*INVALID_FIELD)

    def reserve(self, nexus, kind, _key, _action_key):
        self.checked_type(kind)
        if not self.type:
            self.holder, self.type = nexus, kind
        elif not self.holds(nexus) or kind != self.type:
            raise Status(CONFLICT)

    def release(self, nexus, kind, _key, _action_key):
        if not self.type or not self.holds(nexus):
            return
        if kind != self.type:
            raise check(5, 0x26, 4)
        self.end_reservation(nexus)

    def clear(self, nexus, _kind, _key, _action_key):
        self.others_attention(nexus, CLEARED)
        self.keys.clear()
        self.holder, self.type = None, 0
        self.generation += 1

    def preempt(self, nexus, kind, _key, victim):
        """Returns the nexuses that lost their registration."""
        every = self.type in ALL_REGISTRANTS
        if not victim and not every:
            raise check(*INVALID_LIST)
        takes = every and not victim or \
            bool(self.type) and not every and self.keys[self.holder] == victim
        gone = [other for other, key in self.keys.items()
                if (not victim or key == victim) and not (takes and other is nexus)]
        if victim and not takes and not gone:
            raise Status(CONFLICT)
        if takes:
            self.checked_type(kind)
        changed = takes and kind != self.type
        for other in gone:
            if takes:
                del self.keys[other]
            else:
                self.drop(other)
            if other is not nexus:
                other.attention(PREEMPTED)
        if takes:
            self.holder, self.type = nexus, kind
        if changed:
            self.others_attention(nexus, RELEASED)
        self.generation += 1
        return gone

    def preempt_abort(self, nexus, kind, key, victim):
        for other in self.preempt(nexus, kind, key, victim):
            self.abort(other)

    @staticmethod
    def abort(nexus):
        """Commands of a nexus that are not done yet never will be."""
        for command in list(Command.waiting):
            if command.session.nexus is nexus:
                command.aborted = True
                command.wake.set()


COMMANDS = {
    0x00: Device.nothing, 0x03: Device.request_sense, 0x12: Device.inquiry,
    0x1a: Device.mode_sense, 0x5a: Device.mode_sense, 0x1b: Device.nothing,
    0x1e: Device.nothing, 0x25: Device.read_capacity_10, 0x2f: Device.nothing,
    0x35: Device.nothing, 0x91: Device.nothing, 0x9e: Device.service_action_in,
    MAINTENANCE_IN: Device.report_groups, MAINTENANCE_OUT: Device.set_groups,
    0xa0: Device.report_luns, PR_IN: Device.pr_in, PR_OUT: Device.pr_out,
    **{code: Device.read for code in READS}, **{code: Device.write for code in WRITES},
}
PR_IN_ACTIONS = {0: Device.read_keys, 1: Device.read_reservation,
                 2: Device.report_capabilities, 3: Device.read_full_status}
PR_OUT_ACTIONS = {0: Device.register, 1: Device.reserve, 2: Device.release, 3: Device.clear,
                  4: Device.preempt, 5: Device.preempt_abort, 6: Device.register_ignore}


class Rule:
    """What to answer instead; see README.md. Unknown words are refused."""
    WORDS = {'op', 'sa', 'list', 'path', 'host', 'skip', 'times', 'seconds', 'execute', 'status', 'sense',
             'data', 'cut', 'patch', 'residual', 'overrun', 'delay', 'late', 'mute', 'drop'}
    STATE_WORDS = {'alua', 'path', 'seconds'}

    def __init__(self, words):
        unknown = set(words) - (self.STATE_WORDS if 'alua' in words else self.WORDS)
        if 'alua' in words and words['alua'] not in STATES:
            raise ValueError(f'access state {words["alua"]}, expected one of {list(STATES)}')
        if unknown:
            raise ValueError(f'unknown words in a rule: {sorted(unknown)}')
        self.words, self.get = words, words.get
        self.skip, self.times = words.get('skip', 0), words.get('times')
        self.end = None
        self.used, self.ended = 0, set()
        lies = 'status' in words or 'sense' in words
        self.execute = words.get('execute', not lies and 'data' not in words)

    @staticmethod
    def fits(wanted, value):
        return value in wanted if isinstance(wanted, list) else value == wanted

    def met(self):
        """Its time begins then: however slow the host is, the first command meets it."""
        self.used += 1
        if self.end is None and 'seconds' in self.words:
            self.end = time.monotonic() + self.words['seconds']

    def over(self):
        return self.end is not None and time.monotonic() > self.end

    def governs(self, path):
        """Whether the path's access state is as this rule says."""
        return ('alua' in self.words and self.fits(self.words.get('path', path), path)
                and path not in self.ended and not self.over())

    def matches(self, nexus, op, action, data=b''):
        if 'alua' in self.words:
            return False
        host = nexus.initiator.rsplit('-', 1)[-1]
        for offset, text in self.words.get('list', {}).items():
            raw = bytes.fromhex(text)
            if data[int(offset):int(offset) + len(raw)] != raw:
                return False
        for word, value in ('op', op), ('sa', action), ('path', nexus.path), ('host', host):
            if not self.fits(self.words.get(word, value), value):
                return False
        if self.over():
            return False
        if self.times is not None and self.used >= self.skip + self.times:
            return False
        if self.used < self.skip:
            self.used += 1
            return False
        self.met()
        return True


class Target:
    def __init__(self, megabytes, tpgs):
        self.rules, self.sessions = [], set()
        self.device = Device(megabytes, tpgs, self.governing)

    def rule(self, nexus, op, action, data=b''):
        return next((rule for rule in self.rules if rule.matches(nexus, op, action, data)), None)

    def governing(self, path):
        return next((rule for rule in self.rules if rule.governs(path)), None)

    # The control port

    async def control(self, reader, writer):
        while line := await reader.readline():
            try:
                request = json.loads(line)
                answer = {'ok': getattr(self, 'do_' + request.pop('do'))(**request)}
            except Exception as error:  # pylint: disable=broad-except
                answer = {'error': f'{type(error).__name__}: {error}'}
            writer.write((json.dumps(answer) + '\n').encode())
            await writer.drain()
        writer.close()

    def do_rules(self, rules):
        """Replaces them all; commands that were never answered stay so."""
        self.rules = [Rule(words) for words in rules]

    def do_used(self):
        """How often each rule was applied."""
        return [max(0, rule.used - rule.skip) for rule in self.rules]

    def do_reset(self, generation=0):
        self.rules = []
        self.device.reset(generation)

    def do_keys(self, key, count=1, step=1, holder=False, kind=5):
        """Registrations of hosts that are not there; the last one may hold a reservation."""
        device = self.device
        for key in range(key, key + count * step, step) if step else [key] * count:
            nexus = device.nexus('iqn.2003-01.org.example:ghost-g', f'{len(device.keys):012x}', 0)
            device.keys[nexus] = key
            device.generation += 1
        if holder:
            device.holder, device.type = nexus, kind

    def do_attentions(self, codes, host=None, path=None):
        for nexus in self.device.nexuses.values():
            if (host is None or str(nexus)[0] == host) and path in (None, nexus.path):
                nexus.attentions += [tuple(code) for code in codes]

    def do_go(self):
        """What waits for its time has waited long enough."""
        for command in Command.waiting:
            command.wake.set()

    def do_drop(self, path=None):
        for session in list(self.sessions):
            if path in (None, session.nexus and session.nexus.path):
                session.close()

    def do_state(self):
        """What is true."""
        device = self.device
        return {
            'keys': sorted(device.keys.values()), 'generation': device.generation,
            'registered': {str(nexus): key for nexus, key in device.keys.items()},
            'holder': device.keys[device.holder] if device.holder else None,
            'holder_nexus': str(device.holder) if device.holder else None,
            'type': device.type or None,
            'counts': {str(nexus): dict(nexus.counts) for nexus in device.nexuses.values()
                       if nexus.counts},
            'writers': device.writers, 'waiting': len(Command.waiting),
            'sessions': sorted(str(session.nexus) for session in self.sessions),
        }

    def do_log(self, after=0):
        """Commands since: [number, nexus, operation code, service action, status or null]."""
        return [entry for entry in self.device.log if entry[0] > after]


class Command:
    """A SCSI command that is under way."""
    waiting = set()

    def __init__(self, session, pdu):
        self.session, self.tag, self.lun = session, pdu.tag, pdu.head[8:16]
        self.cdb = pdu.head[32:48]
        self.expected = pdu.word(20)
        self.is_read, self.is_write = bool(pdu.head[1] & 0x40), bool(pdu.head[1] & 0x20)
        self.data = bytearray(self.expected if self.is_write else 0)
        self.received = 0
        self.aborted, self.wake = False, asyncio.Event()

    def take(self, offset, data):
        self.data[offset:offset + len(data)] = data
        self.received = max(self.received, offset + len(data))

    def complete(self):
        return not self.is_write or self.received >= self.expected

    async def run(self, rule):
        """Execute and answer, by the rule if there is one."""
        device, nexus = self.session.target.device, self.session.nexus
        action = action_of(self.cdb)
        name = f'{self.cdb[0]:02x}/{action}' if self.cdb[0] in WITH_ACTION else f'{self.cdb[0]:02x}'
        nexus.counts[name] += 1
        entry = [next(device.number), str(nexus), self.cdb[0], action, None]
        device.log.append(entry)
        get = rule.get if rule else {}.get

        await self.pause(get('delay', 0))
        status, sense_data, data = GOOD, b'', b''
        try:
            if self.aborted:
                raise Status(ABORTED)
            if self.lun[:2] != b'\0\0' and self.cdb[0] not in (0x12, 0xa0):
                raise check(5, 0x25, 0)
            if not rule or rule.execute:
                data = device.execute(nexus, self.cdb, bytes(self.data))
        except Status as end:
            status, sense_data = end.status, end.sense
        if get('mute') or get('late'):
            self.aborted = False
            await self.pause(get('late', 1e9))
            if self.aborted or self.session.closed:
                return
        if get('drop'):
            self.session.close()
            return
        if 'status' in (rule.words if rule else ()) or get('sense'):
            status, sense_data = get('status', CHECK), bytes.fromhex(get('sense', ''))
            data = b''
        if get('data') is not None and status == GOOD:
            data = bytes.fromhex(get('data'))
        for offset, text in (get('patch') or {}).items():
            raw, at = bytes.fromhex(text), int(offset)
            data = data[:at] + raw + data[at + len(raw):]
        data = data[:get('cut', len(data))]
        entry[4] = status
        await self.session.answer(self, status, sense_data, data, get('residual'), get('overrun'))

    async def pause(self, seconds):
        if not seconds:
            return
        Command.waiting.add(self)
        try:
            await asyncio.wait_for(self.wake.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            Command.waiting.discard(self)


class Pdu:
    def __init__(self, head, data):
        self.head, self.data = head, data
        self.opcode, self.immediate = head[0] & 0x3f, bool(head[0] & 0x40)
        self.tag = self.word(16)

    def word(self, at):
        return struct.unpack_from('>I', self.head, at)[0]


def text_keys(data):
    return dict(item.split('=', 1) for item in data.decode().split('\0') if '=' in item)


def text_data(keys):
    return b''.join(f'{name}={value}\0'.encode() for name, value in keys.items())


# What we answer in a login; names that are not here are NotUnderstood.
OFFERS = {
    'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxConnections': '1', 'InitialR2T': 'Yes',
    'ImmediateData': 'Yes', 'MaxBurstLength': '262144', 'FirstBurstLength': '65536',
    'DefaultTime2Wait': '0', 'DefaultTime2Retain': '0', 'MaxOutstandingR2T': '1',
    'DataPDUInOrder': 'Yes', 'DataSequenceInOrder': 'Yes', 'ErrorRecoveryLevel': '0',
    'AuthMethod': 'None',
}
DECLARED = ('InitiatorName', 'InitiatorAlias', 'TargetName', 'SessionType',
            'MaxRecvDataSegmentLength')
BURST = 262144


class Session:
    """One connection, which is the whole session."""
    handles = itertools.count(1)

    def __init__(self, target, reader, writer):
        self.target, self.reader, self.writer = target, reader, writer
        self.nexus, self.names, self.isid = None, {}, ''
        self.stat_sn = self.exp_cmd_sn = 1
        self.handle, self.limit = next(Session.handles), 8192
        self.commands, self.transfers = {}, itertools.count(1)
        self.closed = False

    def close(self):
        self.closed = True
        self.target.sessions.discard(self)
        self.writer.transport.abort()
        for command in self.commands.values():
            command.aborted = True
            command.wake.set()

    async def serve(self):
        try:
            while not self.closed:
                head = await self.reader.readexactly(48)
                length = int.from_bytes(head[5:8], 'big')
                await self.reader.readexactly(head[4] * 4)
                data = await self.reader.readexactly(length + -length % 4)
                await self.receive(Pdu(head, data[:length]))
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            self.close()

    async def receive(self, pdu):
        if pdu.opcode != 0x05 and not pdu.immediate:
            self.exp_cmd_sn = (pdu.word(24) + 1) & 0xffffffff
        elif pdu.opcode == 0x03:
            self.exp_cmd_sn = pdu.word(24)
        handler = HANDLERS.get(pdu.opcode)
        if handler:
            await handler(self, pdu)
        else:
            self.close()

    async def send(self, opcode, flags, tag, data=b'', status=True, lun=bytes(8), fields=()):
        """fields: (offset, 32-bit value); status: this PDU takes a StatSN."""
        if self.closed:
            return
        head = bytearray(48)
        head[0], head[1] = opcode, flags
        head[5:8] = len(data).to_bytes(3, 'big')
        head[8:16] = lun
        struct.pack_into('>I', head, 16, tag)
        struct.pack_into('>III', head, 24, self.stat_sn, self.exp_cmd_sn,
                         (self.exp_cmd_sn + WINDOW - 1) & 0xffffffff)
        for offset, value in fields:
            if value >> 32:                 # a byte
                head[offset] = value & 0xff
            else:
                struct.pack_into('>I', head, offset, value)
        if status:
            self.stat_sn = (self.stat_sn + 1) & 0xffffffff
        try:
            self.writer.write(bytes(head) + data + bytes(-len(data) % 4))
            await self.writer.drain()
        except (ConnectionError, OSError):
            self.close()

    # Login and its like

    async def login(self, pdu):
        self.stat_sn = pdu.word(28)
        self.isid = pdu.head[8:14].hex()
        wanted = text_keys(pdu.data)
        self.names.update(wanted)
        answer = {name: OFFERS.get(name, 'NotUnderstood') for name in wanted if name not in DECLARED}
        self.limit = int(wanted.get('MaxRecvDataSegmentLength', self.limit))
        transit, stage = pdu.head[1] & 0x80, pdu.head[1] >> 2 & 3
        failure = self.check_names()
        if stage == 1 and not failure:
            answer['MaxRecvDataSegmentLength'] = '262144'
        if 'TargetName' in wanted:
            answer['TargetPortalGroupTag'] = '1'
        final = transit and pdu.head[1] & 3 == 3
        if final and not failure and self.names.get('SessionType') != 'Discovery':
            self.begin()
        flags = pdu.head[1] & (0x8f if transit else 0x0c)
        head_fields = [(36, failure << 16)] if failure else []
        # The ISID stands where the LUN does in other PDUs, then the session's handle.
        names = pdu.head[8:14] + struct.pack('>H', self.handle if final else 0)
        await self.send(0x23, 0 if failure else flags, pdu.tag, text_data(answer), lun=names,
                        fields=head_fields)
        if failure:
            self.close()

    def check_names(self):
        """0, or status class and detail."""
        if self.names.get('SessionType') == 'Discovery':
            return 0
        name = self.names.get('TargetName', '')
        if not name.startswith(NAME) or not name[len(NAME):].isdigit():
            return 0x0203
        probe = Nexus(self.names.get('InitiatorName', ''), '', int(name[len(NAME):]))
        return 0x0301 if self.target.rule(probe, 'login', 0) else 0

    def begin(self):
        path = int(self.names['TargetName'][len(NAME):])
        self.nexus = self.target.device.nexus(self.names['InitiatorName'], self.isid, path)
        for other in list(self.target.sessions):
            if other.nexus is self.nexus:
                other.close()
        self.target.sessions.add(self)

    async def text(self, pdu):
        address, port = self.writer.get_extra_info('sockname')[:2]
        answer = b''
        if text_keys(pdu.data).get('SendTargets') is not None:
            answer = b''.join(f'TargetName={NAME}{path}\0TargetAddress={address}:{port},1\0'.encode()
                              for path in range(PATHS))
        await self.send(0x24, 0x80, pdu.tag, answer, fields=[(20, NO_TAG)])

    async def logout(self, pdu):
        await self.send(0x26, 0x80, pdu.tag)
        self.close()

    async def no_op(self, pdu):
        if pdu.tag != NO_TAG:
            await self.send(0x20, 0x80, pdu.tag, pdu.data, fields=[(20, NO_TAG)])

    async def task_management(self, pdu):
        function = pdu.head[1] & 0x7f
        rule = self.target.rule(self.nexus, 'tmf', function)
        self.nexus.counts[f'tmf/{function}'] += 1
        if rule:
            return
        if function == 1:
            victims = [c for c in self.commands.values() if c.tag == pdu.word(20)]
        else:
            victims = [c for s in self.target.sessions for c in s.commands.values()
                       if s is self or function >= 5]
            for nexus in self.target.device.nexuses.values():
                nexus.attention((0x29, 3))
        for command in victims:
            command.session.commands.pop(command.tag, None)
            command.aborted = True
            command.wake.set()
        await self.send(0x22, 0x80, pdu.tag)

    # SCSI commands

    async def command(self, pdu):
        if not self.nexus:
            self.close()
            return
        command = Command(self, pdu)
        self.commands[command.tag] = command
        if command.is_write:
            command.take(0, pdu.data)
        await self.proceed(command)

    async def data_out(self, pdu):
        command = self.commands.get(pdu.tag)
        if not command:
            return
        command.take(pdu.word(40), pdu.data)
        if pdu.head[1] & 0x80:
            await self.proceed(command)

    async def proceed(self, command):
        if not command.complete():
            length = min(command.expected - command.received, BURST)
            await self.send(0x31, 0x80, command.tag, status=False, lun=command.lun,
                            fields=[(20, next(self.transfers)), (40, command.received), (44, length)])
            return
        rule = self.target.rule(self.nexus, command.cdb[0], action_of(command.cdb), command.data)
        asyncio.get_running_loop().create_task(command.run(rule))
        await asyncio.sleep(0)              # in order, as far as nobody waits

    async def answer(self, command, status, sense_data, data, residual=None, overrun=False):
        """residual: what is claimed instead of the truth; overrun: more than asked for."""
        if self.commands.pop(command.tag, None) is None or self.closed:
            return
        room = command.expected if command.is_read else 0
        flags, left = 0, room - len(data)
        if command.is_read and left:
            flags = 0x02 if left > 0 else 0x04
        if residual is not None:
            left, flags = residual, 0x02 if residual else 0
        if not overrun:
            data = data[:room]
        for number, at in enumerate(range(0, len(data), self.limit)):
            part = data[at:at + self.limit]
            last = at + self.limit >= len(data)
            await self.send(0x25, 0x80 if last else 0, command.tag, part, status=False,
                            fields=[(20, NO_TAG), (24, 0), (36, number), (40, at)])
        packed = struct.pack('>H', len(sense_data)) + sense_data if status == CHECK else b''
        await self.send(0x21, 0x80 | flags, command.tag, packed,
                        fields=[(3, 1 << 32 | status),
                                (36, (len(data) + self.limit - 1) // self.limit),
                                (44, abs(left) if flags else 0)])


HANDLERS = {0x00: Session.no_op, 0x01: Session.command, 0x02: Session.task_management,
            0x03: Session.login, 0x04: Session.text, 0x05: Session.data_out,
            0x06: Session.logout}
NAME, PATHS = 'iqn.2003-01.org.example:path', 8


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--address', default='0.0.0.0')
    parser.add_argument('--port', type=int, default=3260)
    parser.add_argument('--control', type=int, default=3270)
    parser.add_argument('--megabytes', type=int, default=64)
    parser.add_argument('--tpgs', type=int, default=0, choices=range(4))
    options = parser.parse_args()
    target = Target(options.megabytes, options.tpgs)

    async def accept(reader, writer):
        await Session(target, reader, writer).serve()
    await asyncio.start_server(accept, options.address, options.port)
    await asyncio.start_server(target.control, '127.0.0.1', options.control)
    print('ready', flush=True)
    await asyncio.Event().wait()


if __name__ == '__main__':
    asyncio.run(main())
