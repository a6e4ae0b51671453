# SPDX-License-Identifier: GPL-2.0-only
"""A target that refuses, lies, delays and forgets: what each open does then."""
import json
import os
import re
from errno import EBUSY, EIO, EOPNOTSUPP, ETIMEDOUT

import cases
from cases import Single, Topology, case, expect, poll
from hostile_target import HostileLoop, descriptor, fixed

cases.TOPOLOGIES.setdefault(
    'hostile', Topology('single', Single, lambda site, **layout: HostileLoop(site.vm, **layout)))

K, FOREIGN = 0xa1, 0xb
IN, OUT = 0x5e, 0x5f
KEYS, RESERVATION = {'op': IN, 'sa': 0}, {'op': IN, 'sa': 1}
REGISTER, RESERVE = {'op': OUT, 'sa': [0, 6]}, {'op': OUT, 'sa': 1}
RELEASE, TAKE = {'op': OUT, 'sa': 2}, {'op': OUT, 'sa': [4, 5]}
ANY_OUT, ANY_PR = {'op': OUT}, {'op': [IN, OUT]}
FULL_STATUS, WRITE = {'op': IN, 'sa': 3}, {'op': [0x2a, 0x8a]}

OK = 0
OPTIONS = ['default', 'forced', 'retain', 'forced,retain', 'no_reserve', 'single']


def row(name, *rules, words=(), features='', before=(), bound=25, options=OPTIONS, during=(),
        then=None, closed=None, most=None, writes=0, written='', stays=False, uses=1, **ends):
    """A misbehaviour.

    ends: how each open ends, an errno by option, all for those not named; words: of the log;
    before: calls of the target's control port; bound: seconds that an open may take;
    stays: registrations of an open that fails may stay, if the status knows of them (rule 5.9).
    Of a session, if then is given: rules that come during it; words of the status that it
    must arrive at; most of a command; writes to try, how the last ends; status when closed;
    how often each rule has to be used before.
    """
    return {'name': name, 'rules': rules, 'words': words, 'features': features, 'before': before,
            'bound': bound, 'options': options, 'during': during, 'then': then or {},
            'closed': closed or {}, 'most': most or {}, 'writes': writes, 'written': written,
            'stays': stays, 'uses': uses,
            'ends': {name: ends.get(name.replace(',', '__'), ends.get('all', OK))
                     for name in options}}


def answer(what, *sense, **how):
    return {**what, 'status': 2, **({'sense': fixed(*sense)} if sense else {}), **how}


def foreign(key=FOREIGN, **how):
    """A host that is not there holds the LUN."""
    return [{'do': 'keys', 'key': key, 'holder': True, **how}]


def registered(key, count, **how):
    """Hosts that are not there are registered."""
    return [{'do': 'keys', 'key': key, 'count': count, **how}]


def run_table(t, rows):
    """See tests/hostile/opens.py; ROWS=REGEX: only those; VERBOSE=1: show their times."""
    rows = [row for row in rows if re.search(os.environ.get('ROWS', ''), row['name'])]
    plan = {'table': t.a.table('@').replace('1 @', '{}'), 'rows': rows}
    t.vm.put('/run/plan.json', json.dumps(plan))
    # udev's look at the device after each of the many events would take most of the time.
    t.vm.check('udevadm settle; udevadm control --exit')
    poll(lambda: t.vm.run('pidof systemd-udevd')[0] != 0, 60, 'udev ends')
    code, out = t.vm.run('python3 /prm/tests/hostile/opens.py /run/plan.json', 500)
    t.vm.check('/usr/lib/systemd/systemd-udevd --daemon')
    if os.environ.get('VERBOSE'):
        print('\n'.join(f'# {line}' for line in out.splitlines()), flush=True)
    expect(code == 0 and len(re.findall('^ok ', out, re.M)) == len(rows), out)


NOT_SET_UP = [
    row('INSUFFICIENT REGISTRATION RESOURCES', answer(REGISTER, 5, 0x55, 4), all=EIO, no_reserve=OK,
        words=('no path could be registered', 'no-resources')),
    row('the same in descriptor format', {**REGISTER, 'status': 2, 'sense': descriptor(5, 0x55, 4)},
        all=EIO, no_reserve=OK, words=('no-resources',)),
    row('no PERSISTENT RESERVE at all', answer(ANY_PR, 5, 0x20, 0), all=EOPNOTSUPP, no_reserve=OK,
        words=('no persistent reservations',)),
    row('no PERSISTENT RESERVE OUT', answer(ANY_OUT, 5, 0x20, 0), all=EOPNOTSUPP, no_reserve=OK),
    row('no APTPL', answer(REGISTER, 5, 0x26, 0, list={20: '01'})),
    row('invalid parameter list', answer(REGISTER, 5, 0x26, 0), all=EIO, no_reserve=OK,
        words=('no path could be registered', 'bad-field')),
    row('no such type', answer(RESERVE, 5, 0x24, 0), all=EOPNOTSUPP, no_reserve=OK,
        words=('refuses the reservation type',)),
]


@case(topology='hostile', rules=['3.7', '5.12', '5.6'], hosts=('a',))
def refusals(t):
    """ILLEGAL REQUEST in its forms: each open ends with the errno that says so"""
    run_table(t, NOT_SET_UP)


def raw(text, *parts):
    """Hexadecimal digits, without the spaces."""
    return text.replace(' ', '') + ''.join(part.hex() for part in parts)


def held_by(key, generation=0x200, kind=5):
    """What READ RESERVATION says."""
    return f'{generation:08x} 00000010 {key:016x} 00000000 00 {kind:02x} 0000'.replace(' ', '')


ONES = 'ff' * 24
MALFORMED = ('malformed',)
WRONG_READS = [
    row('a SCSI-2 reservation', {**ANY_PR, 'status': 0x18}, all=EBUSY, words=('SCSI-2',)),
    row('READ RESERVATION cut to 4 bytes', {**RESERVATION, 'cut': 4}, all=EIO, words=MALFORMED),
    row('no data at all', {**RESERVATION, 'cut': 0}, all=EIO),
    row('a descriptor of 8 bytes', {**RESERVATION, 'data': raw('00000000 00000008 0000000000000000')},
        all=EIO),
    row('a descriptor that was not sent', {**RESERVATION, 'data': raw('00000000 00000010')},
        all=EIO),
    row('the same, and the residual does not tell',
        {**RESERVATION, 'data': raw('00000000 00000010'), 'residual': 0}, all=EIO),
    row('READ RESERVATION, length 0xffffffff', {**RESERVATION, 'data': ONES}, all=EIO),
    row('READ RESERVATION of ones', {**RESERVATION, 'data': 'ff' * 4 + '00000010' + 'ff' * 16},
        all=EIO, words=MALFORMED),
    row('held by key 0', {**RESERVATION, 'data': held_by(0)}, all=EIO),
    row('an element reservation', {**RESERVATION, 'data': held_by(FOREIGN, kind=0x25)}, all=EIO),
    row('READ KEYS, length 0xffffffff', {**KEYS, 'data': ONES}, all=EIO, no_reserve=OK, words=MALFORMED),
    row('READ KEYS, length not a multiple of 8', {**KEYS, 'patch': {4: '0000000c'}}, all=EIO,
        no_reserve=OK),
    row('READ KEYS cut to 6 bytes', {**KEYS, 'cut': 6}, all=EIO, no_reserve=OK),
    row('READ KEYS, 4 GiB of keys', {**KEYS, 'patch': {4: 'fffffff8'}}, all=EIO, no_reserve=OK,
        words=('do not fit together',)),
    row('READ KEYS, one key more than sent', {**KEYS, 'data': raw('00000200 00000010 000000000000000b')},
        all=EIO, no_reserve=OK),
    row('READ KEYS does not know us', {**KEYS, 'data': raw('00000200 00000000')}, all=EBUSY,
        no_reserve=OK, words=('another host was faster',)),
    row('READ RESERVATION names another host', {**RESERVATION, 'data': held_by(FOREIGN)}, all=EBUSY,
        words=('another host holds',)),
    row('a twin, and READ FULL STATUS of ones', {**FULL_STATUS, 'data': 'ff' * 64}, all=EBUSY,
        before=foreign(K), words=('uses our key',)),
    row('a twin, honestly', all=EBUSY, before=foreign(K)),
]
MANY_KEYS = [
    row('one other host', before=registered(FOREIGN, 1)),
    row('40 other hosts', before=registered(0x100, 40), options=['default', 'forced']),
    row('1023 keys, shared', before=registered(0x1000, 1023), features='pr_shared'),
    row('5000 keys, shared', before=registered(0x1000, 5000), features='pr_shared',
        options=['default', 'forced', 'no_reserve']),
    row('9000 paths of another host', before=registered(FOREIGN, 9000, step=0),
        options=['default', 'retain']),
    row('5000 keys, and one that holds', before=registered(0x1000, 5000) + foreign(),
        features='pr_shared', default=EBUSY, options=['default', 'forced']),
]


@case(topology='hostile', rules=['5.7', '3.7', '3.9'], hosts=('a',))
def reads(t):
    """PERSISTENT RESERVE IN with data that is short, wrong or a lie"""
    run_table(t, WRONG_READS)


@case(topology='hostile', rules=['5.7', '3.2'], hosts=('a',))
def many_keys(t):
    """none to 9000 registrations of others"""
    run_table(t, MANY_KEYS)


FEW = ['default', 'forced', 'no_reserve']
TRANSITION, STANDBY = (2, 4, 0x0a), (2, 4, 0x0b)
UNDONE = [
    row('BUSY for 1 s', {**ANY_PR, 'status': 8, 'seconds': 1}),
    row('TASK SET FULL for 1 s', {**ANY_PR, 'status': 0x28, 'seconds': 1}, options=FEW),
    row('BUSY for ever', {**ANY_PR, 'status': 8}, features='pr_timeout 4', all=ETIMEDOUT, bound=8,
        options=FEW, words=('the time is up',)),
    row('ALUA transition for 1 s', answer(ANY_PR, *TRANSITION, seconds=1)),
    row('ALUA transition for ever', answer(ANY_PR, *TRANSITION), features='pr_timeout 4',
        all=ETIMEDOUT, bound=8, options=FEW),
    row('standby', answer(ANY_PR, *STANDBY), all=EIO, words=('no path answered',), options=FEW),
    row('standby on one path', answer(ANY_PR, *STANDBY, path=0), options=FEW),
    row('no sense, once', answer(REGISTER, times=2)),
    row('no sense to REGISTER', answer(REGISTER), all=EIO, no_reserve=OK),
    row('no sense to READ RESERVATION', answer(RESERVATION), all=EIO),
    row('deferred sense, once, to READ RESERVATION',
        {**answer(RESERVATION, times=1), 'sense': fixed(5, 0x20, 0, 0x71)}),
    row('deferred sense, once, to REGISTER',
        {**answer(REGISTER, times=1), 'sense': fixed(5, 0x20, 0, 0x71)}),
    row('deferred sense, once, to RESERVE',
        {**answer(RESERVE, times=1), 'sense': fixed(3, 0x0c, 0, 0x71)}),
    row('unit attentions in descriptor format',
        {**ANY_PR, 'status': 2, 'sense': descriptor(6, 0x29, 0), 'times': 6}),
    row('REGISTER done, 02/08/00 once a path', answer(REGISTER, 2, 8, 0, execute=True, times=2)),
    row('REGISTER done, always 02/08/00', answer(REGISTER, 2, 8, 0, execute=True), all=EIO,
        no_reserve=OK),
    row('RESERVE done, always 02/08/00', answer(RESERVE, 2, 8, 0, execute=True)),
    row('REGISTER meets RESERVATION CONFLICT', {**REGISTER, 'status': 0x18}, all=EIO, no_reserve=OK),
    row('RESERVE meets RESERVATION CONFLICT, unreserved', {**RESERVE, 'status': 0x18}, all=EIO,
        no_reserve=OK),
]
OUTLIVED = [
    row('TASK SET FULL for ever to RESERVE', {**RESERVE, 'status': 0x28}, features='pr_timeout 4',
        all=ETIMEDOUT, no_reserve=OK, bound=8, options=FEW, stays=True),
]
ATTENTIONS = {'power on': (0x29, 0), 'reservations preempted': (0x2a, 3),
              'reservations released': (0x2a, 4), 'registrations preempted': (0x2a, 5),
              'reported LUNs changed': (0x3f, 0x0e)}


def storm(count, *codes):
    return [{'do': 'attentions', 'codes': [codes[n % len(codes)] for n in range(count)]}]


STORMS = [row(f'20 times {name}', before=storm(20, code), options=['default', 'forced'])
          for name, code in ATTENTIONS.items()] + [
    row('one of each kind', before=storm(5, *ATTENTIONS.values())),
    row('more than anybody sends', before=storm(3000, (0x29, 0)), all=EIO, options=FEW,
        features='pr_timeout 6', bound=12),
]


@case(topology='hostile', rules=['5.6', '6.3', '5.4'], hosts=('a',))
def undone(t):
    """busy, in transition, without sense, done but not said: tried again, in bounded time"""
    run_table(t, UNDONE)


@case(topology='hostile', rules=['6.3', '3.6'], hosts=('a',), long=True)
def outlived(t):
    """a RESERVE outlives its open and is done then: nothing of that open is left"""
    run_table(t, OUTLIVED)


@case(topology='hostile', rules=['5.6', '6.1'], hosts=('a',))
def attentions(t):
    """unit attentions, twenty in a row"""
    run_table(t, STORMS)


def lost(what, execute=True, **how):
    """The connection drops instead of an answer, once."""
    return {**what, 'execute': execute, 'drop': True, 'times': 1, **how}


LOST = [
    row('REGISTER done on path 0', lost(REGISTER, path=0), bound=60, options=['default']),
    row('REGISTER done on both paths', lost(REGISTER, times=2), all=EIO, bound=60, options=['default'],
        stays=True),
    row('RESERVE done', lost(RESERVE), bound=60, options=['default', 'retain']),
    row('RESERVE not done', lost(RESERVE, False), bound=60, options=['default']),
    row('PREEMPT AND ABORT done', lost(TAKE), bound=60, before=foreign(), options=['forced']),
    row('PREEMPT AND ABORT not done', lost(TAKE, False), bound=60, before=foreign(),
        options=['forced']),
    row('RELEASE done', lost(RELEASE), bound=60, options=['default']),
    row('RELEASE not done', lost(RELEASE, False), bound=60, options=['default']),
    row('READ RESERVATION', lost(RESERVATION), bound=60, options=['default', 'no_reserve']),
]
MUTE = [
    row('RESERVE done, no answer', {**RESERVE, 'mute': True, 'times': 1, 'execute': True}, bound=60,
        options=['default']),
    row('no answer to REGISTER on path 0', {**REGISTER, 'mute': True, 'path': 0, 'times': 1,
        'execute': False}, bound=60, options=['default']),
    row('no answer to anything', {**ANY_PR, 'mute': True, 'execute': False}, all=ETIMEDOUT,
        features='pr_timeout 6', bound=12, options=['default', 'no_reserve']),
    row('REGISTER answered after 15 s', {**REGISTER, 'path': 0, 'late': 15, 'times': 1}, bound=60,
        options=['default']),
]


@case(topology='hostile', rules=['5.6', '3.6', '6.3'], hosts=('a',))
def lost_status(t):
    """the connection drops after each command was done, or before"""
    run_table(t, LOST)


@case(topology='hostile', rules=['6.3', '5.6'], hosts=('a',), long=True)
def mute(t):
    """commands that are never answered, or too late"""
    run_table(t, MUTE)


FENCED = {'state': 'fenced', 'gate': 'closed'}
ONE = ['default']
LIES = [
    row('RESERVE is GOOD, but nothing is reserved', {**RESERVE, 'status': 0}, then=FENCED,
        most={'5f/1': 4}, options=ONE),
    row('REGISTER is GOOD, but nothing is registered', {**REGISTER, 'status': 0}, all=EIO,
        no_reserve=OK),
    row('PREEMPT AND ABORT is GOOD, but nothing is preempted', {**TAKE, 'status': 0}, all=EBUSY,
        before=foreign(), words=('another host was faster',)),
    row('RELEASE is GOOD, but nothing is released', {**RELEASE, 'status': 0}, then={'state': 'owner'},
        closed={'state': 'releasing'}, words=('goes on in the background',), options=ONE),
    row('the owner reads another key', during=[{**RESERVATION, 'data': held_by(FOREIGN)}],
        then=FENCED, most={'5f/1': 1}, options=ONE, words=('FENCED',)),
    row('the owner reads that nobody holds it',
        during=[{**RESERVATION, 'data': raw('00000102 00000000')}], then=FENCED, most={'5f/1': 3},
        options=ONE),
    row('the owner reads ones', during=[{**RESERVATION, 'data': ONES}],
        then={'state': 'owner|unknown'}, writes=1, written='0', most={'5f/1': 1}, words=MALFORMED,
        uses=2, options=ONE),
    row('the owner reads nothing, again and again', during=[{**RESERVATION, 'data': ''}],
        then={'state': 'owner|unknown'}, writes=1, written='0', most={'5f/1': 1}, uses=2,
        options=ONE),
    row('the owner is not among the keys', during=[
        {**RESERVATION, 'data': held_by(K, 0x999)}, {**KEYS, 'data': raw('00000999 00000000')}],
        then=FENCED, options=ONE),
    row('writes of the owner conflict 3 times', during=[{**WRITE, 'status': 0x18, 'times': 3}],
        then={'state': 'owner', 'gate': 'open'}, writes=2, written='0', options=ONE),
    row('writes of the owner conflict for ever', during=[{**WRITE, 'status': 0x18}],
        features='pr_timeout 6', then={'state': 'owner|fenced|unknown'}, writes=1, written='EBADE',
        options=ONE),
    row('writes of the owner meet BUSY for 2 s', during=[{**WRITE, 'status': 8, 'seconds': 2}],
        then={'state': 'owner', 'gate': 'open'}, writes=1, written='0', options=ONE),
]


@case(topology='hostile', rules=['5.1', '5.4', '5.5', '5.11', '4.2'], hosts=('a',))
def lies(t):
    """GOOD for what was not done, and reservations that are not there: never a wrong write"""
    run_table(t, LIES)
