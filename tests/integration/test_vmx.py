"""The VT-x backend under Bochs: what it needs of a CPU, its timer sources, how often it touches the VMCS; and builds with VERGE_CHECKS."""
import os
import re
import subprocess

import pytest

import harness
from timing import TIMING, build_guests

NO_VERDICT = 125
ACCESSES_MOST = 12
MODES = "build/guests/modes.elf32"
HOSTILE = "build/guests/hostile.elf32"


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()


def variant(name, flags):
    """An image of its own, built with these flags."""
    build = f"build/{name}"
    subprocess.run(["make", "-s", f"BUILD={build}", f"EXTRA_CFLAGS={flags}", f"{build}/verge.elf32"], cwd=harness.ROOT, check=True)
    return os.path.join(harness.ROOT, build, "verge.elf32")


# ---- the CPU -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model, reason", [
    ("p4_prescott_celeron_336", "this CPU has no Intel VT-x, or the firmware hides it: enable \"Intel Virtualization Technology\""),
    ("core2_penryn_t9600", "this CPU's VT-x has no nested paging (EPT), which Verge needs"),
    ("corei5_lynnfield_750", "this CPU's VT-x has no unrestricted guests, which Verge needs"),
])
def test_a_cpu_that_lacks_something_says_what(model, reason):
    run = harness.run_verge(expect=NO_VERDICT, machine="skylake", kernel=TIMING, append="count rounds=1000", qemu=[f"cpu: model={model}"])
    assert reason in run.log and "Verge can't run" in run.log, run.tail()


@pytest.mark.parametrize("model", ["corei7_sandy_bridge_2600k", "corei7_haswell_4770", "corei7_skylake_x"])
def test_it_runs_on_older_and_newer_cpus(model):
    run = harness.run_verge(machine="skylake", kernel=TIMING, append="count rounds=100000", qemu=[f"cpu: model={model}"])
    assert "Intel VT-x" in run.log and "spread=0" in run.log and "RESULT PASS count" in run.out, run.tail()


# ---- timers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", ["qemu", "ryzen"])
def test_no_preemption_timer_on_svm(machine):
    run = harness.run_verge(expect=NO_VERDICT, machine=machine, hv="timer=preempt", kernel=TIMING, append="count rounds=1000")
    assert "timer=preempt: this CPU has no VMX preemption timer that works; use timer=oneshot" in run.log, run.tail()


@pytest.mark.parametrize("machine", ["qemu", "ryzen"])
def test_no_deadlines_on_these(machine):
    run = harness.run_verge(expect=NO_VERDICT, machine=machine, hv="timer=deadline", kernel=TIMING, append="count rounds=1000")
    assert "timer=deadline: this CPU's local APIC has no TSC-deadline mode; use timer=oneshot" in run.log, run.tail()


@pytest.mark.parametrize("model,timer,mode,missing", [
    ("corei7_sandy_bridge_2600k", "auto", "TSC-deadline", None), ("corei7_haswell_4770", "auto", "one-shot", "22 (has 0): not used"),
    ("corei7_skylake_x", "auto", "one-shot", "2000014 (has 0): not used"),
    ("corei7_skylake_x", "deadline", "TSC-deadline", "2000014 (has 0): used all the same"), ("corei7_skylake_x", "oneshot", "one-shot", None)])
def test_the_mode_of_the_local_apics_timer(model, timer, mode, missing):
    """Bochs says of no CPU which microcode it has, so that those with the erratum lack what they need."""
    run = harness.run_verge(machine="skylake", hv=f"timer={timer}", kernel=TIMING, append="count rounds=1000", qemu=[f"cpu: model={model}"])
    apic = "xAPIC" if "sandy" in model else "x2APIC"
    assert f"timer: the local APIC's in {mode} mode, {apic}, 50,000,000 Hz" in run.log, run.tail()
    assert (f"not reliable before microcode {missing}" if missing else "spread=0") in run.log, run.tail()
    assert missing or "not reliable" not in run.log, run.tail()


@pytest.mark.parametrize("timer", ["oneshot", "deadline", "preempt"])
def test_a_guest_with_interrupts_off_is_interrupted(timer):
    """Bochs lets no host interrupt end such a run: the preemption timer does, as the timer or as its backstop. Nothing is late."""
    run = harness.run_verge(machine="skylake", hv=f"timer={timer} slice=1ms", vms=[
        f"vm=masked kernel={TIMING} mem=16M -- count rounds=3000000",
        f"vm=b kernel={TIMING} mem=16M idle=skip -- pit mode=2 hz=1000 ticks=50"])
    assert "masked| RESULT PASS count" in run.out and "b| RESULT PASS pit" in run.out, run.tail()
    for name in ("masked", "b"):
        assert re.search(rf"{name}: code 0; .* 0 late; ledger exact", run.log), run.tail()
    ends = [run.log.index(f"{name}: code 0") for name in ("b", "masked")]
    assert ends == sorted(ends), "the guest with interrupts off kept the CPU\n" + run.tail()


# ---- the VMCS ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("timer", ["oneshot", "preempt"])
def test_few_vmcs_accesses(timer):
    """From an exit to the next entry. A real CPU pays tens of cycles for each VMREAD and VMWRITE."""
    run = harness.run_verge(machine="skylake", image=variant("count", "-DCOUNT_VMCS_ACCESSES"), hv=f"timer={timer}",
                            kernel=TIMING, append="bench n=2000")
    most = {kind: int(n) for kind, n in re.findall(r"VMCS accesses: (\S+) least=\d+ most=(\d+)", run.log)}
    assert most["cpuid"] <= ACCESSES_MOST and most["rdmsr"] <= ACCESSES_MOST and most["port"] <= ACCESSES_MOST, most


# ---- builds with VERGE_CHECKS ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", ["qemu", "skylake", "ryzen"])
@pytest.mark.parametrize("guest, words", [(TIMING, "bench n=500"), (HOSTILE, "ops=3000 seed=3")])
def test_checks_hold(machine, guest, words):
    """Each length that the CPU gives is the decoder's, and no entry leaves a flush owed."""
    run = harness.run_verge(machine=machine, image=variant("checks", "-DVERGE_CHECKS"), hv="perturb=1" if machine == "qemu" else "",
                            kernel=guest, append=words)
    assert "RESULT PASS" in run.out, run.tail()
