"""The modes guest under Verge on every machine: each group of checks passes, and what must end a guest does, with its line.

All groups of a machine run in one go, as do all the ends; each test looks at its own part. What a machine is known not to do is named
(machines.py); a check that passes all the same (XPASS) fails, so that the table stays true.
"""
import contextlib
import functools
import re

import pytest

from harness import run_verge
from machines import limit, machine_params
from modes import ENDS, GROUPS, MODES, TASKS, TRIPLE, limits_of, xfail
from timing import build_guests

CRASH = 126
machines = pytest.mark.parametrize("machine", machine_params())


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()


@functools.cache
def run_groups(machine):
    return run_verge(machine=machine, kernel=MODES, mem="32M", append=xfail(limits_of(machine)), expect=None)


@functools.cache
def run_ends(machine):
    """Each end in a guest of its own, side by side; by name, what Verge said and the code. A triple fault that ends the emulator stays out."""
    names = [name for name in ENDS if name not in TRIPLE or machine != "ryzen"]
    lines = [f"vm={name} kernel={MODES} mem=8M -- only=ends end={name}" for name in names]
    run = run_verge(machine=machine, vms=lines, expect=None)
    said = dict(re.findall(r"vg: (\w+): ended: (.*?)\r?$", run.log, re.M))
    codes = {name: int(code) for name, code in re.findall(r"vg: (\w+): code (\d+);", run.log)}
    return run, said, codes


@machines
@pytest.mark.parametrize("group", GROUPS)
def test_group(machine, group):
    run = run_groups(machine)
    passed = re.search(rf"modes {group}: (\d+) checks passed, 0 failed", run.out)
    waived = re.search(rf"modes {group}: 0 checks passed, 0 failed", run.out) and limits_of(machine)
    assert passed and (int(passed[1]) > 0 or waived), run.tail()
    assert run.code == 0 and run.value("failed") == 0, run.tail()


@machines
def test_limits_are_the_known_ones(machine):
    run = run_groups(machine)
    assert set(re.findall(r"^XFAIL (\w+):", run.out, re.M)) == set(limits_of(machine)), run.tail()
    assert "XPASS" not in run.out, run.tail()
    assert run.value("xfail") == len(re.findall(r"^XFAIL ", run.out, re.M))


@machines
def test_width_of_a_level(machine):
    """cpu=v2 shows 36 bits of physical address on CPUs with 40: bit 36 of a table entry is reserved, for data, fetches and tables, by Verge's doing."""
    words = "only=faults reserved=36 " + xfail(name for name in limits_of(machine) if name != "reserved_bit")
    run = run_verge(machine=machine, vms=[f"kernel={MODES} mem=32M cpu=v2 -- {words}"])
    assert re.search(r"modes faults: \d+ checks passed, 0 failed", run.out) and "XPASS" not in run.out, run.tail()


@machines
@pytest.mark.parametrize("name", ENDS)
def test_end(machine, name):
    known = "task_switch" if name in TASKS else "S3" if name in TRIPLE else None
    with limit(machine, known) if known else contextlib.nullcontext():
        run, said, codes = run_ends(machine)
        assert said.get(name) == ENDS[name] and codes.get(name) == CRASH, run.tail()
