"""The guest's clocks under Verge: they agree with each other, RDTSC runs through, and reading it costs no exit. Helpers: timing.py."""
import pytest

import harness
from timing import EVENT_CHARGE, HANDLER_INSTRUCTIONS, Words, run_guests

LONGER = 5 if harness.LONG else 1
CLOCKS = ("pit0_ticks", "pit2_ticks", "pm_ticks")


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("charge", ["hw", 1])
def test_clocks_agree(shift, charge):
    """60 guest seconds: latched PIT channels 0 and 2 and the PM timer within one tick of the TSC, the RTC's seconds on their cycle."""
    seconds = 600 if harness.LONG else 60
    run = run_guests({"vm0": Words(f"clocks seconds={seconds}", charge=charge)}, icount=shift)["vm0"]
    for clock in CLOCKS:
        assert -1 <= run.value(clock + "_min") <= run.value(clock + "_max") <= 1, run.out
    constant = (HANDLER_INSTRUCTIONS << shift) + EVENT_CHARGE[charge]
    least, most = run.value("rtc_cycles_min"), run.value("rtc_cycles_max")
    assert least == most == constant, "the guest was halted: no instruction in flight"
    assert run.value("samples") > 15 * seconds and run.value("wrong_seconds") == 0
    assert sum(run.histogram("rtc_cycles").values()) + run.value("near_irq0") == seconds + 1
    assert run.time["clock"] // 10**9 == seconds + 1


@pytest.mark.parametrize("shift", [0, 3])
def test_rdtsc_never_exits_and_never_jumps(shift):
    """Two million readings: never back, and no gap but one for each tick's handler; all gaps one value, all handlers one value."""
    count = 2000000 * LONGER
    guests = {"quiet": Words(f"continuity count={count}", mem=f"{16 + count * 8 // 10**6 + 16}M"),
              "ticks": Words(f"continuity count={count} hz=1000", mem=f"{16 + count * 8 // 10**6 + 16}M"),
              "often": Words(f"continuity count={count} hz=20000", mem=f"{16 + count * 8 // 10**6 + 16}M", charge=1)}
    for hv in ("", "slice=1ms perturb=5"):
        runs = run_guests(guests, icount=shift, hv=hv)
        for name, run in runs.items():
            assert run.value("readings") == count and run.value("back") == 0
            assert sum(run.exits.values()) < count // 10, "RDTSC is intercepted?"
            least, longest = (int(n) for n in run.one("handler", "[0-9.]+").split(".."))
            assert (least == 0) == (name == "quiet") and longest - least <= (14 if shift else 0)
            assert run.value("long_gaps") <= run.value("ticks")
            if not shift:
                assert run.value("gap_min") == 8, "the loop's eight instructions and nothing else"
        assert runs["quiet"].value("gap_max") == (8 << shift) and runs["quiet"].value("ticks") == 0
        assert runs["often"].value("ticks") > (200 << shift) * LONGER


def test_rdtsc_between_exits():
    """With an exit in each round a gap is the loop's instructions and the charge."""
    guests = {kind: Words(f"continuity count=50000 with={kind}") for kind in ("port", "cpuid")}
    guests |= {f"{kind}1": Words(f"continuity count=50000 with={kind}", charge=1) for kind in ("port", "cpuid")}
    runs = run_guests(guests, hv="slice=1ms")
    gaps = {name: run.value("gap_min") for name, run in runs.items()}
    assert all(run.value("gap_max") == gaps[name] for name, run in runs.items())
    assert gaps["port"] - gaps["port1"] == 999 and gaps["cpuid"] - gaps["cpuid1"] == 49
    assert gaps["port1"] == 8, "a port access at charge=1 is one more instruction"
    assert runs["port"].histogram("gap") == {gaps["port"]: 49999}
