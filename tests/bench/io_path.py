# SPDX-License-Identifier: GPL-2.0-only
"""What an I/O costs on its way to a path: beside dm-linear and dm-multipath."""
import collections
import itertools
import os
import pathlib
import re
import subprocess

from cases import module_path
from harness import ROOT, Vm, expect, poll
from lio import TcmLoop
from printing import table

LOAD = pathlib.Path('build/bench/load')
SELECTORS = {'round-robin': '1', 'queue-length': '1', 'service-time': '1 1'}
MULTIPATH_MODULES = 'dm_multipath dm_round_robin dm_queue_length dm_service_time'
KEY = 0xa1
SLICE = 800                     # I/Os in each of the five slices of load.c
LOADS = [(mode, depth) for mode in ('read', 'write') for depth in (1, 32)]


def load_program():
    """Compile the load for the guests; returns where they find it."""
    out = ROOT / LOAD
    source = pathlib.Path(__file__).with_name('load.c')
    if not out.exists() or out.stat().st_mtime < source.stat().st_mtime:
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-o', out, source], check=True)
    return f'/prm/{LOAD}'


class Exact:
    """One guest whose clock counts its instructions."""

    mem = 640

    def __init__(self, kernel, cpus=1):
        self.kernel = kernel
        self.vm = Vm(kernel, 'vm', cpus=cpus, mem=self.mem, icount=True).start()
        self.all = [self.vm]


class Disks:
    """scsi_debug: LUNs that store nothing, each behind as many hosts as there are paths.

    luns: for each its disks. No udev when there are many: it takes longer than all else.
    """

    def __init__(self, vm, paths, luns=1):
        per_target = min(luns, 256)
        vm.check('udevadm control --exit' if luns > 1 else 'true')
        vm.check(f'''set -e
            modprobe -a {MULTIPATH_MODULES}
            modprobe scsi_debug add_host={paths} num_tgts={luns // per_target} max_luns={per_target} \
                vpd_use_hostno=0 fake_rw=1 delay=0 virtual_gb=1''', 600)
        self.luns = poll(lambda: self.found(vm, paths, luns), 300, f'{luns} LUNs with {paths} paths')
        self.devs = self.luns[0]
        self.size = sectors(vm, self.devs[0])
        if luns == 1:
            vm.check('udevadm settle')

    @staticmethod
    def found(vm, paths, luns):
        by_lun = collections.defaultdict(list)
        for line in vm.check('grep -s . /sys/bus/scsi/devices/*/block/*/dev || true').split():
            address = re.search(r'/\d+:0:(\d+:\d+)/block/(\w+)/dev', line)
            by_lun[address.group(1)].append(f'/dev/{address.group(2)}')
        full = [devs for devs in by_lun.values() if len(devs) == paths]
        return full if len(full) == luns else None


def sectors(vm, dev):
    return int(vm.check(f'cat /sys/block/{dev[5:]}/size'))


def lines(size, devs, selector, kinds, features=''):
    """{kind: table line} of that many sectors over the same paths; None is the bare path."""
    words = SELECTORS.get(selector, '')
    group = (f'0 1 1 {selector} 0 {len(devs)} {len(words.split())} '
             + ' '.join(f'{dev} {words}' for dev in devs))
    count = len(features.split())
    every = {'path': None,
             'linear': f'0 {size} linear {devs[0]} 0',
             'multipath bio': f'0 {size} multipath 2 queue_mode bio {group}',
             'multipath mq': f'0 {size} multipath 2 queue_mode mq {group}',
             'prmpath': f'0 {size} prmpath 0 {group}',
             'prmpath pr_key': f'0 {size} prmpath {count} {features} {group}'}
    return {kind: every[kind] for kind in kinds}


class Mapping:
    """A mapped device, or the path itself when there is no table line."""

    def __init__(self, vm, line, bare, name='bench'):
        self.vm, self.line, self.name = vm, line, name
        self.dev = f'/dev/mapper/{name}' if line else bare

    def __enter__(self):
        if self.line:
            self.vm.check(f"dmsetup create {self.name} --table '{self.line}' && udevadm settle")
        return self

    def __exit__(self, *_):
        if self.line:
            self.vm.check(f'udevadm settle; dmsetup remove --retry {self.name}')


def instructions_of(vm, load, dev, slice_=SLICE):
    """{(mode, depth): instructions per I/O}."""
    # udev probes a disk that was open for writing: not while the next one is measured.
    script = '; '.join(f'{load} rand {mode} {depth} {5 * slice_} {dev}' for mode, depth in LOADS)
    values = [int(word) for word in vm.check(
        f'set -e; udevadm control --stop-exec-queue; {script}; udevadm control --start-exec-queue',
        300).split()]
    return dict(zip(LOADS, values))


def percent(value, base):
    return f'{100 * value / base:.0f} %'


def cells(values, base):
    """Per load: instructions, and IOPS beside those of base."""
    return [f'{values[load]} {percent(base[load], values[load])}' for load in LOADS]


def compare_instructions(site):
    load = load_program()
    site.vm.check(f'insmod {module_path(site.kernel)}')
    instructions_of_selectors(site.vm, load)
    instructions_of_owner(site.vm, load)


HEAD = [f'{mode} QD {depth}' for mode, depth in LOADS]
NOTE = 'instructions per 4 KiB random I/O, and IOPS beside dm-linear'


def instructions_of_selectors(vm, load):
    """scsi_debug: the lightest path there is, so that differences weigh most."""
    disks = Disks(vm, 8)
    base, rows, worst = {}, [], Worst()
    for kind in ('path', 'linear'):
        line = lines(disks.size, disks.devs[:1], '-', [kind])[kind]
        with Mapping(vm, line, disks.devs[0]) as mapping:
            base[kind] = instructions_of(vm, load, mapping.dev)
    rows = [[kind, '-', 1] + cells(base[kind], base['linear']) for kind in base]
    for paths in (2, 4, 8):
        for selector in SELECTORS:
            values = {}
            for kind, line in lines(disks.size, disks.devs[:paths], selector,
                                    ['multipath bio', 'multipath mq', 'prmpath']).items():
                with Mapping(vm, line, None) as mapping:
                    values[kind] = instructions_of(vm, load, mapping.dev)
                rows.append([kind, selector, paths] + cells(values[kind], base['linear']))
            worst.add(values, base['linear'], f'{selector}, {paths} paths')
    table(f'scsi_debug: {NOTE}', ['device', 'selector', 'paths'] + HEAD, rows)
    worst.tell()


class Worst:
    """How far prmpath is from its goals where it is furthest."""

    def __init__(self):
        self.linear, self.bio = (0, ''), (0, '')

    def add(self, values, linear, where):
        for at in LOADS:
            ours, place = values['prmpath'][at], f'{where}, {at[0]} QD {at[1]}'
            self.linear = max(self.linear, (ours / linear[at], place))
            self.bio = max(self.bio, (ours / values['multipath bio'][at], place))

    def tell(self):
        print(f'  prmpath costs at most {self.linear[0]:.3f} times dm-linear ({self.linear[1]}),\n'
              f'  at most {self.bio[0]:.3f} times dm-multipath in bio mode ({self.bio[1]})', flush=True)


def instructions_of_owner(vm, load):
    """tcm_loop, because scsi_debug has no persistent reservations."""
    lun = TcmLoop(vm, paths=2)
    host = lun.hosts[0]
    devs = [path.dev for path in host.paths]
    kinds = ['path', 'linear', 'multipath bio', 'multipath mq', 'prmpath', 'prmpath pr_key']
    rows, base = [], {}
    for kind, line in lines(sectors(vm, devs[0]), devs, 'round-robin', kinds, f'pr_poll 0 pr_key {KEY:#x}').items():
        with Mapping(vm, line, devs[0]) as mapping:
            if kind == 'prmpath pr_key':
                poll(lambda: 'keys_own=2' in vm.check(f'dmsetup status {mapping.name}'), 20,
                     'registrations')
            base[kind] = instructions_of(vm, load, mapping.dev)
    rows = [[kind] + cells(base[kind], base['linear']) for kind in kinds]
    table(f'LIO ramdisk over tcm_loop, 2 paths, round-robin: {NOTE}',
          ['device'] + HEAD, rows)
    lun.remove()


def written(vm, devs):
    """(requests, sectors) of writes at the paths since they came."""
    stats = [vm.check(f'cat /sys/block/{dev[5:]}/stat').split() for dev in devs]
    return [sum(int(stat[field]) for stat in stats) for field in (4, 6)]


STREAMS = {'direct QD 32': 'seq write 32', 'buffered': 'buffered write 1'}


def compare_merging(site):
    """Sequential 4 KiB writes: how many requests reach the paths."""
    vm, load, megabytes = site.vm, load_program(), 16
    vm.check(f'insmod {module_path(site.kernel)}')
    disks = Disks(vm, 2)
    rows = []
    for kind, selector in [('path', '-'), ('linear', '-')] + list(itertools.product(
            ('multipath bio', 'multipath mq', 'prmpath'), SELECTORS)):
        line = lines(disks.size, disks.devs, selector, [kind])[kind]
        row = [kind, selector]
        with Mapping(vm, line, disks.devs[0]) as mapping:
            for words in STREAMS.values():
                vm.check('udevadm settle; udevadm control --stop-exec-queue')
                before = written(vm, disks.devs)
                vm.check(f'{load} {words} {megabytes * 256} {mapping.dev}')
                requests, amount = (b - a for a, b in zip(before, written(vm, disks.devs)))
                vm.check('udevadm control --start-exec-queue')
                expect(amount == megabytes * 2048, f'{kind}: {amount} sectors written')
                row.append(f'{requests / megabytes:.1f}')
        rows.append(row)
    table('Requests that reach 2 paths (scsi_debug) per MiB of sequential 4 KiB writes',
          ['device', 'selector'] + list(STREAMS), rows)
