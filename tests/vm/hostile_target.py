# SPDX-License-Identifier: GPL-2.0-only
"""A target that answers as a case tells it to; see tests/hostile/README.md."""
import json
import shlex

from harness import Failed, expect, poll
from lio import LoopbackHosts, loopback

TARGET = 'python3 /prm/tests/hostile/target.py'
CONTROL = '/dev/tcp/127.0.0.1/3270'


class Target:
    """tests/hostile/target.py in a guest, and its control port."""

    def __init__(self, vm, words=''):
        self.vm = vm
        self.job = vm.spawn(f'exec {TARGET} {words}')
        poll(lambda: 'ready' in self.job.output() or self.job.poll() is not None, 60, 'target is up')
        expect(self.job.poll() is None, f'target: {self.job.output()}')

    def call(self, do, **words):
        request = shlex.quote(json.dumps({'do': do, **words}))
        out = self.vm.check(f'exec 3<>{CONTROL}; printf "%s\\n" {request} >&3; head -n 1 <&3')
        answer = json.loads(out)
        if 'error' in answer:
            raise Failed(f'target: {do} {words}: {answer["error"]}')
        return answer['ok']

    def rules(self, *rules):
        """Answer by these from now on; none: honestly."""
        self.call('rules', rules=rules)

    def used(self):
        return self.call('used')

    def state(self):
        return self.call('state')

    def log(self, after=0):
        return self.call('log', after=after)

    def writes(self, host='a'):
        """How many writes of a host arrived, whatever became of them."""
        return sum(count.get('2a', 0) + count.get('8a', 0)
                   for nexus, count in self.state()['counts'].items() if nexus.startswith(host))

    def remove(self):
        out = self.job.output()
        self.job.kill()
        self.job.wait(20)
        expect('Traceback' not in out, f'target: {out}')


class HostileLoop(LoopbackHosts):
    """Hosts and paths inside one guest, as IscsiLoop, but the target is ours.

    tpgs: whether it has ALUA, the two bits of INQUIRY: 0 no, 1 implicit, 3 explicit as well.
    """

    def __init__(self, vm, paths=2, hosts=('a', 'b'), tpgs=0):
        if tpgs:
            vm.check('modprobe scsi_dh_alua')
        super().__init__(vm, Target(vm, f'--tpgs {tpgs}'), hosts, loopback(len(hosts), paths))


def fixed(key, asc, ascq, code=0x70):
    """Sense in fixed format, as hexadecimal digits; code 0x71: of an earlier command."""
    return bytes([code, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0]).hex()


def descriptor(key, asc, ascq):
    return bytes([0x72, key, asc, ascq, 0, 0, 0, 0]).hex()
