#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Small histories with and without faults: the judge must tell them apart."""
import sys

from judge import BUSY, History, judge


class Story:
    """Events at points of one clock; an operation has a beginning and an end."""

    def __init__(self):
        self.events, self.number = [], 0

    def event(self, at, kind, *words):
        self.events.append([at - 0.01, at, kind, *words])

    def open(self, host, at, *options, result=0, took=0.5):
        self.number += 1
        self.event(at, 'session', self.number, host, list(options), 0)
        self.event(at, 'call', self.number)
        self.event(at + took, 'open', self.number, result)
        return self.number

    def close(self, number, at):
        self.event(at, 'closing', number)
        self.event(at + 0.5, 'closed', number)

    def write(self, number, seq, block, at, end=None, failed=0):
        """end None: no answer."""
        self.event(at, 's', number, seq, block)
        if end is not None:
            self.event(end, *(('e', number, seq, failed) if failed else ('a', number, seq)))

    def look(self, at, *blocks):
        self.event(at, 'look', list(blocks))
        self.events[-1][0] = at - 0.2

    def verdict(self):
        return judge(History(sorted(self.events, key=lambda e: e[1])))


def simple(s):
    """one owner, its last write is read"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4, 5)
    s.look(6, f'{a} 2')


def lost_write(s):
    """an acknowledged write is not there"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4, 5)
    s.look(6, f'{a} 1')


def never_landed(s):
    """an acknowledged write to a fresh block is not there"""
    s.write(s.open('a', 1), 1, 0, 2, 3)
    s.look(6, '0 0')


def in_flight(s):
    """a write without an answer may be there or not, but not come and go"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4)
    s.look(6, f'{a} 1')
    s.look(7, f'{a} 2')


def came_and_went(s):
    """a value was read, and then the one before it"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4)
    s.look(6, f'{a} 2')
    s.look(7, f'{a} 1')


def taken(s):
    """a takeover; the victim's open write landed before it"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4, 9, failed=5)
    b = s.open('b', 5, 'forced')
    s.look(6, f'{a} 2')
    s.write(b, 1, 0, 7, 8)
    s.look(10, f'{b} 1')


def late_landing(s):
    """a victim's write landed after the open that fenced it had returned"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.write(a, 2, 0, 4, 9, failed=5)
    s.open('b', 5, 'forced')
    s.look(6, f'{a} 1')
    s.look(10, f'{a} 2')


def overwrote_the_owner(s):
    """a victim's write replaced one of the new owner"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 4, 9, failed=5)
    b = s.open('b', 5, 'forced')
    s.write(b, 1, 0, 6, 7)
    s.look(8, f'{a} 1')


def accepted_after_fence(s):
    """a victim's write began and was acknowledged inside the new owner's epoch"""
    a = s.open('a', 1)
    s.open('b', 5, 'forced')
    s.write(a, 1, 0, 6, 7)


def landed_after_fence(s):
    """a victim's write began inside the new owner's epoch, failed, and is there"""
    a = s.open('a', 1)
    s.open('b', 5, 'forced')
    s.write(a, 1, 0, 6, 7, failed=5)
    s.look(9, f'{a} 1')


def two_owners(s):
    """an open without forced succeeded beside an owner"""
    s.open('a', 1)
    s.open('b', 5)


def reader_beside(s):
    """no_reserve succeeded beside another host's owner"""
    s.open('a', 1)
    s.open('b', 5, 'no_reserve')


def refused(s):
    """an open was refused beside an owner"""
    s.open('a', 1)
    s.open('b', 5, result=BUSY)


def one_after_another(s):
    """an open after the other host's close"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.close(a, 4)
    b = s.open('b', 6)
    s.write(b, 1, 0, 7, 8)
    s.look(9, f'{b} 1')


def retained(s):
    """a retained LUN was opened by another host without forced"""
    s.close(s.open('a', 1, 'retain'), 4)
    s.open('b', 6)


def retained_forced(s):
    """a retained LUN is taken with forced"""
    s.close(s.open('a', 1, 'retain'), 4)
    b = s.open('b', 6, 'forced')
    s.write(b, 1, 0, 7, 8)
    s.look(9, f'{b} 1')


def dead_host(s):
    """the LUN of a host that lost power was opened without forced"""
    a = s.open('a', 1)
    s.event(4, 'gone', a)
    s.open('b', 6)


def killed_open(s):
    """an open that was killed before it returned makes nothing uncertain later"""
    s.number += 1
    s.event(1, 'session', s.number, 'b', ['forced'], 0)
    s.event(1, 'call', s.number)
    s.event(2, 'killed', s.number)
    s.event(3, 'gone', s.number)
    s.open('a', 4, 'forced')
    s.open('b', 6)


def back_with_power(s):
    """a host that lost power opens again: that is no join of what it had open"""
    s.event(2, 'gone', s.open('b', 1))
    s.open('a', 3, 'forced')
    b = s.open('b', 5, 'forced')
    s.write(b, 1, 0, 7, 8)
    s.look(9, f'{b} 1')


def unaware(s):
    """a stray write after the new owner has closed again is late, not wrong"""
    a = s.open('a', 1)
    b = s.open('b', 5, 'forced')
    s.close(b, 7)
    s.write(a, 1, 0, 6, 9)
    s.look(10, f'{a} 1')


def joins_its_host(s):
    """a second open of a fenced host that does not know it yet proves nothing"""
    a = s.open('a', 1)
    b = s.open('b', 3, 'forced')
    s.open('a', 5)
    s.write(b, 1, 0, 6, 7)
    s.look(8, f'{b} 1')
    s.close(a, 9)


def at_the_same_time(s):
    """two forced opens that overlap exclude nothing"""
    a = s.open('a', 1, 'forced', took=3)
    b = s.open('b', 2, 'forced')
    s.write(a, 1, 0, 5, 6)
    s.write(b, 1, 1, 5, 6)
    s.look(8, f'{a} 1', f'{b} 1')


def disturbed(s):
    """after an outsider's CLEAR another host may open"""
    s.open('a', 1)
    s.event(3, 'disturbed', 'clear')
    s.open('b', 5)


def bypassed(s):
    """a write past a closed gate"""
    s.write(s.open('a', 1, 'bypass'), 1, 0, 2, 3)


def beside_a_session(s):
    """a bypassing open writes while its host has a session"""
    b = s.open('a', 1, 'bypass')
    s.open('a', 2)
    s.write(b, 1, 0, 4, 5)


def rearmed(s):
    """a fenced open writes on"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3, failed=52)
    s.write(a, 2, 0, 4, 5)


def torn(s):
    """a block that is not whole"""
    s.look(1, 'bad magic=0')


def from_nowhere(s):
    """a value that nobody wrote"""
    a = s.open('a', 1)
    s.write(a, 1, 0, 2, 3)
    s.look(4, f'{a} 7')


def too_early(s):
    """a value was read before its write began"""
    a = s.open('a', 1)
    s.look(2, f'{a} 1')
    s.write(a, 1, 0, 3, 4)


def strange_error(s):
    """an open failed with an error that no rule has"""
    s.open('a', 1, result=22)


GOOD = (simple, in_flight, taken, refused, one_after_another, retained_forced, unaware,
        back_with_power, joins_its_host, at_the_same_time, disturbed, beside_a_session)
WRONG = {lost_write: 'stood from', never_landed: 'stood from', came_and_went: 'stood from',
         late_landing: 'stood from', overwrote_the_owner: 'stood from',
         accepted_after_fence: 'accepted inside', landed_after_fence: 'landed inside',
         two_owners: 'two owners', reader_beside: 'two owners', retained: 'two owners',
         dead_host: 'two owners', torn: 'not whole', from_nowhere: 'nobody wrote',
         too_early: 'before it could', strange_error: 'errno 22',
         bypassed: 'without a session', rearmed: 'was fenced', killed_open: 'two owners'}


def main():
    failed = 0
    stories = [(tell, None) for tell in GOOD] + list(WRONG.items())
    for number, (tell, wanted) in enumerate(stories, 1):
        story = Story()
        tell(story)
        wrong = story.verdict().wrong
        fine = any(wanted in text for text in wrong) if wanted else not wrong
        failed += not fine
        print(f'{"ok" if fine else "not ok"} {number} - {tell.__name__}: {tell.__doc__}')
        for text in [] if fine else wrong or [f'not noticed, expected "{wanted}"']:
            print('#', text)
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
