"""Entries and exits with measures against speculative execution, forced by the build: those that any CPU executes, and those by MSRs that the
emulator doesn't have, ignores, and logs. The time model must not see them."""
import collections
import re

import pytest

import harness
from machines import needs_bochs
from timing import TIMING, build_guests, make

FORCED, BY_MSRS = "build/guarded", "build/guarded-msrs"
VERW, FLUSH, IBRS, FILL_RSB = 1, 2, 4, 8  # GUARD_X in arch/x86/speculation.h
LINE = "speculation: RSB fill at each exit, VERW at each entry"
NONE = "speculation: this CPU enumerates no controls: no measures"


@pytest.fixture(scope="module", autouse=True)
def built():
    build_guests()
    make()
    make(f"BUILD={FORCED}", f"EXTRA_CFLAGS=-DSPECULATION_FORCED={VERW | FILL_RSB}", f"{FORCED}/verge.elf32")
    make(f"BUILD={BY_MSRS}", f"EXTRA_CFLAGS=-DSPECULATION_FORCED={FLUSH | IBRS | FILL_RSB}", f"{BY_MSRS}/verge.elf32")


@pytest.mark.parametrize("machine,hv", [("qemu", ""), ("ryzen", ""), ("skylake", "timer=oneshot"), ("skylake", "timer=deadline"),
                                        ("skylake", "timer=preempt")])
def test_a_guest_sees_nothing_of_them(machine, hv):
    guest = f"kernel={TIMING} mem=32M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=10 load=cpuid"
    plain = harness.run_verge(machine=machine, hv=hv, vms=[guest])
    guarded = harness.run_verge(machine=machine, hv=hv, vms=[guest], image=f"{harness.ROOT}/{FORCED}/verge.elf32")
    assert LINE in guarded.log and NONE in plain.log
    assert guarded.out == plain.out and "RESULT PASS pit" in guarded.out, guarded.tail()
    assert "ledger exact" in guarded.log and " 0 late" in guarded.log


@needs_bochs
@pytest.mark.parametrize("machine,hv", [("ryzen", ""), ("skylake", "timer=oneshot"), ("skylake", "timer=deadline"), ("skylake", "timer=preempt")])
def test_msrs(tmp_path, machine, hv):
    """IA32_SPEC_CTRL at each entry and each exit, IA32_FLUSH_CMD at each entry, IA32_PRED_CMD where another guest's turn begins."""
    guests = [f"vm={name} kernel={TIMING} mem=32M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=3 load=cpuid" for name in ("one", "two")]
    hv = f"{hv} slice=5ms".strip()
    plain = harness.run_verge(machine=machine, hv=hv, vms=guests)
    log = tmp_path / "bochs"
    guarded = harness.run_verge(machine=machine, hv=hv, vms=guests, image=f"{harness.ROOT}/{BY_MSRS}/verge.elf32",
                                qemu=["cpu: ignore_bad_msrs=1", f"log: {log}"])
    assert sorted(guarded.out.splitlines()) == sorted(plain.out.splitlines()) and guarded.out.count("RESULT PASS pit") == 2, guarded.tail()
    writes = collections.Counter(re.findall(r"WRMSR: Unknown register 0x(\w+)", log.read_text("latin-1")))
    entries = writes["10b"]
    assert entries > 5000 and writes["48"] == 2 * entries, writes
    assert 10 < writes["49"] < 1000, writes


def test_off():
    run = harness.run_verge(hv="spec-ctrl=off", vms=[f"kernel={TIMING} mem=32M -- count rounds=1000"])
    assert "speculation: no measures (spec-ctrl=off)" in run.log and "RESULT PASS" in run.out
