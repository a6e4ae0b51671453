# SPDX-License-Identifier: GPL-2.0-only
"""Compares what the LUN held with what the hosts were told.

usage: judge.py HISTORY		judges a run again, from its build/torture/SEED/history

The argument. Every event has an interval of one clock, the driver's: it happened
after lo and before hi. A write begins when its line "s" was told and ends when its
acknowledgement was: its true interval lies inside [s.lo, a.hi]. Widening intervals
only admits more orders, so whatever is called wrong here is wrong.

1. Each block is an atomic register, and every write has a value of its own (open,
   sequence number). A history of reads and writes of a register with unique values
   is linearisable exactly if its clusters (a write with the reads that returned it)
   do not conflict (Gibbons and Korach, "Testing shared memories", 1997): with f the
   earliest end and s the latest beginning in a cluster, the zone is [f, s] (forward)
   if f < s, else [s, f] (backward); no two forward zones overlap, and no backward zone
   lies inside a forward one. A write without acknowledgement is left out if nobody
   read it, else it may have taken effect at any time from its beginning on. This says
   that no acknowledged write is lost: its cluster ends with the acknowledgement, and
   a later read of an older value makes that value's zone span it.

2. Ownership narrows intervals. An open that reserves, on a host that had no open of
   its own that did, is an epoch: from its return until the earliest thing that
   may end its exclusiveness, no write of another host may take effect. What may end
   it: the begin of its last close (unless retained), a forced open of another host that
   is not a mere join, a later open of this host after that close, an outsider's PREEMPT
   or CLEAR, a target that lost its memory. A write's interval is cut by the epochs of
   the other host: it must take effect outside them. So a write that lands
   after the takeover that fenced it is read with a value whose interval has ended
   before a read that did not see it, which 1 refuses; a write that begins and is
   acknowledged inside another host's epoch is refused at once. Outside of epochs
   (another host has taken the LUN and closed it again, and the old owner has not
   noticed) the rules do not exclude a write, and such writes are counted as late.
   Two epochs whose opens overlap in time exclude nothing: their order is unknown.

3. An open without "forced" that succeeds inside an epoch of another host is wrong.

4. A block that is not whole, or holds what was never begun, is wrong.

5. The gate: a write of an open that bypasses is wrong if no other open of its host
   was near; a write of an open that was told EBADE (its host is fenced) before is wrong.
"""
import bisect
import collections
import json
import sys

INFINITY = float('inf')
BUSY, IO, TIMED_OUT, INTERRUPTED = 16, 5, 110, 4
CONFLICT = 52                   # EBADE
UDEV = 5                        # seconds that udev may keep a device open after a close
OPEN_ERRORS = {0, BUSY, IO, TIMED_OUT, INTERRUPTED}
NEVER = 0, 0


class Session:
    """One open of a program, with what it wrote."""

    def __init__(self, number, host, options, boot):
        self.number, self.host, self.options, self.boot = number, host, options, boot
        self.call = self.result = None
        # latest end of its open, earliest begin and latest end of its close
        self.opened = self.closing = self.end = INFINITY

    @property
    def reserves(self):
        return not self.options & {'no_reserve', 'bypass'}

    @property
    def bypass(self):
        return 'bypass' in self.options

    @property
    def ok(self):
        return self.result == 0


class Write:
    def __init__(self, session, seq, block, lo):
        self.session, self.seq, self.block, self.lo = session, seq, block, lo
        self.hi, self.acknowledged, self.failed, self.error = INFINITY, False, False, 0

    @property
    def value(self):
        return self.session.number, self.seq

    def __str__(self):
        how = 'acknowledged' if self.acknowledged else 'failed' if self.failed else 'unanswered'
        return (f'write {self.seq} of open {self.session.number} on {self.session.host} '
                f'({how}, {self.lo:.2f}..{self.hi:.2f})')


Read = collections.namedtuple('Read', 'block value lo hi who')
Epoch = collections.namedtuple('Epoch', 'host begin end session')


class History:
    """Events as the driver saw them: [lo, hi, kind, ...]."""

    def __init__(self, events=()):
        self.sessions, self.writes, self.reads = {}, {}, []
        self.disturbances, self.wrong, self.reading = [], [], {}
        for event in events:
            self.feed(*event)

    def feed(self, lo, hi, kind, *words):
        getattr(self, 'on_' + kind)(lo, hi, *words)

    def on_session(self, lo, hi, number, host, options, boot):
        self.sessions[number] = Session(number, host, set(options), boot)

    def on_call(self, lo, hi, number):
        self.sessions[number].call = lo

    def on_open(self, lo, hi, number, result):
        session = self.sessions[number]
        session.opened, session.result = hi, result
        if result not in OPEN_ERRORS:
            self.wrong.append(f'open {number} on {session.host} ({session.options}) ended with '
                              f'errno {result}')
        if result:
            session.closing, session.end = lo, hi

    def on_closing(self, lo, hi, number):
        session = self.sessions[number]
        session.closing = min(session.closing, lo)

    def on_closed(self, lo, hi, number):
        session = self.sessions[number]
        session.end = min(session.end, hi)

    def on_killed(self, lo, hi, number):
        """The program is being killed: its close begins after lo."""
        self.on_closing(lo, hi, number)

    def on_gone(self, lo, hi, number):
        """Its program has ended, or its guest has, without a close."""
        session = self.sessions[number]
        session.end = min(session.end, hi)
        # An open that was killed, or whose guest was, ended with it.
        session.opened = min(session.opened, hi)

    def on_s(self, lo, hi, number, seq, block):
        self.writes[number, seq] = Write(self.sessions[number], seq, block, lo)

    def on_a(self, lo, hi, number, seq):
        write = self.writes[number, seq]
        write.hi, write.acknowledged = hi, True

    def on_e(self, lo, hi, number, seq, error):
        write = self.writes[number, seq]
        write.hi, write.failed, write.error = hi, True, error

    def on_R(self, lo, hi, number, block):
        self.reading[number] = lo

    def on_r(self, lo, hi, number, block, *found):
        self.note_read(block, found, self.reading.pop(number), hi, f'open {number}')

    def on_x(self, lo, hi, number, block, error):
        self.reading.pop(number, None)

    def on_look(self, lo, hi, found):
        """A snapshot of the whole area in the target's backstore."""
        for block, text in enumerate(found):
            self.note_read(block, text.split(), lo, hi, 'the target')

    def on_disturbed(self, lo, hi, what):
        """From lo on nobody's epoch is certain."""
        self.disturbances.append(lo)

    def on_note(self, lo, hi, *what):
        """For people."""

    def note_read(self, block, found, lo, hi, who):
        if found[0] == 'bad':
            self.wrong.append(f'block {block} read by {who} at {lo:.2f} is not whole: {found}')
        else:
            self.reads.append(Read(block, (int(found[0]), int(found[1])), lo, hi, who))


class Verdict:
    """What judge() returns: wrong is a list of texts, empty if all is well."""

    def __init__(self):
        self.wrong, self.epochs = [], []
        self.late = self.takeovers = self.overlapping = 0


def overlaps(session, other):
    """Whether other may have been open while session was being opened."""
    return other is not session and other.call <= session.opened and other.end >= session.call


def was_there(session, other):
    """Whether other may have been open before session was: then it may have been a mere join."""
    return overlaps(session, other) and other.opened < session.opened


class Group:
    """A session in the sense of the specification, as far as it is certain.

    first reserves, and its host had no open before it that may have lasted. If another one
    was under way at the same time, either may have done the work, not before since. Members
    are the opens that came while first, or another member, was certainly open. close: the
    last one begins to close not before that; gone: or its host is without power.
    """

    def __init__(self, first, others):
        self.first, self.host = first, first.host
        self.since = min([first.call, *(o.call for o in others if overlaps(first, o))])
        self.members = {first}
        self.close = first.closing
        # A host that lost power closes nothing, but what it opens then is another session.
        self.gone = min(first.closing, first.end)
        for session in sorted(others, key=lambda s: s.opened):
            if session.ok and first.opened < session.opened < self.gone:
                self.members.add(session)
                self.close = max(self.close, session.closing)
                self.gone = max(self.gone, min(session.closing, session.end))
        self.retained = any('retain' in s.options for s in self.members)

    def takes(self, session):
        """Whether it is a mere join, or refused as one."""
        return self.first.opened < session.call and session.opened < self.gone


def find_groups(by_host):
    groups = {}
    for host, sessions in by_host.items():
        good = [s for s in sessions if s.ok]
        groups[host] = [Group(s, good) for s in good
                        if s.reserves and not any(was_there(s, other) for other in good)]
    return groups


def epoch_of(group, groups, by_host, disturbances):
    """When it ends, at the earliest; None if its beginning is uncertain."""
    first = group.first
    end = INFINITY if group.retained else group.close
    for session in by_host[group.host]:
        if session not in group.members and session.opened > group.gone and not session.bypass:
            end = min(end, max(session.call, group.gone))
    for host, others in by_host.items():
        for session in others if host != group.host else ():
            if any(g.takes(session) for g in groups[host]):
                continue
            # EBUSY is a promise to have changed nothing (rule 3.6).
            takes = 'forced' in session.options and session.result != BUSY
            if takes and session.call > first.opened:
                end = min(end, session.call)
            elif ((takes or session.ok and not session.bypass) and session.call < first.opened
                    and group.since < session.opened):
                return None
    return min([end, *(at for at in disturbances if at > group.since)])


def find_epochs(history, verdict):
    """The intervals in which no other host's write may land."""
    by_host = collections.defaultdict(list)
    for session in history.sessions.values():
        if session.call is not None:
            by_host[session.host].append(session)
    groups = find_groups(by_host)
    for own in groups.values():
        for group in own:
            end = epoch_of(group, groups, by_host, history.disturbances)
            if end is None:
                verdict.overlapping += 1
            elif end > group.first.opened:
                verdict.epochs.append(Epoch(group.host, group.first.opened, end, group.first))
    verdict.epochs.sort(key=lambda e: e.begin)
    for epoch in verdict.epochs:
        verdict.takeovers += 'forced' in epoch.session.options and any(
            group.first.opened < epoch.session.call < group.close
            for host in groups if host != epoch.host for group in groups[host])
    find_two_owners(by_host, verdict)


def find_two_owners(by_host, verdict):
    for sessions in by_host.values():
        for session in sessions:
            if (not session.ok or session.options & {'forced', 'bypass'}
                    or any(overlaps(session, other) for other in sessions if other.ok)):
                continue
            for epoch in verdict.epochs:
                if (epoch.host != session.host and epoch.begin < session.call
                        and session.opened < epoch.end):
                    verdict.wrong.append(
                        f'two owners: open {session.number} on {session.host} '
                        f'({session.call:.2f}..{session.opened:.2f}) succeeded without forced inside '
                        f'the epoch of open {epoch.session.number} on {epoch.host} '
                        f'({epoch.begin:.2f}..{epoch.end:.2f})')


def allowed(write, epochs, verdict):
    """The interval in which it may take effect, given other hosts' epochs; None if nowhere."""
    lo, hi = write.lo, write.hi
    # An answer ends a failed write as far as the host is concerned; what is queued at the
    # target ends with the next takeover.
    known = hi if write.failed else min(hi, write.session.end)
    for epoch in epochs:
        if epoch.begin <= lo < epoch.end:
            if known <= epoch.end and write.acknowledged:
                verdict.wrong.append(
                    f'{write} to block {write.block} was accepted inside the epoch of open '
                    f'{epoch.session.number} on {epoch.host} ({epoch.begin:.2f}..{epoch.end:.2f})')
                return None
            if known <= epoch.end:
                return None
            lo = epoch.end
        elif epoch.begin > lo:
            if known <= epoch.end:
                hi = min(hi, epoch.begin) if write.acknowledged else epoch.begin
                return lo, hi
    if write.acknowledged:
        verdict.late += lo > write.lo
        return lo, hi
    return lo, INFINITY


def find_conflicts(block, writes, reads, epochs, verdict):
    """Zones of one block."""
    clusters = {NEVER: [-INFINITY, -INFINITY, []]}
    for write in writes:
        span = allowed(write, epochs.get(write.session.host, ()), verdict)
        clusters[write.value] = [*(span or (write.lo, None)), [], write]
    for read in reads:
        cluster = clusters.get(read.value)
        if cluster is None:
            verdict.wrong.append(f'block {block}: {read.who} read at {read.lo:.2f} what nobody wrote: '
                                 f'write {read.value[1]} of open {read.value[0]}')
        else:
            cluster[2].append(read)
    forward, backward = [], []
    for value, (begin, end, seen, *write) in clusters.items():
        name = write[0] if write else 'never written'
        if end is None:
            if seen and not write[0].acknowledged:
                verdict.wrong.append(f'block {block}: {name} landed inside another host\'s epoch, '
                                     f'read by {seen[0].who} at {seen[0].lo:.2f}')
            continue
        if not seen and write and not write[0].acknowledged:
            continue
        if begin > end:
            verdict.wrong.append(f'block {block}: {name} had no time to take effect')
            continue
        early = [read for read in seen if read.hi < begin]
        if early:
            verdict.wrong.append(f'block {block}: {name} was read by {early[0].who} at '
                                 f'{early[0].lo:.2f}, before it could take effect at {begin:.2f}')
            continue
        first = min([end, *(read.hi for read in seen)])
        last = max([begin, *(read.lo for read in seen)])
        (forward if first < last else backward).append((min(first, last), max(first, last), name))
    forward.sort(key=lambda zone: zone[:2])
    reach = None
    for zone in forward:
        if reach and zone[0] < reach[1]:
            verdict.wrong.append(lost(block, reach, zone))
        if not reach or zone[1] > reach[1]:
            reach = zone
    begins = [zone[0] for zone in forward]
    for zone in backward:
        at = bisect.bisect_left(begins, zone[0]) - 1
        if at >= 0 and zone[1] < forward[at][1]:
            verdict.wrong.append(lost(block, forward[at], zone))


def lost(block, around, inside):
    return (f'block {block}: "{around[2]}" stood from {around[0]:.2f} to {around[1]:.2f}, but '
            f'"{inside[2]}" took effect between {inside[0]:.2f} and {inside[1]:.2f}')


def find_gate_open(history, verdict):
    """Writes of an open that bypasses, on a host that had no session."""
    for bypass in (s for s in history.sessions.values() if s.bypass and s.ok):
        others = [s for s in history.sessions.values() if s.host == bypass.host and s is not bypass]
        # Whatever was open shortly before it may have kept a session, and so may udev.
        if any(s.call is not None and s.call < bypass.opened and s.end > bypass.call - UDEV
               for s in others):
            continue
        first = min((s.call for s in others if s.call is not None and s.call > bypass.call
                     and not s.bypass), default=INFINITY)
        for write in history.writes.values():
            if write.session is bypass and write.acknowledged and write.hi < first:
                verdict.wrong.append(f'{write} was accepted on a host without a session')


def find_rearmed(history, verdict):
    """Writes that an open could do after one failed because the host was fenced."""
    fenced = {}
    for write in history.writes.values():
        if write.error == CONFLICT and not write.session.bypass:
            at = fenced.get(write.session, INFINITY)
            fenced[write.session] = min(at, write.hi)
    for write in history.writes.values():
        if write.acknowledged and write.lo > fenced.get(write.session, INFINITY):
            verdict.wrong.append(f'{write} was accepted after a write of the same open had failed at '
                                 f'{fenced[write.session]:.2f} because the host was fenced')


def judge(history):
    verdict = Verdict()
    verdict.wrong += history.wrong
    find_epochs(history, verdict)
    find_gate_open(history, verdict)
    find_rearmed(history, verdict)
    epochs = {host: [e for e in verdict.epochs if e.host != host]
              for host in {s.host for s in history.sessions.values()}}
    writes, reads = collections.defaultdict(list), collections.defaultdict(list)
    for write in history.writes.values():
        writes[write.block].append(write)
    for read in history.reads:
        reads[read.block].append(read)
    for block in sorted(set(writes) | set(reads)):
        find_conflicts(block, writes[block], reads[block], epochs, verdict)
    return verdict


def main():
    with open(sys.argv[1]) as file:
        verdict = judge(History(json.loads(line) for line in file))
    for epoch in verdict.epochs:
        print(f'{epoch.begin:9.2f} {epoch.end:9.2f} {epoch.host} open {epoch.session.number}')
    print(f'{verdict.takeovers} takeovers, {verdict.late} late writes, '
          f'{verdict.overlapping} overlapping opens')
    print('\n'.join(verdict.wrong) or 'nothing wrong')
    sys.exit(bool(verdict.wrong))


if __name__ == '__main__':
    main()
