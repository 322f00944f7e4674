"""Verge's own local APIC in x2APIC mode under Bochs: what a guest sees is what it sees in xAPIC mode, to the cycle. QEMU's TCG has no x2APIC before 9.0."""
import os
import re

import pytest

import harness
from machines import needs_bochs
from timing import TIMING, build_guests, make

pytestmark = needs_bochs
VERW, FILL_RSB = 1, 8  # GUARD_X in arch/x86/speculation.h
GUARDED = f"-DSPECULATION_FORCED={VERW | FILL_RSB}"
SHIPPED = "build/verge.elf32"
# No AMD model of Bochs has x2APIC. The generic one can have it and SVM, which it then doesn't enumerate.
AMD = ["cpu: model=bx_generic", "cpuid: vmx=0, svm=1, x86_64=1, apic=x2apic, vendor_string=AuthenticAMD"]
WORKS = ["pit mode=2 hz=1000 ticks=20 load=spin", "pit mode=2 hz=20000 ticks=40 load=cpuid gap=25", "pit mode=4 ticks=60 load=halt seed=2"]


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()
    make()


def variant(name, flags):
    make(f"BUILD=build/{name}", f"EXTRA_CFLAGS={flags}", f"build/{name}/verge.elf32")
    return f"build/{name}/verge.elf32"


def run(machine, image, hv, words, emulator=(), more=()):
    return harness.run_verge(machine=machine, image=os.path.join(harness.ROOT, image), hv=hv, qemu=emulator, more=more, vms=[
        f"vm=vm{i} kernel={TIMING} mem=16M charge=1 idle=skip -- {w}" for i, w in enumerate(words)])


def same_in_both(machine, image, hv, mode, emulator=(), ends=" 0 late; ledger exact"):
    by_memory, by_msr = (run(machine, image, f"{hv} {more}", WORKS, emulator) for more in ("apic=xapic", "apic=auto"))
    for ended, name in ((by_memory, "xAPIC"), (by_msr, "x2APIC")):
        assert f"timer: the local APIC's in {mode} mode, {name}, 50,000,000 Hz" in ended.log, ended.tail()
        assert len(re.findall(ends, ended.log)) == len(WORKS), ended.tail()
    for i in range(len(WORKS)):
        def guest(ended, name=f"vm{i}"):
            return [line for line in ended.out.replace("\r", "").split("\n") if line.startswith(name + "| ")]
        assert guest(by_msr) == guest(by_memory) and any("RESULT PASS pit error=2..2 slack=0" in line for line in guest(by_msr)), by_msr.tail()


@pytest.mark.parametrize("timer,mode", [("oneshot", "one-shot"), ("deadline", "TSC-deadline")])
@pytest.mark.parametrize("flags", ["", GUARDED], ids=["plain", "guarded"])
def test_vtx(timer, mode, flags):
    same_in_both("skylake", variant("guarded", flags) if flags else SHIPPED, f"timer={timer}", mode)


@pytest.mark.parametrize("flags", ["", GUARDED], ids=["plain", "guarded"])
def test_svm(flags):
    image = variant("svm-guarded" if flags else "svm", f"-DSVM_FORCED {flags}".strip())
    same_in_both("ryzen", image, "timer=oneshot", "one-shot", AMD, ends=r"late; ledger exact")  # S1 of machines.py


@pytest.mark.parametrize("timer,mode", [("oneshot", "one-shot"), ("periodic:1000", "periodic")])
def test_a_cpu_without_it(timer, mode):
    """And the idle loop and the coarse tick in either mode."""
    old, new = (harness.run_verge(machine="skylake", hv=f"timer={timer}", kernel=TIMING, append="count rounds=1000", qemu=[f"cpu: model={model}"])
                for model in ("corei7_sandy_bridge_2600k", "corei7_haswell_4770"))
    assert f"{mode} mode, xAPIC, " in old.log and f"{mode} mode, x2APIC, " in new.log, new.tail()
    assert "RESULT PASS count" in old.out and "RESULT PASS count" in new.out, new.tail()


@pytest.mark.parametrize("timer", ["oneshot", "deadline"])
@pytest.mark.parametrize("apic", ["auto", "xapic"])
def test_further_cpus(timer, apic):
    """They are started, and woken, by commands in either form, and their timers work. Several CPUs of Bochs have a TSC that moves by 5 or more."""
    ended = harness.run_verge(machine="skylake", hv=f"timer={timer} apic={apic}", more=["--smp", "3"], vms=[
        f"vm=vm{i} cpu={i} kernel={TIMING} mem=16M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=20 load=spin slack=50" for i in range(3)])
    assert ("x2APIC" if apic == "auto" else "xAPIC") + ", 50,000,000 Hz" in ended.log, ended.tail()
    for i in range(3):
        assert f"vm{i}| RESULT PASS pit" in ended.out and re.search(rf"vm{i}: code 0; .* ledger exact", ended.log), ended.tail()
