"""The modes guest's groups, and what each emulator's own CPU is known to do otherwise than the manuals say (tests/guests/README.md)."""
MODES = "build/guests/modes.elf32"
MACHINES = ("qemu", "skylake", "haswell", "ryzen")
GROUPS = ("trip", "exceptions", "shadows", "steps", "strings", "registers", "patching", "v86", "segments", "compatibility", "sixteen", "real",
          "faults", "ports", "restart", "forms", "selfmod", "nmi")
# xfail= of each machine: the checks still run, unless the emulator itself would end.
LIMITS = {
    "qemu": ("segment_limits", "alignment_check", "reserved_bit", "icebp"),
    "skylake": (),
    "haswell": (),
    "ryzen": ("v86_exit", "step_over_exit"),
    "bare": ("segment_limits", "alignment_check", "reserved_bit", "icebp", "port61_enables"),
}
TRIPLE = {"triple64": "triple fault", "triple32": "triple fault", "triple_real": "triple fault"}
TASKS = {name: "hardware task switch, which Verge does not carry out"
         for name in ("task_jmp", "task_call", "task_gate", "task_interrupt", "task_iret")}
MMIO = {**{"mmio_" + name: "unsupported instruction on unmapped memory"
           for name in ("shift", "multiply", "divide", "cmpxchg8b", "x87", "sse", "jump", "far_jump", "selector", "lgdt")},
        "mmio_code": "executes where there is no memory",
        "mmio_tables": "has page tables or an exception's stack where there is no memory",
        "mmio_stack": "has page tables or an exception's stack where there is no memory"}


def xfail(machine):
    return "xfail=" + ",".join(LIMITS[machine])
