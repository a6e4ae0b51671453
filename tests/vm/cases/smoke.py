# SPDX-License-Identifier: GPL-2.0-only
"""The harness itself, without our module."""
import re

from cases import case, expect, poll

TYPE_WERO = 5


def dm_multipath(t, host):
    """An in-tree multipath device over all paths of host."""
    host.check('modprobe -a dm_multipath dm_round_robin')
    table = re.sub(r'prmpath 0', 'multipath 0', host.table())
    host.check(f'dmsetup create mp --table "{table}"')
    t.cleanup(host.check, 'dmsetup remove --retry mp')
    return '/dev/mapper/mp'


def register(host, path, key):
    host.check(f'sg_persist -n --out --register --param-sark={key:#x} {host.paths[path]}')


@case(topology='tcm_loop', rules=['6.4'], module=False, hosts=('a', 'b'))
def tcm_loop(t):
    """dm-multipath over tcm_loop, keys seen by sg_persist, a path cut"""
    device = dm_multipath(t, t.a)
    register(t.a, 0, 0xa)
    register(t.a, 1, 0xa)
    t.a.check(f'sg_persist -n --out --reserve --param-rk=0xa --prout-type=5 {t.a.paths[0]}')
    state = t.b.pr_state()
    expect(state.keys == [0xa, 0xa] and (state.holder, state.type) == (0xa, TYPE_WERO), state)

    write = f'dd if=/dev/zero of={device} bs=4k count=100 oflag=direct'
    t.a.check(write)
    t.a.paths[0].cut()
    t.a.check(write)
    t.a.paths[0].restore()
    expect(t.b.run(f'dd if=/dev/zero of={t.b.paths[0]} count=1 oflag=direct')[0] != 0,
           'the reservation does not keep b out')


@case(topology='iscsi_loop', rules=['6.4'], module=False)
def iscsi_loop(t):
    """two initiator names over loopback: preempt and abort takes over"""
    device = dm_multipath(t, t.a)
    register(t.a, 0, 0xa)
    register(t.a, 1, 0xa)
    t.a.check(f'sg_persist -n --out --reserve --param-rk=0xa --prout-type=5 {t.a.paths[0]}')
    t.a.check(f'dd if=/dev/zero of={device} bs=4k count=100 oflag=direct')
    register(t.b, 1, 0xb)
    t.b.check('sg_persist -n --out --preempt-abort --param-rk=0xb --param-sark=0xa '
              f'--prout-type=5 {t.b.paths[1]}')
    state = t.b.pr_state(path=1)
    expect(state.keys == [0xb] and state.holder == 0xb, state)


@case(topology='three_hosts', rules=['6.4'], module=False)
def three_hosts(t):
    """dm-multipath goes on when one of two cables is pulled"""
    device = dm_multipath(t, t.a)
    register(t.b, 0, 0xb)
    expect(t.a.pr_state().keys == [0xb], t.a.pr_state())
    t.a.paths[0].cut()
    t.a.check(f'dd if=/dev/zero of={device} bs=4k count=100 oflag=direct')
    t.a.paths[0].restore()
    poll(lambda: t.a.run(f'sg_turs {t.a.paths[0]}')[0] == 0, 30, 'path is back')
