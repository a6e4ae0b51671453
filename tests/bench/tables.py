# SPDX-License-Identifier: GPL-2.0-only
"""What many tables cost: time to load, and memory."""
import re

from cases import module_path
from io_path import Disks, Exact, lines
from printing import table

COUNTS = (1, 64, 512)
PATHS = 8
KINDS = ('linear', 'multipath bio', 'multipath mq', 'prmpath')
MEMORY = ('MemFree', 'Slab', 'Percpu')
# No udev: what it does about a new disk takes longer than all the rest.
DMSETUP = 'env DM_DISABLE_UDEV=1 dmsetup'


TIMED = """
import subprocess, sys, time
begin = time.monotonic()
for batch in sys.argv[2:]:
    subprocess.run(sys.argv[1].split(), check=True, stdin=open(batch), stdout=subprocess.DEVNULL)
print("seconds", time.monotonic() - begin)
"""
BATCH = 64      # dmsetup loses its way in more than 64 KiB of concise lines


class Roomy(Exact):
    """Requests of 512 devices in mq mode want their room."""
    mem = 4096


def memory(vm):
    """{word: KiB} with nothing cached."""
    vm.check('sync; echo 3 > /proc/sys/vm/drop_caches')
    text = vm.check('cat /proc/meminfo')
    return {word: int(re.search(rf'^{word}: +(\d+) kB', text, re.M).group(1)) for word in MEMORY}


def timed(vm, command, *inputs):
    """Seconds for the command with each input, less what starting it takes."""
    def run(words):
        return float(vm.check(f"python3 /run/timed.py '{words}' {' '.join(inputs)}", 600).split('seconds')[1])
    vm.check(f'{DMSETUP} version')
    return run(command) - run(f'{DMSETUP} version')


def create(vm, tables):
    """Seconds to create a map of each table line; the lines go in as concise ones."""
    batches = [tables[at:at + BATCH] for at in range(0, len(tables), BATCH)]
    for number, batch in enumerate(batches):
        # name, uuid, minor, flags, table
        vm.put(f'/run/maps{number}', ';'.join(f'map{number}-{n},,,rw,{line}' for n, line in enumerate(batch)))
    return timed(vm, f'{DMSETUP} create --concise', *[f'/run/maps{number}' for number in range(len(batches))])


def compare_tables(site):
    vm = site.vm
    vm.check(f'insmod {module_path(site.kernel)}')
    disks = Disks(vm, PATHS, luns=max(COUNTS))
    vm.put('/run/timed.py', TIMED)
    tables = [lines(disks.size, devs, 'round-robin', KINDS) for devs in disks.luns]
    for kind in KINDS:              # what only the first one of its kind costs
        create(vm, [tables[0][kind]])
        timed(vm, f'{DMSETUP} remove_all', '/dev/null')
    rows = []
    for count in COUNTS:
        created = {}
        for kind in KINDS:
            before = memory(vm)
            created[kind] = create(vm, [each[kind] for each in tables[:count]])
            after = memory(vm)
            removed = timed(vm, f'{DMSETUP} remove_all', '/dev/null')
            # That of a single map drowns in what else the kernel does.
            used = [before['MemFree'] - after['MemFree']] + [after[w] - before[w] for w in MEMORY[1:]]
            rows.append([count, kind, f'{created[kind] / count * 1e6:.0f}', f'{removed / count * 1e6:.0f}']
                        + [f'{kib / count / PATHS:.1f}' if count > 1 else '-' for kib in used])
        for row in rows[-len(KINDS):]:
            row.insert(3, f'{created[row[1]] / created["multipath bio"]:.2f}')
    table(f'Maps of {PATHS} paths: microseconds (thousands of instructions) per map, KiB per path',
          ['maps', 'device', 'create', 'ratio', 'remove', *MEMORY], rows)
