# SPDX-License-Identifier: GPL-2.0-only
"""A target that refuses, lies, delays and forgets: what each open does then."""
import json
import os
import re
import time
from errno import EBUSY, EIO, EOPNOTSUPP, ETIMEDOUT

import cases
from cases import Single, Topology, case, expect, poll, without_udev
from groups import create, rr
from hostile_target import HostileLoop, descriptor, fixed
from sessions import Raw, hold, try_open

cases.TOPOLOGIES.setdefault(
    'hostile', Topology('single', Single, lambda site, **layout: HostileLoop(site.vm, **layout)))

# Each row is met by every option: most in the short cases by some, and in the long ones, whose
# names end with "every_open", by all of them.

K, FOREIGN = 0xa1, 0xb
IN, OUT = 0x5e, 0x5f
KEYS, RESERVATION = {'op': IN, 'sa': 0}, {'op': IN, 'sa': 1}
REGISTER, RESERVE = {'op': OUT, 'sa': [0, 6]}, {'op': OUT, 'sa': 1}
RELEASE, TAKE = {'op': OUT, 'sa': 2}, {'op': OUT, 'sa': [4, 5]}
ANY_OUT, ANY_PR = {'op': OUT}, {'op': [IN, OUT]}
FULL_STATUS, WRITE = {'op': IN, 'sa': 3}, {'op': [0x2a, 0x8a]}

OK = 0
RESERVING = ['default', 'forced', 'retain', 'forced,retain', 'single']
RELEASING = ['default', 'forced', 'single']
BESIDE = ['no_reserve', 'forced,no_reserve']
OPTIONS = RESERVING + BESIDE


def row(name, *rules, words=(), features='', before=(), bound=25, options=OPTIONS, every=OPTIONS,
        during=(), then=None, closed=None, most=None, writes=0, written='', stays=False, uses=1,
        asks=None, met=None, **ends):
    """A misbehaviour.

    options: of the short case; every: those that can meet it.
    ends: how each open ends, an errno by option (no_reserve also for the forced one), all for
    those not named, or a list of those that are right; words: of the log;
    before: calls of the target's control port; bound: seconds that an open may take;
    asks: what a session sends through the mapped device, and the answer;
    met: options whose open itself must have met the rules, if not those that can;
    stays: registrations of an open that fails may stay, if the status knows of them (rule 5.9).
    Of a session, if then is given: rules that come during it; words of the status that it
    must arrive at; most of a command; writes to try, how the last ends; status when closed;
    how often each rule has to be used before.
    """
    return {'name': name, 'rules': rules, 'words': words, 'features': features, 'before': before,
            'bound': bound, 'options': [option for option in options if option in every],
            'every': every, 'during': during, 'then': then or {},
            'closed': closed or {}, 'most': most or {}, 'writes': writes, 'written': written,
            'stays': stays, 'uses': uses, 'asks': asks, 'met': met_by(rules) if met is None else met,
            'ends': {option: end_of(ends, option) for option in every}}


def met_by(rules):
    """Every open reads the reservation; the rest is for those that reserve."""
    def numbers(value):
        return value if isinstance(value, list) else [value]

    def by_all(rule):
        return 'alua' in rule or IN in numbers(rule['op']) and 1 in numbers(rule.get('sa', 1))
    return (OPTIONS if all(map(by_all, rules)) else RESERVING) if rules else []


def end_of(ends, option):
    names = [option.replace(',', '__'), *(['no_reserve'] if option in BESIDE else []), 'all']
    end = next((ends[name] for name in names if name in ends), OK)
    return end if isinstance(end, list) else [end]


def answer(what, *sense, **how):
    return {**what, 'status': 2, **({'sense': fixed(*sense)} if sense else {}), **how}


def foreign(key=FOREIGN, **how):
    """A host that is not there holds the LUN."""
    return [{'do': 'keys', 'key': key, 'holder': True, **how}]


FORCED = ['forced', 'forced,retain', 'forced,no_reserve']
TAKEN = {option.replace(',', '__'): OK for option in FORCED}


def registered(key, count, **how):
    """Hosts that are not there are registered."""
    return [{'do': 'keys', 'key': key, 'count': count, **how}]


def run_table(t, rows, every=False, handler=''):
    """See tests/hostile/opens.py; ROWS=REGEX: only those; VERBOSE=1: show their times.

    every: all options that can meet a row; handler: the table's hardware handler.
    """
    rows = [{**row, 'options': row['every'] if every else row['options']} for row in rows
            if re.search(os.environ.get('ROWS', ''), row['name'])]
    expect(rows, 'no row of that name')
    table = t.a.table('@').replace('1 @', '{}')
    plan = {'table': table.replace('{} 0', f'{{}} 1 {handler}') if handler else table, 'rows': rows}
    t.vm.put('/run/plan.json', json.dumps(plan))
    with without_udev(t.vm):
        code, out = t.vm.run('python3 /prm/tests/hostile/opens.py /run/plan.json', 1500)
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
    # Asked once: the device remembers it.
    row('no APTPL', answer(REGISTER, 5, 0x26, 0, list={20: '01'}), met=['default']),
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
    row('nobody', before=()),
    row('40 other hosts', before=registered(0x100, 40), options=['default', 'forced']),
    row('1023 keys, shared', before=registered(0x1000, 1023), features='pr_shared'),
    row('5000 keys, shared', before=registered(0x1000, 5000), features='pr_shared',
        options=['default', 'forced', 'no_reserve']),
    row('9000 paths of another host', before=registered(FOREIGN, 9000, step=0),
        options=['default', 'retain']),
    row('5000 keys, and one that holds', before=registered(0x1000, 5000) + foreign(),
        features='pr_shared', all=EBUSY, options=['default', 'forced'], **TAKEN),
]


@case(topology='hostile', rules=['5.7', '3.7', '3.9'], hosts=('a',))
def reads(t):
    """PERSISTENT RESERVE IN with data that is short, wrong or a lie"""
    run_table(t, WRONG_READS)


@case(topology='hostile', rules=['5.7', '3.2'], hosts=('a',))
def many_keys(t):
    """none to 9000 registrations of others"""
    run_table(t, MANY_KEYS)


@case(topology='hostile', rules=['5.7', '3.2'], hosts=('a',), long=True)
def many_keys_every_open(t):
    """none to 9000 registrations of others, and every option"""
    run_table(t, MANY_KEYS, every=True)


CAPABILITIES = {'op': IN, 'sa': 2}
ASK = '5e020000000000010000'


def asked(answer):
    return {'cdb': ASK, 'answer': answer}


TELLING = '00080181ea010000'
def told(name, *rules, asks):
    """The module itself does not ask; a session does, through the device."""
    return row(name, *rules, asks=asks, met=[])


CAPABILITY_LIES = [
    told('the truth', asks=asked(TELLING)),
    told('refused, 20/00', answer(CAPABILITIES, 5, 0x20, 0), asks=asked('status 02 sense 5/20/00')),
    told('refused, 24/00', answer(CAPABILITIES, 5, 0x24, 0), asks=asked('status 02 sense 5/24/00')),
    told('02/08/00', answer(CAPABILITIES, 2, 8, 0), asks=asked('status 02 sense 2/08/00')),
    told('length 0', {**CAPABILITIES, 'patch': {0: '0000'}}, asks=asked('0000' + TELLING[4:])),
    told('a length of 64 KiB', {**CAPABILITIES, 'patch': {0: 'ffff'}}, asks=asked('ffff' + TELLING[4:])),
    told('cut to 3 bytes', {**CAPABILITIES, 'cut': 3}, asks=asked(TELLING[:6])),
    told('no data', {**CAPABILITIES, 'cut': 0}, asks=asked('')),
    told('the residual does not tell', {**CAPABILITIES, 'cut': 3, 'residual': 0},
        asks=asked(TELLING[:6] + '00' * 253)),
    told('ones', {**CAPABILITIES, 'data': ONES}, asks=asked(ONES)),
    told('no type at all', {**CAPABILITIES, 'patch': {3: '80', 4: '0000'}},
        asks=asked(TELLING[:6] + '8000000000')),
]


@case(topology='hostile', rules=['5.7', '5.1'], hosts=('a',), long=True)
def capabilities(t):
    """REPORT CAPABILITIES that is refused, short or a lie: no open needs it, and it passes through"""
    run_table(t, CAPABILITY_LIES)


FEW = ['default', 'forced', 'no_reserve']
# Only one command is not taken: what the others find out meanwhile may be said as well.
OUT_OF_TIME = [EIO, ETIMEDOUT]
TRANSITION, STANDBY = (2, 4, 0x0a), (2, 4, 0x0b)
UNDONE = [
    row('BUSY for 1 s', {**ANY_PR, 'status': 8, 'seconds': 1}),
    row('TASK SET FULL for 1 s', {**ANY_PR, 'status': 0x28, 'seconds': 1}, options=FEW),
    row('BUSY for ever', {**ANY_PR, 'status': 8}, features='pr_timeout 4', all=ETIMEDOUT, bound=8,
        options=FEW, words=('the time is up',)),
    row('ALUA transition for 1 s', answer(ANY_PR, *TRANSITION, seconds=1)),
    row('ALUA transition for ever', answer(ANY_PR, *TRANSITION), features='pr_timeout 4',
        all=ETIMEDOUT, bound=8, words=('the time is up',)),
    row('ALUA transition of RESERVE for 1 s', answer(RESERVE, *TRANSITION, seconds=1), options=FEW),
    row('ALUA transition of RESERVE for ever', answer(RESERVE, *TRANSITION), features='pr_timeout 4',
        all=OUT_OF_TIME, no_reserve=OK, bound=8, options=FEW, stays=True),
    row('ALUA transition of REGISTER for ever', answer(REGISTER, *TRANSITION),
        features='pr_timeout 4', all=OUT_OF_TIME, no_reserve=OK, bound=8, options=FEW),
    row('ALUA transition of PREEMPT for 1 s', answer(TAKE, *TRANSITION, seconds=1),
        before=foreign(), all=EBUSY, options=FEW, met=FORCED, **TAKEN),
    row('ALUA transition of PREEMPT for ever', answer(TAKE, *TRANSITION), features='pr_timeout 4',
        before=foreign(), all=EBUSY, **dict.fromkeys(TAKEN, ETIMEDOUT), bound=8, options=FEW,
        met=FORCED, stays=True),
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
        no_reserve=OK, stays=True),
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
    row('more than anybody sends', before=storm(3000, (0x29, 0)), all=[EIO, ETIMEDOUT], options=FEW,
        features='pr_timeout 6', bound=12),
]


@case(topology='hostile', rules=['5.6', '6.3', '5.4'], hosts=('a',))
def undone(t):
    """busy, in transition, without sense, done but not said: tried again, in bounded time"""
    run_table(t, UNDONE)


@case(topology='hostile', rules=['5.6', '6.3', '5.4'], hosts=('a',), long=True)
def undone_every_open(t):
    """the same, and every option"""
    run_table(t, UNDONE, every=True)


@case(topology='hostile', rules=['6.3', '3.6'], hosts=('a',), long=True)
def outlived(t):
    """a RESERVE outlives its open and is done then: nothing of that open is left"""
    run_table(t, OUTLIVED, every=True)


@case(topology='hostile', rules=['5.6', '6.1'], hosts=('a',))
def attentions(t):
    """unit attentions, twenty in a row"""
    run_table(t, STORMS)


@case(topology='hostile', rules=['5.6', '6.1'], hosts=('a',), long=True)
def attentions_every_open(t):
    """unit attentions, twenty in a row, and every option"""
    run_table(t, STORMS, every=True)


def lost(what, execute=True, **how):
    """The connection drops instead of an answer, once."""
    return {**what, 'execute': execute, 'drop': True, 'times': 1, **how}


LOST = [
    row('REGISTER done on path 0', lost(REGISTER, path=0), bound=60, options=['default']),
    row('REGISTER done on both paths', lost(REGISTER, times=2), all=EIO, no_reserve=OK, bound=60,
        options=['default'], stays=True),
    row('RESERVE done', lost(RESERVE), bound=60, options=['default', 'retain']),
    row('RESERVE not done', lost(RESERVE, False), bound=60, options=['default']),
    row('PREEMPT AND ABORT done', lost(TAKE), bound=60, before=foreign(), options=['forced'],
        all=EBUSY, met=FORCED, **TAKEN),
    row('PREEMPT AND ABORT not done', lost(TAKE, False), bound=60, before=foreign(),
        options=['forced'], all=EBUSY, met=FORCED, **TAKEN),
    row('RELEASE done', lost(RELEASE), bound=60, options=['default'], every=RELEASING, met=[]),
    row('RELEASE not done', lost(RELEASE, False), bound=60, options=['default'], every=RELEASING,
        met=[]),
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


@case(topology='hostile', rules=['5.6', '3.6', '6.3'], hosts=('a',), long=True)
def lost_status_every_open(t):
    """the same, and every option"""
    run_table(t, LOST, every=True)


@case(topology='hostile', rules=['6.3', '5.6'], hosts=('a',), long=True)
def mute(t):
    """commands that are never answered, or too late, and every option"""
    run_table(t, MUTE, every=True)


FENCED = {'state': 'fenced', 'gate': 'closed'}
ONE = {'options': ['default'], 'every': RESERVING}
LIES = [
    row('RESERVE is GOOD, but nothing is reserved', {**RESERVE, 'status': 0}, then=FENCED,
        most={'5f/1': 4}, **ONE),
    row('REGISTER is GOOD, but nothing is registered', {**REGISTER, 'status': 0}, all=EIO,
        no_reserve=OK),
    row('PREEMPT AND ABORT is GOOD, but nothing is preempted', {**TAKE, 'status': 0}, all=EBUSY,
        before=foreign(), words=('another host was faster',), met=FORCED),
    row('RELEASE is GOOD, but nothing is released', {**RELEASE, 'status': 0}, then={'state': 'owner'},
        closed={'state': 'releasing'}, words=('goes on in the background',), options=['default'],
        every=RELEASING, met=[]),
    row('the owner reads another key', during=[{**RESERVATION, 'data': held_by(FOREIGN)}],
        then=FENCED, most={'5f/1': 1}, **ONE, words=('FENCED',)),
    row('the owner reads that nobody holds it',
        during=[{**RESERVATION, 'data': raw('00000102 00000000')}], then=FENCED, most={'5f/1': 3},
        **ONE),
    row('the owner reads ones', during=[{**RESERVATION, 'data': ONES}],
        then={'state': 'owner|unknown'}, writes=1, written='0', most={'5f/1': 1}, words=MALFORMED,
        uses=2, **ONE),
    row('the owner reads nothing, again and again', during=[{**RESERVATION, 'data': ''}],
        then={'state': 'owner|unknown'}, writes=1, written='0', most={'5f/1': 1}, uses=2,
        **ONE),
    row('the owner is not among the keys', during=[
        {**RESERVATION, 'data': held_by(K, 0x999)}, {**KEYS, 'data': raw('00000999 00000000')}],
        then=FENCED, **ONE),
    row('writes of the owner conflict 3 times', during=[{**WRITE, 'status': 0x18, 'times': 3}],
        then={'state': 'owner', 'gate': 'open'}, writes=2, written='0', **ONE),
    row('writes of the owner conflict for ever', during=[{**WRITE, 'status': 0x18}],
        features='pr_timeout 6', then={'state': 'owner|fenced|unknown'}, writes=1, written='EBADE',
        **ONE),
    row('writes of the owner meet BUSY for 2 s', during=[{**WRITE, 'status': 8, 'seconds': 2}],
        then={'state': 'owner', 'gate': 'open'}, writes=1, written='0', **ONE),
    row('a write of an open that reserves nothing conflicts',
        during=[{**WRITE, 'status': 0x18, 'times': 1}], then={'state': 'no_reserve', 'gate': 'open'},
        writes=1, written='EBADE', most={'5f/0': 0, '5f/1': 0, '5f/6': 0}, every=BESIDE),
    row('writes of an open that reserves nothing meet BUSY for 2 s',
        during=[{**WRITE, 'status': 8, 'seconds': 2}], then={'state': 'no_reserve', 'gate': 'open'},
        writes=1, written='0', every=BESIDE),
]


@case(topology='hostile', rules=['5.1', '5.4', '5.5', '5.11', '4.2'], hosts=('a',))
def lies(t):
    """GOOD for what was not done, and reservations that are not there: never a wrong write"""
    run_table(t, LIES)


@case(topology='hostile', rules=['5.1', '5.4', '5.5', '5.11', '4.2'], hosts=('a',), long=True)
def lies_every_open(t):
    """the same, and every option"""
    run_table(t, LIES, every=True)


@case(topology='hostile', rules=['3.2', '5.2', '5.4'], hosts=('a',))
def write_before_a_registration(t):
    """a path is registered anew when its old writes have ended: none gains by that, others go on"""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_poll 0')
    hold(t, mpa).opened()
    mpa.wait_status(state='owner', keys_own='2')
    holder = control.state()['holder_nexus']
    path = 1 - int(holder.split(':')[1])
    last = control.log()[-1][0]

    def write(count):
        return [t.a.spawn(f'dd if=/dev/zero of={mpa} bs=4k count=1 oflag=direct,seek_bytes '
                          f'seek={4096 * number} conv=notrunc') for number in range(count)]
    # One write of this path waits in the target for as long as it takes others, of which one
    # meets the conflict there, to take the other path.
    control.rules({**WRITE, 'path': path, 'delay': 600, 'times': 1})
    slow = []

    def waits():
        # udev reads at times, and then both may take the other path.
        if all(job.poll() is not None for job in slow):
            slow.extend(write(2))
        return control.state()['waiting']
    poll(waits, 20, 'a write waits')
    Raw(t.a, K).unregister(path)
    for job in write(4):
        code, out = job.wait(60)
        expect(code == 0, out)
    expect(control.state()['waiting'], 'the write did not wait')
    control.call('go')
    for job in slow:
        code, out = job.wait(60)
        expect(code == 0, out)
    expect(control.used() == [1], control.used())
    mpa.wait_status(state='owner', keys_own='2')

    there = [entry for entry in control.log(last)
             if entry[1] == f'a:{path}' and entry[2] in (*WRITE['op'], OUT)]
    first = next(entry for entry in there if entry[2] in WRITE['op'])
    expect(first[4] == 0x18, f'the write that waited: {first}: {there}')
    # The first REGISTER is that of sg_persist, then come the proof and the one that counts.
    registers = [entry[0] for entry in there if entry[2:4] == [OUT, 0] and entry[4] == 0]
    conflicts = [entry[0] for entry in there if entry[2] in WRITE['op'] and entry[4] == 0x18]
    expect(len(conflicts) > 1 and max(conflicts) < registers[-1], there)
    expect(control.state()['holder_nexus'] == holder, control.state())


@case(topology='hostile', rules=['3.6', '5.1'], hosts=('a',))
def write_beside_a_forced_open(t):
    """a forced open that fails: the session without reservation writes nothing under its registrations"""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_register open pr_poll 0')
    hold(t, mpa, 'no_reserve').opened()
    write = f'dd if=/dev/zero of={mpa} bs=4k count=1 oflag=direct,nonblock conv=notrunc'
    with without_udev(t.vm):
        t.a.check(write)
        control.call('keys', key=FOREIGN, holder=True)
        # Refused, once told to go on; the paths are registered by then.
        control.rules({**answer(TAKE, 5, 0x24, 0), 'delay': 600})
        forced = hold(t, mpa, 'forced')
        waits(control)
        expect(control.state()['keys'] == [FOREIGN, K, K], control.state())
        last = control.log()[-1][0]
        job = t.a.spawn(write)
        poll(lambda: inflight(mpa) == 1, 20, 'a write waits')
        expect(not control.log(last), control.log(last))
        control.call('go')
        expect(not forced.settled(), 'PREEMPT AND ABORT was refused')
        code, out = job.wait(60)
    expect(code and 'Invalid exchange' in out, f'the write after it: {code} {out}')
    expect(control.state()['keys'] == [FOREIGN], control.state())
    writes = [entry for entry in control.log(last) if entry[2] in WRITE['op']]
    expect(writes and all(entry[4] == 0x18 for entry in writes), control.log(last))
    expect(mpa.status()['state'] == 'no_reserve', mpa.status())


@case(topology='hostile', rules=['3.5', '3.6', '5.1'], hosts=('a',))
def open_beside_slow_writes(t):
    """an open of a session without reservation waits for its older writes before it registers"""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_register open pr_poll 0')
    hold(t, mpa, 'no_reserve').opened()
    with without_udev(t.vm):
        rest(control)
        control.rules({**WRITE, 'delay': 600, 'times': 2})
        jobs = []
        for number in range(2):         # one for each path
            jobs.append(t.a.spawn(f'dd if=/dev/zero of={mpa} bs=4k count=1 seek={number} '
                                  'oflag=direct,nonblock conv=notrunc'))
            poll(lambda: control.state()['waiting'] == len(jobs), 20, 'a write waits')
        last = control.log()[-1][0]
        session = hold(t, mpa)
        poll(lambda: [IN, 0] in [entry[2:4] for entry in control.log(last)], 20, 'keys are read')
        begin = time.monotonic()
        poll(lambda: time.monotonic() - begin > 1.5, 10, 'longer than a path of an owner waits')
        expect(not any(entry[2] == OUT for entry in control.log(last)), control.log(last))
        control.call('go')
        session.opened()
        for job in jobs:
            code, out = job.wait(60)
            expect(code == 0, out)
    state = control.state()
    expect(state['keys'] == [K, K] and state['holder'] == K, state)


def inflight(mp):
    """How many writes have not ended."""
    name = mp.host.check(f'basename $(readlink -f {mp})').strip()
    return int(mp.host.check(f'cat /sys/block/{name}/inflight').split()[1])


def no_room(t, mp, path):
    """16 writes that waited for a path are sent down this one, which has room for 4 and ends none."""
    control = t.lun.target
    hung = '/proc/sys/kernel/hung_task_timeout_secs'    # on purpose
    t.cleanup(t.vm.check, f'echo {t.vm.check(f"cat {hung}").strip()} > {hung}')
    t.vm.check(f'echo 0 > {hung}')
    for disk in t.a.paths:
        t.a.check(f'cd /sys/block/{disk.name}; echo 4 > queue/nr_requests; echo 300 > device/timeout')
        mp.message('fail_path', disk.number)
    job = t.a.spawn(f'fio --name=parked --filename={mp} --direct=1 --rw=randwrite --bs=4k --size=16m '
                    '--number_ios=16 --ioengine=libaio --iodepth=16')
    poll(lambda: inflight(mp) == 16, 60, '16 writes wait')
    control.rules({**WRITE, 'path': path, 'delay': 600})
    mp.message('reinstate_path', t.a.paths[path].number)
    poll(lambda: control.state()['waiting'] == 4, 30, 'the path has no more room')
    return job


def goes_on(t, mp, path, job):
    """The other path takes what comes, and at last all has been written."""
    control = t.lun.target
    other = t.a.paths[1 - path]
    mp.message('fail_path', t.a.paths[path].number)
    mp.message('reinstate_path', other.number)

    def back():
        path = mp.status()['paths'][other.number]
        return path['active'] and path['pr'] != 'pending'
    # What comes before that waits in line behind the others.
    poll(back, 40, 'the other path is back')
    before = control.writes()
    t.a.check(f'dd if=/dev/zero of={mp} bs=4k count=1 seek=5000 oflag=direct conv=notrunc', timeout=30)
    expect(control.writes() == before + 1 and control.state()['waiting'] == 4, control.state())
    yield
    control.rules()
    control.call('go')
    code, out = job.wait(60)
    expect(code == 0, out)
    yield


@case(topology='hostile', rules=['5.2', '5.12'], hosts=('a',))
def no_room_on_a_path(t):
    """writes that wait for room on a path that fails do not keep others from the next group"""
    mp = create(t, *(rr(path) for path in t.a.paths), features='queue_if_no_path')
    with without_udev(t.vm):
        for _ in goes_on(t, mp, 0, no_room(t, mp, 0)):
            pass


@case(topology='hostile', rules=['5.4'], hosts=('a',))
def verdict_while_no_room(t):
    """a conflict that was judged in time is none, however long the write had to wait after that"""
    control = t.lun.target
    mp = create(t, *(rr(path) for path in t.a.paths),
                features=f'queue_if_no_path pr_key {K:#x} pr_poll 0 pr_timeout 4')
    hold(t, mp).opened()
    mp.wait_status(state='owner', keys_own='2')
    path = int(control.state()['holder_nexus'].split(':')[1])
    with without_udev(t.vm):
        steps = goes_on(t, mp, path, no_room(t, mp, path))
        next(steps)
        Raw(t.a, K).unregister(1 - path)
        begin = time.monotonic()
        job = t.a.spawn(f'dd if=/dev/zero of={mp} bs=4k count=1 seek=5001 oflag=direct conv=notrunc')
        poll(lambda: control.state()['keys'] == [K, K], 30, 'the path is registered again')
        poll(lambda: time.monotonic() - begin > 6, 30, 'longer than pr_timeout')
        expect(job.poll() is None, f'the write did not wait: {job.output()}')
        next(steps)
        code, out = job.wait(60)
        expect(code == 0, out)
    expect(mp.status()['state'] == 'owner', mp.status())


def rest(control):
    """Whoever asked the target has given up for now."""
    last = [None, 0]

    def quiet():
        number = control.log()[-1][0]
        if number != last[0]:
            last[:] = number, time.monotonic()
        # Retries come once a second at least.
        return time.monotonic() - last[1] > 3
    poll(quiet, 60, 'no more commands')


def idle(t, features=''):
    """A device of this host whose paths are registered, and that wants nothing more."""
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} {features}')
    poll(lambda: t.lun.target.state()['keys'] == [K] * len(t.a.paths), 20, 'all paths are registered')
    rest(t.lun.target)
    return mpa


def holder_alone(t):
    """An owner of whose paths one is registered, the holder."""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_poll 0')
    hold(t, mpa).opened()
    mpa.wait_status(state='owner', keys_own=str(len(t.a.paths)))
    rest(control)
    holder = int(control.state()['holder_nexus'].split(':')[1])
    Raw(t.a, K).unregister(*(path for path in range(len(t.a.paths)) if path != holder))
    expect(control.state()['keys'] == [K], control.state())
    return mpa


def open_unseen(t, options):
    """An open of two commands, between which another host registers; no keys can be read since."""
    control = t.lun.target
    mpa = idle(t, 'pr_poll 0 pr_timeout 12')
    last = control.log()[-1][0]
    control.rules({**RESERVE, 'delay': 600, 'times': 1}, {**KEYS, 'patch': {4: '0000000c'}})
    session = hold(t, mpa, options)
    poll(lambda: control.state()['waiting'], 20, 'RESERVE waits')
    sent = [entry[2:4] for entry in control.log(last) if entry[2] in (IN, OUT)]
    expect(sent[0] == [IN, 1] and [IN, 0] not in sent, sent)
    control.call('keys', key=FOREIGN)
    control.call('go')
    session.opened()
    rest(control)
    expect(control.state()['keys'] == [FOREIGN, K, K] and control.used()[1], control.state())
    return control, mpa, session


@case(topology='hostile', rules=['3.2', '5.11', '6.1'], hosts=('a',))
def first_look_without_an_answer(t):
    """the look after a short open fails: it is repeated, without a watcher too, and evicts"""
    control, mpa, _ = open_unseen(t, '')
    control.rules()
    poll(lambda: control.state()['keys'] == [K, K], 40, 'the other host is evicted')
    expect(mpa.status()['state'] == 'owner', mpa.status())


@case(topology='hostile', rules=['3.2', '4.3', '4.5'], hosts=('a',))
def removed_before_the_first_look(t):
    """a retained reservation whose device goes: who registered before it was seen is evicted first"""
    control, mpa, session = open_unseen(t, 'retain')
    session.close()
    mpa.wait_status(state='retained')
    rest(control)
    expect(FOREIGN in control.state()['keys'], control.state())
    control.rules()
    mpa.remove()
    state = control.state()
    expect(state['keys'] == [K, K] and state['holder'] == K, state)


def slow_once(control, what):
    """Whichever path gets the next of these commands is busy with it until told to go on."""
    control.rules({**what, 'delay': 600, 'times': 1})


def waits(control):
    poll(lambda: control.state()['waiting'], 30, 'a command waits')


@case(topology='hostile', rules=['5.9', '6.2'], hosts=('a',))
def registered_later(t):
    """a path that was busy with a read when the others were registered: it is, a while later"""
    control = t.lun.target
    slow_once(control, RESERVATION)
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x}')
    waits(control)
    poll(lambda: control.state()['keys'] == [K], 20, 'the other path is registered')
    rest(control)
    control.call('go')
    poll(lambda: control.state()['keys'] == [K, K], 40, 'both are registered')
    mpa.wait_status(state='free', keys_own='2')


@case(topology='hostile', rules=['4.5', '6.3'], hosts=('a',))
def left_while_busy(t):
    """a path that is busy with a read when its device goes is unregistered when that has ended"""
    control = t.lun.target
    mpa = idle(t)
    with without_udev(t.vm):
        slow_once(control, RESERVATION)
        code, out = try_open(mpa)
        expect(code == 0, out)
        mpa.wait_status(state='free')
        expect(control.state()['waiting'], 'the read did not wait')
    mpa.remove()
    expect(control.state()['keys'] == [K], control.state())
    control.call('go')
    poll(lambda: control.state()['keys'] == [], 20, 'none is registered')


@case(topology='hostile', rules=['6.3', '4.8'], hosts=('a',), long=['6.1'])
def reserved_while_leaving(t):
    """a RESERVE that is done while the last paths leave is released all the same"""
    control = t.lun.target
    mpa = idle(t, 'pr_timeout 6 pr_poll 0')
    with without_udev(t.vm):
        slow_once(control, RESERVE)
        code, out = try_open(mpa)
        expect(code, f'the open did not wait for its RESERVE: {out}')
        waits(control)
        control.rules({**REGISTER, 'mute': True, 'execute': False, 'times': 1})
        last = control.log()[-1][0]
        removal = t.vm.spawn(f'dmsetup remove --noudevsync {mpa.name}')
        t.a.devices.remove(mpa)
        poll(lambda: [OUT, 0] in [entry[2:4] for entry in control.log(last)], 20, 'a path leaves')
        control.call('go')
        poll(lambda: [OUT, 1, 0] in [entry[2:5] for entry in control.log()], 20, 'it is reserved')
        code, out = removal.wait(60)
        expect(code == 0, out)
    poll(lambda: not control.state()['type'], 40, 'nothing is reserved')
    # The path that never answered is the other one.
    poll(lambda: control.state()['keys'] == [K], 20, 'the path that was late is not registered')


@case(topology='hostile', rules=['5.3'], hosts=('a',))
def answered_before_it_failed(t):
    """E37: what a path said before it failed neither revives nor proves it"""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_register open pr_poll 0')
    number = t.a.paths[0].number
    with without_udev(t.vm):
        control.rules({**REGISTER, 'path': 1, 'delay': 600, 'times': 1})
        session = hold(t, mpa)
        poll(lambda: control.state()['keys'] == [K] and control.state()['waiting'], 20,
             'one path is registered, and waits for the other')
        expect(mpa.message('fail_path', number)[0] == 0, 'fail_path')
        control.call('go')
        session.opened()
    path = mpa.status()['paths'][number]
    expect(not path['active'] and path['pr'] != 'registered', path)
    expect(mpa.message('reinstate_path', number)[0] == 0, 'reinstate_path')
    poll(lambda: mpa.status()['paths'][number]['pr'] == 'registered', 20, 'it is registered again')


@case(topology='hostile', rules=['5.8', '5.11', '6.3'], hosts=('a',))
def late_release(t):
    """type 7: a RELEASE of the session before, done under the next one, is no other host's doing"""
    control = t.lun.target
    mpa = t.a.prmpath('mpa', f'pr_key {K:#x} pr_type 7 pr_poll 0 pr_timeout 4')
    poll(lambda: control.state()['keys'] == [K, K], 20, 'both paths are registered')
    with without_udev(t.vm):
        job = t.a.spawn(f'mkfifo /run/fifo; exec 3<>{mpa} && echo open && read < /run/fifo; '
                        f'exec 3>&-; exec 3<>{mpa} && echo again && exec sleep 600')
        t.cleanup(job.kill)
        poll(lambda: 'open' in job.output(), 30, 'open')
        rest(control)
        slow_once(control, RELEASE)
        last = control.log()[-1][0]
        t.vm.check('echo > /run/fifo; rm /run/fifo')
        poll(lambda: 'again' in job.output(), 40, 'open again')
    expect(control.state()['waiting'], 'the RELEASE did not wait')
    mpa.wait_status(state='owner')
    control.call('go')
    poll(lambda: [OUT, 2] in [entry[2:4] for entry in control.log(last) if entry[4] == 0], 20,
         'the RELEASE is done')
    rest(control)
    state = control.state()
    expect(mpa.status()['state'] == 'owner' and state['type'] == 7, f'{mpa.status()}: {state}')


@case(topology='hostile', rules=['5.4'], hosts=('a',), paths=8, long=['6.1'])
def one_conflict_after_another(t):
    """seven of eight paths lose their registration under I/O: each write meets one conflict"""
    control = t.lun.target
    mpa = holder_alone(t)
    # While one conflict is looked into, the others come.
    control.rules({**RESERVATION, 'delay': 0.5})
    last = control.log()[-1][0]
    out = t.a.check(f'fio --name=all --filename={mpa} --direct=1 --rw=randwrite --bs=4k --size=2m '
                    '--ioengine=libaio --iodepth=64', timeout=120)
    expect('err= 0' in out, out)
    poll(lambda: control.state()['keys'] == [K] * 8, 40, 'all paths are registered')
    expect(mpa.status()['state'] == 'owner', mpa.status())
    # A write that met one waits until its path is judged.
    conflicts = sum(entry[2] in WRITE['op'] and entry[4] == 0x18 for entry in control.log(last))
    expect(8 < conflicts <= 64, f'{conflicts} conflicts')


@case(topology='hostile', rules=['5.4'], hosts=('a',), paths=8, long=['6.1'])
def a_conflict_on_each_path(t):
    """seven of eight paths lose their registration: a write that meets them all is written"""
    control = t.lun.target
    mpa = holder_alone(t)
    t.a.check(f'dd if=/dev/zero of={mpa} bs=4k count=8 oflag=direct conv=notrunc')
    poll(lambda: control.state()['keys'] == [K] * 8, 40, 'all paths are registered')
    expect(mpa.status()['state'] == 'owner', mpa.status())


def alua(state, **how):
    """The access state of a path, or of all."""
    return {'alua': state, **how}


GROUPS = {'op': 0xa3, 'sa': 0x0a}
STATES = {'optimized': 0, 'nonoptimized': 1, 'standby': 2, 'unavailable': 3, 'transitioning': 15}
# The handler asks for the groups when it is told that they changed.
LOOK = {'before': [{'do': 'attentions', 'codes': [(0x2a, 6)]}], 'met': OPTIONS}
# Then the handler cannot activate a path that is not active yet: no open needs that, but I/O does.
NOT_ACTIVATED = {'then': {'state': 'owner|no_reserve', 'gate': 'open'}, 'writes': 1, 'written': '0|EIO'}
WRITES_ON = {'then': {'state': 'owner|no_reserve', 'gate': 'open'}, 'writes': 2, 'written': '0'}
ALUA = [
    row('in transition for 2 s', alua('transitioning', seconds=2)),
    row('in transition for ever', alua('transitioning'), features='pr_timeout 4', all=ETIMEDOUT,
        bound=8, words=('the time is up',)),
    row('in transition for 2 s, and another host holds it', alua('transitioning', seconds=2),
        before=foreign(), all=EBUSY, **TAKEN),
    row('in transition for ever, and another host holds it', alua('transitioning'),
        before=foreign(), features='pr_timeout 4', all=ETIMEDOUT, bound=8),
    row('path 0 is in transition for ever', alua('transitioning', path=0)),
    row('path 0 is standby', alua('standby', path=0)),
    row('path 0 is unavailable', alua('unavailable', path=0)),
    row('path 0 is offline', alua('offline', path=0)),
    row('path 0 is standby, and another host holds it', alua('standby', path=0), before=foreign(),
        all=EBUSY, **TAKEN),
    row('all are standby: reservations work, writes do not', alua('standby'),
        then={'state': 'owner|no_reserve', 'gate': 'open'}, writes=1, written='EIO'),
    row('all are unavailable', alua('unavailable'), all=EIO, words=('no path answered',)),
    row('all are offline', alua('offline'), all=EIO),
    row('the groups are not told, 20/00', answer(GROUPS, 5, 0x20, 0), **LOOK, **NOT_ACTIVATED),
    row('the groups are not told, 24/00', answer(GROUPS, 5, 0x24, 0), **LOOK, **NOT_ACTIVATED),
    row('the groups are ones', {**GROUPS, 'data': ONES}, **LOOK),
    row('no groups', {**GROUPS, 'data': '00000000'}, **LOOK),
    row('the groups are cut to 3 bytes', {**GROUPS, 'cut': 3}, **LOOK),
    row('one group more than sent', {**GROUPS, 'patch': {0: '0000006f'}}, **LOOK),
    row('a session in transition for 3 s', during=[alua('transitioning', seconds=3)], **WRITES_ON),
    row('path 0 becomes standby under a session', during=[alua('standby', path=0)], **WRITES_ON),
    row('path 0 becomes unavailable under a session', during=[alua('unavailable', path=0)],
        **WRITES_ON),
    row('all become unavailable for 3 s under a session', features='queue_if_no_path',
        during=[alua('unavailable', seconds=3)], **WRITES_ON),
]


@case(topology='hostile', rules=['5.6', '6.3', '5.2', '3.7'], hosts=('a',), tpgs=1, long=True)
def access_states(t):
    """ALUA states, as scsi_dh_alua sees them: waited for, or another path is used, or refused in time"""
    run_table(t, ALUA, handler='alua')


@case(topology='hostile', rules=[], hosts=('a',), module=False, tpgs=3, long=True)
def alua_is_honest(t):
    """the target itself: kernel and sg_rtpg see the access states that it was given"""
    path, control = t.a.paths[0], t.lun.target
    folder = f'/sys/block/{path.name}/device'

    def kernel_sees(state):
        # It asks for the groups when a command brings this; it does not look at that of TEST UNIT READY.
        control.call('attentions', codes=[(0x2a, 6)], path=0)
        t.vm.run(f'sg_persist --no-inquiry --in --read-keys {path}')
        return t.vm.check(f'cat {folder}/access_state').strip() == state
    expect(t.vm.check(f'cat {folder}/dh_state').strip() == 'alua', 'scsi_dh_alua is not attached')
    for state, name in (('transitioning', 'transitioning'), ('standby', 'standby'),
                        ('unavailable', 'unavailable'), ('nonoptimized', 'active/non-optimized'),
                        ('optimized', 'active/optimized')):
        control.rules(alua(state, path=0))
        poll(lambda name=name: kernel_sees(name), 20, f'the kernel sees {name}')
        said = poll(lambda: t.vm.run(f'sg_rtpg --decode {t.a.paths[1]}'), 5)[1]
        found = [int(number, 16) for number in
                 re.findall(r'asymmetric access state : 0x([0-9a-f]+)', said)]
        expect(found[:2] == [STATES[state], 0], f'{state}: {found}: {said}')
