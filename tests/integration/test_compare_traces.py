"""tools/compare_traces.py with made-up traces: what is the same, what is named as the first difference, what may differ."""
# IMAGE: none
import os
import subprocess
import sys

import pytest

from harness import ROOT

TOOL = os.path.join(ROOT, "tools", "compare_traces.py")
sys.path.insert(0, os.path.dirname(TOOL))
import compare_traces  # noqa: E402

TRACE = ["~0 100 1000 aa out 20 1 11", "~0 110 1004 ab cpuid 0 0 d 68747541 444d4163 69746e65", "~0 120 1006 ac in 40 1 7f", "~0 200 1010 ad irq 20",
         "~0 300 1020 ae page 116000 1234", "~0 300 1020 ae end 0"]


def comparison(left, right, **allowed):
    return compare_traces.Comparison(compare_traces.parse(left), compare_traces.parse(right), **allowed)


def changed(index, old, new):
    """TRACE with one line changed."""
    assert old in TRACE[index]
    return TRACE[:index] + [TRACE[index].replace(old, new)] + TRACE[index + 1:]


def test_the_same():
    result = comparison(TRACE, list(TRACE))
    assert result.difference is None and result.records == len(TRACE) and result.text() == "6 records, the same"


@pytest.mark.parametrize("index, old, new, named", [
    (0, "1000", "1002", "record 0: another RIP"), (0, "aa", "a9", "record 0: other registers"), (2, "in 40 1 7f", "hlt", "record 2: another event"),
    (2, "7f", "7e", "record 2: other values"), (2, "in 40", "in 41", "record 2: other values"), (3, "~0 200", "~0 201", "record 3: 1 cycles apart"),
    (3, "irq 20", "irq 21", "record 3: other values"), (4, "1234", "1235", "record 4: other values"), (5, "end 0", "end 1", "record 5: other values"),
    (1, "68747541", "756e6547", "record 1: other values")])
def test_first_difference_is_named(index, old, new, named):
    result = comparison(TRACE, changed(index, old, new))
    assert result.difference.startswith(f"vm0, {named}\n") and result.records == index
    assert f"left  line {index + 1}:" in result.difference and f"right line {index + 1}:" in result.difference
    assert result.first[0].line == result.first[1].line == index + 1


def test_only_the_first_one():
    assert "record 2: " in comparison(TRACE, changed(2, "7f", "7e")[:3] + TRACE[5:]).difference


def test_one_goes_on():
    longer = TRACE[:5] + ["~0 300 1020 ae out 80 1 1"] + TRACE[5:]
    assert "record 5: another event" in comparison(TRACE, longer).difference
    assert comparison(TRACE, TRACE + ["~0 301 1020 ae end 0"]).difference == "vm0: only on the right: line 7: at 301 rip 1020 registers ae: end 0"


def report(cycles, port, value):
    return f"~0 {cycles} 1030 af out {port:x} 4 {value:x}"


REP, FAULT, BY_FLAG = compare_traces.REPORT_REP, compare_traces.REPORT_FAULT, compare_traces.REPORT_BY_FLAG
END = "~0 {} 1040 b0 end 0"


@pytest.mark.parametrize("value, more", [(0, 0), (1, 1), (4096, 1), (BY_FLAG | 1, 0), (BY_FLAG | 7, 0)])
def test_rep_ended_by_its_count_is_one_more(value, more):
    """From its report on; and only when asked for."""
    left = TRACE[:5] + [report(310 + more, REP, value), END.format(320 + more)]
    right = TRACE[:5] + [report(310, REP, value), END.format(320)]
    result = comparison(left, right, counts=True)
    assert result.difference is None and (result.reps, result.faults) == (more, 0)
    assert (comparison(left, right).difference is None) == (more == 0)
    one_off = left[:-1] + [END.format(321 + more)]
    assert "record 6: 1 cycles apart" in comparison(one_off, right, counts=True).difference


@pytest.mark.parametrize("vector, less", [(0, 1), (3, 0), (6, 0), (7, 0), (8, 1), (11, 0), (13, 1), (14, 1)])
def test_instruction_of_a_fault_is_one_less(vector, less):
    left = TRACE[:5] + [report(310, FAULT, vector), END.format(320)]
    right = TRACE[:5] + [report(310 + less, FAULT, vector), END.format(320 + less)]
    result = comparison(left, right, counts=True)
    assert result.difference is None and (result.reps, result.faults) == (0, less)
    assert (comparison(left, right).difference is None) == (less == 0)


def test_exception_of_the_monitor_has_its_charge():
    """That one, and not the next of its vector."""
    raised = TRACE[:5] + ["~0 300 1020 ae raise d 0", report(310, FAULT, 13)]
    left = raised + [report(330, FAULT, 13), END.format(340)]
    right = raised + [report(331, FAULT, 13), END.format(341)]
    result = comparison(left, right, counts=True)
    assert result.difference is None and result.faults == 1


def test_nothing_is_left_to_subtract_behind_a_halt():
    halt = ["~0 500 1034 aa hlt", "~0 900 1034 aa wake", END.format(910)]
    left, right = TRACE[:5] + [report(311, REP, 9), "~0 501 1034 aa hlt"] + halt[1:], TRACE[:5] + [report(310, REP, 9)] + halt
    assert comparison(left, right, counts=True).difference is None
    late = left[:-2] + ["~0 901 1034 aa wake", END.format(911)]
    assert "record 7: 1 cycles apart" in comparison(late, right, counts=True).difference


def test_cpuid_leaves_may_differ():
    """And the registers that hold the result, until they are the same again."""
    other = changed(1, "68747541 444d4163", "756e6547 6c65746e")
    result = comparison(TRACE, other, cpuid=[0])
    assert result.difference is None and result.cpuid_seen == {0} and result.registers_left_out == 0
    other[2] = other[2].replace("ac", "77")
    result = comparison(TRACE, other, cpuid=[0])
    assert result.difference is None and result.registers_left_out == 1
    assert "other values" in comparison(TRACE, other, cpuid=[1]).difference
    other[4] = other[4].replace("ae", "78")
    assert "record 4: other registers" in comparison(TRACE, other, cpuid=[0]).difference


def test_a_trap_behind_cpuid_has_the_registers_before_it():
    trap = "~0 110 1004 ab raise 1 0"
    left = TRACE[:2] + [trap] + TRACE[2:]
    right = TRACE[:1] + [TRACE[1].replace("68747541", "756e6547"), trap, TRACE[2].replace("ac", "77")] + TRACE[3:]
    assert comparison(left, right, cpuid=[0]).difference is None


def test_subleaf_left_over_from_a_result():
    left = TRACE[:2] + ["~0 115 1004 77 cpuid 0 444d4163 d 1 2 3"] + TRACE[2:]
    right = TRACE[:1] + [TRACE[1].replace("444d4163", "6c65746e"), "~0 115 1004 78 cpuid 0 6c65746e d 1 2 3"] + TRACE[2:]
    assert comparison(left, right, cpuid=[0]).difference is None


def test_vms_are_compared_apart():
    second = [line.replace("~0", "~1") for line in TRACE]
    woven = [line for pair in zip(TRACE, second) for line in pair]
    assert comparison(TRACE + second, woven).difference is None
    assert comparison(TRACE, woven).difference == "VMs [0] on the left, [0, 1] on the right"


@pytest.mark.parametrize("lines, named", [
    ([], "no record"), (TRACE[:3], "vm0 has no end"), (["hello"], "line 1 is no record"), (["~0 1 2 3"], "line 1 is no record"),
    (["~0 1 x 3 hlt"], "line 1 is no record"), (TRACE[:1] + [""], "line 2 is no record")])
def test_no_trace(lines, named):
    with pytest.raises(compare_traces.BadTrace, match=named):
        compare_traces.parse(lines)


def test_command_line(tmp_path):
    def write(name, lines):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return str(tmp_path / name)

    def call(*arguments):
        return subprocess.run([sys.executable, "-B", TOOL, *arguments], capture_output=True, text=True)

    left, right = write("left", TRACE), write("right", changed(1, "68747541", "756e6547"))
    assert call(left, left).returncode == 0
    different = call(left, right)
    assert different.returncode == 1 and different.stdout.startswith("vm0, record 1: other values")
    assert call(left, right, "--cpuid", "1,0").stdout == "6 records, the same; other results of CPUID 0\n"
    ahead = write("ahead", TRACE[:5] + [report(311, REP, 9), END.format(321)])
    behind = write("behind", TRACE[:5] + [report(310, REP, 9), END.format(320)])
    assert call(ahead, behind).returncode == 1
    assert call(ahead, behind, "--counts").stdout == "7 records, the same; counted differently: 1 REP, 0 faults\n"
    broken = call(left, write("broken", ["what"]))
    assert broken.returncode == 2 and "line 1 is no record" in broken.stderr and call(left, str(tmp_path / "none")).returncode == 2
