"""The guest tests on Bochs's machines (machines.py), with each timer source: what test_pit, test_clocks, test_ledger, test_beside, test_bad_input and
test_hostile show on QEMU, shorter. A Bochs machine has 50 MHz; beyond that nothing of a machine may show in what a guest prints.
"""
import re

import pytest

import harness
from machines import BOCHS_MACHINES, limit, timer_params
from test_bad_input import ENDINGS, HOSTILE, one_line, refused
from timing import HANDLER_INSTRUCTIONS, TIMING, Pit, Words, build_guests, run_guests

pytestmark = pytest.mark.parametrize("machine, timer", timer_params(BOCHS_MACHINES))
LONGER = 10 if harness.LONG else 1
first_seen = {}  # (words, charge) -> what such a guest printed on the first machine that ran it


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()


def run(machine, timer, guests, hv=""):
    """As run_guests(), and what the guests print is what they print on the other machines. S1 has a test of its own."""
    runs = run_guests(guests, machine=machine, hv=f"timer={timer} {hv}".strip(), late_allowed=machine == "ryzen")
    for name, guest in guests.items():
        out = first_seen.setdefault((guest.words, guest.charge), runs[name].out)
        assert runs[name].out == out, f"{name} on {machine}, timer={timer}"
    return runs


# ---- ticks -------------------------------------------------------------------------------------------------------------
def test_periodic_ticks(machine, timer):
    """Modes 2 and 3: the handler less its edge is one number for all rates and loads; none lost, none doubled."""
    guests = {f"m{mode}-{load}-{float(hz):.0f}": Pit(mode, load, ticks * LONGER, f"hz={hz} {more}".strip(), charge=1)
              for mode in (2, 3) for load, hz, ticks, more in (
                  ("spin", "18.2", 4, ""), ("spin", "1000", 60, ""), ("halt", "1000", 300, ""), ("movsb", "1000", 60, ""),
                  ("halt", "100", 20, ""), ("cpuid", "20000", 60, "gap=25"), ("port", "20000", 60, "gap=25"), ("movsb", "20000", 60, ""))}
    constants = {r.value(key) for r in run(machine, timer, guests).values() for key in ("error_min", "error_max")}
    assert constants == {HANDLER_INSTRUCTIONS}


def test_one_shots(machine, timer):
    """Modes 0 and 4 with random counts."""
    guests = {f"m{mode}-{load}": Pit(mode, load, ticks * LONGER, more, charge=1)
              for mode in (0, 4) for load, ticks, more in (
                  ("spin", 100, "seed=1"), ("halt", 200, "seed=2"), ("cpuid", 60, "seed=3 most=300 gap=100"), ("port", 60, "seed=4 most=300 gap=100"),
                  ("movsb", 60, "seed=5"))}
    constants = {r.value(key) for r in run(machine, timer, guests).values() for key in ("error_min", "error_max")}
    assert constants == {HANDLER_INSTRUCTIONS}


def test_charges(machine, timer):
    """charge=hw: a delivery's 50 ns, and at most the port access in flight."""
    run(machine, timer, {"spin": Pit(2, "spin", 60, "hz=1000"), "halt": Pit(4, "halt", 60), "port": Pit(3, "port", 60, "hz=1000 gap=100"),
                         "cpuid": Pit(0, "cpuid", 60, "gap=100")})


def test_nothing_is_late(machine, timer):
    with limit(machine, "S1"):
        run_guests({"spin": Pit(2, "spin", 20, "hz=1000"), "halt": Pit(2, "halt", 20, "hz=1000")}, machine=machine, hv=f"timer={timer}")


# ---- work and clocks ---------------------------------------------------------------------------------------------------
def test_work_and_clocks(machine, timer):
    guests = {"work": Words("work ticks=50", charge=1), "count": Words("count rounds=500000"), "quiet": Words("continuity count=50000"),
              "ticks": Words("continuity count=50000 hz=20000"), "port": Words("continuity count=2000 with=port"),
              "cpuid": Words("continuity count=2000 with=cpuid"), "clocks": Words(f"clocks seconds={2 * LONGER}", charge=1)}
    runs = run(machine, timer, guests)
    assert runs["count"].value("tsc_delta") == runs["count"].value("instructions") == 1000003
    for name in ("quiet", "ticks", "port", "cpuid"):
        assert runs[name].value("back") == 0 and runs[name].value("long_gaps") <= runs[name].value("ticks"), name
    assert runs["quiet"].value("gap_min") == runs["quiet"].value("gap_max") == 8
    for clock in ("pit0_ticks", "pit2_ticks", "pm_ticks"):
        assert -1 <= runs["clocks"].value(clock + "_min") <= runs["clocks"].value(clock + "_max") <= 1
    assert runs["clocks"].value("rtc_cycles_min") == runs["clocks"].value("rtc_cycles_max") == HANDLER_INSTRUCTIONS


def test_a_counted_loop_is_its_instructions(machine, timer):
    """The ledger, of two guests that differ by 500,000 rounds of two instructions."""
    runs = run(machine, timer, {"short": Words("count rounds=1200000"), "long": Words("count rounds=1700000")}, hv="slice=1ms")
    assert runs["long"].time["ledger"] - runs["short"].time["ledger"] == 1000000
    assert runs["long"].time["charged"] == runs["short"].time["charged"]


# ---- beside others -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hv", ["", "slice=1ms", "slice=1ms perturb=3"])
def test_beside_others(machine, timer, hv):
    """Two that measure and a spinner: what they print is what they print on any machine, beside anyone."""
    run(machine, timer, {"spin": Pit(2, "spin", 60, "hz=1000"), "spinner": Words("spin seconds=1", idle="wait"),
                         "close": Pit(2, "cpuid", 60, "hz=20000 gap=25", charge=1)}, hv=hv)


def test_a_spinner_is_interrupted(machine, timer):
    """Its interrupts are off; the other guest ends first all the same."""
    with limit(machine, "S1"):
        runs = run_guests({"spinner": Words("spin seconds=1"), "halt": Pit(2, "halt", 20, "hz=1000")}, machine=machine,
                          hv=f"timer={timer} slice=1ms", late_allowed=True)
        assert runs["halt"].end < runs["spinner"].end


def test_same_again(machine, timer):
    """Bit for bit, Verge's lines and times included."""
    first, again = (harness.run_verge(machine=machine, hv=f"loglevel=debug timer={timer}", vms=[Pit(2, "movsb", 20, "hz=1000").line("a", 0)])
                    for _ in range(2))
    assert (again.out, again.log) == (first.out, first.log)


# ---- bad input ---------------------------------------------------------------------------------------------------------
NEIGHBOUR = f"vm=good kernel={TIMING} mem=16M charge=1 -- pit mode=2 hz=1000 ticks=20 load=spin"
SHORT_ENDINGS = {"tripleflt": "S3", "tripleflt oncrash=reset resets=3": "S3", "clihlt": None, "maskall idle=skip": None, "reset64 onreset=stop": None,
                 "reset92 resets=5": None, "badexit code=200": None, "unclaimed n=5000": None, "leftovers": None}
CHOSEN = [ending for ending in ENDINGS if " ".join(ending[:2]).strip() in SHORT_ENDINGS]


@pytest.mark.parametrize("nasty,words,code,line", CHOSEN, ids=[" ".join(e[:2]).strip() for e in CHOSEN])
def test_ending(machine, timer, nasty, words, code, line):
    """The line, the code; the neighbour's figures those it has beside anyone."""
    def check():
        ended = harness.run_verge(machine=machine, expect=code, hv=f"timer={timer}",
                                  vms=[f"vm=bad kernel={HOSTILE} mem=16M {words} -- {nasty}", NEIGHBOUR])
        one_line(ended, line)
        one_line(ended, rf"bad: code {code}; .* ledger exact")
        one_line(ended, r"good: code 0; .* ledger exact")
        assert "good| RESULT PASS pit error=2..2 slack=0" in ended.out

    if SHORT_ENDINGS[" ".join((nasty, words)).strip()]:
        with limit(machine, "S3"):
            check()
    else:
        check()


def test_refused(machine, timer, tmp_path):
    """Before any guest: an image that is none, a word that is none, memory that isn't there."""
    image = tmp_path / "image"
    image.write_bytes(b"#!/bin/sh\n" * 900)
    hv = f"timer={timer}"
    refused(r"vm0: \d-image: .*not a kernel", machine=machine, hv=hv, kernel=image)
    refused(r'"mem=12Q"', machine=machine, hv=hv, vms=[f"kernel={TIMING} mem=12Q -- spin seconds=1"])
    refused(r'unknown hypervisor setting "sclice=10ms"', machine=machine, hv=hv + " sclice=10ms", kernel=TIMING, append="spin seconds=1")


# ---- hostile -----------------------------------------------------------------------------------------------------------
def test_random_operations(machine, timer):
    """Without what may end it by a triple fault where the emulator can't take that."""
    deadly = "" if machine == "ryzen" else " deadly=1"
    ops = 20000 * LONGER
    ended = harness.run_verge(machine=machine, hv=f"timer={timer}",
                              vms=[f"vm=hostile kernel={HOSTILE} mem=16M oncrash=reset -- ops={ops} seed=1{deadly}", NEIGHBOUR])
    assert f"total={ops}" in ended.out and "hostile| RESULT PASS hostile" in ended.out, ended.tail()
    assert "good| RESULT PASS pit error=2..2 slack=0" in ended.out, ended.tail()
    for name in ("hostile", "good"):
        assert re.search(rf"{name}: code 0; .* ledger exact", ended.log), ended.tail()
