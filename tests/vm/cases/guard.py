# SPDX-License-Identifier: GPL-2.0-only
"""Ways past the gate, and waits that must end: what tests/mutants/module asked for."""
import time

from cases import case, expect, poll
from session import progress, ready, writer
from steps import check_write, hold, read_byte

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


@case(topology='tcm_loop', rules=['5.2', '4.8'])
def swapped(t):
    """a reload swaps the only path under I/O: writes wait for the registration of the new one"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1', paths=t.a.paths[:1])
    mp.wait_status(keys_own=1)
    t.a.check('echo 1 > /sys/kernel/tracing/events/prmpath/enable')
    job = writer(t, mp)
    for path in (t.a.paths[1], t.a.paths[0]) * 2:
        progress(job)
        mp.reload('pr_key 0xa1', paths=[path])
        progress(job)
        try:
            mp.wait_status(state='owner', holder=f'own:{path.number}')
        except Exception:
            print(mp.status(), t.a.pr_state(), t.a.run('cat /sys/kernel/tracing/trace')[1])
            raise
        poll(lambda: t.a.pr_state().keys == [0xa1], 15, 'the old path is unregistered')


@case(topology='iscsi_loop', rules=['6.3'], hosts=('a',))
def silent_path(t):
    """a path that is silent for long costs an open the time of one command"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open pr_poll 0')
    silent = t.a.paths[1]
    session = t.a.check(f'readlink -f /sys/block/{silent.name}/device | grep -o "session[0-9]*"')
    timeout = f'/sys/class/iscsi_session/{session.strip()}/recovery_tmo'
    t.a.check(f'echo 120 > {timeout}')
    t.cleanup(t.a.check, f'echo 5 > {timeout}')
    t.cleanup(silent.restore)
    silent.cut()
    start = time.monotonic()
    hold(t, t.a, mp)
    took = time.monotonic() - start
    expect(took < 22, f'{took:.1f} s')
    status = mp.status()
    expect(status['state'] == 'owner' and not status['paths'][silent.number]['active'], status)
    check_write(t.a, mp, 0x71)
