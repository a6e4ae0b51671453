# SPDX-License-Identifier: GPL-2.0-only
"""Sections 3.1 to 3.4: who gets the LUN when hosts compete."""
from cases import IscsiLoop, case, expect, poll
from sessions import BUSY, Raw, Writer, blocks, hold, log, try_open

A, B, C = 0xa1, 0xb1, 0xc1
ROUNDS = 4


def pair(t, features=''):
    """A prmpath device on each of the hosts a and b."""
    first = t.a.prmpath('mpa', f'pr_key {A:#x} {features}')
    second = t.b.prmpath('mpb', f'pr_key {B:#x} {features}')
    first.wait_status(keys_own='2')
    second.wait_status(keys_own='2')
    return first, second


@case(topology='iscsi_loop', rules=['3.2', '5.9'])
def evicts_registrants(t):
    """an open removes every other host's registration; that host gets it back by an open"""
    mpa, mpb = pair(t)
    raw = Raw(t.b, B)
    expect(raw.writes(), 'b may write while nothing is reserved')
    session = hold(t, mpa).opened()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    expect(not raw.writes(0) and not raw.writes(1), 'b can write past the reservation')
    session.close()
    hold(t, mpb).opened()
    state = t.a.pr_state()
    expect(state.keys == [B, B] and state.holder == B, state)
    expect(not Raw(t.a, A).writes(), 'a can write past the reservation')


@case(topology='iscsi_loop', rules=['3.2'])
def shared(t):
    """pr_shared leaves other registrants alone"""
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x} pr_shared pr_poll 1')
    raw = Raw(t.b, B).register()
    hold(t, mpa).opened()
    mpa.wait_status(keys_own='2', keys_foreign='2')
    state = t.b.pr_state()
    expect(state.keys == [A, A, B, B] and state.holder == A, state)
    expect(raw.writes(), 'a registered host shares write access')


@case(topology='iscsi_loop', rules=['3', '3-default', '3-single', '3-retain', '3-no_reserve', '3.6', '3.7', '5.9'])
def refused(t):
    """every open without forced is refused beside a foreign reservation and sends no PR OUT"""
    raw = Raw(t.b, B).register().reserve()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x}')
    mpa.wait_status(state='foreign')
    before = t.b.pr_state()
    expect(before.keys == [B, B], 'a host must not register beside a foreign reservation')
    for options in ('', 'retain', 'single', 'no_reserve'):
        code, out = try_open(mpa, options)
        expect(code == (BUSY if options else 1), f'open {options}: {code} {out}')
        expect('busy' in out, out)
    expect(t.b.pr_state() == before, t.b.pr_state())
    expect(f'{B:#x}' in log(t), 'the log must name the foreign key')
    expect(mpa.status()['opens'] == '0', mpa.status())
    expect(raw.writes(), 'b writes on')


@case(topology='iscsi_loop', rules=['3-forced', '3.3'])
def forced(t):
    """a forced open takes the LUN: no key of the old owner is left and its writes fail"""
    mpa, mpb = pair(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    expect(try_open(mpb)[0] == 1, 'without forced it is refused')
    hold(t, mpb, 'forced').opened()
    state = t.a.pr_state()
    expect(state.keys == [B, B] and state.holder == B and state.type == 5, state)
    expect(writer.failed() == 'EBADE', writer.errors())
    raw = Raw(t.a, A)
    expect(not raw.writes(0) and not raw.writes(1), 'a can write past the reservation')
    Writer(t, mpb, first=1024).opened().goes_on()


@case(topology='iscsi_loop', rules=['3.3', '5.4'])
def late_writes(t):
    """after a forced open nothing that the old owner's writers have under way changes the LUN"""
    mpa, mpb = pair(t)
    writers = Writer(t, mpa, threads=4).opened()
    for thread in range(4):
        poll(lambda thread=thread: writers.written(thread) > 20, 60, 'writers run')
    hold(t, mpb, 'forced').opened()
    after = blocks(t.b, mpb), blocks(t.b, mpb, 64)
    poll(lambda: len(writers.errors()) == 4, 60, 'all writers fail')
    expect(set(writers.errors()) == {'EBADE'}, writers.errors())
    expect((blocks(t.b, mpb), blocks(t.b, mpb, 64)) == after, 'a late write landed')


@case(topology='bare', rules=['3.3', '6.3'])
def queued_writes(t):
    """writes that wait in the target's disk when the LUN is taken do not land after the open"""
    t.vm.check('''modprobe dm_delay && modprobe brd rd_nr=1 rd_size=65536
        dmsetup create slow --table "0 131072 delay /dev/ram0 0 0 /dev/ram0 0 0"''')
    t.cleanup(t.vm.check, 'dmsetup remove --retry slow && rmmod brd')
    lun = IscsiLoop(t.vm, device='/dev/mapper/slow')
    t.cleanup(lun.remove)
    t.a, t.b = lun.hosts
    for host in lun.hosts:
        t.cleanup(t.remove_devices, host)
    mpa, mpb = pair(t)
    writers = Writer(t, mpa, threads=4).opened()
    # Shorter than the no-op time-out of iSCSI, since LIO waits in PREEMPT AND ABORT.
    t.vm.check('''dmsetup reload slow --table "0 131072 delay /dev/ram0 0 0 /dev/ram0 0 1200"
        dmsetup suspend slow && dmsetup resume slow''')
    poll(lambda: ' delay 0 4 ' in t.vm.check('dmsetup status slow'), 30,
         'four writes in the target', every=0)
    hold(t, mpb, 'forced').opened(120)
    after = [blocks(t.b, mpb, first) for first in range(0, 256, 64)]
    poll(lambda: len(writers.errors()) == 4, 60, 'the writes fail')
    expect(set(writers.errors()) == {'EBADE'}, writers.errors())
    poll(lambda: ' delay 0 0 ' in t.vm.check('dmsetup status slow'), 10, 'the delay is over')
    expect([blocks(t.b, mpb, first) for first in range(0, 256, 64)] == after, 'a late write landed')


def race(t, devices, options):
    """Open all devices at the same moment; return the sessions that succeeded."""
    t.vm.check('rm -f /run/start; mkfifo /run/start')
    rivals = [hold(t, device, options, before='cat /run/start; ') for device in devices]
    t.vm.check('''while [ "$(pgrep -fc '^cat /run/start')" -lt 2 ]; do :; done; : > /run/start''')
    return [rival for rival in rivals if rival.settled(120)]


@case(topology='iscsi_loop', rules=['3.1', '3.4', '3.6'], hosts=('a', 'b', 'c'), cpus=2)
def default_race(t):
    """of two opens at the same moment on a free LUN one gets it"""
    devices = pair(t)
    for _ in range(ROUNDS):
        winners = race(t, devices, '')
        state = t.c.pr_state()
        expect(len(winners) == 1, f'{len(winners)} winners: {state}\n{log(t)}')
        key = {'a': A, 'b': B}[winners[0].host.name]
        expect(state.keys == [key, key] and state.holder == key, state)
        winners[0].close()
        expect(t.c.pr_state().holder is None, t.c.pr_state())


@case(topology='iscsi_loop', rules=['3.4'], hosts=('a', 'b', 'c'), cpus=2)
def forced_race(t):
    """of two hosts that take a third one's LUN at the same moment one is owner in the end"""
    devices = pair(t)
    contested = 0
    for _ in range(ROUNDS):
        Raw(t.c, C).register().reserve()
        winners = race(t, devices, 'forced')
        expect(winners, log(t))
        state = t.c.pr_state()
        expect(state.holder in (A, B) and state.keys == [state.holder] * 2, state)
        owner, other = devices if state.holder == A else reversed(devices)
        expect(owner.status()['state'] == 'owner', owner.status())
        if len(winners) == 2:
            # The second one came after the first had it, and took it from there.
            other.wait_status(state='fenced')
        else:
            contested += 1
            expect(winners[0].host is owner.host, winners[0].what)
            expect(other.status()['opens'] == '0', other.status())
        expect(t.c.pr_state() == state, 'ping-pong')
        for winner in winners:
            winner.close()
        expect(t.c.pr_state().holder is None, t.c.pr_state())


@case(topology='iscsi_loop', rules=['3-forced-no_reserve'])
def breaks(t):
    """forced with no_reserve removes a foreign reservation and leaves none"""
    raw = Raw(t.b, B).register().reserve()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x}')
    mpa.wait_status(state='foreign')
    hold(t, mpa, 'forced,no_reserve').opened()
    state = t.b.pr_state()
    expect(state.holder is None and B not in state.keys, state)
    expect(mpa.status()['state'] == 'no_reserve', mpa.status())
    t.a.check(f'dd if=/dev/zero of={mpa} bs=4k count=10 oflag=direct,nonblock conv=notrunc')
    expect(raw.writes(), 'nothing reserves the LUN now')


@case(topology='iscsi_loop', rules=['3-no_reserve', '3.5'])
def beside(t):
    """no_reserve opens beside a local session and touches nothing"""
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x} pr_poll 0')
    session = hold(t, mpa).opened()
    before = t.b.pr_state()
    second = hold(t, mpa, 'no_reserve').opened()
    expect(t.b.pr_state() == before, t.b.pr_state())
    session.close()
    expect(t.b.pr_state().holder == A, 'until the last close')
    second.close()
    expect(t.b.pr_state().holder is None, t.b.pr_state())


@case(topology='iscsi_loop', rules=['3.2', '3.3'], hosts=('a', 'b', 'c'))
def third_registrant(t):
    """a forced open removes hosts that were only registered, too"""
    Raw(t.c, C).register()
    Raw(t.b, B).register().reserve()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x}')
    hold(t, mpa, 'forced').opened()
    state = t.c.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    expect(not Raw(t.c, C).writes(), 'c can write past the reservation')
