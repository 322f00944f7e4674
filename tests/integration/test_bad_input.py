"""Bad input: one clear line that names the fault, the defined exit code, and nothing else disturbed."""
import os
import random
import re
import shlex
import signal
import subprocess
import time

import pexpect
import pytest

from harness import ROOT, RUN_QEMU, run_verge

GUESTS = os.path.join(ROOT, "build", "guests")
TIMING = os.path.join(GUESTS, "timing.elf32")
HOSTILE = os.path.join(GUESTS, "hostile.elf32")
KERNEL = os.path.join(ROOT, "build", "guest", "vmlinuz")
INITRD = os.path.join(ROOT, "build", "guest", "initramfs.cpio.gz")
SPIN = "spin seconds=0.01"
# A neighbour whose figures a bad guest must not move; it outlasts them all. A tick may come at the end of a port access, which costs 1 us.
NEIGHBOUR = f"vm=good kernel={TIMING} mem=16M -- pit mode=2 hz=1000 ticks=60 load=port slack=1000"

NO_VERDICT, DEAD_HALT, RESET, CRASH, LARGEST = 125, 121, 122, 126, 119


@pytest.fixture(scope="module", autouse=True)
def guests():
    subprocess.run([os.path.join(ROOT, "tools/guest-packages.sh")], check=True)
    subprocess.run(["make", "-s", "guests"], cwd=ROOT, check=True)


def log_lines(run):
    """Verge's lines without their times."""
    return [re.sub(r"^\[[0-9.]+\] vg: ", "", line) for line in run.log.replace("\r", "").splitlines()]


def one_line(run, pattern):
    found = [line for line in log_lines(run) if re.search(pattern, line)]
    assert len(found) == 1, f"{len(found)} lines match {pattern}\n{run.tail()}"
    return found[0]


def refused(pattern, **options):
    """Verge doesn't start: the line, then that it can't run; no guest ran."""
    run = run_verge(expect=NO_VERDICT, timeout=100, **options)
    one_line(run, pattern)
    lines = log_lines(run)
    if lines[-1] == f"halted, code {NO_VERDICT}":  # where no exit port takes the code
        lines.pop()
    assert lines[-1] == "Verge can't run" and run.out == ""
    assert "panic" not in run.log.lower()


# ---- modules -----------------------------------------------------------------------------------------------------------
def written(tmp_path, data):
    path = tmp_path / "image"
    path.write_bytes(data)
    return path


def read(path, size=-1):
    with open(path, "rb") as f:
        return f.read(size)


def needed_bytes(kernel):
    """setup_sects and syssize of the setup header; the file has a signature behind that."""
    return (kernel[0x1F1] + 1) * 512 + int.from_bytes(kernel[0x1F4:0x1F8], "little") * 16


@pytest.mark.parametrize("size", [700, 3000, 3000000, None], ids=["in the header", "in the setup code", "in the kernel", "a paragraph"])
def test_truncated_kernel(tmp_path, size):
    kernel = read(KERNEL)
    refused(r"vm0: \d-image: the kernel is truncated: ", kernel=written(tmp_path, kernel[:size or needed_bytes(kernel) - 16]))


def test_truncated_multiboot(tmp_path):
    refused(r"vm0: \d-image: .*truncated", kernel=written(tmp_path, read(TIMING)[:9000]))


# What each holds is read when the test runs: a clean tree has no files under build/ yet.
NOT_A_KERNEL = {
    "empty": lambda: b"",
    "random": lambda: random.Random(1).randbytes(20000),
    "gzip": lambda: read(INITRD),
    "cpio": lambda: b"070701" + bytes(5000),
    "text": lambda: b"#!/bin/sh\n" * 900,
    "elf": lambda: b"\x7fELF\x02\x01\x01" + bytes(9000),
}


@pytest.mark.parametrize("kind", sorted(NOT_A_KERNEL))
def test_not_a_kernel(tmp_path, kind):
    data = NOT_A_KERNEL[kind]()
    refused(r"vm0: \d-image: .*(the image is empty|not a kernel|compressed by gzip)", kernel=written(tmp_path, data))


def test_initrd_that_does_not_fit(tmp_path):
    refused(r"vm0: \d-vmlinuz: the initrd of 30720 KB does not fit: \d+ KB are free between the kernel and 80 MB", kernel=KERNEL,
            initrd=written(tmp_path, bytes(30 << 20)), mem="80M")


def test_memory_too_small_for_the_kernel():
    refused(r"vm0: \d-vmlinuz: guest memory too small: the kernel needs at least \d+ MB, the guest has 32", kernel=KERNEL, mem="32M")


@pytest.mark.parametrize("size,megabytes", [("900G", 921600), ("1024G", 1048576)])
def test_memory_larger_than_the_machine(size, megabytes):
    refused(rf"vm0: {megabytes} MB of memory wanted, \d+ MB found, .*: set a smaller mem=", vms=[f"kernel={TIMING} mem={size} -- {SPIN}"],
            qemu=["-m", "512M"])


def test_guests_together_larger_than_the_machine():
    line = f"kernel={TIMING} mem=300M -- {SPIN}"
    refused(r"vm1: 300 MB of memory wanted, \d+ MB found", vms=[line, line], qemu=["-m", "512M"])


# ---- settings ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("words,named", [
    ("sclice=10ms", 'unknown hypervisor setting "sclice=10ms"'), ("slice=10", 'bad value in "slice=10"'),
    ("slice=10ms slice=1ms", '"slice=1ms"'), ("tsc=fast", '"tsc=fast"'), ("loglevel=loud", '"loglevel=loud"'),
    ("timer=periodic:0", '"timer=periodic:0"'), ("perturb=-1", '"perturb=-1"'),
    ("quiet", '"quiet"')])
def test_bad_hypervisor_word(words, named):
    run = run_verge(expect=NO_VERDICT, hv=words, kernel=TIMING, append=SPIN, timeout=60)
    assert "like" in one_line(run, re.escape(named))
    assert log_lines(run)[-1] == "Verge can't run" and run.out == ""


def test_open_quote():
    """The script finds it, since it has to add words of its own."""
    assert "quote" in run_verge(expect=NO_VERDICT, hv='slice="10ms', kernel=TIMING, append=SPIN, timeout=60).err


@pytest.mark.parametrize("words,named", [
    ("idel=skip", '"idel=skip"'), ("mem=12Q", '"mem=12Q"'), ("mem=64", '"mem=64"'), ("mem=1000001K", '"mem=1000001K"'),
    ("idle=skip idle=wait", '"idle=wait"'), ("charge=0", '"charge=0"'), ("rtc=2023-02-29T00:00:00", '"rtc=2023-02-29T00:00:00"'),
    ("onhalt=maybe", '"onhalt=maybe"')])
def test_bad_guest_word(words, named):
    run = run_verge(expect=NO_VERDICT, vms=[f"kernel={TIMING} {words} -- {SPIN}"], timeout=60)
    assert "like" in one_line(run, re.escape(named))
    assert log_lines(run)[-1] == "Verge can't run" and run.out == ""


# ---- how a guest can end -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def alone(guests):
    return neighbour_figures(run_verge(vms=[NEIGHBOUR]))


def neighbour_figures(run):
    lines = [line.removeprefix("good| ").rstrip("\r") for line in run.out.splitlines() if "bad|" not in line]
    assert "RESULT PASS pit" in "\n".join(lines), run.tail()
    return lines


ENDINGS = [
    ("tripleflt", "", CRASH, r"bad: ended: triple fault"),
    ("tripleflt", "oncrash=reset resets=3", RESET, r"bad: ended: triple fault"),
    ("tripleflt", "onreset=stop oncrash=reset", RESET, r"bad: ended: triple fault"),
    ("clihlt", "", DEAD_HALT, r"bad: ended: halted with interrupts off"),
    ("clihlt", "onhalt=ok", 0, r"bad: ended: halted with interrupts off"),
    ("maskall", "", DEAD_HALT, r"bad: ended: halted .*masked"),
    ("maskall", "idle=skip", DEAD_HALT, r"bad: ended: halted .*masked"),
    ("reset64", "onreset=stop", RESET, r"bad: ended: keyboard controller"),
    ("reset92", "onreset=stop", RESET, r"bad: ended: port 92h"),
    ("reset92", "resets=5", RESET, r"bad: reset: port 92h; restart 5"),
    ("badexit code=200", "", LARGEST, r"bad: guest's exit code 200 is above 119, taken as 119"),
    ("badexit code=119", "", 119, r"bad: code 119; "),
    ("udstorm n=200000", "", 0, r"bad: code 0; "),
    ("unclaimed n=5000", "", 0, r"bad: code 0; "),
    ("steps", "", 0, r"bad: code 0; "),
    ("leftovers", "", 0, r"bad: reset: keyboard controller; restart 1"),
]


@pytest.mark.parametrize("nasty,words,code,line", ENDINGS, ids=[" ".join(e[:2]).strip() for e in ENDINGS])
def test_ending(alone, nasty, words, code, line):
    """The line, the code, the whole run's code the highest; the neighbour's figures to the digit those it has alone."""
    run = run_verge(expect=code, vms=[f"vm=bad kernel={HOSTILE} mem=16M {words} -- {nasty}", NEIGHBOUR])
    one_line(run, line)
    one_line(run, rf"bad: code {code}; .* 0 late; ledger exact")
    one_line(run, r"good: code 0; .* 0 late; ledger exact")
    assert neighbour_figures(run) == alone
    if nasty.startswith(("udstorm", "unclaimed", "steps", "leftovers")):
        assert f"bad| RESULT PASS {nasty.split()[0]}" in run.out
    if words.startswith("oncrash=reset resets"):
        assert len(re.findall(r"bad: reset: triple fault; restart \d", run.log)) == 3


@pytest.mark.parametrize("words", ["-- udstorm", "-- deaf", "idle=skip -- deaf"])
def test_without_end(alone, tmp_path, words):
    """A storm of #UD for ever, or of ticks that wake nobody: the neighbour ends as ever, and Ctrl-A x ends the other."""
    out = tmp_path / "out"  # only Verge's lines on the terminal: two streams there may meet within a line
    command = [RUN_QEMU, "--icount", "--timeout", "300", "--vm", f"vm=bad kernel={HOSTILE} mem=16M {words}", "--vm", NEIGHBOUR]
    term = pexpect.spawn("/bin/sh", ["-c", shlex.join(command) + f" >{shlex.quote(str(out))}"], cwd=ROOT, timeout=280, encoding="latin-1")
    term.expect(r"good: code 0; (.*) 0 late; ledger exact")
    term.send("\x01x")
    term.expect("bad: ended: quit by Ctrl-A x")
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == 0
    assert out.read_text(encoding="latin-1").replace("\r", "").rstrip().splitlines()[-1] == "good| " + alone[-1]


def test_unclaimed_accesses_are_counted():
    run = run_verge(vms=[f"kernel={HOSTILE} mem=16M -- unclaimed n=1000"], hv="loglevel=debug")
    assert run.value("wrong") == 0 and run.value("accesses") == 4000
    assert re.search(r"vm0: exits memory 2,?000", run.log), run.tail()


def test_nobody_reads_for_a_while():
    """Whoever carries the bytes stands still while the guest and Verge end: their last lines come all the same."""
    words = ["--icount", "--timeout", "100", "--vm", NEIGHBOUR.replace("vm=good", "vm=vm0")]
    reader = subprocess.Popen([RUN_QEMU, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while b"vm0: Multiboot" not in reader.stderr.readline():
        assert reader.poll() is None
    os.kill(reader.pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(reader.pid, signal.SIGCONT)
    out, err = reader.communicate(timeout=100)
    assert reader.returncode == 0 and re.search(rb"RESULT PASS pit error=\d+\.\.\d+ slack=1000\r\n$", out), (reader.returncode, out, err)
    assert b"vm0: code 0; " in err
