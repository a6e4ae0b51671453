# SPDX-License-Identifier: GPL-2.0-only
"""Paths that fail, return, come and go under a session, and keys that two hosts share."""
from cases import case, expect, module_path, poll, unload
from lio import IscsiPath, iscsi_disk, target_name
from sessions import (Raw, Writer, blocks, check_blocks, hold, holder_and_other, keys_of, log,
                      try_open, writes_through)

A, B = 0xa1, 0xb1
WATCHED = 'pr_poll 1 path_check 1'
QUEUED = 'pr_poll 1 path_check 1 queue_if_no_path'


def device_of_a(t, features=WATCHED, **layout):
    device = t.a.prmpath('mpa', f'pr_key {A:#x} {features}', **layout)
    device.wait_status(keys_own=str(len(layout.get('paths') or t.a.paths)))
    return device


def down(device, paths):
    """Cut paths and wait until device knows."""
    for path in paths:
        path.cut()

    def known():
        status = device.status()['paths']
        return not any(status[path.number]['active'] for path in paths)
    poll(known, 40, 'paths are down')


def registered(device, path):
    """Wait until path is back and registered."""
    def back():
        status = device.status()['paths'].get(path.number)
        return status and status['active'] and status['pr'] == 'registered'
    poll(back, 60, f'{path} is registered')


@case(topology='iscsi_loop', rules=['4.2', '5.2', '5.3'])
def holder_dies(t):
    """E13, E11: without the holder path I/O goes on and the last close releases"""
    mpa = device_of_a(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    holder, other = holder_and_other(mpa)
    down(mpa, [holder])
    writer.goes_on()
    expect(mpa.status()['state'] == 'owner', mpa.status())
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    writer.close()
    check_blocks(t.b, t.b.paths[0], writer)
    poll(lambda: t.b.pr_state().holder is None, 30, 'released')
    mpa.wait_status(state='free')
    t.a.paths[0].restore()
    registered(mpa, holder)
    registered(mpa, other)
    expect(keys_of(t.b, A) == 2, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.2', '5.3'])
def returns_by_itself(t):
    """path_check brings a path back, registered before it carries a write"""
    mpa = device_of_a(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    _, other = holder_and_other(mpa)
    down(mpa, [other])
    # What it held is gone when it comes back.
    expect(mpa.status()['paths'][other.number]['pr'] != 'registered', mpa.status())
    other.restore()
    registered(mpa, other)
    before = writes_through(other)
    writer.goes_on()
    poll(lambda: writes_through(other) > before, 20, 'it carries writes')
    writer.goes_on()
    expect(keys_of(t.b, A) == 2 and t.b.pr_state().holder == A, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.5', '5.3'])
def all_down_queued(t):
    """with queue_if_no_path all paths may go and come back: nothing is lost"""
    mpa = device_of_a(t, QUEUED)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    down(mpa, t.a.paths)
    mpa.wait_status(state='unknown')
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    before = writer.written()
    t.a.paths[0].restore()
    writer.goes_on()
    expect(writer.written() > before, 'it wrote on')
    mpa.wait_status(state='owner')
    for path in t.a.paths:
        registered(mpa, path)
    writer.goes_on()
    writer.close()
    check_blocks(t.b, t.b.paths[0], writer)
    expect(t.b.pr_state().holder is None, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.5', '5.3'])
def all_down_failing(t):
    """without queueing writes fail, and silence is not a lost reservation"""
    mpa = device_of_a(t)
    session = hold(t, mpa).opened()
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    down(mpa, t.a.paths)
    expect(writer.failed() == 'EIO', writer.errors())
    expect(mpa.status()['state'] == 'unknown', mpa.status())
    writer.close()
    t.a.paths[0].restore()
    mpa.wait_status(state='owner', gate='open', deadline=60)
    Writer(t, mpa, first=512).opened().goes_on()
    session.close()


@case(topology='iscsi_loop', rules=['5.3', '5.1'])
def taken_while_down(t):
    """E37: what was queued while another host took the LUN is failed, not replayed"""
    mpa = device_of_a(t, QUEUED)
    mpb = t.b.prmpath('mpb', f'pr_key {B:#x}')
    writer = Writer(t, mpa, threads=2).opened()
    writer.goes_on()
    down(mpa, t.a.paths)
    # The writes wait in our queue, and no more in those of the paths.
    poll(lambda: all(t.a.check(f'cat /sys/block/{path.name}/inflight').split() == ['0', '0']
                     for path in t.a.paths), 30, 'the paths have given back what they had')
    hold(t, mpb, 'forced').opened()
    after = blocks(t.b, mpb), blocks(t.b, mpb, 64)
    expect(not writer.errors(), 'the writes are not queued')
    t.a.paths[0].restore()
    expect(writer.failed(90) == 'EBADE', writer.errors())
    poll(lambda: len(writer.errors()) == 2, 20, 'both writes fail')
    mpa.wait_status(state='fenced')
    expect((blocks(t.b, mpb), blocks(t.b, mpb, 64)) == after, 'a late write landed')
    for path in t.a.paths:
        poll(lambda path=path: mpa.status()['paths'][path.number]['active'], 60, 'path is back')
    state = t.b.pr_state()
    expect(state.keys == [B, B] and state.holder == B, state)


@case(topology='iscsi_loop', rules=['5.2', '4.8'])
def added_by_reload(t):
    """E36: a path that a reload adds under an owner is registered before it is used"""
    mpa = device_of_a(t, paths=t.a.paths[:1])
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    before = writes_through(t.a.paths[1])
    mpa.reload(f'pr_key {A:#x} {WATCHED}', paths=t.a.paths)
    registered(mpa, t.a.paths[1])
    poll(lambda: writes_through(t.a.paths[1]) > before, 20, 'a write takes the new path')
    writer.goes_on()
    expect(keys_of(t.b, A) == 2 and t.b.pr_state().holder == A, t.b.pr_state())


@case(topology='iscsi_loop', rules=['4.8', '4.5'])
def holder_removed_by_reload(t):
    """E36: before the holder path leaves the table the reservation moves"""
    mpa = device_of_a(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    holder, other = holder_and_other(mpa)
    mpa.reload(f'pr_key {A:#x} {WATCHED}', paths=[other])
    poll(lambda: t.b.pr_state().keys == [A], 20, 'the path that left is unregistered')
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    mpa.wait_status(state='owner', holder=f'own:{other.number}')
    writer.goes_on()
    writer.close()
    expect(t.b.pr_state().holder is None, t.b.pr_state())
    expect(holder.number not in mpa.status()['paths'], mpa.status())


@case(topology='iscsi_loop', rules=['5.2', '5.3'])
def new_nexus(t):
    """E28: after a new login a path is another nexus: it is registered afresh"""
    mpa = device_of_a(t)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    for choice in (1, 0):               # a path beside the holder, then the holder
        lost = holder_and_other(mpa)[choice]
        kept = next(path for path in t.a.paths if path is not lost)
        replace_nexus(t, lost)
        path = t.a.paths[lost.index]
        writer.goes_on()
        mpa.reload(f'pr_key {A:#x} {WATCHED}', paths=t.a.paths)
        registered(mpa, path)
        registered(mpa, kept)
        before = writes_through(path)
        poll(lambda path=path, before=before: writes_through(path) > before, 20,
             'a write takes the new path')
        writer.goes_on()
        expect(t.b.pr_state().holder == A, t.b.pr_state())
    writer.close()
    check_blocks(t.b, t.b.paths[0], writer)
    poll(lambda: t.b.pr_state().holder is None, 20, 'released')


@case(topology='iscsi_loop', rules=['5.3', '5.8'], paths=1)
def only_nexus(t):
    """E13, E28: of type 1 the only path is another nexus after a login: the reservation moves there"""
    mpa = device_of_a(t, f'pr_type 1 {QUEUED}')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    # udev's look at a device whose I/O is queued does not end.
    replace_nexus(t, t.a.paths[0], settle=False)
    # As multipathd does where no path is left.
    t.a.check(f'dmsetup suspend --noflush {mpa.name}')
    mpa.reload(f'pr_key {A:#x} pr_type 1 {QUEUED}', paths=t.a.paths)
    registered(mpa, t.a.paths[0])
    writer.goes_on()
    state = t.b.pr_state()
    expect((state.holder, state.type, state.keys) == (A, 1, [A]), state)
    expect(mpa.status()['holder'] == f'own:{t.a.paths[0].number}', mpa.status())
    writer.close()
    check_blocks(t.b, t.b.paths[0], writer)
    poll(lambda: t.b.pr_state().holder is None, 20, 'released')


def replace_nexus(t, path, settle=True):
    """Log path out and in again: another ISID, and another disk."""
    node = f'iscsiadm -m node -T {target_name(path.index)} -p {path.portal}:3260 -I a'
    t.vm.check(f'{node} -u')
    t.vm.check(f'{node} -l')
    disk = poll(lambda: iscsi_disk(t.vm, 'a', path.index), 20, 'the new disk')
    if settle:
        t.vm.check('udevadm settle')
    t.a.paths[path.index] = IscsiPath(t.vm, path.index, disk, path.portal)


@case(topology='iscsi_loop', rules=['5.2'])
def second_group(t):
    """I/O fails over to the other group of paths, which is registered"""
    mpa = device_of_a(t, groups=2)
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    first, second = t.a.paths
    expect(writes_through(second) == 0, 'the second group carries writes')
    down(mpa, [first])
    writer.goes_on()
    expect(writes_through(second) > 0, 'the second group carries none')
    expect(t.b.pr_state().holder == A, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.10', '3.9', '3.6'])
def twin(t):
    """another host's reservation with our key is not ours, unless the table says so"""
    Raw(t.b, A).register().reserve()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x}')
    before = t.b.pr_state()
    expect(before.keys == [A, A], before)
    for options in ('', 'forced'):
        code, out = try_open(mpa, options)
        expect(code and 'busy' in out, f'{options}: {code} {out}')
    expect('key' in log(t).rsplit('refused', 1)[-1], f'the log must name the twin: {log(t)}')
    after = t.b.pr_state()
    expect((after.keys, after.holder) == (before.keys, before.holder), after)
    mpa.remove()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x} pr_twin trust')
    session = hold(t, mpa).opened()
    expect(t.b.pr_state().holder == A, t.b.pr_state())
    Writer(t, mpa).opened().goes_on()
    session.close()


def reload_module(t):
    unload(t.vm)
    t.vm.check(f'insmod {module_path(t.kernel)}')


@case(topology='iscsi_loop', rules=['3.9', '4.3', '4.5'])
def retained_over_module_reload(t):
    """a retained reservation is adopted by proof when nothing remembers it"""
    mpa = device_of_a(t)
    hold(t, mpa, 'retain').opened().close()
    mpa.wait_status(state='retained')
    mpa.remove()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    reload_module(t)
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x} {WATCHED}')
    session = hold(t, mpa).opened()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    Writer(t, mpa).opened().goes_on()
    expect(not Raw(t.b, B).writes(), 'b can write past the reservation')
    session.close()


@case(topology='iscsi_loop', rules=['3.9', '4.3'])
def retained_over_new_nexus(t):
    """E27: it is adopted over new logins too, and released by the close"""
    mpa = device_of_a(t)
    hold(t, mpa, 'retain').opened().close()
    mpa.remove()
    reload_module(t)
    for path in list(t.a.paths):
        replace_nexus(t, path)
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x} {WATCHED}')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    state = t.b.pr_state()
    expect(state.keys == [A, A] and state.holder == A, state)
    writer.close()
    expect(t.b.pr_state().holder is None, t.b.pr_state())


@case(topology='iscsi_loop', rules=['5.9'])
def restarted_beside_foreign(t):
    """a host that starts while another one holds the LUN leaves no registration"""
    mpa = device_of_a(t)
    mpa.remove()
    reload_module(t)
    Raw(t.b, B).register().reserve()
    mpa = t.a.prmpath('mpa', f'pr_key {A:#x}')
    mpa.wait_status(state='foreign')
    expect(t.b.pr_state().keys == [B, B], t.b.pr_state())
    expect(not Raw(t.a, A).writes(), 'a can write past the reservation')
