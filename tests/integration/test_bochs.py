"""Verge under Bochs by run-qemu.sh, on its AMD model: exact and repeatable as under QEMU, the same ways in and out."""
import os
import re
import shutil
import time

import pexpect
import pytest

from harness import ROOT, RUN_QEMU, read_text, run_script, run_verge, spawn_verge
from machines import needs_bochs
from test_grub import make_iso, needs_grub
from test_run_qemu import alive, children_of, term_mode, wait_for
from test_scripts import Machine
from timing import HANDLER_INSTRUCTIONS, TIMING, build_guests

HZ = 50000000
EVENT_CHARGE = 3  # 50 ns, rounded up
HOSTILE = "build/guests/hostile.elf32"


@pytest.fixture(scope="module", autouse=True)
def guests():
    build_guests()


def bochs(words, guest=TIMING, keys="", **options):
    return run_verge(machine="bochs", vms=[f"kernel={guest} mem=16M idle=skip {keys} -- {words}"], **options)


# ---- time --------------------------------------------------------------------------------------------------------------
@needs_bochs
def test_pit_on_its_cycle():
    """1000 Hz: one error for all ticks. And again: the same bytes on both ports, times and all."""
    first, again = (bochs("pit mode=2 hz=1000 ticks=100 load=spin", hv="loglevel=debug") for _ in range(2))
    assert f"error_hist={HANDLER_INSTRUCTIONS + EVENT_CHARGE}:100" in first.out and "RESULT PASS pit" in first.out
    assert first.value("lost") == first.value("doubled") == first.value("stray") == 0
    assert "spread=0" in first.log and "snapped=0" in first.log and "ledger exact" in first.log
    assert f"TSC {HZ:,} Hz, from tsc=" in first.log
    assert (again.out, again.log) == (first.out, first.log)


@needs_bochs
def test_work_to_the_cycle():
    run = bochs("count rounds=100000")
    assert run.value("tsc_delta") == run.value("instructions") > 200000 and "RESULT PASS count" in run.out


@needs_bochs
def test_two_guests():
    line = f"kernel={TIMING} mem=16M idle=skip -- pit mode=2 hz=1000 ticks=50 load="
    run = run_verge(machine="bochs", vms=[f"vm=a {line}spin", f"vm=b {line}halt"], hv="slice=1ms")
    for name in "ab":
        assert f"{name}| RESULT PASS pit" in run.out and re.search(f"{name}: code 0; .* ledger exact", run.log)


# ---- ends --------------------------------------------------------------------------------------------------------------
@needs_bochs
@pytest.mark.parametrize("words, keys, code, text", [
    ("badexit code=7", "", 7, "power-off, code 7"), ("reset92", "onreset=machine", 125, "the machine was reset"),
])
def test_exit_code(words, keys, code, text):
    assert text in bochs(words, HOSTILE, keys, expect=code).err


@needs_bochs
def test_verge_that_cannot_run_halts():
    assert "halted, code 125" in run_verge(machine="bochs", hv="no-such-word", expect=125, more=["--clock"]).log


@needs_bochs
def test_bochs_failure_is_no_verdict():
    run = run_verge(machine="bochs", expect=125, more=["--clock"], qemu=["no-such-directive: 1"])
    assert "bochs: " in run.err and "'no-such-directive' not understood" in run.err and "no verdict" in run.err


@needs_bochs
def test_time_out():
    run = bochs("spin", expect=124, timeout=3)
    assert "time-out after 3 s" in run.err and "free" in run.err.split("time-out")[1]
    assert run.seconds < 20


@needs_bochs
def test_more_memory_than_bochs_can():
    assert "2048 MB of memory at most" in run_verge(machine="bochs", kernel=TIMING, mem="3G", expect=125).err


# ---- input -------------------------------------------------------------------------------------------------------------
@needs_bochs
def test_input_from_a_pipe():
    """No byte is lost, however fast they come: the accounts twenty times, then the end."""
    run = run_verge(machine="bochs", more=["--clock"], stdin=b"\x01t" * 20 + b"\x01x", screen=True)
    assert run.log.count("ledger sum: exact") == 20 and "quit by Ctrl-A x" in run.log
    assert run.out.startswith("clock guest: ")


@needs_bochs
def test_keys_on_a_terminal():
    term = spawn_verge("--accel", "bochs", "--clock")
    before = term_mode(term)
    term.expect_exact("clock guest: ")
    assert term_mode(term) != before
    term.send("\x01x")
    wait_for(lambda: term_mode(term) == before)
    term.expect(pexpect.EOF)
    term.wait()
    assert term.exitstatus == 0 and "power-off, code 0" in term.before


@needs_bochs
def test_escape_ends_bochs_and_leaves_nothing():
    term = spawn_verge("--accel", "bochs", "--kernel", TIMING, "--append", "spin")
    before = term_mode(term)
    term.expect_exact(" MB free")
    emulators = children_of(term.pid)
    assert emulators
    term.send("\x1dx")
    term.expect_exact("ended by Ctrl-] x")
    wait_for(lambda: term_mode(term) == before)
    term.wait()
    assert term.exitstatus == 125
    wait_for(lambda: not any(alive(p) for p in emulators))


# ---- the way in --------------------------------------------------------------------------------------------------------
@needs_bochs
def test_odd_names(tmp_path):
    place = tmp_path / "a place, with blanks"
    place.mkdir()
    os.symlink(ROOT, place / "ver ge,x")
    kernel = place / "a kernel, with blanks"
    shutil.copy(TIMING, kernel)
    run = run_script([place / "ver ge,x" / "run-qemu.sh", "--accel", "bochs", "--kernel", kernel, "--initrd", kernel, "--mem", "16M", "--append",
                      "count rounds=10", "--log", place / "l og,"], 90, env={"TMPDIR": str(place), "TERM": None}, cwd=place)
    log = read_text(place / "l og,")
    assert run.code == 0 and "RESULT PASS count" in run.out and "power-off, code 0" in log
    assert re.search(r"module 1: .*: 0-a_kernel__with_blanks kernel vm=vm0 mem=16M -- count rounds=10\r?$", log, re.M)
    assert re.search(r"module 2: .*: 1-a_kernel__with_blanks initrd vm=vm0\r?$", log, re.M)


@needs_bochs
@needs_grub
def test_grub(tmp_path):
    """From a CD, whose GRUB finds Bochs's own BIOS."""
    image = make_iso(tmp_path, "multiboot2", "module2", HZ)
    run = run_verge(machine="bochs", more=["--clock"], qemu=[f"ata0-slave: type=cdrom, path={image}, status=inserted", "boot: cdrom"])
    assert "from GRUB" in run.log and "vm0: code 0;" in run.log and "RESULT PASS pit error=5..5 slack=0" in run.out


# ---- missing tools -----------------------------------------------------------------------------------------------------
def test_missing_bochs(tmp_path, standin):
    """Only who asks for Bochs needs it, and then QEMU isn't needed."""
    machine = Machine(tmp_path)
    machine.user(0)
    machine.remove("bochs-bin")
    assert machine.run(standin, "--clock").code == 0
    machine.remove("qemu-system-x86_64")
    for wish in (["--accel", "bochs"], ["--cpu", "intel"]):
        began = time.monotonic()
        run = machine.run(standin, "--clock", *wish)
        assert run.code == 125 and run.out == "" and time.monotonic() - began < 20
        assert re.search(r"missing packages: bochs\b.* \(12\.3 MB to download, 78\.9 MB on disk\)", run.err)
        assert "apt-get update && apt-get install -y --no-install-recommends bochs" in run.err and "qemu-system" not in run.err
