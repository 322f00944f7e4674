"""The README's transcript really happens, and its option list is what --help prints."""
import re

import pexpect

from harness import RUN_QEMU, run_script, spawn_verge
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


def test_transcript():
    lines = block_after("<!-- transcript").splitlines()
    assert lines[0] == "$ ./run-qemu.sh"
    wanted = [line for line in lines[1:] if line != "[...]"]
    typed = [line.removeprefix("~ # ") for line in wanted if line.startswith("~ # ")]
    assert typed[-1] == "poweroff"

    seen = []
    term = spawn_verge(timeout=180)
    for command in typed:
        term.expect_exact("~ # ")
        seen.append(term.before + term.after)
        term.sendline(command)
    term.expect(pexpect.EOF)
    seen.append(term.before)
    term.close()
    assert term.exitstatus == 0

    # Escape sequences of the guest's shell go; a terminal's line wrap does too, for the commands are short.
    text = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", "".join(seen)).replace("\r", "")
    # The guest's lines and ours come by two pipes: each in its own order.
    rest = {True: iter(text.split("\n")), False: iter(text.split("\n"))}
    for line in wanted:
        pattern = pattern_of(line)
        ours = "vg: " in line or line.startswith("run-qemu: ")
        assert any(pattern.search(there) for there in rest[ours]), f"README.md: not in the run, or not in this order: {line}\n{text}"
    before, after = (float(line.split()[0]) for line in re.findall(r"^\d+\.\d\d \d+\.\d\d", text, re.M)[:2])
    assert 2.00 <= round(after - before, 2) <= 2.03
