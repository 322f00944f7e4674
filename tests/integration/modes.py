"""The modes guest: its groups, its ends, and the words that name a machine's limits to it (machines.py, tests/guests/README.md)."""
from machines import MACHINES

MODES = "build/guests/modes.elf32"
GROUPS = ("trip", "exceptions", "shadows", "steps", "strings", "registers", "patching", "v86", "segments", "compatibility", "sixteen", "real",
          "faults", "ports", "restart", "forms", "selfmod", "nmi", "rep")
# Limits that the guest itself knows; its own of bare QEMU.
CHECK_LIMITS = ("segment_limits", "alignment_check", "reserved_bit", "icebp", "v86_exit", "step_over_exit")
BARE_LIMITS = ("port61_enables",)
TRIPLE = {name: "triple fault" for name in ("triple64", "triple32", "triple_real")}
TASKS = {name: "hardware task switch, which Verge does not carry out"
         for name in ("task_jmp", "task_call", "task_gate", "task_interrupt", "task_iret")}
MMIO = {**{"mmio_" + name: "unsupported instruction on unmapped memory"
           for name in ("shift", "multiply", "divide", "cmpxchg8b", "x87", "sse", "jump", "far_jump", "selector", "lgdt")},
        "mmio_code": "executes where there is no memory",
        "mmio_tables": "has page tables or an exception's stack where there is no memory",
        "mmio_stack": "has page tables or an exception's stack where there is no memory"}
ENDS = {**MMIO, **TASKS, **TRIPLE}


def limits_of(machine):
    return [name for name in CHECK_LIMITS if name in MACHINES[machine].limits]


def xfail(limits):
    """The guest's word."""
    return "xfail=" + ",".join(limits)
