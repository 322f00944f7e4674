"""Verge booted by GRUB from a CD, by Multiboot 1 and 2: modules anywhere, strings without a file name."""
import os
import shutil
import subprocess

import pytest

import harness

GRUB = "/usr/lib/grub/i386-pc"
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp", "-m", "512",
        "-icount", "shift=0,sleep=off", "-display", "none", "-nodefaults", "-no-reboot",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
MENU = """set timeout=0
menuentry verge {{
    {kernel} /boot/verge.elf32 tsc={hz} log=com2
    {module} /boot/timing.elf32 kernel vm=vm0 idle=skip -- pit mode=2 hz=1000 ticks=20
}}
"""


needs_grub = pytest.mark.skipif(
    not (os.path.isdir(GRUB) and shutil.which("grub-mkrescue") and shutil.which("xorriso") and shutil.which("mformat")),
    reason="needs grub-common, grub-pc-bin, xorriso and mtools")


def make_iso(tmp_path, kernel, module, hz):
    """A CD that starts Verge and the timing guest."""
    subprocess.run(["make", "-s", "build/verge.elf32", "build/guests/timing.elf32"], cwd=harness.ROOT, check=True)
    boot = tmp_path / "root" / "boot"
    (boot / "grub").mkdir(parents=True)
    for file in ("verge.elf32", "guests/timing.elf32"):
        shutil.copy(os.path.join(harness.ROOT, "build", file), boot)
    (boot / "grub" / "grub.cfg").write_text(MENU.format(kernel=kernel, module=module, hz=hz))
    image = tmp_path / "verge.iso"
    subprocess.run(["grub-mkrescue", "-d", GRUB, "--locales=", "--fonts=", "--themes=", "-o", image, tmp_path / "root"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return image


@needs_grub
@pytest.mark.parametrize("kernel,module", [("multiboot", "module"), ("multiboot2", "module2")])
def test_grub(tmp_path, kernel, module):
    image = make_iso(tmp_path, kernel, module, 1000000000)
    run = harness.run_script([*QEMU, "-cdrom", image, "-serial", "stdio", "-serial", f"file:{tmp_path}/log"], 90)
    log = harness.read_text(tmp_path / "log")
    assert run.code == 1, log
    assert "from GRUB" in log and "vm0: code 0;" in log and "0 late; ledger exact" in log
    assert "RESULT PASS pit error=52..52 slack=0" in run.out
