"""Runs the timing guests of tests/guests under Verge, several in one machine, and checks Verge's own accounts of each to the cycle.

    runs = run_guests({"a": Pit(mode=2, load="spin", ticks=100), "b": Words("count rounds=1000")})
    runs["a"].out, .error, .time, .exits ...

Every run here is held to: the guest's verdict, nothing late, nothing snapped, the ledger's sum equal to the elapsed TSC, and the guest's account
equal to its clock less charges, snaps and skipped idle.
"""
import fcntl
import functools
import os
import re
import subprocess

import harness
from machines import MACHINES

TIMING = os.path.join(harness.ROOT, "build", "guests", "timing.elf32")

# The handler reads the TSC as its third instruction; a delivered event is charged 50 ns, or nothing with charge=N (docs/time.md, Charges).
HANDLER_INSTRUCTIONS = 2
EVENT_CHARGE = {"hw": 50, 1: 0}  # at 1 GHz, and so ns
INSTRUCTION_NS = {"cpuid": 50, "port": 1000}


def charged(ns, hz):
    """Cycles that charge=hw makes of it."""
    return -(-ns * hz // 10**9)


def make(*arguments):
    """make, one at a time: test files run side by side."""
    os.makedirs(os.path.join(harness.ROOT, "build"), exist_ok=True)
    with open(os.path.join(harness.ROOT, "build", ".tests-make.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(["make", "-s", *arguments], cwd=harness.ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]


@functools.lru_cache(maxsize=None)
def build_guests():
    make("guests")


class Words:
    """One guest: its command line, and what verge.cfg says of it."""

    def __init__(self, words, charge="hw", idle="skip", mem="16M", passes=True):
        self.words = words
        self.charge = charge
        self.idle = idle
        self.mem = mem
        self.passes = passes

    def command_line(self, shift, hz):
        """The guest's words; `shift` is icount's."""
        return self.words + (" slack=7" if shift else "")

    def line(self, name, shift, hz=10**9):
        return f"vm={name} kernel={TIMING} mem={self.mem} charge={self.charge} idle={self.idle} -- {self.command_line(shift, hz)}"


class Pit(Words):
    """The test `pit`: knows its constant and how far its figures may lie apart."""

    def __init__(self, mode, load, ticks, more="", **keys):
        super().__init__(f"pit mode={mode} load={load} ticks={ticks}" + (" " + more if more else ""), **keys)
        self.mode = mode
        self.load = load
        self.ticks = ticks

    def in_flight(self, hz):
        """The charge of the instruction in flight. With charge=1 it is one cycle, as any other instruction is: no slack at all."""
        return charged(INSTRUCTION_NS.get(self.load, 0), hz) if self.charge == "hw" else 0

    def command_line(self, shift, hz):
        slack = self.in_flight(hz) + (7 if shift else 0)
        return self.words + (f" slack={slack}" if slack else "")

    def constant(self, shift, hz):
        """TSC at the handler's entry less the event's edge."""
        return (HANDLER_INSTRUCTIONS << shift) + charged(EVENT_CHARGE[self.charge], hz)

    def check(self, run, shift, hz):
        """Every event within [D, D + instruction in flight], and with shift=3 the rest of its 8 cycles."""
        constant = self.constant(shift, hz)
        least, most = run.value("error_min"), run.value("error_max")
        assert constant <= least <= most <= constant + self.in_flight(hz) + (7 if shift else 0), run.out
        if not shift and not self.in_flight(hz):
            assert run.histogram("error") == {constant: self.ticks}, run.out
        assert run.value("lost") == run.value("doubled") == run.value("stray") == 0, run.out


class GuestRun:
    """What one guest printed and what Verge said of it at its end."""

    def __init__(self, name, out, log, alone):
        self.name = name
        if not alone:
            out = "".join(line[len(name) + 2:] for line in out.split("\n") if line.startswith(name + "| "))
        # Without line ends: beside others, Verge shows a line that takes long in pieces.
        self.out = out.replace("\r", "").replace("\n", "")
        self.log = [m[1] for m in re.finditer(rf"vg: {name}: ([^\r\n]*)", log)]
        self.end = log.find(f"vg: {name}: code ")

    def line(self, start):
        found = [line for line in self.log if line.startswith(start)]
        assert len(found) == 1, f"{self.name}: `{start}` stands {len(found)} times in the log"
        return found[0]

    def value(self, key):
        """The one number behind `key=` in the guest's output."""
        return int(self.one(key, "-?[0-9]+"))

    def one(self, key, form):
        found = re.findall(f"{re.escape(key)}=({form})", self.out)
        assert len(found) == 1, f"{self.name}: {key}= stands {len(found)} times\n{self.out}"
        return found[0]

    def histogram(self, key):
        """`NAME_hist=value:times,...` as value -> times."""
        text = self.one(key + "_hist", "[-+:,0-9]+")
        return {int(value): int(times) for value, times in (pair.split(":") for pair in text.split(",") if ":" in pair)}

    def facts(self, start):
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", self.line(start))}

    @property
    def time(self):
        return self.facts("time ")

    @property
    def landings(self):
        return self.facts("landings ")

    @property
    def exits(self):
        return {kind: int(n.replace(",", "")) for kind, n in (line.split()[1:] for line in self.log if line.startswith("exits "))}

    @property
    def accounts(self):
        return {name: int(n) for name, n in (re.match(r"account ([\w-]+)=(\d+)", line).groups()
                                             for line in self.log if line.startswith("account "))}

    def check_accounts(self):
        """The guest's account and the whole ledger, added up here and not in Verge."""
        assert "ledger exact" in self.line("code ")
        t = self.time
        assert t["consumed"] + t["charged"] + t["snapped"] + t["idle"] == t["clock"]
        assert t["ledger"] == t["clock"] - t["charged"] - t["snapped"] - t["idle"]
        elapsed = int(re.search(r"of elapsed=(\d+)", self.line("account guests="))[1])
        assert sum(self.accounts.values()) == elapsed

    def check_exact(self, late_allowed=False):
        """Nothing late, nothing charged to close a gap, the switch's costs as calibrated."""
        assert late_allowed or self.landings["late"] == self.landings["worst_late"] == 0, self.log
        assert self.time["snapped"] == self.landings["snaps"] == self.landings["recalibrated"] == 0, self.log


def run_guests(guests, hv="", icount=0, image=None, timeout=300, exact=True, machine="qemu", late_allowed=False):
    """Runs `guests` (name -> Words, in the order of their modules) in one machine and checks each; returns name -> GuestRun."""
    build_guests()
    hz = MACHINES[machine].hz
    wanted = 0 if all(guest.passes for guest in guests.values()) else 1
    run = harness.run_verge(machine=machine, vms=[guest.line(name, icount, hz) for name, guest in guests.items()], hv=("loglevel=debug " + hv).strip(),
                            icount=icount, image=image, timeout=timeout, expect=wanted)
    runs = {name: GuestRun(name, run.out, run.log, len(guests) == 1) for name in guests}
    for name, guest in guests.items():
        assert f"RESULT {'PASS' if guest.passes else 'FAIL'} " in runs[name].out, run.tail()
        runs[name].check_accounts()
        if exact:
            runs[name].check_exact(late_allowed)
            if isinstance(guest, Pit):
                guest.check(runs[name], icount, hz)
    last = max(runs.values(), key=lambda r: r.end)
    assert sum(r.time["ledger"] for r in runs.values()) == last.accounts["guests"]
    return runs
