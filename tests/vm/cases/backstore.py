# SPDX-License-Identifier: GPL-2.0-only
"""A LUN that a program of the target serves: tcmu-runner behind LIO.

Debian's package has no handler named "file" (it ships file_optical, file_zbc, qcow and rbd);
the nearest that is a disk in a file is qcow's, which takes an image without its header as raw.
LIO answers PERSISTENT RESERVE itself there, so that reservations need no daemon.
"""
from cases import case, expect, poll
from lio import IscsiLoop
from multipath_tools import FAULTY, KEY, READY, Fio, Multipathd
from multipathd import pull, uptime
from sessions import Writer, check_blocks, hold, keys_of, try_open

DISK = '/run/tcmu-disk'


class TcmuRunner:
    """The daemon of a guest; ends with the case."""

    def __init__(self, t):
        self.vm = t.vm
        self.vm.check('modprobe target_core_user; '
                      'pidof dbus-daemon || { mkdir -p /run/dbus && dbus-daemon --system; }')
        t.cleanup(self.vm.check, f'rm -f {DISK}')
        t.cleanup(self.kill)
        self.start()

    def start(self):
        """Return when it serves: its name is on the bus."""
        self.job = self.vm.spawn('exec tcmu-runner')
        poll(lambda: self.vm.run('dbus-send --system --print-reply --dest=org.freedesktop.DBus / '
                                 'org.freedesktop.DBus.GetNameOwner string:org.kernel.TCMUService1')[0]
             == 0, 30, 'tcmu-runner is on the bus')
        expect(self.job.poll() is None, self.job.output())

    def kill(self):
        self.job.kill()
        self.job.wait(30)


class Served:
    """The LUN, by two portals for each host; hosts become t.a and t.b."""

    def __init__(self, t, hosts=('a',), **attributes):
        self.daemon = TcmuRunner(t)
        self.lun = IscsiLoop(t.vm, hosts=hosts, handler='qcow', file=DISK, attributes=attributes)
        t.cleanup(self.lun.remove)
        for host in self.lun.hosts:
            setattr(t, host.name, host)
        store = self.lun.backstore.path
        expect(t.vm.check(f'cat {store}/attrib/emulate_pr {store}/attrib/pgr_support').split()
               == ['1', '1'], 'LIO answers PERSISTENT RESERVE')
        said = t.vm.check(f'sg_inq {t.a.paths[0]}')
        expect('TCMU device' in said, f'not served by tcmu-runner: {said}')


def on_the_disk(t, mp):
    """The file has what the device shows."""
    both = t.vm.check(f'sync; head -c 256k {mp} | sha256sum; head -c 256k {DISK} | sha256sum').split()
    expect(both[0] == both[2], f'the file differs: {both}')


@case(topology='bare', rules=['5.2', '5.3'], module=False, long=True)
def links(t):
    """multipathd drives a LUN of tcmu-runner; links go and come back while fio writes and compares"""
    Served(t)
    mp = Multipathd(t, t.a).start().map()
    fio = Fio(t, mp)
    mp.owner()
    for path in t.a.paths:
        pull(mp, fio, path)
    fio.finish()


@case(topology='bare', rules=['3-default', '3-forced', '4.2', '5.3'], module=False)
def opens(t):
    """default, forced and the last close work on a LUN of tcmu-runner as on any other"""
    Served(t, hosts=('a', 'b'))
    mpa = Multipathd(t, t.a, ignored=t.b.paths).start().map()
    t.cleanup(t.remove_devices, t.b)
    mpb = t.b.prmpath('mpb', 'pr_key 0xb1')
    writer = Writer(t, mpa).opened()
    writer.goes_on()
    mpa.owner()
    state = t.b.pr_state()
    expect(state.holder == KEY and state.type == 5 and keys_of(t.b, KEY) == 2, state)
    expect(try_open(mpb)[0], 'a plain open of b must be refused')
    expect(t.b.pr_state() == state, 'and change nothing')
    session = hold(t, mpb, 'forced').opened()
    expect(writer.failed() == 'EBADE', writer.errors())
    mpa.wait_status(state='fenced')
    state = t.b.pr_state()
    expect(state.holder == 0xb1 and set(state.keys) == {0xb1}, state)
    check_blocks(t.b, mpb, writer)
    writer.close()
    writer = Writer(t, mpb, first=512).opened()
    writer.goes_on()
    writer.close()
    check_blocks(t.b, mpb, writer)
    on_the_disk(t, mpb)
    expect(t.b.pr_state().holder == 0xb1, 'the session lasts until the last close')
    session.close()
    poll(lambda: t.b.pr_state().holder is None, 20, 'the last close releases')


def given_back(t, mp, state):
    """After the last close: state, what the target had before, with nobody who holds it."""
    mp.wait_status(state='free', deadline=30)
    now = t.a.pr_state()
    expect((now.keys, now.holder, now.type) == (state.keys, None, None), f'{state} became {now}')
    return now


def without_daemon(t, fio, seconds):
    """For so long in the guest no write ends (one may have been on its way), and fio waits."""
    before, since = fio.done(), uptime(t.vm)
    poll(lambda: uptime(t.vm) > since + seconds, 60, f'{seconds} seconds of the guest')
    expect(fio.done() <= before + 1, 'writes without the daemon')
    fio.running()


@case(topology='bare', rules=['5.5', '5.11'], module=False)
def daemon_restarts(t):
    """tcmu-runner is killed under I/O and comes back: no write is lost, the reservation stays"""
    served = Served(t)
    mp = Multipathd(t, t.a, no_path_retry='queue').start().map()
    fio = Fio(t, mp)
    mp.owner()
    state = t.a.pr_state()
    for _ in range(2):
        served.daemon.kill()
        without_daemon(t, fio, 2)
        expect(t.a.pr_state() == state, 'LIO keeps the reservation without the daemon')
        expect(mp.status()['state'] == 'owner', mp.status())
        served.daemon.start()
        mp.wait_paths(READY, deadline=60)
        fio.goes_on()
        mp.owner()
    fio.finish()
    now = given_back(t, mp, state)
    expect(now.generation == state.generation, f'somebody registered: {state} became {now}')
    on_the_disk(t, mp)


@case(topology='bare', rules=['5.2', '5.5', '5.11'], module=False, long=True)
def daemon_away(t):
    """tcmu-runner stays away for longer than commands may take: paths fail, writes wait, none is lost"""
    served = Served(t, cmd_time_out=3)
    mp = Multipathd(t, t.a, no_path_retry='queue').start().map()
    fio = Fio(t, mp)
    mp.owner()
    state = t.a.pr_state()
    served.daemon.kill()
    mp.wait_paths(FAULTY, deadline=90)
    without_daemon(t, fio, 3)
    now = t.a.pr_state()
    expect((now.keys, now.holder, now.type) == (state.keys, KEY, 5), f'{state} became {now}')
    served.daemon.start()
    mp.wait_paths(READY, deadline=60)
    fio.goes_on()
    mp.owner()
    fio.finish()
    given_back(t, mp, state)
    on_the_disk(t, mp)
