"""The TSC's rate at boot, without `tsc=`: 1 GHz under icount from whichever clock the machine has; and power-off and reset by the ACPI tables."""
import os
import re
import struct

import pytest

import harness
from timing import TIMING, build_guests

IMAGE = os.path.join(harness.ROOT, "build", "verge.elf32")
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp", "-m", "128", "-display", "none", "-nodefaults",
        "-serial", "null", "-serial", "stdio", "-rtc", "base=2000-01-01,clock=vm", "-kernel", IMAGE]
MODULE = "LICENSE kernel vm=vm0"  # a file of the project's root that is no kernel; run_script() runs there
DEBUG_EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
NO_VERDICT = 2 * 125 + 1


def boot(machine, shift=0, words="", more=(), expect=NO_VERDICT):
    """Verge with a guest that is no kernel: it measures, complains and ends."""
    command = [*QEMU, "-M", machine, "-icount", f"shift={shift},sleep=off", "-append", words, "-initrd", MODULE, *more]
    run = harness.run_script(command, 60)
    assert run.code == expect, run.tail()
    return run


def rate(run):
    found = re.findall(r"vg: TSC ([0-9,]+) Hz, from (.*) \(([0-9,]+) to ([0-9,]+)\)", run.out)
    assert len(found) == 1, run.tail()
    hz, source, low, high = found[0]
    return (int(hz.replace(",", "")), source, int(low.replace(",", "")), int(high.replace(",", "")))


# pc without ACPI has no tables at all; q35 without it has SeaBIOS's own, which name an HPET where there is one.
@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("machine,source,width", [
    ("q35", "HPET", 50_000), ("q35,hpet=off", "PM timer", 150_000), ("pc,hpet=off", "PM timer", 150_000), ("pc,acpi=off", "PIT", 50_000),
    ("isapc", "PIT", 50_000)])
def test_rate(machine, source, width, shift):
    hz, named, low, high = rate(boot(machine, shift, more=DEBUG_EXIT))
    assert (hz, named) == (1_000_000_000, source)
    assert low <= 1_000_000_000 <= high and high - low <= width


def test_tables_are_named():
    run = boot("q35", more=DEBUG_EXIT)
    assert "ACPI: HPET at fed00000, PM timer at port 608, PM1 control at ports 604 and 0, S5 known, reset register known" in run.out
    assert "ACPI: no tables" in boot("isapc", more=DEBUG_EXIT).out


def hpet_table(directory, base):
    """An ACPI table that says that an HPET stands at `base`, as -acpitable wants it."""
    path = directory / "hpet.aml"
    path.write_bytes(struct.pack("<IBBBBQBHB", 0x8086A201, 0, 64, 0, 0, base, 0, 100, 0))
    return ["-acpitable", f"sig=HPET,rev=1,data={path}"]


def test_hpet_that_is_not_there(tmp_path):
    """All ones at its place: the next clock is used, and the log says so."""
    run = boot("q35,hpet=off", more=[*DEBUG_EXIT, *hpet_table(tmp_path, 0xFED00000)])
    assert "the HPET at fed00000 is none that keeps to its specification: not used" in run.out
    assert rate(run)[:2] == (1_000_000_000, "PM timer")


def test_hpet_that_stands_still(tmp_path):
    """Registers without a clock, made of RAM: a time-out, then the next."""
    registers = tmp_path / "registers"
    registers.write_bytes(struct.pack("<II", 0x8086A201, 10_000_000) + bytes(1016))
    run = boot("q35,hpet=off", more=[*DEBUG_EXIT, *hpet_table(tmp_path, 0x6000000),
                                     "-device", f"loader,file={registers},addr=0x6000000,force-raw=on"])
    assert "the HPET at 6000000 does not count: not used" in run.out
    assert rate(run)[:2] == (1_000_000_000, "PM timer")


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_power_off_by_acpi(machine):
    """No debug exit and no -no-reboot here: only S5 ends the emulator, a reset would not."""
    build_guests()
    command = [*QEMU, "-M", machine, "-icount", "shift=0,sleep=off", "-initrd", f"{TIMING} kernel vm=vm0 mem=32M -- count rounds=100"]
    run = harness.run_script(command, 60)
    assert run.code == 0 and "power-off, code 0" in run.out, run.tail()


@pytest.mark.parametrize("machine", ["q35", "pc", "isapc"])
def test_reset(machine):
    run = boot(machine, words="onexit=reboot", more=["-no-reboot"], expect=0)
    assert "Verge can't run" in run.out
