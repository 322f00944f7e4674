"""The ledger: a guest's account is the number of its instructions, alone and beside others; and a longer world switch is measured and seen by nobody.
That each run's accounts add up, to the cycle, is checked in every test of this kind: timing.py.
"""
import os
import re

import pytest

import harness
from timing import Pit, Words, make, run_guests

BUSY = {"spinner": Words("spin seconds=1"), "busy": Words("busy rounds=300", idle="wait")}
PADDED_BUILD = "build/padded"
ENTRY_MORE, EXIT_MORE = 7, 13


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("others, hv", [({}, ""), (BUSY, "slice=1ms"), (BUSY, "perturb=4")])
def test_a_counted_loop_is_its_instructions(others, hv, shift):
    """Two guests that differ by a million rounds of two instructions, and in nothing else: so do their accounts."""
    guests = {"short": Words("count rounds=2000000"), **others, "long": Words("count rounds=3000000")}
    for guest in (guests["short"], guests["long"]):
        guest.words += " per=8" if shift else ""
    runs = run_guests(guests, hv=hv, icount=shift)
    for name, rounds in (("short", 2000000), ("long", 3000000)):
        assert runs[name].value("instructions") == 3 + 2 * rounds
        assert runs[name].value("tsc_delta") == (3 + 2 * rounds) << shift
    short, long = runs["short"].time, runs["long"].time
    assert long["ledger"] - short["ledger"] == long["consumed"] - short["consumed"] == 2000000 << shift
    assert long["charged"] == short["charged"] and long["clock"] - short["clock"] == 2000000 << shift


def test_account_does_not_depend_on_others():
    """All of a guest's life, halts, ticks and output included."""
    guest = Pit(2, "halt", 300, "hz=1000")
    alone = run_guests({"vm": guest})["vm"].time
    for hv in ("slice=1ms", "perturb=6"):
        assert run_guests({"vm": guest, **BUSY}, hv=hv)["vm"].time == alone


def switch_costs(run):
    """E, X and all the classes that the calibration logs."""
    e, x = re.search(r"cpu0: E=(\d+) X=(\d+) spread=0", run.log).groups()
    line = re.search(r"calibration: E (\d+)/(\d+) X ([^;\r\n]*) rdtsc", run.log)
    classes = {name: int(n) for name, n in re.findall(r"([a-z-]+) (-?\d+)", line[3])}
    assert (int(e), int(x)) == (int(line[1]), classes["insn"])
    return int(line[1]), int(line[2]), classes


@pytest.mark.parametrize("machine, shift", [("qemu", 0), ("qemu", 3), ("skylake", 0)])
def test_a_longer_switch_is_measured_and_not_seen(machine, shift):
    """7 more instructions between T0 and the entry, 13 between exit and T1: E and X grow by exactly these, the guest's trace stays."""
    make(f"BUILD={PADDED_BUILD}", f"EXTRA_ASMFLAGS=-DEXTRA_ENTRY={ENTRY_MORE} -DEXTRA_EXIT={EXIT_MORE}", f"{PADDED_BUILD}/verge.elf32")
    padded = os.path.join(harness.ROOT, PADDED_BUILD, "verge.elf32")
    guests = {"dump": Pit(2, "cpuid", 60, "hz=20000 gap=50 dump=1", charge=1), "port": Pit(0, "port", 100, "gap=100 dump=1"),
              "halt": Pit(3, "halt", 100, "hz=1000 dump=1"), "count": Words("count rounds=100000" + (" per=8" if shift else ""))}
    plain, more = (run_guests(guests, machine=machine, icount=shift, image=image) for image in (None, padded))
    for name in guests:
        assert more[name].out == plain[name].out
        assert more[name].time == plain[name].time
    (entry, inject, exits), (entry_more, inject_more, exits_more) = (switch_costs(run) for run in harness.recent_runs[-2:])
    assert entry_more - entry == inject_more - inject == ENTRY_MORE << shift
    if machine == "qemu":  # SVM has no preemption timer
        assert exits.pop("preempt") == exits_more.pop("preempt") == 0
    assert exits.keys() == exits_more.keys() and len(exits) == (7 if machine == "qemu" else 8)
    assert {exits_more[name] - exits[name] for name in exits} == {EXIT_MORE << shift}
