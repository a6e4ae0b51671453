# SPDX-License-Identifier: GPL-2.0-only
"""The tour of README.md, pasted into a fresh machine."""
import re

from cases import case, expect, module_path
from harness import ROOT

# What a Debian with the packages of the tour has, and a guest of ours has not.
MACHINE = '''set -e
    echo 0123456789abcdef0123456789abcdef > /etc/machine-id
    mkdir -p /run/dbus && dbus-daemon --system
    iscsid'''
# Lines that need a network or a compiler: what they would do, from what the host has built.
STEPS = {
    'apt-get install ': 'true',
    'make && make install': 'ln -s /prm/build/tools/prmpath /prm/build/tools/prmpath-key /usr/local/bin && '
                            'echo "install dm-prmpath /sbin/insmod {module}" > /etc/modprobe.d/tour.conf',
}
# bash -v repeats a line before it runs it, so that output can be told apart.
PREAMBLE = '''trap 'echo "FAILED: $BASH_COMMAND"' ERR
set -v
'''


def tour():
    """The commands, and what each is to say: [(line, texts, may fail)]."""
    text = (ROOT / 'README.md').read_text().split('\n## A five-minute tour\n')[1].split('\n## ')[0]
    for line in re.findall(r'^    (.*)', text, re.M):
        comment = re.search(r' +# (.*)$', line)
        comment = comment.group(1) if comment else ''
        yield line, re.findall(r'"([^"]*)"', comment), comment.startswith('fails:')


def replaced(line, kernel):
    for start, step in STEPS.items():
        if line.startswith(start):
            return step.format(module=module_path(kernel))
    return line


@case(topology='bare', rules=[], module=False, long=True, cpus=2)
def pasted(t):
    """every command of the tour does what stands beside it"""
    t.discard()
    lines = list(tour())
    for start in STEPS:
        expect(any(line.startswith(start) for line, _, _ in lines), f'the tour has no {start}')
    t.vm.check(MACHINE)
    script = [replaced(line, t.kernel) for line, _, _ in lines]
    t.vm.put('/run/tour', PREAMBLE + '\n'.join(script) + '\n')
    _, out = t.vm.run('cd /root && PATH=$PATH:/usr/local/bin bash /run/tour 2>&1 < /dev/null', timeout=560)
    rest, problems = out, []
    for number, (line, (_, texts, fails)) in enumerate(zip(script, lines), 1):
        expect(line in rest, f'the tour ends before {line}:\n{out}')
        rest = rest.split(line + '\n', 1)[1]
        said = rest.split(script[number] + '\n', 1)[0] if number < len(script) else rest
        if ('FAILED: ' in said) != fails:
            problems.append(f'{line}: {"succeeds" if fails else "fails"}: {said}')
        problems += [f'{line}: "{text}" is not in: {said}' for text in texts if text not in said]
    expect(not problems, '\n'.join(problems) + f'\n--- all of it:\n{out}')
    expect(t.vm.run('lsmod | grep -q dm_prmpath')[0], 'the module is still there')
    expect(t.vm.run('ls -d /sys/kernel/config/target/iscsi/iqn* || ls -d /sys/class/iscsi_session/s*')[0],
           'a target or a session is left')
