"""The machines that guests are tested on, and what each of them is known not to do.

    @pytest.mark.parametrize("machine", MACHINES)         # run_verge(machine=machine, ...)
    with limit(machine, "S1"):                            # what stands below is expected to fail on a machine with that limit
        assert ...

A limit is the emulator's own, and strict: where what it forbids works all the same, the test fails, so that the table stays true. run-tests.sh
counts and names the expected failures.
"""
import contextlib
import shutil

import pytest


class Machine:
    """`options` are run-qemu.sh's, `emulator` the words behind its `--`; hz is the TSC's rate; timers are the values of the word timer=."""

    def __init__(self, what, options, hz, timers=("oneshot",), emulator=(), limits=None):
        self.what = what
        self.options = list(options)
        self.hz = hz
        self.timers = timers
        self.emulator = list(emulator)
        self.limits = limits or {}
        self.bochs = bool(options)


VTX_TIMERS = ("oneshot", "deadline", "preempt")
MACHINES = {
    "qemu": Machine("QEMU, AMD SVM without next-RIP save", [], 10**9, limits={
        "segment_limits": "its CPU knows no segment limits, types and null segments",
        "alignment_check": "its CPU raises no #AC",
        "reserved_bit": "a page fault for a reserved bit has error code 8 and not 9",
        "icebp": "the opcode F1h gives #UD",
        "task_switch": "SVM has no task switch intercept: the CPU switches by itself",
    }),
    "skylake": Machine("Bochs, Intel VT-x with all that Verge uses", ["--cpu", "intel"], 50 * 10**6, VTX_TIMERS),
    "haswell": Machine("Bochs, an older VT-x: no TSC scaling, no XSAVES", ["--cpu", "intel"], 50 * 10**6, VTX_TIMERS,
                       ["cpu: model=corei7_haswell_4770"]),
    "ryzen": Machine("Bochs, AMD SVM with next-RIP save and flush by ASID", ["--accel", "bochs"], 50 * 10**6, limits={
        "S1": "a host interrupt does not end the run of a guest with IF = 0: its slice goes on, and its deadlines land late",
        "S3": "a guest's triple fault ends Bochs",
        "v86_exit": "an exit from virtual-8086 mode ends Bochs",
        "step_over_exit": "a single step over an instruction that exits raises #DB in the host",
    }),
}
BOCHS_MACHINES = [name for name, machine in MACHINES.items() if machine.bochs]
NAMES = {**{name: name for name in MACHINES}, "bochs": "ryzen"}
needs_bochs = pytest.mark.skipif(not shutil.which("bochs-bin"), reason="needs bochs, bochs-term, bochsbios and vgabios")


def machine_params(wanted=tuple(MACHINES)):
    """For parametrize: these machines; those of Bochs only where it is installed."""
    return [pytest.param(name, marks=needs_bochs) if MACHINES[name].bochs else name for name in wanted]


def timer_params(wanted=tuple(MACHINES)):
    """For parametrize("machine, timer"): each machine with each of its timer sources."""
    return [pytest.param(name, timer, marks=[needs_bochs] if MACHINES[name].bochs else [])
            for name in wanted for timer in MACHINES[name].timers]


@contextlib.contextmanager
def limit(machine, name):
    """What stands below fails where `machine` has the limit `name`, and must not elsewhere."""
    assert any(name in m.limits for m in MACHINES.values()), f"{name} is no limit of any machine"
    reason = MACHINES[machine].limits.get(name)
    if reason is None:
        yield
        return
    try:
        yield
    except AssertionError:
        pytest.xfail(f"{machine} {name}: {reason}")
    pytest.fail(f"{machine} {name} is a limit no longer: {reason}")
