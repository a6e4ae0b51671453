# SPDX-License-Identifier: GPL-2.0-only
"""The same with real hosts: a target and two initiators, two cables each."""
from cases import case, expect, module_path, poll
from lio import WirePath, login
from sessions import (Raw, Writer, blocks, check_blocks, hold, holder_and_other, keys_of, log,
                      try_open)

A, B = 0xa1, 0xb1
WATCHED = 'pr_poll 1 path_check 1'


def device(host, key, features=WATCHED):
    return host.prmpath('lun', f'pr_key {key:#x} {features}')


def is_down(mp, path):
    return not mp.status()['paths'][path.number]['active']


@case(topology='three_hosts', rules=['3-default', '3-forced', '3.3', '4.2', '5.1', '5.2', '5.3', '5.4'])
def story(t):
    """a writes, b waits; a loses a cable, then all; b takes over; a comes back fenced"""
    mpa, mpb = device(t.a, A, WATCHED + ' queue_if_no_path'), device(t.b, B)
    for mp in mpa, mpb:
        mp.wait_status(keys_own='2')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    expect(try_open(mpb)[0], 'b must be refused')

    holder, _ = holder_and_other(mpa)
    holder.cut()
    poll(lambda: is_down(mpa, holder), 30, 'the cable is missed')
    writer.goes_on()
    expect(try_open(mpb)[0], 'b must be refused')

    for path in t.a.paths:
        path.restore()
        path.blackhole()
    hold_b = hold(t, mpb, 'forced').opened()
    after = blocks(t.b, mpb)
    state = t.b.pr_state()
    expect(state.keys == [B, B] and state.holder == B, state)
    writer_b = Writer(t, mpb, first=1024).opened()
    writer_b.goes_on()

    for path in t.a.paths:
        path.restore()
    expect(writer.failed(90) == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced')
    expect(blocks(t.b, mpb) == after, 'a late write landed')
    expect(try_open(mpa)[0] and try_open(mpa, 'forced')[0], 'fenced, so a must be refused')
    for path in t.a.paths:
        poll(lambda path=path: not is_down(mpa, path), 60, 'the cable is back')
    expect(t.b.pr_state().keys == [B, B], t.b.pr_state())
    writer_b.goes_on()

    writer.close()
    expect(try_open(mpa)[0], 'b holds the LUN')
    writer_b.close()
    hold_b.close()
    expect(t.b.pr_state().holder is None, t.b.pr_state())
    check_blocks(t.b, t.b.paths[0], writer_b)
    hold(t, mpa).opened()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)


@case(topology='three_hosts', rules=['3-forced', '3.3', '5.9'])
def crash(t):
    """a host that lost power is taken over, and starts again without a registration"""
    mpa, mpb = device(t.a, A), device(t.b, B)
    for mp in mpa, mpb:
        mp.wait_status(keys_own='2')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    guest = t.a.vm
    guest.kill()
    expect(try_open(mpb)[0], 'the reservation outlives its host')
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    hold_b = hold(t, mpb, 'forced').opened()
    state = t.b.pr_state()
    expect(state.keys == [B, B] and state.holder == B, state)

    restart(t, guest)
    mpa = device(t.a, A)
    mpa.wait_status(state='foreign', deadline=30)
    expect(t.b.pr_state().keys == [B, B], t.b.pr_state())
    expect(try_open(mpa)[0] and not Raw(t.a, A).writes(), 'a must be kept out')
    hold_b.close()
    hold(t, mpa).opened()
    expect(t.b.pr_state().keys == [A, A], t.b.pr_state())


def restart(t, guest):
    """Power guest a on again, with its paths and the module."""
    guest.start()
    devs = login(guest, 'a', [wire.address(0) for wire in t.wires[0]])
    guest.check(f'udevadm settle; insmod {module_path(t.kernel)}')
    t.a.paths[:] = [WirePath(guest, p, dev, t.wires[0][p]) for p, dev in enumerate(devs)]
    t.a.devices.clear()


@case(topology='three_hosts', rules=['3.9', '4.3', '5.11'])
def crash_of_the_owner(t):
    """after a crash its own reservation is found, proven and adopted"""
    mpa = device(t.a, A)
    Writer(t, mpa).opened().goes_on()
    guest = t.a.vm
    guest.kill()
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    restart(t, guest)
    mpa = device(t.a, A)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    writer.close()
    expect(t.b.pr_state().holder is None, t.b.pr_state())


@case(topology='three_hosts', rules=['3.3', '5.3', '5.11'])
def frozen(t):
    """a host that hangs while it is taken over is fenced when it goes on"""
    mpa, mpb = device(t.a, A), device(t.b, B)
    for mp in mpa, mpb:
        mp.wait_status(keys_own='2')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    t.a.vm.pause()
    t.cleanup(t.a.vm.resume)
    hold(t, mpb, 'forced').opened()
    after = blocks(t.b, mpb)
    t.a.vm.resume()
    expect(writer.failed(60) == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced')
    expect(blocks(t.b, mpb) == after, 'a late write landed')
    expect(keys_of(t.b, A) == 0, t.b.pr_state())


@case(topology='three_hosts', rules=['5.10', '3.9'])
def twins(t):
    """a cloned host with the same key is refused, and says why"""
    mpa = device(t.a, A)
    mpa.wait_status(keys_own='2')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    before = t.b.pr_state()
    mpb = device(t.b, A)
    for options in '', 'forced':
        code, out = try_open(mpb, options)
        expect(code and 'busy' in out, f'{options}: {code} {out}')
    expect('another host uses our key' in log(t, t.b.vm), log(t, t.b.vm))
    state = t.b.pr_state()
    expect((state.keys, state.holder) == (before.keys, A), state)
    writer.goes_on()
