# SPDX-License-Identifier: GPL-2.0-only
"""What happens to the hosts, decided by a seed before anything runs.

The same seed and length give the same plan: the same actions with the same arguments
at the same planned times. What they meet depends on the machine: guests are emulated,
and no two runs interleave alike.
"""
import collections
import random

HOSTS = 'a', 'b'
PATHS = 2
REST_EVERY = 28

Step = collections.namedtuple('Step', 'at action args')

OPTIONS = {
    (): 36,
    ('forced',): 34,
    ('retain',): 7,
    ('forced', 'retain'): 8,
    ('single',): 5,
    ('forced', 'single'): 4,
    ('forced', 'no_reserve'): 3,
    ('bypass',): 5,
}

# How often, for either host.
ACTIONS = {
    'open': 30,
    'leave': 7,
    'reader': 5,
    'link': 9,
    'all_links': 5,
    'freeze': 3,
    'reset': 1,
    'restart': 2,
    'forget': 1,
    'preempt': 2,
    'clear': 1,
    'register': 2,
    'suspend': 4,
    'reload': 4,
    'pressure': 2,
}
# Instead of what fights with multipathd over the map.
DAEMON_ACTIONS = {'suspend': 'daemon_kill', 'reload': 'daemon_path', 'reset': 'link'}

FEATURES = '', 'queue_if_no_path', 'pr_timeout 12', 'queue_if_no_path pr_register open'


class Plan:
    def __init__(self, seed, seconds, gentle=False):
        """gentle: without what takes a boot, for a run of a minute or two."""
        self.seed, self.seconds = seed, seconds
        self.random = random.Random(f'{seed} {seconds}')
        self.opens = 0
        self.daemon = not gentle and self.random.random() < 0.25
        self.features = self.random.choice(FEATURES)
        self.groups = self.random.choice((1, 1, 2))
        self.resets = 0 if gentle or seconds < 90 else 1 + seconds // 150
        self.steps = []
        self.make()

    def make(self):
        # Both hosts are at work from the beginning.
        for host in HOSTS:
            self.open(1 + self.random.random(), host)
        at, rest = 2.0, REST_EVERY
        while at < self.seconds:
            at += self.random.expovariate(1 / 0.9)
            if at > rest:
                self.add(rest, 'rest', closed=self.random.random() < 0.6)
                rest += REST_EVERY
            name = self.random.choices(list(ACTIONS), ACTIONS.values())[0]
            host = self.random.choice(HOSTS)
            if self.daemon and host == 'a':
                name = DAEMON_ACTIONS.get(name, name)
            getattr(self, name)(at, host)
        self.steps.sort(key=lambda step: step.at)
        self.steps = [step for step in self.steps if step.at < self.seconds]
        self.add(self.seconds, 'rest', closed=True)

    def add(self, at, action, **args):
        self.steps.append(Step(round(at, 2), action, args))

    def open(self, at, host):
        self.opens += 1
        options = self.random.choices(list(OPTIONS), OPTIONS.values())[0]
        self.add(at, 'open', number=self.opens, host=host, options=options,
                 how='plain' if not options and self.random.random() < 0.5 else 'extended',
                 threads=self.random.choice((1, 1, 2, 4)), pace=self.random.choice((0, 10, 20)))
        self.add(at + self.random.uniform(1, 6), self.random.choice(('close', 'close', 'kill')),
                 number=self.opens)

    def reader(self, at, host):
        self.opens += 1
        self.add(at, 'open', number=self.opens, host=host, options=('no_reserve',), how='extended',
                 threads=0, pace=20)
        self.add(at + self.random.uniform(1, 7), 'close', number=self.opens)

    def link(self, at, host):
        path = self.random.randrange(PATHS)
        self.add(at, self.random.choice(('cut', 'cut', 'blackhole')), host=host, paths=[path])
        self.add(at + self.random.choice((0.3, 2, 6, 12)), 'restore', host=host, paths=[path])

    def all_links(self, at, host):
        paths = list(range(PATHS))
        self.add(at, self.random.choice(('cut', 'blackhole')), host=host, paths=paths)
        self.add(at + self.random.choice((1, 4, 10, 16)), 'restore', host=host, paths=paths)

    def freeze(self, at, host):
        self.add(at, 'freeze', host=host)
        self.add(at + self.random.choice((1, 5, 12)), 'thaw', host=host)

    def reset(self, at, host):
        if self.resets and at > 15:
            self.resets -= 1
            self.add(at, 'reset', host=host)

    def leave(self, at, host):
        self.add(at, 'leave', host=host)

    def restart(self, at, host):
        self.add(at, 'restart')

    def forget(self, at, host):
        self.add(at, 'forget')

    def preempt(self, at, host):
        self.add(at, 'outsider', what='preempt')

    def clear(self, at, host):
        self.add(at, 'outsider', what='clear')

    def register(self, at, host):
        self.add(at, 'outsider', what='register')

    def suspend(self, at, host):
        self.add(at, 'suspend', host=host, words=self.random.choice(('', '--noflush', '--nolockfs')))
        self.add(at + self.random.uniform(0.2, 4), 'resume', host=host)

    def reload(self, at, host):
        self.add(at, 'table', host=host, paths=[self.random.randrange(PATHS)])
        self.add(at + self.random.uniform(0.5, 6), 'table', host=host, paths=list(range(PATHS)))

    def pressure(self, at, host):
        self.add(at, 'pressure', host=host)

    def daemon_kill(self, at, host):
        self.add(at, 'daemon_kill', host=host)
        self.add(at + self.random.uniform(0.5, 6), 'daemon_start', host=host)

    def daemon_path(self, at, host):
        path = self.random.randrange(PATHS)
        self.add(at, 'daemon_path', host=host, path=path, what='del')
        self.add(at + self.random.uniform(0.5, 6), 'daemon_path', host=host, path=path, what='add')

    def __str__(self):
        lines = [f'seed {self.seed}, {self.seconds} s: features "{self.features}", '
                 f'{self.groups} priority groups{", multipathd on a" if self.daemon else ""}']
        for step in self.steps:
            words = ' '.join(f'{name}={",".join(map(str, value)) or "-"}'
                             if isinstance(value, (list, tuple)) else f'{name}={value}'
                             for name, value in step.args.items())
            lines.append(f'{step.at:7.2f} {step.action} {words}'.rstrip())
        return '\n'.join(lines)
