"""The world switch on QEMU, to the cycle: what E, X, the injection and its repetition must come to. tools/mutants.py relies on
these. The timing guest reads the TSC as a handler's third instruction: "handler less edge" is 2 and what a delivery is charged."""
import os
import re
import subprocess

import pytest

from harness import ROOT, run_verge

HANDLER = 2
EVENT_HW = 50  # charge=hw: 50 ns at 1 GHz


@pytest.fixture(scope="module", autouse=True)
def guests():
    subprocess.run(["make", "-s", "guests"], cwd=ROOT, check=True)


def run_timing(words, keys="charge=1", hv="", guest="timing", timeout=60):
    run = run_verge(hv=f"tsc=1000000000 {hv}", timeout=timeout,
                    vms=[f"vm=vm0 kernel=build/guests/{guest}.elf32 mem=16M idle=skip {keys} -- {words}"])
    assert "RESULT PASS" in run.out, run.tail()
    assert re.search(r"vm0: code 0; .* 0 late; ledger exact", run.log), run.tail()
    return run


def test_count_is_one_cycle_per_instruction():
    run = run_timing("count rounds=1000000")
    assert run.value("tsc_delta") == run.value("instructions") == 2000003


@pytest.mark.parametrize("load", ["port", "cpuid"])
def test_rdtsc_is_continuous_over_exits(load):
    run = run_timing(f"continuity count=5000 with={load}")
    assert run.value("back") == run.value("long_gaps") == 0


@pytest.mark.parametrize("keys,words,error", [
    ("charge=1", "mode=2 load=spin", HANDLER), ("charge=1", "mode=3 load=movsb", HANDLER), ("charge=1", "mode=4 load=halt", HANDLER),
    ("charge=1", "mode=2 hz=20000 load=cpuid", HANDLER), ("charge=hw", "mode=2 load=spin", HANDLER + EVENT_HW),
    ("charge=hw", "mode=0 load=halt", HANDLER + EVENT_HW)])
def test_handler_stands_on_its_cycle(keys, words, error):
    run = run_timing(f"pit ticks=100 {words}", keys)
    assert run.value("error_min") == run.value("error_max") == error, run.tail()


def test_cut_off_delivery_is_not_charged_again():
    """perturb= takes pages away at random; in 16 MB every eighth is the one with the guest's IDT and stack."""
    words = "pit mode=2 hz=10000 ticks=4000 load=spin"
    alone = run_timing(words, "charge=hw")
    disturbed = run_timing(words, "charge=hw", "perturb=1 loglevel=debug")
    assert int(re.search(r"vm0: exits memory ([0-9,]+)", disturbed.log)[1].replace(",", "")) > 100
    assert disturbed.out == alone.out


def test_modes_shadows():
    """STI, MOV SS and HLT with an interrupt pending; one that was masked meanwhile is not delivered, and leaves none spurious."""
    run_timing("only=shadows", guest="modes", timeout=30)


def test_starts_in_real_time():
    """Without icount the TSC is the host's, and a timer is as late as the host likes: calibration gets through all the same."""
    for _ in range(5):
        run = run_verge(icount=None, more=["--no-icount"], expect=None, vms=["kernel=build/guests/timing.elf32 mem=16M idle=skip -- count rounds=10"])
        assert re.search(r"cpu0: E=\d+ X=\d+ spread=\d+", run.log) and "RESULT" in run.out, run.tail()
