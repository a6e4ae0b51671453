# SPDX-License-Identifier: GPL-2.0-only
"""Rules 5.3, 5.4 and 5.11: what an owner does when its reservation is touched from outside."""
from cases import case, expect, poll
from lio import initiator
from sessions import Raw, Writer, hold, holder_and_other, keys_of, log, try_open

A, B = 0xa1, 0xb1


def owner(t, features='pr_poll 1', **layout):
    """A prmpath device on host a."""
    device = t.a.prmpath('mpa', f'pr_key {A:#x} {features}', **layout)
    device.wait_status(keys_own=str(len(layout.get('paths') or t.a.paths)))
    return device


def take(t):
    """Host b takes the LUN with sg_persist."""
    raw = Raw(t.b, B)

    # In one breath, or the owner's watcher removes the registration in between.
    poll(lambda: raw.seize(A)[0] == 0, 30, 'b preempts')
    raw.register(1)
    state = t.b.pr_state()
    expect(state.holder == B and A not in state.keys, state)
    return raw


@case(topology='iscsi_loop', rules=['5.3', '5.1', '3.7', '2.4'])
def latch(t):
    """a fenced host writes nothing and opens nothing until its last opener has closed"""
    mpa = owner(t)
    events = t.a.spawn('udevadm monitor --kernel --property --subsystem-match=block')
    t.cleanup(events.kill)
    poll(lambda: 'KERNEL -' in events.output(), 20, 'udevadm monitor')
    writer = Writer(t, mpa).opened()
    second = hold(t, mpa).opened()
    mpa.wait_status(state='owner')
    event = t.a.spawn(f'dmsetup wait {mpa.name}')
    raw = take(t)
    expect(writer.failed() == 'EBADE', writer.errors())
    expect(event.wait(20)[0] == 0, 'no device-mapper event')
    status = mpa.wait_status(state='fenced', gate='closed')
    poll(lambda: 'PRM_EVENT=fenced' in events.output(), 20, 'uevent')
    expect('FENCED' in log(t), 'no log line')

    code, out = t.a.run(f'dd if=/dev/zero of={mpa} bs=4k count=1 oflag=direct,nonblock conv=notrunc')
    expect(code and 'Invalid exchange' in out, out)
    # A read is no business of the gate.
    t.a.check(f'dd if={mpa} of=/dev/null bs=4k count=1 iflag=direct,nonblock')

    before = t.b.pr_state()
    for options in ('', 'forced', 'no_reserve', 'retain', 'single', 'forced,no_reserve'):
        code, out = try_open(mpa, options)
        expect(code and 'busy' in out, f'{options}: {code} {out}')
    expect(log(t).count('refused') >= 1 and 'close' in log(t).rsplit('refused', 1)[-1],
           'the log says what to close')
    mpa.message('open_options', 'forced')
    for path in t.a.paths:
        mpa.message('fail_path', path.number)
        mpa.message('reinstate_path', path.number)
    mpa.message('pr_release')
    mpa.message('pr_unregister')
    expect(try_open(mpa)[0], 'a message re-armed it')
    mpa.message('open_options', 'default')
    expect(t.b.pr_state() == before, t.b.pr_state())

    writer.close()
    expect(mpa.status()['state'] == 'fenced', 'one opener is left')
    expect(try_open(mpa)[0], 'one opener is left')
    second.close()
    # udev may look at it once more.
    status = mpa.wait_status(opens=0)
    expect(status['state'] in ('foreign', 'free'), status)
    expect(t.b.pr_state() == before, t.b.pr_state())
    expect(try_open(mpa)[0], 'b holds it')
    raw.release()
    hold(t, mpa).opened()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)


@case(topology='iscsi_loop', rules=['5.11', '5.3'])
def noticed_without_io(t):
    """the watcher notices a preemption although the owner sends nothing"""
    mpa = owner(t)
    hold(t, mpa).opened()
    take(t)
    mpa.wait_status(state='fenced', gate='closed', deadline=8)


@case(topology='iscsi_loop', rules=['5.4', '5.11'])
def noticed_by_io(t):
    """without a watcher the first conflict tells"""
    mpa = owner(t, 'pr_poll 0')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    take(t)
    expect(writer.failed() == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced')


@case(topology='iscsi_loop', rules=['5.4', '5.3', '5.2'])
def one_path_unregistered(t):
    """a path that lost its registration alone gets it back; the writer sees no error"""
    mpa = owner(t, 'pr_poll 0')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    _, other = holder_and_other(mpa)        # the holder's own would end the reservation
    for _ in range(3):
        Raw(t.a, A).unregister(other.index)
        poll(lambda: keys_of(t.b, A) == 2, 20, 'registered again')
        writer.goes_on()
    expect(mpa.wait_status(state='owner')['paths'][other.number]['pr'] == 'registered', mpa.status())
    expect(t.b.pr_state().holder == A, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.3', '5.4', '5.11'])
def cleared(t):
    """CLEAR by another host fences"""
    mpa = owner(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    command = f'sg_persist --no-inquiry {t.b.paths[0]} --out'
    poll(lambda: t.b.run(f'{command} --register-ignore --param-sark={B:#x} && '
                         f'{command} --clear --param-rk={B:#x}')[0] == 0, 30, 'b clears')
    mpa.wait_status(state='fenced')
    expect(writer.failed() == 'EBADE', writer.errors())
    expect(t.b.pr_state().keys == [], t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.11'])
def released_behind_our_back(t):
    """a reservation that vanished is taken again: our keys are there, nothing has changed"""
    mpa = owner(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    before = t.b.pr_state()
    holder, _ = holder_and_other(mpa)
    Raw(t.a, A).release(holder.index)
    poll(lambda: 'vanished' in log(t), 15, 'noticed')
    poll(lambda: t.b.pr_state().holder == A, 10, 'reserved again')
    expect(t.b.pr_state().keys == before.keys, t.b.pr_state())
    writer.goes_on()
    expect(mpa.status()['state'] == 'owner', mpa.status())


@case(topology='iscsi_loop', rules=['5.11'])
def vanished_and_foreign(t):
    """a reservation that vanished while another host is registered is not taken again"""
    mpa = owner(t)
    hold(t, mpa).opened()
    raw = take(t)
    raw.release()
    mpa.wait_status(state='fenced')
    state = t.b.pr_state()
    expect(state.holder is None and state.keys == [B, B], state)


@case(topology='iscsi_loop', rules=['5.11'])
def vanished_and_changed(t):
    """nor is it when a registration came and went meanwhile: the generation tells"""
    mpa = owner(t, 'pr_poll 0')
    Writer(t, mpa).opened().goes_on()
    holder, other = holder_and_other(mpa)
    Raw(t.b, B).register(0).unregister(0)
    Raw(t.a, A).release(holder.index)
    # No watcher: this path's return makes it look.
    mpa.message('fail_path', other.number)
    mpa.message('reinstate_path', other.number)
    mpa.wait_status(state='fenced')
    expect(t.b.pr_state().holder is None, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.11', '3.2'])
def new_registrant(t):
    """a host that registers beside an owner is removed by the watcher"""
    mpa = owner(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    raw = Raw(t.b, B).register()
    poll(lambda: keys_of(t.a, B) == 0, 15, 'evicted')
    expect(not raw.writes(), 'b can write past the reservation')
    writer.goes_on()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    expect(mpa.status()['state'] == 'owner', mpa.status())


@case(topology='iscsi_loop', rules=['5.11'])
def holder_nexus_deleted(t):
    """E14: the target drops the holder's registration, and the reservation with it"""
    mpa = owner(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    holder, _ = holder_and_other(mpa)
    tpg = t.lun.target.tpgs[holder.index]
    acl = f'{tpg}/acls/{initiator("a")}'
    # No I/O meanwhile: without a mapping LIO answers with a small LUN 0 of its own.
    mpa.message('fail_path', holder.number)
    t.vm.check(f'''set -e
        rm {acl}/lun_0/lun_0
        rmdir {acl}/lun_0
        mkdir {acl}/lun_0
        ln -s {tpg}/lun/lun_0 {acl}/lun_0/lun_0''')
    poll(lambda: 'vanished' in log(t), 15, 'noticed')
    poll(lambda: t.b.pr_state().holder == A, 15, 'reserved again')
    mpa.wait_status(state='owner')
    writer.goes_on()
    mpa.message('reinstate_path', holder.number)
    poll(lambda: keys_of(t.b, A) == 2, 30, 'registered on the path that came back')
    writer.goes_on()
    expect(mpa.status()['state'] == 'owner', mpa.status())


@case(topology='iscsi_loop', rules=['5.11'])
def target_lost_memory(t):
    """E41: no keys at all and generation 0: reserved again"""
    mpa = owner(t, 'pr_poll 1 path_check 1 queue_if_no_path pr_aptpl 0')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    t.lun.target.restart()
    poll(lambda: t.vm.run(f'sg_turs {t.b.paths[0]}')[0] == 0, 40, 'the target is back')
    poll(lambda: t.b.pr_state().holder == A, 40, 'reserved again')
    poll(lambda: keys_of(t.b, A) == 2, 30, 'registered again')
    writer.goes_on()
    expect(mpa.status()['state'] == 'owner', mpa.status())


@case(topology='iscsi_loop', rules=['5.3', '5.9'])
def returning_path_of_a_fenced_host(t):
    """a path that comes back to a fenced host stays unregistered"""
    mpa = owner(t, 'pr_poll 1 path_check 1')
    session = hold(t, mpa).opened()
    lost = t.a.paths[1]
    mpa.message('fail_path', lost.number)
    take(t)
    mpa.wait_status(state='fenced')
    mpa.message('reinstate_path', lost.number)
    poll(lambda: mpa.status()['paths'][lost.number]['active'], 15, 'path is back')
    before = t.b.pr_state()
    # What the background would do comes before a second look of ours.
    for _ in range(5):
        expect(mpa.message('pr_status')[0] == 0, 'pr_status')
        expect(t.b.pr_state() == before, t.b.pr_state())
    expect(A not in before.keys, before)
    expect(mpa.status()['paths'][lost.number]['pr'] == 'unregistered', mpa.status())
    session.close()
    expect(t.b.pr_state() == before, 'closing changed something')
