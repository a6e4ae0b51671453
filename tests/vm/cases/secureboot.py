# SPDX-License-Identifier: GPL-2.0-only
"""The module under Secure Boot: firmware with Microsoft's keys, Debian's signed shim, grub and kernel.

"make guests-secureboot" fetches what these guests boot.
"""
import atexit
import lzma
import pathlib
import re
import shutil
import subprocess
import tempfile

from cases import MODULE, TOPOLOGIES, Single, TcmLoop, Topology, case, expect, module_path, poll
from harness import CACHE, ROOT, Vm
from steps import PRMPATH

PARTS = CACHE / 'secureboot/usr'
BOOT = 240                      # seconds from power on to an answer
REJECTED = 'Key was rejected by service'
# Short: the keyboard keeps 16 bytes for firmware that is slow.
PASSWORD = 'mok'
# What MokManager shows, and the keys that are pressed then; as the manual has it.
MOKMANAGER = (
    ('Press any key', ['ret']),
    ('Enroll MOK', ['down', 'ret']),
    ('View key', ['down', 'ret']),                 # Continue
    ('Enroll the key', ['down', 'ret']),           # Yes
    ('Password:', [*PASSWORD, 'ret']),
    ('Reboot', ['ret']),
)


class SecureVm(Vm):
    """A guest with a flash of its own, that boots from a disk as hardware does."""
    dialogue = ()
    # Its boots take minutes, and others need not wait for them.
    boot_lock = 'boot-firmware.lock'

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        expect(PARTS.exists(), 'nothing to boot: make guests-secureboot')
        self.disk = pathlib.Path(tempfile.mkdtemp(prefix='prm-esp-'))
        atexit.register(shutil.rmtree, self.disk, True)
        kernel = CACHE / 'kernels' / self.kernel
        for file, place in (
                (PARTS / 'lib/shim/shimx64.efi.signed', 'esp/EFI/BOOT/BOOTX64.EFI'),
                (PARTS / 'lib/shim/mmx64.efi.signed', 'esp/EFI/BOOT/mmx64.efi'),
                (PARTS / 'lib/grub/x86_64-efi-signed/grubx64.efi.signed', 'esp/EFI/BOOT/grubx64.efi'),
                (kernel / 'vmlinuz', 'esp/vmlinuz'), (kernel / 'initramfs', 'esp/initramfs'),
                (PARTS / 'share/OVMF/OVMF_VARS_4M.ms.fd', 'variables')):
            (self.disk / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self.disk / place)
        (self.disk / 'esp/EFI/debian').mkdir()
        (self.disk / 'esp/EFI/debian/grub.cfg').write_text(
            f'linux /vmlinuz {self.cmdline()}\ninitrd /initramfs\nboot\n')

    def firmware(self):
        return ['-machine', 'q35,smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on',
                '-global', 'ICH9-LPC.disable_s3=1',
                '-drive', f'if=pflash,format=raw,readonly=on,file={PARTS}/share/OVMF/OVMF_CODE_4M.ms.fd',
                '-drive', f'if=pflash,format=raw,file={self.disk}/variables',
                '-serial', f'file:{self.console_path}']

    def command(self):
        # Last, because the initramfs knows the others by their numbers.
        return [*super().command(), '-drive', f'file=fat:{self.disk}/esp,format=raw,if=virtio,readonly=on']

    def booting(self, ready):
        if not self.dialogue:
            ready.wait(BOOT)
            return
        seen = 0
        for text, keys in self.dialogue:
            poll(lambda: text in self.console()[seen:], BOOT, f'MokManager: "{text}"')
            seen = len(self.console())
            for key in keys:
                self.qmp('send-key', keys=[{'type': 'qcode', 'data': key}])
        poll(lambda: not self.alive(), BOOT, 'MokManager does not reboot')

    def answer(self, dialogue):
        """Reboot into MokManager, answer it, and boot as it wants to."""
        self.dialogue = dialogue
        self.reboot()
        self.dialogue = ()
        self.reboot()


class SecureBoot(Single):
    vms = 'secureboot'

    def __init__(self, kernel, cpus):  # pylint: disable=super-init-not-called
        self.vm = SecureVm(kernel, 'vm', cpus=cpus)
        self.all = self.guests = [self.vm.start()]


TOPOLOGIES['secureboot'] = Topology('secureboot', SecureBoot, None)


def equip(vm):
    """What a Debian host with Secure Boot has, and our image has not."""
    kernel = CACHE / 'kernels' / vm.kernel
    module = next((kernel / 'root/lib/modules').glob('*/kernel/fs/efivarfs/efivarfs.ko*'))
    data = module.read_bytes()
    vm.put('/run/efivarfs.ko', lzma.decompress(data) if module.suffix == '.xz' else data)
    vm.put('/usr/bin/mokutil', (PARTS / 'bin/mokutil').read_bytes(), 0o755)
    vm.put('/usr/lib/x86_64-linux-gnu/libefivar.so.1',
           (PARTS / 'lib/x86_64-linux-gnu/libefivar.so.1').read_bytes())
    vm.check('''set -e
        insmod /run/efivarfs.ko
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars
        mount -t securityfs securityfs /sys/kernel/security
        echo 0123456789abcdef0123456789abcdef > /etc/machine-id''')
    expect('SecureBoot enabled' in vm.check('mokutil --sb-state'), 'no Secure Boot')
    expect('[none]' not in vm.check('cat /sys/kernel/security/lockdown'), 'the kernel is not locked down')


def signed(t, name):
    """Where the guest has the module, signed as README.md tells by a key made so; and the certificate."""
    text = (ROOT / 'README.md').read_text()
    make_key = re.search(r'^    (openssl req .*?mok\.der)$', text, re.M | re.S).group(1)
    sign = re.search(r'make sign .*?mok\.der', text).group()
    build = f'build/{t.kernel}/signed-{name}'
    (ROOT / build).mkdir(exist_ok=True)
    shutil.copy(ROOT / module_path(t.kernel).removeprefix('/prm/'), ROOT / build / 'dm-prmpath.ko')
    with tempfile.TemporaryDirectory(prefix='prm-keys-') as keys:
        script = f"""set -e
            cd {keys}
            {make_key}
            cd {ROOT}
            {sign.replace("=mok", f"={keys}/mok")} KVER={t.kernel} BUILD={build}"""
        done = subprocess.run(script, shell=True, text=True, check=False, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(done.returncode == 0, f'{script}: {done.stdout}')
        return f'/prm/{build}/dm-prmpath.ko', pathlib.Path(keys, 'mok.der').read_bytes()


def refused(vm, module, why):
    code, out = vm.run(f'insmod {module}')
    expect(code and REJECTED in out, f'insmod of a module {why}: exit code {code}, {out}')


@case(topology='secureboot', rules=[], module=False, long=['6.1'])
def enrolled(t):
    """under Secure Boot the module loads once it is signed by a key that MokManager has enrolled, not before"""
    t.discard()
    vm = t.vm
    (good, certificate), (bad, _) = signed(t, 'enrolled'), signed(t, 'unknown')
    equip(vm)
    refused(vm, module_path(t.kernel), 'that is not signed')
    refused(vm, good, 'whose key is not enrolled yet')
    code, out = vm.run(f'{PRMPATH} doctor')
    expect(code == 1 and 'Secure Boot is on' in out and 'mokutil --import' in out, f'{code} {out}')

    vm.put('/run/mok.der', certificate)
    # It flushes what is typed before it asks, so the password comes another way.
    vm.check(f'mokutil --generate-hash={PASSWORD} > /run/hash && '
             'mokutil --import /run/mok.der --hash-file /run/hash')
    vm.answer(MOKMANAGER)
    equip(vm)
    expect('modules of this host' in vm.check('mokutil --list-enrolled'), 'the key is not enrolled')
    refused(vm, bad, 'whose key was never enrolled')
    refused(vm, module_path(t.kernel), 'that is not signed')
    vm.check(f'insmod {good}')
    out = vm.check(f'{PRMPATH} doctor')
    expect('the module is signed; Secure Boot is on' in out and 'problem' not in out, out)
    # Nothing that it does is locked down.
    lun = TcmLoop(vm, hosts=('a', 'b'))
    a, b = lun.hosts
    device = a.prmpath(features='pr_key 0xa1')
    device.wait_status(keys_own=2)
    out = vm.check(f'{PRMPATH} open --single {device} -- sg_persist -n --in --read-reservation {b.paths[0]}')
    expect('Key=0xa1' in out, out)
    device.remove()
    lun.remove()
    vm.check(f'rmmod {MODULE}')
