#!/usr/bin/env python3
"""Runs Verge and its guests in an emulator, and turns its end into a verdict.

Called by run-qemu.sh, which has seen to tools, image and guests; see there for the options. The machine is qemu.py's or
bochs.py's: serial port 1 is the guest's, port 2 Verge's log.

Exit codes (README.md, In CI): Verge's own, 124 after a time-out, 125 when there is no verdict.
"""
import argparse
import os
import re
import shutil
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
from bochs import Bochs  # noqa: E402
from machine import NO_VERDICT, Failure  # noqa: E402
from qemu import Qemu  # noqa: E402
from relay import Relay  # noqa: E402
from vmline import Guest, LineError, parse_guest, parse_size  # noqa: E402

TIMED_OUT = 124
SCREEN_LINE = re.compile(rb"^(?:\[[^\]]*\] )?vg: screen (\S+) (begin|end)\s*$")
SAID_ZERO = re.compile(rb"\bcode 0\b")
POWER_OFF = re.compile(rb"^\[[^\]]*\] vg: (?:power-off|halted), code ([0-9]+)$")
PREFIX = re.compile(rb"^(?:\[[^\]]*\] )?vg: ?")


def parse_options():
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    p.add_argument("--me", default="run-qemu")
    p.add_argument("--image", required=True)
    p.add_argument("--cpu", choices=["amd", "intel"], default="amd")
    p.add_argument("--accel", choices=["icount-idle", "icount", "tcg", "kvm", "bochs"], required=True)
    p.add_argument("--shift", type=int, default=0)
    p.add_argument("--hv", default="")
    p.add_argument("--vm", action="append", default=[])
    p.add_argument("--kernel")
    p.add_argument("--initrd")
    p.add_argument("--append")
    p.add_argument("--mem")
    p.add_argument("--default-kernel", default="")
    p.add_argument("--default-initrd", default="")
    p.add_argument("--iso", action="store_true")
    p.add_argument("--usb", action="store_true")
    p.add_argument("--uefi", action="store_true")
    p.add_argument("--smp", type=int, default=1)
    p.add_argument("--timeout", type=float)
    p.add_argument("--log")
    p.add_argument("--screen")
    p.add_argument("--gdb", type=int)
    p.add_argument("extra", nargs="*")
    return p.parse_args()


def guests_of(o):
    """The guests that the options ask for; none means Verge's built-in clock guest."""
    if o.vm:
        guests = [parse_guest(line) for line in o.vm]
    elif o.kernel:
        guests = [Guest(kernel=o.kernel, initrd=o.initrd, command_line=o.append)]
    else:
        return []
    if o.mem:
        size = parse_size(o.mem)
        if size is None:
            raise Failure(f"--mem {o.mem}: a size is a number with K, M or G, such as --mem 256M")
        guests[0].mem = size
        guests[0].words.append("mem=" + o.mem)
    for i, guest in enumerate(guests):
        guest.name = guest.name or f"vm{i}"
        guest.kernel = known_file(guest.kernel, o.default_kernel)
        guest.initrd = known_file(guest.initrd, o.default_initrd)
        for path in filter(None, (guest.kernel, guest.initrd)):
            if not os.path.isfile(path) or not os.access(path, os.R_OK):
                raise Failure(f"{path}: no such file, or it can't be read")
    return guests


def known_file(name, default):
    """`debian` names the default kernel or initramfs, unless a file is called so."""
    if name == "debian" and not os.path.exists(name):
        if not default:
            raise Failure("kernel=debian: Debian's kernel is not there and could not be fetched")
        return default
    return name


class Log:
    """Verge's lines: the copy for --log, the screens for --screen, and what was reported of the run's code."""

    def __init__(self, log_file, keep_screens):
        self.file = log_file
        self.keep_screens = keep_screens
        self.screens = []  # (guest, lines)
        self.current = None
        self.said_zero = False
        self.fault = None  # why the copy ends early
        self.power_off = None  # the code that Verge ended with, where no exit port took it

    def _copy(self, line):
        try:
            self.file.write(line + b"\n")
            self.file.flush()
        except OSError as e:
            self.file, self.fault = None, e.strerror

    def line(self, line):
        """Takes one line; returns whether stderr gets it."""
        if self.file:
            self._copy(line)
        if SAID_ZERO.search(line):
            self.said_zero = True
        power_off = POWER_OFF.match(line)
        if power_off:
            self.power_off = int(power_off[1])
        mark = SCREEN_LINE.match(line)
        if mark and mark[2] == b"begin":
            self.current = []
            self.screens.append((mark[1], self.current))
        elif mark:
            self.current = None
        elif self.current is not None:
            self.current.append(PREFIX.sub(b"", line))
        else:
            return True
        return not self.keep_screens

    def screen_text(self):
        """The last screen of each guest; with several, each under its name."""
        last = dict(self.screens)
        parts = []
        for name, lines in last.items():
            if len(last) > 1:
                parts.append(b"== " + name)
            parts += [text.rstrip() for text in lines]
        return b"\n".join(parts) + b"\n"


def verdict(machine, status, ended_by, log):
    """(exit code, a line that explains it or None) from the emulator's status as subprocess gives it."""
    if ended_by == "timeout":
        return TIMED_OUT, None
    if ended_by == "halted":
        return log.power_off, None
    if ended_by == "keys":
        return NO_VERDICT, "ended by Ctrl-] x: no verdict"
    if ended_by == "output":
        return NO_VERDICT, "nobody reads the output any more: no verdict"
    if status < 0:
        return NO_VERDICT, f"{machine.name} died of signal {-status}: no verdict"
    return machine.verdict(status, log)


def temporary_directory():
    """A directory without blanks and commas in its name, whatever TMPDIR says; its length never differs."""
    for base in ("/tmp", "/dev/shm", "/var/tmp"):
        if os.access(base, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix="verge-", dir=base)
    raise Failure("no temporary directory can be made under /tmp")


def open_standard_descriptors():
    """A closed 0, 1 or 2 would be handed to the next socket."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def run(o, directory):
    """Runs the emulator; returns the exit code, or None and the signal that ended it."""
    try:
        log_file = open(o.log, "wb") if o.log else None
        if o.screen:
            open(o.screen, "wb").close()
    except OSError as e:
        raise Failure(f"{e.filename}: {e.strerror}") from e
    machine = (Bochs if o.accel == "bochs" else Qemu)(o, guests_of(o), directory)
    log = Log(log_file, bool(o.screen))
    relay = Relay(machine, lambda text: f"{o.me}: {text}", log.line, o.timeout)
    try:
        status = relay.run()
    except OSError as e:
        raise Failure(f"{machine.name} can't be started: {e.strerror}") from e
    if isinstance(relay.ended_by, int):
        return None, relay.ended_by
    code, text = verdict(machine, status, relay.ended_by, log)
    if relay.ended_by == "timeout":
        say(o, f"time-out after {o.timeout:g} s; the last serial lines:")
        for line in relay.tail[-10:]:
            say(o, "    " + line.rstrip(b"\r").decode(errors="replace"))
    if o.screen:
        if log.screens:
            with open(o.screen, "wb") as f:
                f.write(log.screen_text())
        else:
            say(o, f"Verge's log holds no screen: {o.screen} is empty")
    if text:
        say(o, text)
    if log.fault:
        say(o, f"{o.log}: {log.fault}: the log is not whole")
        code = NO_VERDICT
    return code, None


def say(o, text):
    try:
        os.write(2, f"{o.me}: {text}\n".encode(errors="replace"))
    except OSError:
        pass  # nobody listens


def main():
    open_standard_descriptors()
    o = parse_options()
    directory = None
    ended_by = None
    try:
        directory = temporary_directory()
        code, ended_by = run(o, directory)
    except (Failure, LineError) as e:
        say(o, str(e))
        code = NO_VERDICT
    except Exception:  # a fault of this program must not look like a guest's code
        traceback.print_exc()
        code = NO_VERDICT
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
    if ended_by is not None:
        os.kill(os.getpid(), ended_by)  # so that whoever waits for us sees the same
    os._exit(code)


main()
