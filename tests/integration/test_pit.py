"""PIT interrupts under Verge: the TSC at the handler's entry less the edge of the documented grid is one constant for all events of all modes, rates and
loads; none lost, merged or doubled; nothing late, nothing charged to close a gap. Helpers and what every run is held to: timing.py.
"""
import subprocess

import pytest

import harness
from test_guests_bare import QEMU
from timing import TIMING, Pit, Words, build_guests, run_guests

LONGER = 10 if harness.LONG else 1
PERIODIC = (2, 3)
ONE_SHOT = (0, 4)
GAP = "gap=4000"  # rounds of two instructions between two exits: QEMU manages 50,000 exits a second


def many(count):
    return count * LONGER


def memory(ticks):
    """16 bytes for each event, from 8 MB on."""
    return f"{8 + -(-ticks * 16 >> 20) // 2 * 2 + 4}M"


# ---- 1000 Hz under each load -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", PERIODIC)
@pytest.mark.parametrize("load, ticks, more", [("spin", 10000, ""), ("halt", 100000, ""), ("movsb", 1000, ""),
                                               ("cpuid", 2000, GAP), ("port", 2000, GAP)])
def test_1000_hz(mode, load, ticks, more):
    run_guests({"vm0": Pit(mode, load, many(ticks), f"hz=1000 {more}".strip(), mem=memory(many(ticks)))}, timeout=600 * LONGER)


@pytest.mark.parametrize("load, ticks", [("cpuid", 10), ("port", 100)])
def test_1000_hz_with_nothing_between_exits(load, ticks):
    run_guests({"vm0": Pit(2, load, many(ticks), "hz=1000")})


@pytest.mark.parametrize("load", ["cpuid", "port"])
def test_20_khz_to_the_cycle_under_exits(load):
    """With charge=1 the instruction in flight takes one cycle, as any other: the constant holds for these loads too."""
    guests = {f"mode{mode}": Pit(mode, load, many(100), "hz=20000 gap=25", charge=1) for mode in PERIODIC}
    guests["close"] = Pit(2, load, many(20), "hz=20000", charge=1)
    run_guests(guests)


# ---- other rates, one-shots --------------------------------------------------------------------------------------------
RATES = (("18.2", 20), ("100", 200), ("20000", 200))


@pytest.mark.parametrize("mode", PERIODIC)
def test_rates(mode):
    """Guests with different rates and loads in one machine: no guest's time depends on another's."""
    guests = {f"{load}-{int(float(hz))}": Pit(mode, load, many(ticks), f"hz={hz}") for hz, ticks in RATES for load in ("spin", "halt")}
    guests |= {f"{load}-20000": Pit(mode, load, many(200), "hz=20000 gap=20") for load in ("cpuid", "port")}
    guests["movsb-20000"] = Pit(mode, "movsb", many(200), "hz=20000")
    run_guests(guests, timeout=300 * LONGER)


@pytest.mark.parametrize("mode", ONE_SHOT)
def test_random_counts(mode):
    guests = {load: Pit(mode, load, many(1000), more) for load, more in
              (("spin", "seed=1"), ("halt", "seed=2"), ("cpuid", "seed=3 most=600 gap=2000"), ("port", "seed=4 most=600 gap=2000"))}
    guests["movsb"] = Pit(mode, "movsb", many(100), "seed=5")
    guests["charge1"] = Pit(mode, "cpuid", many(200), "seed=6 most=200 gap=100", charge=1)
    run_guests(guests, timeout=300 * LONGER)


def test_halt_in_real_time():
    """idle=wait: a halted guest's clock follows the host's, and it wakes on the same cycle; and behind a halt the timer runs again."""
    skip, wait = (run_guests({"halt": Pit(2, "halt", 100, "hz=1000", idle=idle), "work": Words("work ticks=50", charge=1, idle=idle)})
                  for idle in ("skip", "wait"))
    for name in skip:
        assert wait[name].out == skip[name].out


# ---- an instruction of 8 cycles ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", PERIODIC)
def test_1000_hz_shift_3(mode):
    """The constant and 0 to 7 cycles, by what was in flight; the same in each run."""
    guests = {"spin": Pit(mode, "spin", many(2000), "hz=1000"), "halt": Pit(mode, "halt", many(10000), "hz=1000"),
              "movsb": Pit(mode, "movsb", many(1000), "hz=1000"), "cpuid": Pit(mode, "cpuid", many(500), "hz=1000 gap=900"),
              "port": Pit(mode, "port", many(500), "hz=1000 gap=900"), "close": Pit(mode, "port", many(20), "hz=20000", charge=1)}
    first, again = (run_guests(guests, icount=3, timeout=300 * LONGER, hv=hv) for hv in ("", "slice=1ms"))
    for name in guests:
        assert again[name].out == first[name].out


def test_rates_and_counts_shift_3():
    guests = {f"mode{mode}-{int(float(hz))}": Pit(mode, "spin", many(ticks), f"hz={hz}") for mode in PERIODIC for hz, ticks in RATES}
    guests |= {f"mode{mode}-{load}": Pit(mode, load, many(1000), "gap=300" if load == "port" else "") for mode in ONE_SHOT
               for load in ("spin", "halt", "port")}
    run_guests(guests, icount=3, timeout=300 * LONGER)


# ---- without Verge -----------------------------------------------------------------------------------------------------
def bare(words, shift=0):
    build_guests()
    command = [*QEMU, "-icount", f"shift={shift},sleep=off", "-kernel", TIMING, "-append", words]
    run = harness.run_script(command, 300)
    assert run.code == 1 and "RESULT PASS" in run.out, run.tail()
    return run


def test_work_as_without_verge():
    """What a guest gets done in a window of its time, 1000 ticks in it: to the digit as on the bare machine."""
    alone = bare(f"work ticks={many(1000)}")
    under = run_guests({"vm0": Words(f"work ticks={many(1000)}", charge=1)}, timeout=300 * LONGER)["vm0"]
    assert under.value("iterations") == alone.value("iterations") > many(100000000)
    assert under.value("beyond_window") == alone.value("beyond_window")
    assert under.value("ticks") == alone.value("ticks") == many(1000)


# ---- the baseline ------------------------------------------------------------------------------------------------------
def test_coarse_tick_is_seen_and_measured(record_property):
    """timer=periodic:100, the original's: the test must see that it is off by up to the tick's 10 ms, and Verge must count it as late."""
    guest = Pit(2, "spin", 50, "hz=18.2", passes=False)
    run = run_guests({"vm0": guest}, hv="timer=periodic:100", exact=False)["vm0"]
    least, most = run.value("error_min"), run.value("error_max")
    assert 0 < least < most and most > 1000000, "a coarse tick that is exact?"
    assert most < 11000000, "beyond the coarse tick's own period"
    assert run.landings["late"] > 0 and run.landings["worst_late"] > 1000000
    for key, value in (("coarse_error_min_cycles", least), ("coarse_error_max_cycles", most), ("late", run.landings["late"])):
        record_property(key, value)
    fast = run_guests({"vm0": Pit(2, "spin", 50, "hz=1000", passes=False)}, hv="timer=periodic:100", exact=False)["vm0"]
    assert fast.value("lost") > 0, "ten ticks of the guest in each coarse one: nine must be missing"
    record_property("coarse_1000_hz_lost", fast.value("lost"))
