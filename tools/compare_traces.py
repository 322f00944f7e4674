#!/usr/bin/env python3
"""Compares two guest-visible traces and names the first difference:  compare_traces.py LEFT RIGHT [options]

A trace is what an image with tests/image/guest_trace.c writes to port E9h; hv/guest_trace.h has the form of a line. Each VM is compared by
itself: how runs of several VMs alternate is the host's affair. Two traces are the same when they have the same records in the same order: clock,
RIP, registers, event, values, and at the end the same memory. Options say what may differ; docs/equivalence.md says why it does on some machines.

  --counts        left is QEMU, right is Bochs: clocks are compared less what the two count differently (docs/equivalence.md). A REP string
                  instruction that its count has ended is one cycle more on QEMU; an instruction of a #DE, #GP or #PF, which did not complete, is one
                  cycle on Bochs and none on QEMU. Both by the guest's reports (tests/guests/lib/report.h)
  --cpuid LEAVES  results of these leaves (hexadecimal, with commas) may differ; what such a result leaves in registers, their checksums and the
                  next CPUID's subleaf, isn't compared until the checksums agree again

Status 0: the same; 1: a difference; 2: no traces.
"""
import argparse
import collections
import sys

CONTEXT = 3
# tests/guests/lib/report.h
REPORT_REP = 0x2F0
REPORT_FAULT = 0x2F4
REPORT_BY_FLAG = 1 << 31
FAULTS = (0, 8, 13, 14)  # #DE, #DF, #GP, #PF: found while the instruction is carried out
Record = collections.namedtuple("Record", "line vm cycles rip registers event arguments")


class BadTrace(Exception):
    """Not a trace, or a broken one."""


def parse_line(number, line):
    words = line.split()
    try:
        if not words[0].startswith("~") or len(words) < 5:
            raise ValueError
        return Record(number, int(words[0][1:]), int(words[1]), int(words[2], 16), words[3], words[4], tuple(int(w, 16) for w in words[5:]))
    except (ValueError, IndexError):
        raise BadTrace(f"line {number} is no record: {line.strip()[:80]!r}") from None


def parse(lines):
    """VM -> its records, in order."""
    vms = collections.defaultdict(list)
    for number, line in enumerate(lines, 1):
        record = parse_line(number, line)
        vms[record.vm].append(record)
    if not vms:
        raise BadTrace("no record in it")
    for vm, records in vms.items():
        if records[-1].event != "end":
            raise BadTrace(f"vm{vm} has no end")
    return vms


def show(record):
    values = " ".join(f"{value:x}" for value in record.arguments)
    return f"line {record.line}: at {record.cycles} rip {record.rip:x} registers {record.registers}: {record.event} {values}".rstrip()


class Counting:
    """How far the left clock, QEMU's, is ahead of the right one, Bochs's, by what the two count differently; see --counts."""

    def __init__(self):
        self.ahead = 0
        self.reps = self.faults = 0  # how many QEMU, how many Bochs counts one cycle more for
        self._raised = None  # the vector of the monitor's own exception, whose instruction has its charge on both

    def at(self, left, right):
        """By how much this left record's clock is to be ahead of the right one's."""
        if left.event == "wake":
            self.ahead = 0  # at an event, which is at the same cycle for both
        elif left.event == "raise":
            self._raised = left.arguments[0]
        elif left.event == "out":
            self._report(*left.arguments)
        return self.ahead

    def _report(self, port, size, value):
        if (port, size) == (REPORT_REP, 4) and value and not value & REPORT_BY_FLAG:
            self.reps += 1
            self.ahead += 1
        if (port, size) == (REPORT_FAULT, 4):
            if value in FAULTS and value != self._raised:
                self.faults += 1
                self.ahead -= 1
            self._raised = None


class Comparison:
    """The result: `difference` is None or a text; what differed and was allowed to is in the other members."""

    def __init__(self, left, right, counts=False, cpuid=()):
        self.cpuid = set(cpuid)
        self.counts = counts
        self.reps = self.faults = 0  # cycles subtracted for them, from the left clock and from the right one
        self.records = 0
        self.cpuid_seen = set()
        self.registers_left_out = 0
        self.difference = None
        self.first = None  # the pair of records that differs, where it is a pair
        self._tainted = None  # where CPUID gave a result that differed, while registers hold it: cycles and RIP
        if left.keys() != right.keys():
            self.difference = f"VMs {sorted(left)} on the left, {sorted(right)} on the right"
            return
        for vm in sorted(left):
            self.difference = self.difference or self._compare(vm, left[vm], right[vm])

    def _compare(self, vm, left, right):
        self._tainted = None
        counting = Counting()
        for index, (a, b) in enumerate(zip(left, right)):
            fault = self._fault(a, b, counting.at(a, b) if self.counts else 0)
            if fault:
                self.first = (a, b)
                context = "".join(f"    both  {show(r)}\n" for r in left[max(0, index - CONTEXT):index])
                return f"vm{vm}, record {index}: {fault}\n{context}    left  {show(a)}\n    right {show(b)}"
            self.records += 1
        self.reps += counting.reps
        self.faults += counting.faults
        if len(left) != len(right):
            longer, side = (left, "left") if len(left) > len(right) else (right, "right")
            return f"vm{vm}: only on the {side}: {show(longer[min(len(left), len(right))])}"
        return None

    def _fault(self, a, b, ahead):
        """What is wrong with this pair, or None."""
        if a.event != b.event:
            return "another event"
        if a.rip != b.rip:
            return "another RIP"
        if not self._same_values(a, b):
            return "other values"
        apart = a.cycles - b.cycles - ahead
        if apart:
            return f"{abs(apart)} cycles apart" + (f" behind {ahead} subtracted" if ahead else "")
        return self._registers_fault(a, b)

    def _same_values(self, a, b):
        if a.arguments == b.arguments:
            return True
        if a.event == "cpuid" and a.arguments[0] == b.arguments[0] in self.cpuid and (self._tainted or a.arguments[1] == b.arguments[1]):
            self.cpuid_seen.add(a.arguments[0])
            self._tainted = (a.cycles, a.rip)
            return True
        return False

    def _registers_fault(self, a, b):
        if a.registers == b.registers:
            # CPUID's own record, and that of a trap behind it, have the registers from before its result.
            if self._tainted != (a.cycles, a.rip):
                self._tainted = None
            return None
        if self._tainted:
            self.registers_left_out += 1
            return None
        return "other registers"

    def text(self):
        if self.difference:
            return self.difference
        parts = [f"{self.records} records, the same"]
        if self.counts:
            parts.append(f"counted differently: {self.reps} REP, {self.faults} faults")
        if self.cpuid_seen:
            parts.append("other results of CPUID " + ", ".join(f"{leaf:x}" for leaf in sorted(self.cpuid_seen)))
        if self.registers_left_out:
            parts.append(f"registers of {self.registers_left_out} records not compared")
        return "; ".join(parts)


def load(path):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return parse(f)
    except BadTrace as e:
        raise BadTrace(f"{path}: {e}") from None


def hexadecimal(text):
    return [int(part, 16) for part in text.split(",") if part]


def main():
    p = argparse.ArgumentParser(description="Compares two guest-visible traces; see the head of this file.")
    p.add_argument("left")
    p.add_argument("right")
    p.add_argument("--counts", action="store_true")
    p.add_argument("--cpuid", type=hexadecimal, default=[])
    o = p.parse_args()
    try:
        result = Comparison(load(o.left), load(o.right), o.counts, o.cpuid)
    except (BadTrace, OSError) as e:
        print(f"compare_traces: {e}", file=sys.stderr)
        return 2
    print(result.text())
    return 1 if result.difference else 0


if __name__ == "__main__":
    sys.exit(main())
