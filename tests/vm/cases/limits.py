# SPDX-License-Identifier: GPL-2.0-only
"""What the device passes on of its paths: queue limits, flushes, protection information, merging, NOWAIT."""
import re

from cases import case, expect, poll
from groups import Removed, create, group, line, reload, rr, waits, write
from lio import TcmLoop
from steps import ScsiDebug, check_write, read_byte

# RWF_NOWAIT: whether a read would wait is told at once.
NOWAIT = r'''
import errno, mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
buffer = mmap.mmap(-1, 4096)
for number in range(int(sys.argv[2])):
    begin = time.monotonic()
    for call in os.preadv, os.pwritev:
        try:
            result = call(fd, [buffer], 4096 * number, os.RWF_NOWAIT)
        except OSError as error:
            result = errno.errorcode[error.errno]
        print(call.__name__, result, 'late' if time.monotonic() - begin > 0.5 else 'soon')
'''

# Behind a read that takes long: read-ahead, and right after it a read that somebody waits for.
READ_AHEAD = r'''
import mmap, os, sys, threading, time
device, inflight = sys.argv[1:]
cached, direct = os.open(device, os.O_RDONLY), os.open(device, os.O_RDONLY | os.O_DIRECT)
size = 65536

def read(offset):
    assert os.preadv(direct, [mmap.mmap(-1, size)], offset) == size
first, second = (threading.Thread(target=read, args=(offset,)) for offset in (8 << 20, size))

first.start()
while first.is_alive() and not int(open(inflight).read().split()[0]):
    time.sleep(0.005)
os.posix_fadvise(cached, 0, size, os.POSIX_FADV_WILLNEED)
second.start()
first.join()
second.join()
assert len(os.pread(cached, size, 0)) == size
'''

SYNC_10, SYNC_16, UNMAP = 0x35, 0x91, 0x42
WRITE_10, WRITE_16 = 0x2a, 0x8a
WRITE_SAME = 0x41, 0x93
FUA = 0x08


def limits(t, dev):
    """Queue limits of a disk by name, as sysfs has them."""
    name = t.a.check(f'basename $(readlink -f {dev})').strip()
    # What describes the queue itself and not what it takes is the device's own.
    out = t.a.check(f'cd /sys/block/{name} && grep -s . alignment_offset discard_alignment '
                    'queue/*_size queue/*_bytes queue/*_sectors queue/max_*kb queue/*granularity '
                    'queue/max_segments queue/max_discard_segments queue/fua queue/write_cache '
                    'queue/dma_alignment queue/rotational queue/zoned queue/atomic* '
                    'queue/stable_writes queue/max_integrity_segments; true')
    return dict(entry.removeprefix('queue/').split(':', 1) for entry in out.splitlines())


# sysfs files whose value is the path's own
SAME = ('logical_block_size physical_block_size hw_sector_size minimum_io_size optimal_io_size '
        'discard_granularity discard_max_hw_bytes write_zeroes_max_bytes fua write_cache '
        'max_sectors_kb max_hw_sectors_kb max_segments max_segment_size chunk_sectors '
        'virt_boundary_mask rotational stable_writes alignment_offset discard_alignment').split()


def same_limits(t, mp, path):
    ours, theirs = limits(t, mp), limits(t, path)
    wrong = [f'{name}: {ours[name]}, the path has {theirs[name]}' for name in theirs
             if (name in SAME or name.startswith('atomic')) and ours.get(name) != theirs[name]]
    expect(not wrong, wrong)
    return ours


def like_in_tree(t, *groups):
    """The limits of dm-multipath over the same paths, all of them."""
    t.a.check('modprobe -a dm-multipath dm-round-robin')
    t.cleanup(t.a.check, 'modprobe -r dm-round-robin && modprobe -r dm-multipath')
    text = line(t, *groups, target='multipath', features='queue_mode bio')
    t.a.check(f'dmsetup create theirs --table "{text}"')
    remove = t.stack.enter_context(Removed(t.a, 'theirs'))
    found = limits(t, '/dev/mapper/theirs')
    remove.now()
    return found


@case(topology='bare', rules=['5.12'])
def passed_on(t):
    """queue limits are those of the paths, and as dm-multipath has them"""
    ScsiDebug(t, options='physblk_exp=3 lowest_aligned=1 opt_blks=64 opt_xferlen_exp=4 lbpu=1 lbpws=1 '
                         'unmap_granularity=8 unmap_max_blocks=4096 unmap_alignment=3 '
                         'write_same_length=512')
    groups = rr(*t.a.paths),
    theirs = like_in_tree(t, *groups)
    mp = create(t, *groups)
    ours = same_limits(t, mp, t.a.paths[0])
    wanted = {'logical_block_size': '512', 'physical_block_size': '4096', 'optimal_io_size': '32768',
              'discard_granularity': '4096'}
    expect({name: ours[name] for name in wanted} == wanted, ours)
    expect(int(ours['discard_max_bytes']) == 4096 * 512, ours)
    expect(ours == theirs, [f'{name}: {ours.get(name)}, dm-multipath: {theirs[name]}'
                            for name in theirs if ours.get(name) != theirs[name]])


@case(topology='bare', rules=['5.12'])
def blocks_of_4096(t):
    """a disk with blocks of 4096 bytes gives a device with such blocks"""
    ScsiDebug(t, options='sector_size=4096')
    mp = create(t, rr(*t.a.paths))
    ours = same_limits(t, mp, t.a.paths[0])
    expect(ours['logical_block_size'] == '4096', ours)
    expect(t.a.run(f'dd if={mp} of=/dev/null bs=512 count=1 iflag=direct')[0], 'read of 512 bytes')
    check_write(t.a, mp, 0x31)
    expect(read_byte(t.a, t.a.paths[1]) == 0x31, 'the block')


@case(topology='tcm_loop', rules=['4.8', '5.12'], file='/run/limits')
def follow_reload(t):
    """limits follow a reload: of the storage's own changes, and of other paths"""
    first, second = t.a.paths
    t.lun.backstore.attribute('emulate_tpu', 0)
    t.lun.backstore.attribute('emulate_write_cache', 0)
    mp = create(t, rr(first, second))
    ours = same_limits(t, mp, first)
    expect(ours['write_cache'] == 'write through' and ours['discard_max_bytes'] == '0', ours)

    t.lun.backstore.attribute('emulate_tpu', 1)
    t.lun.backstore.attribute('emulate_write_cache', 1)
    for path in first, second:
        t.a.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
    reload(t, mp, rr(first, second))
    ours = same_limits(t, mp, first)
    expect(ours['write_cache'] == 'write back' and int(ours['discard_max_bytes']), ours)

    # Of paths that differ the smaller one counts, of others it does not.
    t.a.check(f'echo 64 > /sys/block/{second.name}/queue/max_sectors_kb')
    reload(t, mp, rr(first, second))
    expect(limits(t, mp)['max_sectors_kb'] == '64', limits(t, mp))
    reload(t, mp, rr(first))
    same_limits(t, mp, first)
    expect(limits(t, mp)['max_sectors_kb'] != '64', limits(t, mp))


class Cdbs:
    """What the SCSI layer sent meanwhile."""
    TRACE = '/sys/kernel/tracing'

    def __init__(self, t):
        self.t, self.cdbs, self.text = t, [], ''

    def __enter__(self):
        self.t.a.check(f'echo > {self.TRACE}/trace; '
                       f'echo 1 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')
        return self

    def __exit__(self, *what):
        self.text = self.t.a.check(f'cat {self.TRACE}/trace')
        self.cdbs = [bytes.fromhex(raw) for raw in re.findall(r'raw=([0-9a-f ]+)\)', self.text)]
        self.t.a.check(f'echo 0 > {self.TRACE}/events/scsi/scsi_dispatch_cmd_start/enable')

    def count(self, *codes):
        return sum(cdb[0] in codes for cdb in self.cdbs)

    def forced(self):
        """Writes with force unit access."""
        return sum(cdb[0] in (WRITE_10, WRITE_16) and bool(cdb[1] & FUA) for cdb in self.cdbs)


@case(topology='tcm_loop', rules=['5.12'], file='/run/commands')
def reach_the_target(t):
    """flush, FUA, discard and write zeroes go to a path as often as without us, and do their work"""
    for name in 'emulate_write_cache', 'emulate_tpu', 'emulate_tpws':
        t.lun.backstore.attribute(name, 1)
    first, second = t.a.paths
    for path in first, second:
        t.a.check(f'echo 1 > /sys/block/{path.name}/device/rescan')

    def counts(device, work):
        with Cdbs(t) as sent:
            work(device)
        return {'write': sent.count(WRITE_10, WRITE_16), 'forced': sent.forced(),
                'flush': sent.count(SYNC_10, SYNC_16), 'unmap': sent.count(UNMAP),
                'write same': sent.count(*WRITE_SAME)}

    def flush(device):
        t.a.check(f'python3 -c "import os; os.fsync(os.open(\'{device}\', os.O_RDWR))"')

    def discard(device):
        t.a.check(f'blkdiscard -o 0 -l 16384 {device}')

    def zero(device):
        t.a.check(f'blkdiscard -z -o 32768 -l 4096 {device}')
    works = (
        (lambda device: check_write(t.a, device, 0x51, count=9), {'write': 9, 'forced': 0, 'flush': 0}),
        (lambda device: check_write(t.a, device, 0x52, offset=16, flags='oflag=direct,dsync'),
         {'write': 1, 'forced': 1}),
        (flush, {'flush': 1, 'write': 0}),
        (discard, {'unmap': 1, 'write': 0}),
        (zero, {'write same': 1, 'write': 0}),
    )
    plain = [counts(first, work) for work, _ in works]
    mp = create(t, rr(first, second))
    expect(limits(t, mp)['fua'] == '1', limits(t, mp))
    for number, (work, wanted) in enumerate(works):
        through = counts(mp, work)
        expect(through == plain[number] and {name: through[name] for name in wanted} == wanted,
               f'{number}: {through}, on the path itself {plain[number]}, expected {wanted}')
    check_write(t.a, mp, 0x53, count=9)
    discard(mp)
    zero(mp)
    expect([read_byte(t.a, path) for path in (first, second)] == [0, 0], 'discarded')
    expect([read_byte(t.a, path, 8) for path in (first, second)] == [0, 0], 'zeroed')
    expect(read_byte(t.a, second, 4) == 0x53, 'and nothing else')
    # Each of them on a path that fails meanwhile
    for work in flush, discard, zero:
        for path in first, second:
            path.cut()
            work(mp)
            work(mp)
            path.restore()
            expect(not mp.status()['paths'][path.number]['active'], f'{path} has not failed')
            mp.message('reinstate_path', path.number)


@case(topology='tcm_loop', rules=['5.12'], file='/run/commands')
def one_path_denies_the_cache(t):
    """a flush is sent down a path that has a write cache, whatever another one says"""
    t.lun.backstore.attribute('emulate_write_cache', 1)
    for path in t.a.paths:
        t.a.check(f'echo 1 > /sys/block/{path.name}/device/rescan')
    mp = create(t, rr(*t.a.paths))
    t.a.check(f'echo temporary write through > /sys/block/{t.a.paths[0].name}/device/scsi_disk/*/cache_type')

    def flushed():
        with Cdbs(t) as sent:
            t.a.check(f'python3 -c "import os; fd = os.open(\'{mp}\', os.O_RDWR); [os.fsync(fd) for n in range(6)]"')
        expect(sent.count(SYNC_10, SYNC_16) == 6, sent.cdbs)
    flushed()
    # Also if the only path of the group in use is the one that denies it.
    reload(t, mp, *(rr(path) for path in t.a.paths))
    flushed()


def write_and_compare(t, device, seed, sizes):
    """The first megabyte, in blocks of these sizes."""
    t.a.check(f'fio --name=pi --filename={device} --direct=1 --rw=randwrite --bsrange={sizes} '
              f'--size=1m --verify=crc32c --verify_fatal=1 --randseed={seed} '
              '--ioengine=libaio --iodepth=4')


@case(topology='bare', rules=['5.12'])
def protection(t):
    """protection information goes through, and is right again when an I/O takes another path"""
    debug = ScsiDebug(t, options='dif=1 dix=1')
    first, second = t.a.paths
    # A run of blocks at a time, so that reference tags count up within an I/O.
    mp = create(t, rr(first, second), features='queue_if_no_path')
    name = t.a.check(f'basename $(readlink -f {mp})').strip()
    # Before 6.11 an I/O cannot be sent again with its own: there it is made below us.
    wanted = {'6.1': 'none', '6.12': 'T10-DIF-TYPE1-CRC'}[t.line]
    expect(wanted in t.a.check(f'cat /sys/block/{name}/integrity/format'), f'no integrity {wanted}')

    def run(seed):
        write_and_compare(t, mp, seed, '512-64k')
    with Cdbs(t) as sent:
        run(1)
    for word in 'WRITE', 'READ':
        count = sent.text.count(f'prot_op=SCSI_PROT_{word}_PASS')
        expect(count > 10, f'{count} commands with protection information: {word}')
    # Smaller than what was loaded: an I/O is split below, and has moved on when it fails.
    for path in first, second:
        t.a.check(f'echo 4 > /sys/block/{path.name}/queue/max_sectors_kb')
    for path in first, second:
        path.scsi_state('offline')
        run(2 + path.index)
        expect(not mp.status()['paths'][path.number]['active'], f'{path} has not failed')
        path.scsi_state('running')
        expect(mp.message('reinstate_path', path.number)[0] == 0, 'reinstate_path')
    if t.line == '6.12':
        # Refused by the transport when it was prepared already: one in three on the first path.
        inject = f'/sys/kernel/debug/scsi_debug/{debug.address(first)}/error'
        for code in 0x2a, 0x28:
            # udev must not be the one to meet it.
            t.a.check(f'udevadm settle; echo "2 -1 {code:#x} 0xf 0 0 0 0 0" > {inject}')
            run(4 + code)
            expect(not mp.status()['paths'][first.number]['active'], f'{code:#x}: {first} has not failed')
            expect(mp.message('reinstate_path', first.number)[0] == 0, 'reinstate_path')
    t.a.check(f'dd if={mp} of=/dev/null bs=64k count=16 iflag=direct')
    expect(mp.message('fail_if_no_path')[0] == 0, 'fail_if_no_path')


@case(topology='bare', rules=['5.12'], kernels=('6.12',))
def protection_from_above(t):
    """protection information that came with an I/O goes with it to another path, whole"""
    debug = ScsiDebug(t, options='dif=1 dix=1')
    first, second = t.a.paths
    mp = create(t, rr(first, second), features='queue_if_no_path')
    # A target whose disk is our device hands on what its initiator made; nothing is made below us.
    front = TcmLoop(t.vm, paths=1, name='lun1', device=mp)
    t.cleanup(front.remove)
    disk = front.hosts[0].paths[0]
    poll(lambda: 'TYPE1' in t.a.check(f'cat /sys/block/{disk.name}/integrity/format'), 10,
         f'{disk} has protection information')
    for path in first, second:
        # An I/O is split below, and is somewhere in its middle when it fails.
        t.a.check(f'echo 0 > /sys/block/{path.name}/integrity/write_generate; '
                  f'echo 4 > /sys/block/{path.name}/queue/max_sectors_kb')

    with Cdbs(t) as sent:
        write_and_compare(t, disk, 1, '64k-64k')
    # The disk in front has 16 of them.
    count = sent.text.count('prot_op=SCSI_PROT_WRITE_PASS')
    expect(count > 200, f'{count} commands with protection information')
    # Writes alone fail: what somebody else reads is small, is not split, and would come first.
    t.a.check('udevadm settle; echo "2 -1 0x2a 0xf 0 0 0 0 0" > '
              f'/sys/kernel/debug/scsi_debug/{debug.address(first)}/error')
    write_and_compare(t, disk, 2, '64k-64k')
    expect(not mp.status()['paths'][first.number]['active'], f'{first} has not failed')
    expect(mp.message('reinstate_path', first.number)[0] == 0, 'reinstate_path')
    # The disk below compares what it stored with what it reads; so do we above.
    t.a.check(f'dd if={mp} of=/dev/null bs=64k count=16 iflag=direct')
    expect(mp.message('fail_if_no_path')[0] == 0, 'fail_if_no_path')


def written(*paths):
    """(writes, sectors) that the paths have completed together."""
    files = ' '.join(f'/sys/block/{path.name}/stat' for path in paths)
    rows = [text.split() for text in paths[0].vm.check(f'cat {files}').splitlines()]
    return sum(int(row[4]) for row in rows), sum(int(row[6]) for row in rows)


@case(topology='tcm_loop', rules=['5.12'])
def merging(t):
    """sequential buffered writes through two paths reach the target in requests as large as on one"""
    first, second = t.a.paths

    def requests(device):
        before = written(first, second)
        t.a.check(f'dd if=/dev/zero of={device} bs=4k count=8192 conv=fsync')
        count, sectors = (now - then for now, then in zip(written(first, second), before))
        expect(sectors == 32 << 11, f'{sectors} sectors')
        return count
    raw = requests(first)
    expect(raw <= 128, f'{raw} requests on the raw path')
    mp = create(t, rr(first))
    counts = {'one path': requests(mp)}
    for selector in 'round-robin', 'queue-length', 'service-time':
        reload(t, mp, group(selector, (first, 1), (second, 1)))
        counts[selector] = requests(mp)
    expect(max(counts.values()) <= raw * 1.2, f'{counts} requests, {raw} on the raw path')


@case(topology='bare', rules=['5.12'])
def one_by_one(t):
    """sequential reads that are submitted one by one, which nothing could merge, take both paths"""
    ScsiDebug(t)
    mp = create(t, rr(*t.a.paths))
    delay = '/sys/bus/pseudo/drivers/scsi_debug/ndelay'
    # None ends before the last is sent. Accepted when nothing is under way.
    poll(lambda: t.a.run(f'echo 900000000 > {delay}')[0] == 0, 20, 'ndelay')

    def reads():
        return [int(t.a.check(f'cat /sys/block/{path.name}/stat').split()[0]) for path in t.a.paths]
    before = reads()
    t.a.check(f'fio --name=one --filename={mp} --direct=1 --rw=read --bs=64k --number_ios=16 '
              '--ioengine=libaio --iodepth=16 --iodepth_batch_submit=1')
    counts = [now - then for now, then in zip(reads(), before)]
    poll(lambda: t.a.run(f'echo 20000 > {delay}')[0] == 0, 20, 'ndelay')
    expect(min(counts) >= 6 and sum(counts) >= 16, counts)


@case(topology='bare', rules=['5.12'])
def read_ahead(t):
    """read-ahead and a read that somebody waits for can be one request"""
    ScsiDebug(t, paths=1)
    path, = t.a.paths
    mp = create(t, rr(path))
    t.a.vm.put('/run/ahead.py', READ_AHEAD)
    queue = f'/sys/block/{path.name}'
    t.a.check(f'echo 1 > {queue}/device/queue_depth; echo mq-deadline > {queue}/queue/scheduler')

    def merged():
        return int(t.a.check(f'cat {queue}/stat').split()[1])
    before = merged()
    # Accepted when nothing is under way.
    poll(lambda: t.a.run('echo 700000000 > /sys/bus/pseudo/drivers/scsi_debug/ndelay')[0] == 0, 20, 'ndelay')
    code, out = t.a.run(f'python3 /run/ahead.py {mp} {queue}/inflight')
    poll(lambda: t.a.run('echo 20000 > /sys/bus/pseudo/drivers/scsi_debug/ndelay')[0] == 0, 20, 'ndelay')
    expect(code == 0, out)
    expect(merged() > before, 'no read was merged')


@case(topology='tcm_loop', rules=['5.12', '5.5'])
def nowait(t):
    """RWF_NOWAIT works, and says EAGAIN at once where I/O would wait for a path"""
    mp = create(t, rr(*t.a.paths), features='queue_if_no_path')
    t.a.vm.put('/run/nowait.py', NOWAIT)

    def answers(count):
        out = t.a.check(f'python3 /run/nowait.py {mp} {count}', timeout=20)
        return [entry.split() for entry in out.splitlines()]
    for call, result, when in answers(5):
        expect((result, when) == ('4096', 'soon'), f'{call}: {result} {when}')
    for path in t.a.paths:
        mp.message('fail_path', path.number)
    for call, result, when in answers(5):
        expect((result, when) == ('EAGAIN', 'soon'), f'{call}: {result} {when}')
    job = t.a.spawn(f'dd if={mp} of=/dev/null bs=4k count=1 iflag=direct')
    expect(waits(job), f'without NOWAIT it waits: {job.output()}')
    mp.message('reinstate_path', t.a.paths[1].number)
    expect(job.wait(20)[0] == 0, job.output())
    for call, result, when in answers(5):
        expect((result, when) == ('4096', 'soon'), f'{call}: {result} {when}')
    expect(sum(write(t, mp, 10)) == 10, 'I/O')


@case(topology='tcm_loop', rules=['5.12'])
def io_uring(t):
    """io_uring with nowait: many reads at a time, while paths fail and return"""
    mp = create(t, rr(*t.a.paths), features='path_check 1')

    def done(*paths):
        return sum(int(t.a.check(f'cat /sys/block/{path.name}/stat').split()[0]) for path in paths)
    start = done(*t.a.paths)
    # A write would rightly say EAGAIN where udev has left a page of the device in the cache.
    job = t.a.spawn(f'exec fio --name=ring --filename={mp} --direct=1 --rw=randread --bs=4k '
                    '--size=8m --ioengine=io_uring --iodepth=16 --nowait=1 --rate_iops=400')
    t.cleanup(job.kill)
    poll(lambda: done(*t.a.paths) > start + 100 or job.poll() is not None, 30, 'fio begins')
    for path in t.a.paths:
        mp.message('fail_path', path.number)
        poll(lambda path=path: mp.status()['paths'][path.number]['active'], 20, 'it is back')
        # Back in use: with no path at all for a moment NOWAIT would rightly say EAGAIN.
        before = done(path)
        poll(lambda path=path, before=before: done(path) > before or job.poll() is not None, 20,
             'it carries reads')
    code, out = job.wait(60)
    expect(code == 0 and re.search('err= 0', out), out)
