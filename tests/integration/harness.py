"""What integration tests use: run Verge through run-qemu.sh, to its end or with a person's hands on the terminal.

    run = run_verge(hv="...", kernel="build/guests/x.elf", append="...")     # deterministic; ends with code 0 or fails
    run = run_verge(machine="skylake", ...)                                  # the same on another machine: machines.py
    run.out, run.log, run.code                                              # guest's bytes, Verge's lines, exit code
    term = spawn_verge("--timeout", "60")                                    # pexpect: term.expect, term.send

A run that ends otherwise than expected fails with the last 40 serial lines; conftest.py adds them to any failing test.
"""
import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time

from machines import MACHINES, NAMES

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN_QEMU = os.path.join(ROOT, "run-qemu.sh")
LONG = bool(os.environ.get("VERGE_LONG"))
TAIL = 40
LIBC = ctypes.CDLL(None)

recent_runs = []  # of the test that runs now; conftest.py empties it


class Run:
    """One finished run. Text is latin-1, so that any byte of a guest survives and has one character."""

    def __init__(self, command, code, out, err, log, seconds, screen=""):
        self.command = command
        self.code = code
        self.out = out
        self.err = err
        self.log = log
        self.seconds = seconds
        self.screen = screen

    def tail(self, count=TAIL):
        """The last lines of both ports and of what the scripts said."""
        def last(text):
            return "\n".join("    " + line for line in text.replace("\r", "").split("\n")[-count:])
        return (f"command: {' '.join(self.command)}\nexit code {self.code} after {self.seconds:.1f} s\n"
                f"guest, last lines:\n{last(self.out)}\nVerge and scripts, last lines:\n{last(self.err)}")

    def value(self, key):
        """The number behind `key=` in the guest's output; fails when it is not there exactly once."""
        found = re.findall(rf"(?:^|\s){re.escape(key)}=(-?[0-9]+)", self.out)
        assert len(found) == 1, f"{key}= stands {len(found)} times in the guest's output\n{self.tail()}"
        return int(found[0])

    def values(self, key):
        """All numbers behind `key=`, in order."""
        return [int(n) for n in re.findall(rf"(?:^|\s){re.escape(key)}=(-?[0-9]+)", self.out)]


def arguments_for(hv="", kernel=None, initrd=None, append=None, mem=None, vms=(), icount=0, timeout=120, more=(),
                  qemu=(), machine="qemu"):
    """run-qemu.sh's arguments; icount None means its default (idle in real time)."""
    args = ["--timeout", str(timeout)]
    chosen = MACHINES[NAMES[machine]]
    if chosen.bochs:
        args += chosen.options
    elif icount is not None:
        args += ["--icount", str(icount)]
    for option, value in (("--hv", hv or None), ("--kernel", kernel), ("--initrd", initrd), ("--append", append), ("--mem", mem)):
        if value is not None:
            args += [option, str(value)]
    for line in vms:
        args += ["--vm", line]
    args += list(more)
    if chosen.emulator or qemu:
        args += ["--", *chosen.emulator, *qemu]
    return args


def end_with_parent():
    """In the child: SIGTERM when pytest dies, however it does, so that no emulator outlives an interrupted run. PR_SET_PDEATHSIG of prctl(2).
    And Ctrl-C works, also where pytest was started in the background, which ignores it."""
    LIBC.prctl(1, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_script(command, timeout, stdin=b"", env=None, cwd=ROOT):
    """Runs any command with its outputs kept apart; no terminal. `env` entries of None are taken out."""
    environment = dict(os.environ)
    for key, value in (env or {}).items():
        if value is None:
            environment.pop(key, None)
        else:
            environment[key] = value
    began = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, env=environment, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=end_with_parent)
    try:
        out, err = process.communicate(stdin, timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            out, err = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        code = "none: the script itself hung"
    run = Run([str(c) for c in command], code, out.decode("latin-1"), err.decode("latin-1"), "", time.monotonic() - began)
    recent_runs.append(run)
    return run


def run_verge(expect=0, stdin=b"", image=None, env=None, timeout=120, screen=False, **options):
    """Runs Verge to its end, deterministically unless icount=None. `expect` is the exit code, a set of them, or None.

    Options: hv, kernel, initrd, append, mem, vms (verge.cfg lines), icount (shift), timeout (s of real time),
    more (further run-qemu.sh options), qemu (further emulator arguments), machine (one of machines.py), screen=True for run.screen.
    """
    with tempfile.TemporaryDirectory(prefix="verge-test-") as directory:
        log = os.path.join(directory, "log")
        args = ["--log", log]
        if screen:
            args += ["--screen", os.path.join(directory, "screen")]
        args += arguments_for(timeout=timeout, **options)
        environment = {**(env or {}), **({"VERGE_IMAGE": str(image)} if image else {})}
        run = run_script([RUN_QEMU, *args], timeout + 60, stdin, environment)
        run.log = read_text(log)
        run.screen = read_text(os.path.join(directory, "screen"))
    allowed = expect if isinstance(expect, (set, tuple, list)) else (expect,)
    assert expect is None or run.code in allowed, f"exit code {run.code}, expected {expect}\n{run.tail()}"
    return run


def read_text(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("latin-1")
    except FileNotFoundError:
        return ""


def spawn_verge(*args, image=None, timeout=60, env=None):
    """Verge on a terminal of its own (pexpect); the caller expects and sends."""
    import pexpect
    environment = {**os.environ, **(env or {}), **({"VERGE_IMAGE": str(image)} if image else {})}
    return pexpect.spawn(RUN_QEMU, [str(a) for a in args], cwd=ROOT, env=environment, timeout=timeout,
                         encoding="latin-1", dimensions=(24, 80))
