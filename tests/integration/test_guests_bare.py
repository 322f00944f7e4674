"""The test guests on bare QEMU, without Verge: they must work there before their figures under Verge mean anything."""
import os
import subprocess

import pytest

import harness
from modes import BARE_LIMITS, limits_of, xfail

QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+pdpe1gb,+rdtscp", "-m", "64", "-display", "none", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-rtc", "base=2000-01-01,clock=vm"]


@pytest.fixture(scope="session")
def guests():
    subprocess.run(["make", "-s", "guests"], cwd=harness.ROOT, check=True)
    return os.path.join(harness.ROOT, "build", "guests")


def run_bare(guests, guest, words, code=0, shift=0, more=()):
    command = [*QEMU, *more, "-icount", f"shift={shift},sleep=off", "-kernel", os.path.join(guests, guest + ".elf32"), "-append", words]
    run = harness.run_script(command, 30)
    assert run.code == 2 * code + 1, run.tail()
    assert ("RESULT PASS" in run.out) == (code == 0 and guest != "clock"), run.tail()
    return run


def test_count_is_one_cycle_per_instruction(guests):
    run = run_bare(guests, "timing", "count rounds=100000")
    assert run.value("tsc_delta") == run.value("instructions") == 200003
    run_bare(guests, "timing", "count rounds=100000 per=8", shift=3)
    run_bare(guests, "timing", "count rounds=100000 per=2", code=1)  # a wrong expectation is told


@pytest.mark.parametrize("words", [
    "mode=2 hz=1000 ticks=50 load=spin", "mode=3 hz=20000 ticks=500 load=movsb", "mode=2 hz=18.2 ticks=5 load=halt",
    "mode=0 ticks=100 most=600 load=cpuid", "mode=4 ticks=50 most=200 load=port"])
def test_pit(guests, words):
    run = run_bare(guests, "timing", "pit grid=qemu " + words)
    assert run.value("lost") == run.value("doubled") == run.value("stray") == 0
    again = run_bare(guests, "timing", "pit grid=qemu " + words)
    assert again.out == run.out


def test_pit_sees_a_wrong_grid(guests):
    """Bare QEMU's PIT is not on Verge's grid: the test must say so."""
    run_bare(guests, "timing", "pit mode=2 hz=1000 ticks=20", code=1)


@pytest.mark.parametrize("words", ["", "hz=1000", "hz=1000 with=port", "hz=1000 with=cpuid"])
def test_continuity(guests, words):
    assert run_bare(guests, "timing", "continuity count=500000 " + words).value("back") == 0


def test_work_is_the_same_each_time(guests):
    first, second = (run_bare(guests, "timing", "work ticks=50 " + extra).value("iterations") for extra in ("", "x=y"))
    assert first == second


def test_clocks(guests):
    run_bare(guests, "timing", "clocks grid=qemu seconds=3")


def test_bench_and_busy(guests):
    assert len(run_bare(guests, "timing", "bench grid=qemu n=100").values("tsc_delta")) == 9
    run_bare(guests, "timing", "busy rounds=1000")


def test_modes(guests):
    run = run_bare(guests, "modes", "bare=1 " + xfail([*limits_of("qemu"), *BARE_LIMITS]), more=["-vga", "std"])
    assert run.value("failed") == 0 and "XPASS" not in run.out


def test_hostile_and_nasties(guests):
    assert run_bare(guests, "hostile", "ops=5000 bare=1").value("caught") > 0
    run_bare(guests, "hostile", "unclaimed n=100 bare=1")
    run_bare(guests, "hostile", "udstorm n=100")
    run_bare(guests, "hostile", "badexit code=17", code=17)


def test_clock_guest(guests):
    run = run_bare(guests, "clock", "seconds=3 grid=qemu")
    assert run.value("max_error_cycles") == run.value("lost") == 0
    assert os.path.getsize(os.path.join(guests, "clock.elf32")) <= 32768
