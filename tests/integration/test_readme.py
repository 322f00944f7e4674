"""The README's transcript really happens, and its option list is what --help prints."""
import random
import re
import time

import pexpect

from harness import ROOT, RUN_QEMU, read_text, run_script
from test_docs import text_of


def block_after(comment):
    return text_of("README.md").split(comment)[1].split("```\n")[1]


def test_options_are_those_of_help():
    run = run_script([RUN_QEMU, "--help"], 30)
    assert block_after("<!-- test_readme.py") == run.out


def pattern_of(line):
    """Numbers, versions and commit ids may differ; everything else is as it stands there."""
    escaped = re.escape(re.sub(r"\([0-9a-f]{10}\)", "\x00", line))
    escaped = re.sub(r"[0-9][0-9,]*", r"[0-9][0-9,]*", escaped).replace("\x00", r"\((?:[0-9a-f]{10}|unknown)\)")
    return re.compile(re.sub(r"(?:\\ )+", r" +", escaped))


def test_transcript(tmp_path):
    lines = block_after("<!-- transcript").splitlines()
    assert lines[0] == "$ ./run-qemu.sh"
    wanted = [line for line in lines[1:] if line != "[...]"]
    typed = [line.removeprefix("~ # ") for line in wanted if line.startswith("~ # ")]
    assert typed[-1] == "poweroff"

    # Our lines go to a file: on one terminal they may come in the middle of a line of the guest's.
    ours = tmp_path / "stderr"
    term = pexpect.spawn("/bin/bash", ["-c", f'exec "{RUN_QEMU}" 2>"{ours}"'], cwd=ROOT, timeout=180, encoding="latin-1",
                         dimensions=(24, 80))
    seen = ""
    for command in typed:
        term.expect_exact("~ # ")
        seen += term.before + term.after
        term.sendline(command)
    term.expect(pexpect.EOF)
    seen += term.before
    term.close()
    assert term.exitstatus == 0

    guests = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", seen).replace("\r", "")
    rest = {True: iter(read_text(ours).splitlines()), False: iter(guests.split("\n"))}
    for line in wanted:
        pattern = pattern_of(line)
        is_ours = "vg: " in line or line.startswith("run-qemu: ")
        assert any(pattern.search(there) for there in rest[is_ours]), f"README.md: not in the run, or not in this order: {line}"
    before, after = (float(line.split()[0]) for line in re.findall(r"^\d+\.\d\d \d+\.\d\d", guests, re.M)[:2])
    assert 2.00 <= round(after - before, 2) <= 2.03


def test_typing():
    """Somebody types line after line, on a machine that sleeps while its guest is idle: each one is answered. (QEMU's main loop
    could miss such an idle CPU: Machine.wake_s.)"""
    rng = random.Random(1)
    term = pexpect.spawn("/bin/bash", ["-c", f'exec "{RUN_QEMU}" 2>/dev/null'], cwd=ROOT, timeout=180, encoding="latin-1",
                         dimensions=(24, 80))
    for number in range(100):
        term.expect_exact("~ # ")
        time.sleep(rng.random() * 0.05)
        term.sendline(f"echo line ''{number}, with some more characters than a FIFO holds")
        term.expect_exact(f"line {number}, with")
    term.expect_exact("~ # ")
    term.sendline("poweroff")
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == 0
