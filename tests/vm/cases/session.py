# SPDX-License-Identifier: GPL-2.0-only
"""Section 4 and what of section 5 one host can show: sessions, closes, paths."""
from cases import case, expect, poll
from sessions import Raw
from steps import (BUSY, RELEASE, Commands, WRITE_10, check_write, close,
                   foreign_leave, hold, hold_bypass, hold_extended, holding,
                   logged, plain_refused, read_byte, refused, sg_out, write_fails)

KEY = 'pr_key 0xa1'
# WRITE(10), UNMAP, WRITE SAME(10), WRITE(16), WRITE SAME(16)
WRITES = (0x2a, 0x42, 0x41, 0x8a, 0x93)


def ready(t, features='', paths=2):
    """A device whose paths are registered."""
    mp = t.a.prmpath('mp0', f'{KEY} {features}')
    mp.wait_status(keys_own=paths)
    return mp


def writer(t, mp):
    """Direct writes without a pause; its output has one line per 5 of them, or the error."""
    return holding(t, t.a, f'exec 3<>{mp} && echo open; n=0; while dd if=/dev/zero of=/dev/fd/3 '
                           'bs=4k count=5 oflag=direct conv=notrunc 2>/run/writer.err; do '
                           'n=$((n+1)); echo wrote $n; done; cat /run/writer.err')


def progress(job, more=2):
    """The writer goes on: more lines than now."""
    def lines():
        return job.output().count('wrote')
    start = lines()
    poll(lambda: job.poll() is not None or lines() >= start + more, 40, 'the writer goes on')
    expect(job.poll() is None, job.output())


@case(topology='tcm_loop', rules=['3-single', '4.1'])
def single_keeps_out(t):
    """single: nobody else may open until the last close, bypass excepted"""
    mp = ready(t)
    single = hold_extended(t, t.a, mp, 'single')
    before = t.a.pr_state()
    refused(t.a, mp, BUSY)
    refused(t.a, mp, BUSY, 'forced')
    plain_refused(t.a, mp, 'busy')
    expect(t.a.pr_state() == before and mp.status()['options'] == 'single', mp.status())
    bypass = hold_bypass(t, t.a, mp)
    close(single)
    refused(t.a, mp, BUSY, 'no-reserve')
    close(bypass)
    mp.wait_status(state='free')
    close(hold(t, t.a, mp))


@case(topology='tcm_loop', rules=['4.1', '4.6'])
def single_refused(t):
    """single: refused after any other open, even if only a bypass open is left"""
    mp = ready(t)
    bypass = hold_bypass(t, t.a, mp)
    first = hold(t, t.a, mp)
    refused(t.a, mp, BUSY, 'single')
    close(first)
    expect(t.a.pr_state().holder == 0xa1, 'the kernel does not tell who closed')
    refused(t.a, mp, BUSY, 'single')
    close(bypass)
    mp.wait_status(state='free')
    bypass = hold_bypass(t, t.a, mp)
    hold_extended(t, t.a, mp, 'single')


@case(topology='tcm_loop', rules=['3-retain', '4.3', '4.5'])
def retain(t):
    """retain: nothing is sent at the last close"""
    mp = ready(t, 'pr_poll 0')
    holder = hold_extended(t, t.a, mp, 'retain')
    with Commands(t.vm) as commands:
        close(holder)
        mp.wait_status(state='retained')
    expect(not commands.pr(), commands.pr())
    state = t.a.pr_state()
    expect(state.holder == 0xa1 and state.keys == [0xa1, 0xa1], state)
    write_fails(t.a, mp, flags='oflag=direct,nonblock')
    mp.remove()
    expect(t.a.pr_state() == state, f'{state}, removed: {t.a.pr_state()}')


@case(topology='tcm_loop', rules=['4.2'])
def verified_release(t):
    """RELEASE on the remembered path does nothing: the close notices and releases where it must"""
    mp = ready(t, 'pr_poll 0')
    holder = hold(t, t.a, mp)
    at = next(p for p in t.a.paths if mp.status()['holder'] == f'own:{p.number}')
    other = t.a.paths[1 - at.index]
    sg_out(t.a, '--release --param-rk=0xa1 --prout-type=5', at.index)
    sg_out(t.a, '--reserve --param-rk=0xa1 --prout-type=5', other.index)
    with Commands(t.vm) as commands:
        close(holder)
    expect(commands.pr_out().count(RELEASE) >= 2, commands.pr())
    expect(t.a.pr_state().holder is None, t.a.pr_state())
    expect(mp.status()['state'] == 'free', mp.status())


@case(topology='tcm_loop', rules=['4.2', '5.2'])
def dead_holder(t):
    """the holder path is dead at the last close: the reservation goes all the same (E11)"""
    mp = ready(t, 'path_check 1')
    holder = hold(t, t.a, mp)
    at = next(p for p in t.a.paths if mp.status()['holder'] == f'own:{p.number}')
    other = 1 - at.index
    at.cut()
    check_write(t.a, mp, 0x41, count=4)
    close(holder)
    state = t.a.pr_state(other)
    expect(state.holder is None and state.type is None, state)
    at.restore()
    mp.wait_status(state='free', keys_own=2)
    poll(lambda: t.a.pr_state(other).keys == [0xa1, 0xa1], 20, 'registered again')
    close(hold(t, t.a, mp))


@case(topology='tcm_loop', rules=['4.2'])
def all_dead_close(t):
    """no path alive at the last close: releasing goes on behind, status says so"""
    mp = ready(t)
    holder = hold(t, t.a, mp)
    for path in t.a.paths:
        path.cut()
    close(holder)
    mp.wait_status(state='releasing')
    logged(t, 'mp0', 'it goes on in the background')
    for path in t.a.paths:
        path.restore()
    # Who asks again and again, as a script would, does not put it off.
    poll(lambda: 'reservation=none' in mp.message('pr_status')[1], 30, 'released')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['4.2'])
def open_while_releasing(t):
    """an open after a close that could not release takes the reservation over"""
    mp = ready(t)
    holder = hold(t, t.a, mp)
    for path in t.a.paths:
        path.cut()
    close(holder)
    mp.wait_status(state='releasing')
    for path in t.a.paths:
        path.restore()
    holder = hold(t, t.a, mp)
    mp.wait_status(state='owner')
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    check_write(t.a, mp, 0x42)
    close(holder)
    mp.wait_status(state='free')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['4.4'], hosts=('a', 'b'))
def dirty_pages(t):
    """dirty pages reach the LUN before the RELEASE"""
    mp = ready(t)
    with Commands(t.vm) as commands:
        check_write(t.a, mp, 0x43, offset=7, count=200, flags='')
        # udev may have it open, too.
        mp.wait_status(state='free')
    expect(read_byte(t.b, t.b.paths[0], offset=206) == 0x43, 'written')
    kinds = [(c[0], c[1] & 31 if c[0] == 0x5f else 0) for c in commands.cdbs]
    release = kinds.index((0x5f, RELEASE))
    expect((WRITE_10, 0) in kinds[:release] and (WRITE_10, 0) not in kinds[release:], kinds)


@case(topology='tcm_loop', rules=['4.5'])
def registrations(t):
    """registrations stay after the close and go with the device"""
    mp = ready(t)
    close(hold(t, t.a, mp))
    expect(t.a.pr_state().keys == [0xa1, 0xa1], t.a.pr_state())
    mp.remove()
    expect(t.a.pr_state().keys == [], t.a.pr_state())


@case(topology='tcm_loop', rules=['4.7'])
def stale_cache(t):
    """a reader's pages from before the session are dropped"""
    mp = ready(t)
    check_write(t.a, t.a.paths[0], 0x61)
    hold(t, t.a, mp, '<')
    expect(read_byte(t.a, mp, flags='') == 0x61, 'cached')
    check_write(t.a, t.a.paths[1], 0x62)
    expect(read_byte(t.a, mp, flags='') == 0x61, 'the page stays in the cache')
    hold(t, t.a, mp)
    expect(read_byte(t.a, mp, flags='') == 0x62, 'stale page')
    expect(mp.status()['stale_cache'] == '0', mp.status())


# Reads, has the LUN change, reads again, starts a session, and reads what there is now.
OWN_PAGES = """python3 -c "
import fcntl, os, struct, subprocess
fd = os.open('%s', os.O_RDWR | os.O_NONBLOCK)
seen = [os.pread(fd, 1, 0)[0]]
subprocess.run('yes b | tr -d [:space:] | dd of=%s bs=4k count=1 iflag=fullblock oflag=direct '
               'conv=notrunc', shell=True, check=True, stderr=subprocess.DEVNULL)
seen.append(os.pread(fd, 1, 0)[0])
fcntl.ioctl(os.open('/dev/prmpath-control', os.O_RDONLY), 1 << 30 | 16 << 16 | 0xdb << 8 | 1,
            struct.pack('=iIQ', fd, 0, 0))
seen.append(os.pread(fd, 1, 0)[0])
print(*seen)
" """


@case(topology='tcm_loop', rules=['4.7', '2.2'])
def stale_cache_of_its_own(t):
    """an extended open drops what its own descriptor has read before"""
    mp = ready(t)
    check_write(t.a, t.a.paths[0], 0x61)
    out = t.a.check(OWN_PAGES % (mp, t.a.paths[1]))
    expect(out.split() == ['97', '97', '98'], f'read: {out}')


@case(topology='tcm_loop', rules=['4.7', '5.1'])
def stale_dirty(t):
    """pages dirtied by a bypass writer do not land when a session starts"""
    mp = ready(t)
    check_write(t.a, t.a.paths[0], 0x63)
    dirty = holding(t, t.a, 'python3 -c "import os, time; fd = os.open(\'%s\', os.O_RDWR | '
                            'os.O_NONBLOCK); os.write(fd, bytes([0x64]) * 4096); '
                            'print(\'open\', flush=True); time.sleep(600)"' % mp)
    hold(t, t.a, mp)
    expect(read_byte(t.a, mp, flags='') == 0x63, 'a page from before the session')
    t.a.check(f'blockdev --flushbufs {mp}')
    expect(read_byte(t.a, t.a.paths[0]) == 0x63, 'a write from before the session landed')
    close(dirty)


DISCARD = """python3 -c "
import errno, fcntl, os, struct
fd = os.open('%s', os.O_RDWR | os.O_NONBLOCK)
for request in 0x1277, 0x127f:
    try:
        fcntl.ioctl(fd, request, struct.pack('QQ', 0, 4096))
        print('OK')
    except OSError as error:
        print(errno.errorcode[error.errno])
\""""


@case(topology='tcm_loop', rules=['5.1', '2.1'], file='/run/lun0.image')
def write_gate(t):
    """without a session writes, discards and zeroes fail at once; reads pass"""
    t.cleanup(t.vm.check, 'rm /run/lun0.image')
    t.lun.backstore.attribute('emulate_tpu', 1)
    for path in t.a.paths:
        t.a.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
        expect(t.a.check(f'cat /sys/block/{path.name}/queue/discard_max_bytes').strip() != '0',
               'the LUN cannot discard')
    t.a.check('udevadm settle')
    mp = ready(t)
    check_write(t.a, t.a.paths[0], 0x65)
    with Commands(t.vm) as commands:
        write_fails(t.a, mp, flags='oflag=direct,nonblock')
        out = t.a.check(DISCARD % mp).split()
    expect(out == ['EBADE', 'EBADE'], out)
    expect(not any(c[0] in WRITES for c in commands.cdbs), commands.cdbs)
    expect(read_byte(t.a, mp) == 0x65, 'reads pass')
    hold(t, t.a, mp)
    out = t.a.check(DISCARD % mp).split()
    expect(out == ['OK', 'OK'] and read_byte(t.a, mp) == 0, f'gate open: {out}')
    check_write(t.a, mp, 0x66, flags='oflag=direct,nonblock')


@case(topology='tcm_loop', rules=['5.2', '5.3'])
def path_messages(t):
    """fail_path and reinstate_path while the owner writes"""
    mp = ready(t)
    job = writer(t, mp)
    progress(job)
    for path in t.a.paths:
        expect(mp.message('fail_path', path.number)[0] == 0, 'message')
        expect(not mp.status()['paths'][path.number]['active'], mp.status())
        progress(job)
        expect(mp.message('reinstate_path', path.number)[0] == 0, 'message')
        poll(lambda p=path: mp.status()['paths'][p.number]['pr'] == 'registered', 15, 'registered')
        progress(job)
    state = t.a.pr_state()
    expect(state.holder == 0xa1 and state.keys == [0xa1, 0xa1], state)


@case(topology='tcm_loop', rules=['5.2', '5.3'])
def path_returns(t):
    """a path that lost its registration while away is admitted when registered again"""
    mp = ready(t, 'path_check 0 pr_poll 0')
    job = writer(t, mp)
    away = next(p for p in t.a.paths if mp.status()['holder'] != f'own:{p.number}')
    away.cut()
    poll(lambda: not mp.status()['paths'][away.number]['active'], 20, 'path failed')
    away.restore()
    sg_out(t.a, '--register --param-rk=0xa1', away.index)
    progress(job)
    expect(t.a.pr_state().keys == [0xa1], 'registered before it is back')
    mp.message('reinstate_path', away.number)
    poll(lambda: mp.status()['paths'][away.number]['pr'] == 'registered', 20, 'registered')
    progress(job)
    state = t.a.pr_state()
    expect(state.keys == [0xa1, 0xa1] and state.holder == 0xa1, state)


@case(topology='tcm_loop', rules=['5.2', '5.4'])
def path_unregistered(t):
    """a path of the owner loses its registration under I/O: no error goes up"""
    mp = ready(t, 'pr_poll 0')
    job = writer(t, mp)
    progress(job)
    other = next(p for p in t.a.paths if mp.status()['holder'] != f'own:{p.number}')
    sg_out(t.a, '--register --param-rk=0xa1', other.index)
    progress(job, 3)
    poll(lambda: t.a.pr_state().keys == [0xa1, 0xa1], 15, 'registered again')
    expect(mp.status()['state'] == 'owner', mp.status())


@case(topology='tcm_loop', rules=['5.2'])
def paths_one_by_one(t):
    """each path is cut and comes back under I/O; the session goes on"""
    mp = ready(t, 'path_check 1')
    job = writer(t, mp)
    for path in t.a.paths:
        path.cut()
        progress(job)
        path.restore()
        poll(lambda p=path: mp.status()['paths'][p.number]['active'], 20, 'path is back')
        poll(lambda p=path: mp.status()['paths'][p.number]['pr'] == 'registered', 20, 'registered')
        progress(job)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())


@case(topology='tcm_loop', rules=['5.5'])
def queue_if_no_path(t):
    """no path, queueing: writes wait and the session survives"""
    mp = ready(t, 'queue_if_no_path path_check 1')
    job = writer(t, mp)
    progress(job)
    for path in t.a.paths:
        path.cut()
    poll(lambda: not any(p['active'] for p in mp.status()['paths'].values()), 20, 'all failed')
    expect(mp.status()['gate'] == 'open' and job.poll() is None, mp.status())
    for path in t.a.paths:
        path.restore()
    progress(job)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())


# Whoever is slow to preempt is evicted with an abort, over which tcm_loop hangs.
@case(topology='iscsi_loop', rules=['5.4', '5.11'], hosts=('a', 'b'))
def taken_away(t):
    """plain PREEMPT by another host: fenced, writes fail, latched until all are closed"""
    mp = ready(t, 'pr_poll 1')
    holder = hold(t, t.a, mp)
    Raw(t.b, 0xb).must_seize(0xa1, 0, 'preempt')
    mp.wait_status(state='fenced', gate='closed')
    logged(t, 'mp0', 'FENCED')
    write_fails(t.a, mp, flags='oflag=direct,nonblock')
    refused(t.a, mp, BUSY, 'forced')
    foreign_leave(t.b)
    refused(t.a, mp, BUSY)
    expect(t.b.pr_state().keys == [] and t.b.pr_state().holder is None, t.b.pr_state())
    close(holder)
    close(hold(t, t.a, mp))


@case(topology='tcm_loop', rules=['5.4'], hosts=('a', 'b'))
def taken_away_by_io(t):
    """without the watcher the first write notices, and fails with the conflict's error"""
    mp = ready(t, 'pr_poll 0')
    hold(t, t.a, mp)
    Raw(t.b, 0xb).must_seize(0xa1, 0, 'preempt')
    write_fails(t.a, mp, flags='oflag=direct,nonblock')
    expect(mp.status()['state'] == 'fenced', mp.status())
    expect(all(p['active'] for p in mp.status()['paths'].values()), mp.status())
    expect(t.b.pr_state().keys == [0xb], t.b.pr_state())


@case(topology='tcm_loop', rules=['5.11'])
def vanished(t):
    """the reservation vanishes while our keys stay: the watcher takes it again"""
    mp = ready(t, 'pr_poll 1')
    hold(t, t.a, mp)
    at = next(p for p in t.a.paths if mp.status()['holder'] == f'own:{p.number}')
    sg_out(t.a, '--release --param-rk=0xa1 --prout-type=5', at.index)
    poll(lambda: t.a.pr_state().holder == 0xa1, 15, 'reserved again')
    check_write(t.a, mp, 0x67)
