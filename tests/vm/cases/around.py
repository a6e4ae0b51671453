# SPDX-License-Identifier: GPL-2.0-only
"""Defects around us, shown without our module; README.md lists them.

A case passes while the defect is there. If it fails, the defect is gone from that kernel, and
what the tests avoid because of it can come back.
"""
from cases import case, expect, poll

A, B = 0xa1, 0xb1
WERO = 5


def prout(host, action, words=''):
    return f'sg_persist --no-inquiry --out --{action} {words} {host.paths[0].dev}'


@case(topology='tcm_loop', rules=[], module=False, hosts=('a', 'b'), paths=1, long=True)
def abort_hangs_the_loop(t):
    """LIO over tcm_loop: PREEMPT AND ABORT never ends, and the LUN answers nobody any more"""
    for host, key in (t.a, A), (t.b, B):
        t.vm.check(prout(host, 'register', f'--param-sark={key:#x}'))
    t.vm.check(prout(t.a, 'reserve', f'--param-rk={A:#x} --prout-type={WERO}'))
    t.discard()
    abort = t.vm.spawn(prout(t.b, 'preempt-abort', f'--param-rk={B:#x} --param-sark={A:#x} '
                                                   f'--prout-type={WERO}'))
    stack = 'grep -l core_tmr /proc/[0-9]*/stack 2>/dev/null'
    poll(lambda: t.vm.run(stack)[0] == 0, 20, 'a kernel thread inside of the abort')
    other = t.vm.spawn(f'sg_turs {t.a.paths[0].dev}')
    for command, name in (abort, 'PREEMPT AND ABORT'), (other, 'TEST UNIT READY of the other host'):
        expect(not command.ended.wait(10), f'{name} ended: {command.output()}')


@case(topology='tcm_loop', rules=[], module=False, hosts=('a',), paths=1, long=True)
def registered_without_saying_so(t):
    """LIO without its folder for registrations: NOT READY, and registered all the same"""
    dbroot = t.vm.check('cat /sys/kernel/config/target/dbroot').strip()
    t.vm.check(f'mv {dbroot}/pr {dbroot}/pr.away')
    t.cleanup(t.vm.check, f'mv {dbroot}/pr.away {dbroot}/pr')
    code, out = t.vm.run(prout(t.a, 'register', f'--param-sark={A:#x}'))
    expect(code and 'not ready' in out.lower(), f'{code}: {out}')
    expect(t.a.pr_state().keys == [A], t.a.pr_state())
    t.vm.run(prout(t.a, 'register', f'--param-rk={A:#x} --param-sark=0'))
