# SPDX-License-Identifier: GPL-2.0-only
"""The tour of README.md, pasted into a fresh machine."""
import re
import subprocess

from cases import case, expect
from harness import ROOT
from package import BUILD, writable_modules

# What the installation of its packages starts.
MACHINE = 'systemctl start dbus && { pgrep -x iscsid || iscsid; }'
# Only these lines are not run: they need a network, and the image has what they bring.
NETWORK = 'apt-get '
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


def unpack_sources(vm):
    """What is committed or about to be, without what has been built: the folder."""
    # The fuzzers' hundreds of small files take a minute, and no command of the tour.
    names = subprocess.run(['git', 'ls-files', '--', '.', ':!tests/fuzz/corpus'], cwd=ROOT,
                           check=True, text=True, stdout=subprocess.PIPE).stdout
    vm.put('/run/sources', names)
    vm.check('mkdir /root/dm-prmpath && tar -C /prm -c -T /run/sources | tar -C /root/dm-prmpath -x',
             300)
    return '/root/dm-prmpath'


@case(topology='workbench', rules=[], module=False, cpus=2, long=True)
def pasted(t):
    """every command of the tour, from make on, does what stands beside it"""
    t.discard()
    lines = list(tour())
    script = ['true' if line.startswith(NETWORK) else line for line, _, _ in lines]
    expect('true' in script, f'the tour has no {NETWORK}')
    writable_modules(t.vm)
    t.vm.check(MACHINE)
    folder = unpack_sources(t.vm)
    t.vm.put('/run/tour', PREAMBLE + '\n'.join(script) + '\n')
    _, out = t.vm.run(f'cd {folder} && PATH=$PATH:/usr/local/bin bash /run/tour 2>&1 < /dev/null', BUILD)
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
