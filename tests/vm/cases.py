# SPDX-License-Identifier: GPL-2.0-only
"""Declaring cases, and the topologies that they run in."""
import contextlib
import inspect
import os

from harness import Failed, Host, Vm, Wire, expect, poll, pr_state  # noqa: F401 (for cases)
from lio import Backstore, IscsiLoop, IscsiWired, TcmLoop  # noqa: F401 (for cases)

MODULE = 'dm_prmpath'
REGISTRY = []
# Files whose cases hardly meet what differs between the kernels: users' programs, words of tables,
# decisions about answers. In make check each runs on one kernel, in turn, in make check-debug on that
# one's debug kernel, in make check-long on both of Debian's.
IN_TURN = {'backstore', 'command', 'groups', 'hostile', 'multipathd', 'refusal', 'smoke', 'table'}


class Case:
    def __init__(self, function, topology, rules, cpus, module, kernels, long, layout):
        self.function, self.topology, self.rules = function, topology, rules
        self.module, self.kernels, self.layout = module, kernels, layout
        self.vms = TOPOLOGIES[topology].vms, cpus
        self.file = inspect.getsourcefile(function).rsplit('/', 1)[1][:-3]
        turn = sum(case.file == self.file for case in REGISTRY) % len(kernels)
        others = kernels[:turn] + kernels[turn + 1:] if long in (True, False) else long
        self.off_turn = others if self.file in IN_TURN else ()
        self.long = kernels if long is True else long or self.off_turn
        self.name = f'{self.file}.{function.__name__}'
        self.title = (inspect.getdoc(function) or '').split('\n')[0]
        if not self.title:
            raise SystemExit(f'{self.name} has no docstring')


def case(topology, rules, cpus=1, module=True, kernels=('6.1', '6.12'), long=False, **layout):
    """Register a case.

    topology: tcm_loop, iscsi_loop, three_hosts, packages (a guest with systemd, where
        packages are installed), workbench (such a guest without a LUN) or bare (a plain one);
    rules: what of the specification it checks; module: load dm-prmpath;
    long: only in make check-long, or when CASES asks for it; or the kernels where that is so;
    layout: passed to the topology, for instance paths=4, hosts=('a', 'b').
    """
    def register(function):
        REGISTRY.append(Case(function, topology, rules, cpus, module, kernels, long, layout))
        return function
    return register


def line_of(kernel):
    """6.12 of 6.12 and 6.12-debug."""
    return kernel.split('-')[0]


class Skip(Exception):
    """Raised by a case that cannot run here; the text says why."""


class Single:
    """One guest."""
    vms = 'single'

    def __init__(self, kernel, cpus):
        self.vm = Vm(kernel, 'vm', cpus=cpus).start()
        self.all = self.guests = [self.vm]


class Packages(Single):
    """One guest with systemd, compiler, DKMS and the headers of both kernels."""
    vms = 'packages'

    def __init__(self, kernel, cpus):  # pylint: disable=super-init-not-called
        self.vm = Vm(kernel, 'vm', cpus=cpus, mem=2048, image='root-packages',
                     words='prm.systemd systemd.unit=prm.target').start()
        self.all = self.guests = [self.vm]


class Three:
    """Target T, hosts A and B, two links each to T:

          +---+ 10.1.0  10.2.0 +---+
          | A |=======T========| B |
          +---+ 10.1.1  10.2.1 +---+
    """
    vms = 'three'

    def __init__(self, kernel, cpus, links=2):
        self.wires = [[Wire(f'10.{h}.{p}') for p in range(links)] for h in (1, 2)]
        # LIO spins for a registration that another thread of it uses: on one
        # processor that thread never comes to run.
        # It does not have the module: no need for a kernel that checks everything.
        self.target = Vm(line_of(kernel), 'target', cpus=max(cpus, 2),
                         links=[(wire, 0) for row in self.wires for wire in row]).start()
        self.guests = [Vm(kernel, name, cpus=cpus, links=[(wire, 1) for wire in self.wires[h]]).start()
                       for h, name in enumerate('ab')]
        self.all = [self.target, *self.guests]


def three_hosts(kernel, cpus=1, links=2):
    """The three guests, booted, without a LUN."""
    return Three(kernel, cpus, links)


class Topology:
    def __init__(self, vms, boot, lun):
        self.vms, self.boot, self.lun = vms, boot, lun


TOPOLOGIES = {
    'bare': Topology('single', Single, None),
    'tcm_loop': Topology('single', Single, lambda site, **layout: TcmLoop(site.vm, **layout)),
    'iscsi_loop': Topology('single', Single, lambda site, **layout: IscsiLoop(site.vm, **layout)),
    'packages': Topology('packages', Packages, lambda site, **layout: IscsiLoop(site.vm, **layout)),
    'workbench': Topology('packages', Packages, None),
    'three_hosts': Topology('three', Three, lambda site, **layout:
                            IscsiWired(site.target, site.guests, site.wires, **layout)),
}


def module_path(kernel):
    """Where guests find the module; PRMPATH_KO=FILE, relative to the project, is another one."""
    return '/prm/' + os.environ.get('PRMPATH_KO', f'build/{kernel}/dm-prmpath.ko')


def unload(vm):
    """Once no device is left; a command that outlives its device holds the module until it ends (6.3)."""
    poll(lambda: vm.run(f'rmmod {MODULE}')[0] == 0, 20, 'the module is unloaded')


@contextlib.contextmanager
def without_udev(vm):
    """Where devices have many events: its look after each would take most of the time."""
    vm.check('udevadm settle; udevadm control --exit')
    # One of its workers may be busy for long, and nobody needs what it finds.
    vm.run('timeout 30 tail --pid=$(pidof -s systemd-udevd) -f /dev/null || '
           'pkill -KILL -x "systemd-udevd|.udev-worker."')
    poll(lambda: vm.run('pidof systemd-udevd')[0] != 0, 30, 'udev ends')
    yield
    vm.check('/usr/lib/systemd/systemd-udevd --daemon')


class Test:
    """What a case gets: guests, hosts with their paths, and the LUN's backstore.

    t.vm the only guest (single) or t.target; t.a, t.b the Hosts; t.hosts; t.lun the
    topology's LUN (t.lun.backstore); t.wires[host][path] with three guests;
    t.cleanup(function, *args) runs when the case ends, last first; after t.discard()
    nothing does, because the guests are powered off instead.
    """
    discarded = False

    def __init__(self, site, case, kernel):
        self.site, self.case, self.kernel, self.line = site, case, kernel, line_of(kernel)
        self.vm = getattr(site, 'vm', None)
        self.target = getattr(site, 'target', self.vm)
        self.wires = getattr(site, 'wires', None)
        self.stack = contextlib.ExitStack()
        self.cleanup = self.stack.callback
        self.lun, self.hosts = None, []
        make_lun = TOPOLOGIES[case.topology].lun
        if make_lun:
            self.lun = make_lun(site, **case.layout)
            self.cleanup(self.lun.remove)
            self.hosts = self.lun.hosts
            for host in self.hosts:
                setattr(self, host.name, host)
        if case.module:
            for vm in site.guests:
                vm.check(f'insmod {module_path(kernel)}')
                self.cleanup(unload, vm)
        for host in self.hosts:
            self.cleanup(self.remove_devices, host)

    def discard(self):
        self.discarded = True

    @staticmethod
    def remove_devices(host):
        for device in list(host.devices):
            device.remove()
