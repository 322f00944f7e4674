"""The modes guest under Verge on every machine: each group of checks passes, and what must end a guest does, with its line.

All groups of a machine run in one go, as do all the ends; each test looks at its own part. Known limits of an emulator are named (modes.py);
one that no longer is there (XPASS) fails, so that the list stays true.
"""
import functools
import re
import shutil

import pytest

from harness import run_verge
from modes import GROUPS, LIMITS, MACHINES, MMIO, MODES, TASKS, TRIPLE, xfail
from timing import build_guests

CRASH = 126
SWITCHED = 77  # the task that a CPU goes on in when it does switch
needs_bochs = pytest.mark.skipif(not shutil.which("bochs-bin"), reason="needs bochs, bochs-term, bochsbios and vgabios")
machines = pytest.mark.parametrize("machine", [m if m == "qemu" else pytest.param(m, marks=needs_bochs) for m in MACHINES])


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()


@functools.cache
def run_groups(machine):
    return run_verge(machine=machine, kernel=MODES, mem="32M", append=xfail(machine), expect=None, timeout=120)


@functools.cache
def run_ends(machine):
    """Each end in a guest of its own, side by side; by name, what Verge said and the code."""
    names = [*MMIO, *TASKS, *(() if machine == "ryzen" else TRIPLE)]
    lines = [f"vm={name} kernel={MODES} mem=8M -- only=ends end={name}" for name in names]
    run = run_verge(machine=machine, vms=lines, expect=None, timeout=120)
    said = dict(re.findall(r"vg: (\w+): ended: (.*?)\r?$", run.log, re.M))
    codes = {name: int(code) for name, code in re.findall(r"vg: (\w+): code (\d+);", run.log)}
    return run, said, codes


@machines
@pytest.mark.parametrize("group", GROUPS)
def test_group(machine, group):
    run = run_groups(machine)
    passed = re.search(rf"modes {group}: (\d+) checks passed, 0 failed", run.out)
    assert passed and int(passed[1]) > 0, run.tail()
    assert run.code == 0 and run.value("failed") == 0, run.tail()


@machines
def test_limits_are_known_ones(machine):
    """No limit is listed in vain, none shows up unlisted."""
    run = run_groups(machine)
    assert set(re.findall(r"^XFAIL (\w+):", run.out, re.M)) == set(LIMITS[machine]), run.tail()
    assert "XPASS" not in run.out, run.tail()
    assert run.value("xfail") == len(re.findall(r"^XFAIL ", run.out, re.M))


@machines
@pytest.mark.parametrize("name", [*MMIO, *TASKS, *TRIPLE])
def test_end(machine, name):
    if machine == "ryzen" and name in TRIPLE:
        pytest.xfail("triple_fault: Bochs's SVM panics")
    run, said, codes = run_ends(machine)
    if machine == "qemu" and name in TASKS:
        assert codes[name] == SWITCHED, run.tail()
        pytest.xfail("task_switch: QEMU's SVM has no such intercept and switches by itself")
    assert said.get(name) == {**MMIO, **TASKS, **TRIPLE}[name] and codes[name] == CRASH, run.tail()
