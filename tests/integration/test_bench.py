"""`make bench`: every figure is within its limit, the README's are the measured ones, and a figure beyond its limit is seen."""
import json
import os
import re
import subprocess
import sys

import pytest

import timing
from harness import ROOT

sys.path.insert(0, os.path.join(ROOT, "tools"))
import bench  # noqa: E402
import hot_path  # noqa: E402


@pytest.fixture(scope="module")
def figures():
    timing.make("bench")
    with open(os.path.join(ROOT, "build", "bench.json"), encoding="ascii") as f:
        return json.load(f)


def test_all_figures_are_there(figures):
    kinds = {"cpuid", "latch", "pit_read", "port61", "uart_status", "rdmsr", "mmio", "pm_timer"}
    assert {key[5:] for key in figures if key.startswith("exit.")} == kinds
    assert set(bench.MOST) | set(bench.LEAST) <= set(figures)
    assert bench.faults(figures) == []


def test_both_ways_to_count_agree(figures):
    """Host TSC over thousands of exits, and one exit stepped through. VMRUN counts as one by icount, with #VMEXIT as three by steps.
    The paths of port 61h are some instructions apart, by its two toggling bits: the one that was stepped is not the mean."""
    for kind in bench.HOT:
        apart = 8 if kind == "port61" else 3
        assert abs(figures[f"exit.{kind}"] - figures[f"hot.{kind}.instructions"]) <= apart, kind


def test_readme(figures):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        readme = f.read()
    for row, key in (("CPUID", "cpuid"), ("IN from the PIT", "pit_read"), ("UART status", "uart_status"), ("RDMSR", "rdmsr")):
        told = int(re.search(rf"^\| {row} \|.*\| (\d+) \|$", readme, re.M)[1])
        assert told == round(figures[f"exit.{key}"]), key


@pytest.mark.parametrize("key,value", [
    ("exit.cpuid", 250.1), ("wake.hlt_error", 1), ("guest.cpu_ratio", 0.9899), ("image.bytes", 409601), ("hot.port61.lapic", 1),
    ("hot.cpuid.division", 1)])
def test_beyond_a_limit(figures, key, value):
    assert [fault.split("=")[0] for fault in bench.faults({**figures, key: value})] == [key]


def test_what_is_counted():
    code = hot_path.Code.__new__(hot_path.Code)
    code.text = dict(enumerate(["xrstor (%rdi)", "fxsave (%rdi)", "wrmsr", "divq 8(%rdi)", "idiv %ecx", "lock incq (%rdi)", "xchg %rax,(%rdi)",
                                "xchg %ax,%ax", "rdmsr", "mov %rax,%rbx"]))
    counts = hot_path.count(code, [*range(10), 9])
    assert counts == {"instructions": 11, "again": 1, "xsave": 2, "wrmsr": 1, "division": 2, "atomic": 2}


def test_an_access_to_the_local_apic_is_seen(figures, tmp_path):
    """The timer is armed anew when a guest that halts for the PIT is run again."""
    assert figures
    guest = hot_path.Code(os.path.join(ROOT, bench.GUEST + ".elf64"))
    socket = tmp_path / "gdb"
    qemu = subprocess.Popen(bench.command("bench n=50 kind=wake", "16M", tmp_path / "log", "--", "-S", "-gdb", f"unix:{socket},server=on,wait=off"),
                            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        counts, functions = hot_path.walk(hot_path.Stub(str(socket)), hot_path.Code(os.path.join(ROOT, bench.IMAGE)),
                                          guest.address("load_halt"), before=3, rounds=1)
    finally:
        qemu.terminate()
        qemu.wait()
    assert counts["lapic"] >= 1 and counts["again"] > 0, functions


@pytest.mark.parametrize("machine", ["skylake", "skylake-deadline", "skylake-preempt"])
def test_on_vtx(machine, tmp_path):
    """Under Bochs, where an instruction is a cycle too."""
    timing.make("build/verge.elf32")
    timing.build_guests()
    done = subprocess.run([sys.executable, "-B", "tools/bench.py", "--machine", machine, "--json", tmp_path / "bench.json"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0 and "exit.cpuid=" in done.stdout, done.stdout + done.stderr
