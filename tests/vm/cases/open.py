# SPDX-License-Identifier: GPL-2.0-only
"""Sections 2 and 3: the ways in, and what each open option does."""
import time

from cases import case, expect, poll
from steps import (BUSY, EBADE, EXTENDED_OPEN, IO, NO_PR, PR_IN, PR_OUT, PRMPATH,
                   READ_RESERVATION, RELEASE, RESERVE, Commands, check_write, close,
                   foreign_leave, foreign_register, foreign_reserve, hold, hold_bypass,
                   hold_extended, logged, plain_refused, refused, write, write_fails)

WERO = 5


@case(topology='tcm_loop', rules=['3-default', '4.2', '5.9', '6.1'])
def default(t):
    """a default open reserves, the last close releases"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    expect(t.a.pr_state().keys == [0xa1, 0xa1], 'registered in the background')
    holder = hold(t, t.a, mp)
    state = t.a.pr_state()
    expect((state.holder, state.type) == (0xa1, WERO), state)
    t.a.check(f'dd if=/dev/zero of={mp} bs=4k count=100 oflag=direct')
    close(holder)
    mp.wait_status(state='free')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['6.1'], paths=4)
def cost(t):
    """a default open of a configured LUN costs two commands, with four paths as well"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_poll 0')
    mp.wait_status(keys_own='4')
    with Commands(t.vm) as commands:
        holder = hold(t, t.a, mp)
    pr = commands.pr()
    expect(pr[:2] == [(PR_IN, READ_RESERVATION), (PR_OUT, RESERVE)], pr)
    expect(commands.pr_out() == [RESERVE], pr)
    close(holder)


@case(topology='tcm_loop', rules=['3-bypass', '2.1'])
def quiet(t):
    """read-only and O_NONBLOCK opens, udev and blkid send no PR command"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_poll 0')
    mp.wait_status(keys_own='2')
    t.a.check('udevadm settle')
    before = t.a.pr_state()
    with Commands(t.vm) as commands:
        reader = hold(t, t.a, mp, '<')
        bypass = hold_bypass(t, t.a, mp)
        t.a.check(f'udevadm trigger --settle {mp}; blkid -p {mp}; blockdev --getsz {mp}; '
                  f'dd if={mp} of=/dev/null bs=4k count=1 iflag=direct', 60)
        status = mp.status()
        close(reader)
        close(bypass)
        t.a.check('udevadm settle')
    expect((status['state'], status['gate'], status['opens']) == ('free', 'closed', '2'), status)
    expect(commands.cdbs and not commands.pr(), commands.pr())
    expect(t.a.pr_state() == before, t.a.pr_state())


@case(topology='tcm_loop', rules=['2.1'])
def exclusive(t):
    """O_EXCL is not single: others may open"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    holder = t.a.spawn('python3 -c "import os, time; os.open(\'%s\', os.O_RDWR | os.O_EXCL); '
                       'print(\'open\', flush=True); time.sleep(600)"' % mp)
    t.cleanup(close, holder)
    poll(lambda: 'open' in holder.output() or holder.poll() is not None)
    expect(t.a.pr_state().holder == 0xa1, 'the open reserved')
    expect(mp.status()['options'] == 'default', mp.status())
    hold(t, t.a, mp)


@case(topology='tcm_loop', rules=['3-default', '3-single', '3-retain', '3-no_reserve', '3-bypass', '3-forced-no_reserve', '2.2'])
def extended(t):
    """prmpath open with each option, on a LUN that is free"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    for options, during, word in ((), 0xa1, 'default'), (('single',), 0xa1, 'single'), \
            (('no-reserve',), None, 'no_reserve'), (('bypass',), None, 'default'), \
            (('read-only',), 0xa1, 'default'), (('forced', 'no-reserve'), None, 'forced,no_reserve'):
        holder = hold_extended(t, t.a, mp, *options)
        state, status = t.a.pr_state(), mp.status()
        close(holder)
        expect(state.holder == during and status['options'] == word, f'{options}: {state} {status}')
        mp.wait_status(state='free')
        expect(t.a.pr_state().holder is None, f'after {options}: {t.a.pr_state()}')
    expect(t.a.run(f'{PRMPATH} open {mp} -- sh -c "exit 7"')[0] == 7, 'exit code of the command')
    close(hold_extended(t, t.a, mp, 'retain'))
    mp.wait_status(state='retained')
    expect(t.a.pr_state().holder == 0xa1, 'retain keeps the reservation')
    expect(mp.message('pr_release')[0] == 0 and t.a.pr_state().holder is None, 'pr_release')


@case(topology='tcm_loop', rules=['2.2', '3.7'])
def rights(t):
    """extended open: writable descriptor or CAP_SYS_ADMIN; bad descriptors and bits"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    poor = 'setpriv --inh-caps=-all --bounding-set=-all '
    for prefix, arguments, wanted in (
            ('', f'{mp} rw 0', 'OK'), ('', f'{mp} ro 0', 'OK'), ('', f'{mp} rw 0x10', 'OK'),
            (poor, f'{mp} rw 0', 'OK'), (poor, f'{mp} ro 0', 'EPERM'), (poor, f'{mp} ro 1', 'EPERM'),
            ('', f'{mp} rw 0x20', 'EINVAL'), ('', f'{mp} rw 0x80000000', 'EINVAL'),
            ('', f'{mp} rw 0x11', 'EINVAL'), ('', f'{mp} rw 0 1', 'EINVAL'),
            ('', '99 none 0', 'EBADF'), ('', '-1 none 0', 'EBADF'),
            ('', f'{t.a.paths[0]} rw 0', 'ENOTTY'), ('', '/dev/null rw 0', 'ENOTTY'),
            ('', '/etc/passwd ro 0', 'ENOTTY')):
        out = t.a.check(f'{prefix}{EXTENDED_OPEN} {arguments}').strip()
        expect(out == wanted, f'{prefix}{arguments}: {out}, expected {wanted}')
    for text in ('options 0x20, expected bits of 0x1f, bypass alone', 'options 0x11, expected',
                 'reserved field 0x1, expected 0'):
        logged(t, 'mp0 (dm-', f'extended open: {text}')
    expect(t.a.pr_state().holder is None and mp.status()['opens'] == '0', mp.status())


@case(topology='tcm_loop', rules=['2.3'])
def table_defaults(t):
    """pr_open and pr_open_ro: defaults for plain opens"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_open no_reserve pr_open_ro retain')
    mp.wait_status(keys_own='2')
    holder = hold(t, t.a, mp)
    expect(t.a.pr_state().holder is None, 'pr_open no_reserve')
    check_write(t.a, mp, 0x41)
    close(holder)
    holder = hold(t, t.a, mp, '<')
    expect(t.a.pr_state().holder == 0xa1, 'pr_open_ro retain reserves')
    close(holder)
    expect(t.a.pr_state().holder == 0xa1, 'and retains')
    mp.wait_status(state='retained')
    hold_bypass(t, t.a, mp)
    expect(mp.status()['state'] == 'retained', 'O_NONBLOCK stays bypass')


@case(topology='tcm_loop', rules=['2.4'])
def message(t):
    """open_options changes the default; once is for one open, and reads do not use it up"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    expect(mp.message('open_options', 'no_reserve')[0] == 0, 'message')
    expect(mp.status()['open'] == 'no_reserve', mp.status())
    close(hold(t, t.a, mp))
    holder = hold(t, t.a, mp)
    expect(mp.status()['state'] == 'no_reserve', mp.status())
    close(holder)
    expect(mp.message('open_options', 'retain', 'once')[0] == 0, 'message')
    expect(mp.status()['open'] == 'no_reserve', 'once does not change the default')
    close(hold(t, t.a, mp, '<'))
    close(hold_bypass(t, t.a, mp))
    expect(t.a.pr_state().holder is None, 'bypass opens do not use it')
    # udev looks at what was open for writing, and may be the last to close.
    mp.wait_status(opens=0)
    close(hold(t, t.a, mp))
    mp.wait_status(opens=0)
    expect(t.a.pr_state().holder == 0xa1, 'the next open retains')
    close(hold(t, t.a, mp))
    expect(t.a.pr_state().holder is None, 'the one after that does not even reserve')


@case(topology='tcm_loop', rules=['2.4'], hosts=('a', 'b'))
def once_failed(t):
    """a failed open uses once up too"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    foreign_reserve(t.b)
    mp.message('open_options', 'retain', 'once')
    plain_refused(t.a, mp, 'busy')
    foreign_leave(t.b)
    close(hold(t, t.a, mp))
    expect(t.a.pr_state().holder is None, 'not retained')


@case(topology='tcm_loop', rules=['2.5', '5.1'])
def bypass_default(t):
    """pr_open bypass: plain opens send nothing and write nothing, extended ones reserve"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_open bypass')
    mp.wait_status(keys_own='2')
    with Commands(t.vm) as commands:
        close(hold(t, t.a, mp))
    expect(not commands.pr(), commands.pr())
    write_fails(t.a, mp)
    hold_extended(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    check_write(t.a, mp, 0x42)


@case(topology='tcm_loop', rules=['3', '3-default', '3-single', '3-retain', '3-no_reserve', '3.6', '3.7', '5.9'],
      hosts=('a', 'b'))
def foreign(t):
    """a foreign reservation: EBUSY and not one PR OUT, whatever the option"""
    foreign_reserve(t.b)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(state='foreign')
    before = t.b.pr_state()
    expect(before.keys == [0xb], f'registered beside a foreign reservation: {before}')
    with Commands(t.vm) as commands:
        for options in (), ('single',), ('retain',), ('no-reserve',), ('read-only',), \
                ('retain', 'single'):
            refused(t.a, mp, BUSY, *options)
        plain_refused(t.a, mp, 'busy')
    expect(commands.pr() and not commands.pr_out(), commands.pr())
    expect(t.b.pr_state() == before, t.b.pr_state())
    status = mp.status()
    expect((status['opens'], status['options'], status['holder'], status['gate']) ==
           ('0', 'default', 'foreign:0x000000000000000b', 'closed'), status)
    logged(t, 'mp0', 'open (default) refused', '0xb,', t.a.paths[0].number)
    logged(t, 'mp0', 'open (retain,single) refused')
    foreign_leave(t.b)
    close(hold(t, t.a, mp))


@case(topology='tcm_loop', rules=['5.9', '3.2'], hosts=('a', 'b'))
def register_late(t):
    """pr_register open: no registration before the first open"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open')
    close(hold(t, t.a, mp, '<'))
    expect(not t.a.pr_state().keys, t.a.pr_state())
    holder = hold(t, t.a, mp)
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, state)
    check_write(t.a, mp, 0x43)
    close(holder)
    expect(t.a.pr_state().keys == [0xa1, 0xa1], 'they stay after the close')


@case(topology='tcm_loop', rules=['3-default', '3-retain', '3.9', '4.3', '4.5'])
def adopt(t):
    """a reservation that was retained is adopted, by this table and by the next"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    close(hold_extended(t, t.a, mp, 'retain'))
    with Commands(t.vm) as commands:
        holder = hold_extended(t, t.a, mp, 'retain')
    expect(RELEASE not in commands.pr_out(), commands.pr())
    check_write(t.a, mp, 0x44)
    close(holder)
    mp.remove()
    state = t.a.pr_state()
    expect(state.holder == 0xa1 and state.keys == [0xa1, 0xa1], f'removal breaks retain: {state}')
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open')
    holder = hold(t, t.a, mp)
    expect(mp.status()['state'] == 'owner' and t.a.pr_state().holder == 0xa1, mp.status())
    check_write(t.a, mp, 0x45)
    close(holder)
    expect(t.a.pr_state().holder is None, 'released by the session that adopted it')


@case(topology='tcm_loop', rules=['3-no_reserve'])
def leftover(t):
    """no_reserve releases what an earlier session left"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    close(hold_extended(t, t.a, mp, 'retain'))
    expect(t.a.pr_state().holder == 0xa1, 'retained')
    hold_extended(t, t.a, mp, 'no-reserve')
    expect(t.a.pr_state().holder is None, 'released')
    expect(mp.status()['state'] == 'no_reserve', mp.status())
    check_write(t.a, mp, 0x46)


@case(topology='tcm_loop', rules=['3.5'])
def join(t):
    """an open beside an owner sends nothing; bits add up; a session can grow"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_poll 0')
    mp.wait_status(keys_own='2')
    weak = hold_extended(t, t.a, mp, 'no-reserve')
    first = hold(t, t.a, mp)
    expect(t.a.pr_state().holder == 0xa1, 'a reserving open in a no_reserve session reserves')
    with Commands(t.vm) as commands:
        joined = hold_extended(t, t.a, mp, 'retain')
        beside = hold_extended(t, t.a, mp, 'no-reserve')
    expect(not commands.pr(), commands.pr())
    expect(mp.status()['options'] == 'retain,no_reserve', mp.status())
    for holder in joined, beside, weak:
        close(holder)
    expect(mp.status()['state'] == 'owner' and t.a.pr_state().holder == 0xa1, mp.status())
    close(first)
    expect(t.a.pr_state().holder == 0xa1, 'the retain of one open lasts')


@case(topology='tcm_loop', rules=['3.7', '5.12'])
def no_pr(t):
    """a target without PR: EOPNOTSUPP for those who need it, no_reserve works"""
    t.lun.backstore.attribute('emulate_pr', 0)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    refused(t.a, mp, NO_PR)
    refused(t.a, mp, NO_PR, 'forced')
    plain_refused(t.a, mp, 'not supported')
    logged(t, 'mp0', 'open (forced) refused')
    bypass = hold_bypass(t, t.a, mp)
    hold_extended(t, t.a, mp, 'no-reserve')
    expect(mp.status()['state'] == 'no_reserve', mp.status())
    mp.message('open_options', 'no_reserve')
    check_write(t.a, mp, 0x47)
    close(bypass)


@case(topology='tcm_loop', rules=['5.12'])
def plain(t):
    """without a key it is a plain multipath target and says so"""
    mp = t.a.prmpath('mp0')
    before = t.a.pr_state()
    with Commands(t.vm) as commands:
        hold(t, t.a, mp)
        check_write(t.a, mp, 0x48)
        t.a.paths[0].cut()
        check_write(t.a, mp, 0x49)
        t.a.paths[0].restore()
    expect(not commands.pr(), commands.pr())
    expect(t.a.pr_state() == before and not before.keys, before)
    status = mp.status()
    expect((status['pr'], status['state'], status['gate']) == ('0', 'off', 'open'), status)
    expect({p['pr'] for p in status['paths'].values()} == {'off'}, status)
    refused(t.a, mp, NO_PR)


@case(topology='tcm_loop', rules=['3.7', '6.3'])
def all_dead(t):
    """no path answers: EIO soon, and nothing left behind; later it works"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1')
    mp.wait_status(keys_own='2')
    before = t.a.pr_state()
    for path in t.a.paths:
        path.cut()
    start = time.monotonic()
    refused(t.a, mp, IO)
    expect(time.monotonic() - start < 20, 'took too long')
    # udev may look at it, too.
    poll(lambda: mp.status()['opens'] == '0', what='nobody has it open')
    logged(t, 'mp0', 'open (default) refused')
    for path in t.a.paths:
        path.restore()
    # The checker's proof of a returning path may count in the generation.
    after = t.a.pr_state()
    expect((after.keys, after.holder) == (before.keys, before.holder), after)
    close(hold(t, t.a, mp))


@case(topology='tcm_loop', rules=['3-default', '5.2'])
def one_dead(t):
    """an open with a dead path reserves through the live one"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 0 pr_poll 0 pr_register open')
    t.a.paths[0].cut()
    hold(t, t.a, mp)
    state = t.a.pr_state(1)
    expect(state.holder == 0xa1 and state.keys == [0xa1], state)
    check_write(t.a, mp, 0x4a)
    status = mp.status()
    expect(status['holder'] == f'own:{t.a.paths[1].number}', status)
    t.a.paths[0].restore()


@case(topology='tcm_loop', rules=['5.8'], hosts=('a', 'b'))
def types(t):
    """types 6, 7 and 8 by number and by name, seen by sg_persist"""
    for word, number in ('6', 6), ('7', 7), ('8', 8), ('exclusive-access-registrants-only', 6):
        mp = t.a.prmpath('mp0', f'pr_key 0xa1 pr_type {word}')
        mp.wait_status(keys_own='2')
        holder = hold(t, t.a, mp)
        state = t.a.pr_state()
        expect(state.type == number, f'{word}: {state}')
        expect(state.holder == (0 if number > 6 else 0xa1), f'{word}: {state}')
        check_write(t.a, mp, 0x4b)
        expect(write(t.b, t.b.paths[0], 0x4c)[0] != 0, f'{word} does not keep b out')
        close(holder)
        expect(t.a.pr_state().holder is None and t.a.pr_state().type is None, f'{word}: released')
        mp.remove()


@case(topology='tcm_loop', rules=['5.8'], paths=1, hosts=('a', 'b'))
def one_path_types(t):
    """types 1 and 3 with one path"""
    for number in 1, 3:
        mp = t.a.prmpath('mp0', f'pr_key 0xa1 pr_type {number}')
        mp.wait_status(keys_own='1')
        holder = hold(t, t.a, mp)
        state = t.a.pr_state()
        expect((state.type, state.holder) == (number, 0xa1), state)
        check_write(t.a, mp, 0x4d)
        expect(write(t.b, t.b.paths[0], 0x4e)[0] != 0, f'{number} does not keep b out')
        close(holder)
        expect(t.a.pr_state().holder is None, f'{number}: released')
        mp.remove()


@case(topology='tcm_loop', rules=['3.2', '5.8'], hosts=('a', 'b'))
def shared(t):
    """pr_shared leaves foreign registrants in place"""
    foreign_register(t.b)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_shared')
    mp.wait_status(keys_own='2')
    hold(t, t.a, mp)
    state = t.a.pr_state()
    expect(state.keys == [0xb, 0xa1, 0xa1] and state.holder == 0xa1, state)
    check_write(t.b, t.b.paths[0], 0x4f)


@case(topology='iscsi_loop', rules=['3-forced', '3-forced-no_reserve', '3.2', '3.3'])
def forced(t):
    """forced takes the LUN and evicts; with no_reserve it only breaks the reservation"""
    foreign_reserve(t.b)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(state='foreign')
    holder = hold_extended(t, t.a, mp, 'forced')
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, state)
    check_write(t.a, mp, 0x50)
    expect(EBADE in write(t.b, t.b.paths[0], 0x51)[1], 'b can write')
    close(holder)
    expect(t.a.pr_state().holder is None, t.a.pr_state())

    foreign_reserve(t.b)
    holder = hold_extended(t, t.a, mp, 'forced', 'no-reserve')
    state = t.a.pr_state()
    expect(0xb not in state.keys and state.holder is None, state)
    check_write(t.a, mp, 0x52)
    close(holder)

    foreign_register(t.b)
    hold(t, t.a, mp)
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, f'not evicted: {state}')


@case(topology='tcm_loop', rules=['3.9', '5.10'], hosts=('a', 'b'))
def twin(t):
    """a reservation with our key by another nexus: EBUSY, unless the table trusts twins"""
    foreign_reserve(t.b, key=0xa1)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 0')
    for options in (), ('forced',), ('no-reserve',):
        refused(t.a, mp, BUSY, *options)
    state = t.b.pr_state()
    expect(state.keys == [0xa1] and state.holder == 0xa1, state)
    logged(t, 'mp0', 'another host uses our key')
    expect(write(t.b, t.b.paths[0], 0x53)[0] == 0, 'the twin was hurt')
    mp.reload('pr_key 0xa1 path_check 0 pr_twin trust')
    holder = hold(t, t.a, mp)
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, state)
    check_write(t.a, mp, 0x54)
    close(holder)
    expect(t.a.pr_state().holder is None, 'released')


@case(topology='tcm_loop', rules=['5.8'], hosts=('a', 'b'))
def all_registrants(t):
    """a foreign type 7: EBUSY; with pr_shared it is joined, and left at the last close"""
    foreign_reserve(t.b, kind=7)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_type 7')
    before = t.b.pr_state()
    with Commands(t.vm) as commands:
        refused(t.a, mp, BUSY)
        refused(t.a, mp, BUSY, 'no-reserve')
    expect(not commands.pr_out() and t.b.pr_state() == before, commands.pr())
    mp.reload('pr_key 0xa1 pr_type 7 pr_shared')
    holder = hold(t, t.a, mp)
    state = t.a.pr_state()
    expect(state.keys == [0xb, 0xa1, 0xa1] and state.type == 7, state)
    check_write(t.a, mp, 0x55)
    check_write(t.b, t.b.paths[0], 0x56)
    close(holder)
    state = t.b.pr_state()
    expect(state.keys == [0xb] and state.type == 7, state)


@case(topology='tcm_loop', rules=['3.8', '3.7'], hosts=('a', 'b'))
def scsi2_reservation(t):
    """a SCSI-2 reservation of another host: EBUSY, and the log says what it is"""
    t.b.check(f'sg_raw {t.b.paths[0]} 16 00 00 00 00 00')
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    refused(t.a, mp, BUSY)
    refused(t.a, mp, BUSY, 'forced')
    logged(t, 'mp0', 'SCSI-2 reservation')
    t.b.check(f'sg_raw {t.b.paths[0]} 17 00 00 00 00 00')
    close(hold(t, t.a, mp))
    # udev may have the device open for a moment longer.
    mp.wait_status(state='free')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['2.5', '5.1'])
def remount(t):
    """a remount does not open again: its writes fail and the log says why, once"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    mp.wait_status(keys_own='2')
    t.a.check(f'mkfs.ext2 -q {mp} 4096 && mount -t ext2 -o ro {mp} /mnt', 120)
    t.cleanup(t.a.run, 'umount /mnt')
    t.a.run('mount -o remount,rw /mnt && touch /mnt/file; sync -f /mnt')
    out = logged(t, 'mp0', 'write refused')
    expect(out.count('write refused') == 1, out)
    t.a.check('umount /mnt')
    holder = hold_extended(t, t.a, mp)
    t.a.check(f'mount -t ext2 -o ro {mp} /mnt && mount -o remount,rw /mnt && touch /mnt/file && '
              'sync -f /mnt && umount /mnt')
    close(holder)
