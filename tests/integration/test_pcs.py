"""PCs of many kinds: machine types, numbers of CPUs, sizes of memory, many and large modules, what the firmware locks or the CPU lacks."""
import os
import subprocess

import pytest

import harness
from timing import TIMING, build_guests, make

PIT = f"kernel={TIMING} mem=32M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=20 load=spin"
VERGE = os.path.join(harness.ROOT, "build", "verge.elf32")


@pytest.fixture(scope="module", autouse=True)
def built():
    build_guests()
    make()


def exact(run):
    assert "RESULT PASS pit error=2..2" in run.out and "ledger exact" in run.log, run.tail()


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("kind", ["q35", "pc", "isapc"])
def test_machine(kind, cpus):
    if kind == "isapc" and cpus > 1:
        options = ["-M", kind]  # has one
    else:
        options = ["-M", kind, "-smp", str(cpus)]
    exact(harness.run_verge(vms=[PIT], qemu=options))


def test_eight_cpus():
    run = harness.run_verge(icount=None, more=["--no-icount", "--smp", "8"], vms=[f"kernel={TIMING} mem=32M -- cpuid"])
    assert "RESULT PASS" in run.out, run.tail()


@pytest.mark.parametrize("size", ["64M", "256M", "12G"])
def test_memory(size):
    """12 GB lie on both sides of the hole below 4 GB."""
    run = harness.run_verge(vms=[PIT], qemu=["-m", size])
    exact(run)


def test_clock_guest_in_little_memory():
    """What runs where there is no guest: the report from any PC."""
    run = harness.run_verge(more=["--clock"], qemu=["-m", "64M"], expect=124, timeout=5)
    assert "clock s=2 " in run.out, run.tail()


def test_thirty_modules(tmp_path):
    vms = []
    for i in range(15):
        disk = tmp_path / f"disk{i}"
        disk.write_bytes(bytes([i]) * (1000 + i))
        vms.append(f"vm=g{i} kernel={TIMING} initrd={disk} mem=16M -- count rounds=1000")
    run = harness.run_verge(vms=vms)
    assert "module 30: " in run.log and "serves no guest" not in run.log, run.tail()
    assert run.out.count("RESULT PASS count") == 15 and run.log.count("ledger exact") == 15, run.tail()


def test_a_gigabyte_of_modules(tmp_path):
    """Copied and checksummed; no guest of this size is made of it."""
    disk = tmp_path / "disk"
    with open(disk, "wb") as f:
        f.truncate(1 << 30)
    run = harness.run_verge(vms=[f"kernel={TIMING} initrd={disk} mem=1200M -- count rounds=1000"], timeout=300)
    assert "1,073,741,824 bytes" in run.log and "RESULT PASS count" in run.out, run.tail()


# ---- what is locked or missing -----------------------------------------------------------------------------------------
REASONS = [
    ("qemu64,-svm", 'this CPU has no AMD SVM, or the firmware hides it: enable "SVM Mode"'),
    ("qemu64", "this CPU's SVM has no nested paging (NPT)"),
    ("Nehalem", 'this CPU has no Intel VT-x, or the firmware hides it: enable "Intel Virtualization Technology"'),
    ("max,-apic", "this CPU has no local APIC"),
]


@pytest.mark.parametrize("cpu,reason", REASONS, ids=[cpu for cpu, _ in REASONS])
def test_reason(cpu, reason):
    """One line, on every console, and an end."""
    run = harness.run_verge(more=["--clock"], qemu=["-cpu", cpu], hv="console=com1 log=com1", expect=125)
    for stream in (run.out, run.err):
        assert stream.count(reason) <= 1
    assert reason in run.out and "Verge can't run" in run.out, run.tail()


def test_reason_stays():
    """Without an emulator's exit port the machine halts with the line on it: it doesn't go off by ACPI, which it could."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64", "-m", "256", "-display", "none", "-nodefaults",
               "-serial", "stdio", "-kernel", VERGE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        lines = [qemu.stdout.readline()]
        while lines[-1] and b"halted" not in lines[-1]:
            lines.append(qemu.stdout.readline())
        assert b"halted, code 125" in lines[-1] and b"nested paging (NPT)" in lines[-3], lines
        with pytest.raises(subprocess.TimeoutExpired):
            qemu.wait(timeout=1)
        qemu.kill()


@pytest.mark.parametrize("cpu", ["qemu32", "qemu64,-nx", "486"])
def test_no_long_mode(cpu):
    """Said by the first instructions, on the serial port and on the screen; the machine then stands still."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-m", "256", "-display", "none", "-nodefaults", "-no-reboot",
               "-serial", "stdio", "-vga", "std", "-kernel", VERGE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as qemu:
        line = qemu.stdout.readline()
        while line and b"Verge" not in line:
            line = qemu.stdout.readline()
        assert line.rstrip().endswith(b"Verge: this CPU has no 64-bit long mode with NX; Verge can't run here."), line
        with pytest.raises(subprocess.TimeoutExpired):
            qemu.wait(timeout=1)
        qemu.kill()
