# SPDX-License-Identifier: GPL-2.0-only
"""A link goes and comes back under a writer, with multipathd in charge."""
import contextlib
import re

from cases import module_path
from harness import poll
from lio import IscsiWired
from multipath_tools import Multipathd
from printing import table

KEY = 0xa1
FAULTS = 'cut', 'blackhole'
REPEATS = 2
IN_TREE = 'modprobe -a dm_multipath dm_round_robin', 'modprobe -r dm_round_robin dm_multipath'

GAP = '''
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
worst, last, n = 0, time.monotonic(), 0
print("open", flush=True)
while not os.path.exists("/run/stop"):
    os.pwrite(fd, page, (n * 37 % 1000) * 4096)
    now = time.monotonic()
    worst, last, n = max(worst, now - last), now, n + 1
    time.sleep(0.01)
print("worst", worst, "writes", n)
'''

# Seconds from the moment that the disk takes commands until the map uses it.
WATCH = '''
import re, subprocess, sys, time
disk, number, name = sys.argv[1:]
def usable():
    return f" {number} A " in subprocess.check_output(["dmsetup", "status", name], text=True)
print("watching", flush=True)
while open(f"/sys/block/{disk}/device/state").read() != "running\\n":
    time.sleep(0.01)
begin = time.monotonic()
while not usable():
    time.sleep(0.01)
print("usable", time.monotonic() - begin)
'''


def gap(host, device, cut, restore):
    """The longest pause of a writer while a path goes."""
    host.vm.put('/run/gap.py', GAP)
    host.check('rm -f /run/stop')
    writer = host.spawn(f'python3 /run/gap.py {device}')
    poll(lambda: 'open' in writer.output(), 20)
    cut()
    poll(lambda: ' F ' in host.check(f'dmsetup status {device.rsplit("/", 1)[1]}'), 60)
    host.check('touch /run/stop')
    poll(lambda: 'worst' in writer.output(), 60)
    restore()
    return float(writer.output().split('worst ')[1].split()[0])


def reinstated(host, device, path, restore):
    """How long the map takes to notice that a path is back."""
    host.vm.put('/run/watch.py', WATCH)
    watch = host.spawn(f'python3 /run/watch.py {path.name} {path.number} {device.name}')
    poll(lambda: 'watching' in watch.output(), 20)
    restore()
    poll(lambda: 'usable' in watch.output(), 120, f'{path} is used again')
    return float(re.search(r'usable (\S+)', watch.output()).group(1))


def span(values):
    return f'{min(values):.1f} to {max(values):.1f} s'


def compare_recovery(site):
    lun = IscsiWired(site.target, site.guests[:1], site.wires[:1])
    host = lun.hosts[0]
    ours = f'insmod {module_path(host.vm.kernel)} multipath=1', 'rmmod dm_prmpath'
    rows = []
    for kind, (load, unload), key in (('dm-multipath', IN_TREE, None), ('prmpath', ours, None),
                                      ('prmpath pr_key', ours, KEY)):
        with contextlib.ExitStack() as stack:
            stack.cleanup = stack.callback          # what Multipathd wants of a case
            host.check(load)
            stack.cleanup(host.check, unload)
            device = Multipathd(stack, host, key, loaded=True,
                                path_grouping_policy='multibus',
                                path_selector='"round-robin 0"').start().map()
            path = host.paths[0]
            for fault in FAULTS:
                gaps, backs = [], []
                for _ in range(REPEATS):
                    gaps.append(gap(host, str(device), getattr(path, fault), lambda: None))
                    backs.append(reinstated(host, device, path, path.restore))
                    device.wait_paths(('active', 'ready'))
                rows.append([fault, kind, span(gaps), span(backs)])
            # What udev opens cannot be flushed.
            host.check('udevadm settle')
    lun.remove()
    table('multipathd, checks each second: longest gap of a 10 ms O_DIRECT writer when one of two links '
          f'goes,\nand time until the map uses the path again once its disk runs ({REPEATS} times each)',
          ['fault', 'target', 'gap', 'reinstate'], sorted(rows))
