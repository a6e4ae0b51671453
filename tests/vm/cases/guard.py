# SPDX-License-Identifier: GPL-2.0-only
"""Ways past the gate and the admission, and waits that must end."""
import time

from cases import case, expect, poll
from paths import replace_nexus
from session import ready
from sessions import Writer
from steps import TRACE, check_write, hold, read_byte, sg_out

POOR = 'setpriv --inh-caps=-sys_rawio --bounding-set=-sys_rawio'
WRITE_BLOCK = 'sg_raw -s 512 -i /dev/urandom {} 2a 00 00 00 00 00 00 00 01 00'


@case(topology='tcm_loop', rules=['5.1'])
def passthrough(t):
    """SG_IO through the device needs CAP_SYS_RAWIO while the gate is closed"""
    mp = ready(t)
    check_write(t.a, t.a.paths[0], 0)
    write = f'{POOR} {WRITE_BLOCK.format(mp)}'
    code, out = t.a.run(write)
    expect(code, f'written without a session: {out}')
    expect(read_byte(t.a, t.a.paths[0], flags='iflag=direct') == 0, 'the write landed')
    t.a.check(f'sg_turs {mp}')
    hold(t, t.a, mp)
    t.a.check(write)


@case(topology='tcm_loop', rules=['5.2'])
def swapped(t):
    """a table with another only path: a write waits for the registration of that"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1', paths=t.a.paths[:1])
    mp.wait_status(keys_own=1)
    hold(t, t.a, mp)
    t.a.check('dmsetup suspend mp0')
    job = t.a.spawn(f'exec dd if=/dev/zero of={mp} bs=4k count=1 oflag=direct conv=notrunc')
    poll(lambda: 'D' in t.a.run("ps -o stat= -C dd")[1], 15, 'a write waits for the resume')
    mp.reload('pr_key 0xa1', paths=t.a.paths[1:])
    code, out = job.wait()
    expect(code == 0 and mp.status()['state'] == 'owner', out)


@case(topology='tcm_loop', rules=['4.8', '4.5'])
def swapped_moves(t):
    """with the only path goes its registration, after the reservation has moved to the new one"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1', paths=t.a.paths[:1])
    mp.wait_status(keys_own=1)
    hold(t, t.a, mp)
    for path in (t.a.paths[1], t.a.paths[0]):
        mp.reload('pr_key 0xa1', paths=[path])
        mp.wait_status(state='owner', holder=f'own:{path.number}')
        poll(lambda: t.a.pr_state().keys == [0xa1], 15, 'the old path is unregistered')


@case(topology='tcm_loop', rules=['5.2', '5.3'])
def not_before_it_is_registered(t):
    """a path that comes back unregistered carries no write until it is: no conflict is seen"""
    mp = ready(t, 'path_check 0 pr_poll 0')
    job = Writer(t, mp, threads=4).opened()
    away = next(p for p in t.a.paths if mp.status()['holder'] != f'own:{p.number}')
    event = f'{TRACE}/events/scsi/scsi_dispatch_cmd_done/enable'
    for _ in range(5):
        job.goes_on()
        mp.message('fail_path', away.number)
        sg_out(t.a, '--register --param-rk=0xa1', away.index)
        t.a.check(f'echo > {TRACE}/trace; echo 1 > {event}')
        mp.message('reinstate_path', away.number)
        poll(lambda: mp.status()['paths'][away.number]['pr'] == 'registered', 20, 'registered')
        job.goes_on()
        t.a.check(f'echo 0 > {event}')
        seen = t.a.check(f'cat {TRACE}/trace')
        expect('WRITE' in seen, 'no command traced')
        expect('RESERVATION_CONFLICT' not in seen, 'a write came too early')


def without_pings(t):
    """In sessions from now on nobody notices a silent path earlier than a command's own timer."""
    for word in 'interval', 'timeout':
        t.a.check(f'iscsiadm -m node -o update -n "node.conn[0].timeo.noop_out_{word}" -v 0')


@case(topology='iscsi_loop', rules=['6.3'], hosts=('a',))
def silent_path(t):
    """a path that is silent for long costs an open the time of one command"""
    without_pings(t)
    replace_nexus(t, t.a.paths[1])
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open pr_poll 0 path_check 1')
    silent = t.a.paths[1]
    t.cleanup(silent.restore)
    silent.cut()
    start = time.monotonic()
    hold(t, t.a, mp)
    took = time.monotonic() - start
    expect(10 < took < 18, f'{took:.1f} s')
    status = mp.status()
    expect(status['state'] == 'owner' and not status['paths'][silent.number]['active'], status)
    check_write(t.a, mp, 0x71)
    silent.restore()
    poll(lambda: mp.status()['paths'][silent.number]['pr'] == 'registered', 60, 'it is back')
