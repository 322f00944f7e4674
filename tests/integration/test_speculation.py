"""Entries and exits with measures against speculative execution: those that any CPU executes, forced by the build. The time model must not see them."""
import pytest

import harness
from timing import TIMING, build_guests, make

FORCED = "build/guarded"
VERW, FILL_RSB = 1, 8  # GUARD_X in arch/x86/speculation.h
LINE = "speculation: RSB fill at each exit, VERW at each entry"
NONE = "speculation: this CPU enumerates no controls: no measures"


@pytest.fixture(scope="module", autouse=True)
def built():
    build_guests()
    make()
    make(f"BUILD={FORCED}", f"EXTRA_CFLAGS=-DSPECULATION_FORCED={VERW | FILL_RSB}", f"{FORCED}/verge.elf32")


@pytest.mark.parametrize("machine,hv", [("qemu", ""), ("ryzen", ""), ("skylake", "timer=oneshot"), ("skylake", "timer=deadline"),
                                        ("skylake", "timer=preempt")])
def test_a_guest_sees_nothing_of_them(machine, hv):
    guest = f"kernel={TIMING} mem=32M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=10 load=cpuid"
    plain = harness.run_verge(machine=machine, hv=hv, vms=[guest])
    guarded = harness.run_verge(machine=machine, hv=hv, vms=[guest], image=f"{harness.ROOT}/{FORCED}/verge.elf32")
    assert LINE in guarded.log and NONE in plain.log
    assert guarded.out == plain.out and "RESULT PASS pit" in guarded.out, guarded.tail()
    assert "ledger exact" in guarded.log and " 0 late" in guarded.log


def test_off():
    run = harness.run_verge(hv="spec-ctrl=off", vms=[f"kernel={TIMING} mem=32M -- count rounds=1000"])
    assert "speculation: no measures (spec-ctrl=off)" in run.log and "RESULT PASS" in run.out
