# SPDX-License-Identifier: GPL-2.0-only
"""What administrators and accidents do to a device that is in use."""
import re
import time

from cases import case, expect, poll
from guard import without_pings
from paths import replace_nexus
from session import progress, ready, writer
from steps import (BUSY, PRMPATH, RESERVE, Commands, check_write, close, dashed, hold, hold_bypass,
                   hold_extended, holding, log, logged, read_byte, write)

SECTORS = 131072


@case(topology='tcm_loop', rules=['4.5', '4.8'])
def remove_force(t):
    """dmsetup remove --force under an opener: writes fail, the reservation stays, no crash"""
    mp = ready(t)
    holder = hold(t, t.a, mp)
    t.a.run('dmsetup remove --force mp0')
    expect('error' in t.a.check('dmsetup table mp0'), 'replaced by the error target')
    expect(write(t.a, mp, 0x41, flags='oflag=direct,nonblock')[0] != 0, 'write passes')
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    logged(t, 'mp0', 'the reservation stays')
    close(holder)
    mp.remove()
    mp = t.a.prmpath('mp0', 'pr_key 0xa1')
    close(hold(t, t.a, mp))
    expect(t.a.pr_state().holder is None, 'the next table finds it')


@case(topology='tcm_loop', rules=['4.8', '4.5'])
def error_table(t):
    """an error table on an idle device: nothing is left at the target; then back"""
    mp = ready(t)
    t.a.check(f'dmsetup reload mp0 --table "0 {SECTORS} error" && dmsetup resume mp0')
    state = t.a.pr_state()
    expect(state.keys == [] and state.holder is None, state)
    mp.reload('pr_key 0xa1')
    mp.wait_status(keys_own=2)
    hold(t, t.a, mp)
    check_write(t.a, mp, 0x42)


@case(topology='tcm_loop', rules=['4.2', '4.5'])
def deferred_remove(t):
    """a deferred removal happens after the release of the last close"""
    mp = ready(t)
    holder = hold(t, t.a, mp)
    t.a.check('dmsetup remove --deferred mp0')
    check_write(t.a, mp, 0x43, flags='oflag=direct,nonblock')
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())
    close(holder)
    poll(lambda: t.a.run('dmsetup info mp0')[0] != 0, 15, 'removed')
    t.a.devices.remove(mp)
    poll(lambda: t.a.pr_state().keys == [], 15, 'registrations go')
    expect(t.a.pr_state().holder is None, t.a.pr_state())


@case(topology='tcm_loop', rules=['6.3'])
def rmmod_busy(t):
    """rmmod is refused while a device exists, open or not"""
    mp = ready(t)
    for step in 'idle', 'open', 'retained':
        code, out = t.a.run('rmmod dm_prmpath')
        expect(code and 'in use' in out, f'{step}: {code} {out}')
        if step == 'idle':
            holder = hold_extended(t, t.a, mp, 'retain')
        elif step == 'open':
            close(holder)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())


@case(topology='tcm_loop', rules=['3.5', '4.1'], cpus=2)
def opens_at_once(t):
    """eight opens at once reserve once; of eight single opens one wins"""
    mp = ready(t, 'pr_poll 0')

    def race(*options):
        command = (f'{PRMPATH} open {dashed(options)} {mp} -- sh -c '
                   '"echo open >> /run/race; flock --shared /run/hold true"')
        t.a.check('rm -f /run/race; touch /run/race')
        gate = holding(t, t.a, 'flock /run/hold sh -c "echo open; exec sleep 600"')
        job = t.a.spawn(f'for i in 1 2 3 4 5 6 7 8; do ({command}; echo exit $?) & done; wait')
        poll(lambda: t.a.check('cat /run/race').count('open') + job.output().count('exit') == 8, 60,
             'all have opened or failed')
        opened, state = t.a.check('cat /run/race').count('open'), t.a.pr_state()
        close(gate)
        out = job.wait()[1]
        expect(state.holder == 0xa1 and state.keys == [0xa1, 0xa1], state)
        mp.wait_status(state='free')
        expect(t.a.pr_state().holder is None, t.a.pr_state())
        return opened, out

    with Commands(t.vm) as commands:
        opened, out = race()
    expect(opened == 8, out)
    expect(commands.pr_out().count(RESERVE) == 1, commands.pr())
    opened, out = race('single')
    expect(opened == 1 and out.count(f'exit {BUSY}') == 7, f'{opened}: {out}')


@case(topology='tcm_loop', rules=['3.5', '4.2'], cpus=2)
def open_close_storm(t):
    """opens and closes of all kinds for a while leave nothing behind"""
    mp = ready(t)
    t.a.check(f"""for j in 1 2 3; do (
            for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
                exec 3<>{mp} && echo x >&3; exec 3>&-
                exec 3<{mp}; exec 3<&-
            done 2>/dev/null
        ) & done; wait""", 120)
    t.a.check('udevadm settle')
    mp.wait_status(state='free', opens=0)
    state = t.a.pr_state()
    expect(state.holder is None and state.keys == [0xa1, 0xa1], state)


# In one go: were the paths silent for long, it would fail anyway. And not before a command of
# its own is out: what is killed earlier, in the kernel's queue for the disk, asks nothing of us.
# Prints the milliseconds that the kill took, with what comes then.
KILL = """set -e
udevadm settle
nft add table ip prm
nft add chain ip prm out '{{ type filter hook output priority 0; }}'
nft add rule ip prm out ip daddr 127.0.1.0/24 tcp dport 3260 drop
nft add rule ip prm out ip saddr 127.0.1.0/24 tcp sport 3260 drop
( exec {words} ) &
until dmsetup message {device} 0 path_answers | grep -q awaited; do sleep 0.02; done
begin=$(date +%s%N)
kill -9 $!
wait $! || [ $? = 137 ]
{then}
echo took $((($(date +%s%N) - begin) / 1000000))
nft delete table ip prm
"""


ASK = 'dmsetup message {device} 0 pr_status'
# While another message occupies the worker
JOIN = """( exec {ask} ) &
until grep -q ') D' /proc/$!/stat; do sleep 0.02; done
exec 3<>{device}
kill -9 $!"""


def killed(t, mp, words, then=':'):
    # The shell says who was killed, too.
    out = t.a.check(KILL.format(device=mp, words=words, then=then), timeout=90)
    return int(re.search(r'^took (\d+)$', out, re.M).group(1))


@case(topology='iscsi_loop', rules=['6.3', '3.6'], hosts=('a',))
def killed_open(t):
    """SIGKILL during a long open: the process goes at once and nothing is left behind"""
    without_pings(t)
    for path in t.a.paths:
        replace_nexus(t, path)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_register open pr_timeout 60')
    took = killed(t, mp, f'3<>{mp}')
    expect(took < 8000, f'killed after {took} ms')
    # An operation of ours comes after the open's, whatever became of that.
    poll(lambda: mp.message('pr_status')[0] == 0, 60, 'a path is back')
    # udev would close it again, which releases what should not have been reserved.
    expect(': reserved\n' not in log(t), log(t))
    mp.wait_status(state='free', gate='closed', opens=0)
    poll(lambda: t.a.pr_state() == t.a.pr_state()._replace(keys=[], holder=None), 30,
         'nothing registered')
    close(hold(t, t.a, mp))


@case(topology='iscsi_loop', rules=['3.5', '6.3'], hosts=('a',))
def killed_message(t):
    """SIGKILL of a message that waits: later opens of the session still ask nobody"""
    without_pings(t)
    for path in t.a.paths:
        replace_nexus(t, path)
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 pr_poll 0')
    holder = hold(t, t.a, mp)
    mp.wait_status(state='owner')
    took = killed(t, mp, ASK.format(device=mp), JOIN.format(device=mp, ask=ASK.format(device=mp)))
    expect(took < 8000, f'killed, and the next open there, after {took} ms')
    poll(lambda: mp.message('pr_status')[0] == 0, 60, 'a path is back')
    mp.wait_status(state='owner', deadline=30)
    close(holder)


@case(topology='tcm_loop', rules=['4.8', '3.5'])
def suspended(t):
    """a table is loaded, a path cut and an open done while the device is suspended"""
    mp = ready(t)
    job = writer(t, mp)
    t.a.check('dmsetup suspend mp0')
    t.a.check(f'dmsetup reload mp0 --table "{t.a.table("pr_key 0xa1 pr_poll 7", groups=2)}"')
    hold_bypass(t, t.a, mp)
    hold_extended(t, t.a, mp, 'retain')
    t.a.paths[0].cut()
    t.a.check('dmsetup resume mp0')
    progress(job)
    t.a.paths[0].restore()
    expect('pr_poll 7' in t.a.check('dmsetup table mp0'), 'new table')
    expect((mp.status()['state'], mp.status()['options']) == ('owner', 'retain'), mp.status())


@case(topology='tcm_loop', rules=['4.8'])
def suspend_noflush(t):
    """suspend --noflush with parked writes: they survive into the next table"""
    mp = ready(t, 'queue_if_no_path')
    job = writer(t, mp)
    for path in t.a.paths:
        path.cut()
    poll(lambda: not any(p['active'] for p in mp.status()['paths'].values()), 20, 'all failed')
    t.a.check('dmsetup suspend --noflush mp0')
    for path in t.a.paths:
        path.restore()
    t.a.check('dmsetup reload mp0 '
              f'--table "{t.a.table("pr_key 0xa1 queue_if_no_path pr_poll 3")}" && dmsetup resume mp0')
    for path in t.a.paths:
        mp.message('reinstate_path', path.number)
    progress(job)
    expect(t.a.pr_state().holder == 0xa1, t.a.pr_state())


@case(topology='tcm_loop', rules=['4.4', '4.8'], paths=3)
def last_close_without_path(t):
    """the last closer has dirty pages and no path: a reload with a live path frees it"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 queue_if_no_path', paths=t.a.paths[:2])
    mp.wait_status(keys_own=2)
    hold_job = t.a.spawn(f'mkfifo /run/go; exec 3<>{mp} && echo open; read -r x < /run/go; '
                         "head -c 40960 /dev/zero | tr '\\0' D >&3; echo closing; exec 3>&-")
    poll(lambda: 'open' in hold_job.output(), 30, 'open')
    # Beside udev it would not be the last closer.
    t.a.check('udevadm settle')
    for path in t.a.paths[:2]:
        path.cut()
    t.a.check('echo > /run/go; rm /run/go')
    poll(lambda: not any(p['active'] for p in mp.status()['paths'].values()), 20, 'all failed')
    expect(hold_job.poll() is None, 'closed without a path')
    t.a.check('dmsetup suspend --noflush mp0')
    t.a.check('dmsetup reload mp0 --table "%s" && dmsetup resume mp0'
              % t.a.table('pr_key 0xa1 queue_if_no_path', paths=t.a.paths[2:]))
    expect(hold_job.wait(60)[0] == 0, hold_job.output())
    poll(lambda: t.a.pr_state(2).holder is None, 30, 'released')
    expect(read_byte(t.a, t.a.paths[2], offset=9) == ord('D'), 'dirty pages lost')
    for path in t.a.paths[:2]:
        path.restore()


@case(topology='tcm_loop', rules=['4.8', '6.3'])
def remove_while_dead(t):
    """removing a device whose paths are dead ends in bounded time"""
    mp = ready(t)
    close(hold_extended(t, t.a, mp, 'retain'))
    for path in t.a.paths:
        path.cut()
    start = time.monotonic()
    mp.remove()
    expect(time.monotonic() - start < 40, f'{time.monotonic() - start:.0f} s')
    for path in t.a.paths:
        path.restore()
    expect(t.a.pr_state().holder == 0xa1, 'retained')


HOG = '''
import time
free = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemAvailable"))
room = bytearray((free - 24 * 1024) * 1024)
for at in range(0, len(room), 4096):
    room[at] = 1
print("full", flush=True)
time.sleep(600)
'''


@case(topology='tcm_loop', rules=['5.2', '5.3'])
def little_memory(t):
    """dirty pages reach the LUN although memory is short and paths come and go"""
    mp = t.a.prmpath('mp0', 'pr_key 0xa1 path_check 1 queue_if_no_path')
    mp.wait_status(keys_own='2')
    holder = hold(t, t.a, mp)
    t.vm.put('/run/hog.py', HOG)
    hog = t.a.spawn('echo 1000 > /proc/self/oom_score_adj; exec python3 /run/hog.py')
    t.cleanup(hog.kill)
    poll(lambda: 'full' in hog.output() or hog.poll() is not None, 60, 'memory is full')
    writer = t.a.spawn(f'dd if=/dev/urandom of=/run/data bs=64k count=64 2>/dev/null; '
                       f'dd if=/run/data of={mp} bs=64k conv=fsync && echo written')
    for path in t.a.paths:
        path.cut()
    poll(lambda: not any(p['active'] for p in mp.status()['paths'].values()), 60, 'no path')
    for path in t.a.paths:
        path.restore()
    code, out = writer.wait(120)
    expect(code == 0 and 'written' in out, out)
    hog.kill()
    t.a.check(f'dd if={t.a.paths[0]} iflag=direct bs=64k count=64 2>/dev/null | cmp - /run/data')
    expect(mp.status()['state'] == 'owner', mp.status())
    close(holder)
    t.a.check('rm /run/data')
