"""Beside others: what a guest's PIT test prints, to the digit, is what it prints alone, whoever else has the CPU: order of guests, start of the spinner,
slices, perturb= and loads heavy on exits varied; none late. Helpers: timing.py.
"""
import pytest

import harness
from timing import GuestRun, Pit, Words, run_guests

LONGER = 10 if harness.LONG else 1

# Each prints all its figures and their CRC. "port" and "cpuid" are heavy on exits, so is "busy".
MEASURED = {
    "spin": Pit(2, "spin", 300 * LONGER, "hz=1000"),
    "port": Pit(3, "port", 100 * LONGER, "hz=1000 gap=100"),
    "cpuid": Pit(0, "cpuid", 200 * LONGER, "most=900 gap=300"),
    "halt": Pit(4, "halt", 50 * LONGER, "most=3000", idle="wait"),
    "close": Pit(2, "cpuid", 100, "hz=20000 gap=25", charge=1),
}


def spinner(after):
    """Spins for longer than any other guest takes here, from `after` ms on."""
    return Words(f"spin seconds={LONGER} after={after}", idle="wait")


OTHERS = {"spinner": spinner(0), "late": spinner(23), "later": spinner(140), "busy": Words(f"busy rounds={1500 * LONGER}", idle="wait")}
EVERYONE = MEASURED | OTHERS
alone = {}


def figures_alone(name, shift):
    if (name, shift) not in alone:
        alone[name, shift] = run_guests({name: EVERYONE[name]}, icount=shift)[name]
    return alone[name, shift].out


@pytest.mark.parametrize("names, hv, shift", [
    ("spin port spinner", "", 0), ("spinner port spin", "slice=1ms", 0), ("port late spin", "slice=10ms", 0), ("halt later port", "slice=1ms", 0),
    ("port cpuid spinner", "slice=1ms", 0), ("cpuid spinner port", "slice=10ms", 0), ("busy spin cpuid", "slice=1ms", 0), ("close busy spin", "", 0),
    ("spinner close halt", "", 0),
    ("port cpuid spinner", "perturb=1", 0), ("spinner spin port", "perturb=2 slice=1ms", 0), ("busy close halt", "perturb=3", 0),
    ("port cpuid spinner", "slice=1ms", 3), ("spinner spin port", "perturb=1", 3)])
def test_identical_beside_others(names, hv, shift):
    guests = {name: EVERYONE[name] for name in names.split()}
    runs = run_guests(guests, hv=hv, icount=shift, timeout=300 * LONGER)
    for name in MEASURED.keys() & guests.keys():
        assert runs[name].out == figures_alone(name, shift), name
    spinners = [runs[name].end for name in ("spinner", "late", "later") if name in runs]
    if spinners and "perturb" not in hv:  # which ends the slices of guests with many exits early
        assert max(spinners) == max(run.end for run in runs.values()), "the spinner ended before the others: nobody was disturbed"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_identical_though_disturbed(seed):
    """perturb= alone: random delays, early one-shots, unmapped pages and slice ends."""
    for name in ("spin", "close", "halt"):
        run = run_guests({name: MEASURED[name]}, hv=f"perturb={seed}")[name]
        assert run.out == figures_alone(name, 0)
        assert sum(run.exits.values()) > sum(alone[name, 0].exits.values()) and run.exits["memory"] > 0, "perturb= disturbs nothing?"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_host_timer_in_a_handler(seed):
    """Often, a slice or an early one-shot ends within the first instructions of a handler: no tick comes twice."""
    guest = Pit(2, "spin", 5000 * LONGER, "hz=20000", charge=1)
    plain, disturbed = (run_guests({"vm0": guest}, hv=hv, icount=3)["vm0"] for hv in ("", f"slice=100us perturb={seed}"))
    assert disturbed.out == plain.out
    assert disturbed.exits["interrupt"] > plain.exits["interrupt"] + 1000


def test_identical_without_a_log():
    """What the monitor says, and how long it takes for it, is not the guest's."""
    guests = {name: EVERYONE[name] for name in ("spin", "port", "spinner")}
    run = harness.run_verge(vms=[guest.line(name, 0) for name, guest in guests.items()], hv="loglevel=error", timeout=600)
    assert "exits" not in run.log and run.log.count("ledger exact") == 3
    for name in ("spin", "port"):
        assert GuestRun(name, run.out, run.log, False).out == figures_alone(name, 0)
