"""An unmodified Debian kernel under Verge: its own opinion of its clocks, and its shell under a person's hands."""
import os
import re
import subprocess
import time

import pexpect
import pytest

from harness import ROOT, run_verge, spawn_verge

F_MHZ = 1000
PPM = 250  # Linux's fast calibration is no better than this
BAD_CLOCK = r"unstable|lost ticks|Unable to calibrate|calibration failed|Marking TSC|clocksource: timekeeping watchdog"
BAD_MACHINE = r"unchecked MSR access|spurious|unexpected IRQ|nobody cared|BUG:|WARNING:|Oops|Call Trace"
CLOSING = r"vm0: code 0; guest [0-9.]+ s; monitor [0-9.]+ %; [0-9,]+ timer events, 0 late; ledger exact"


@pytest.fixture(scope="module", autouse=True)
def debian():
    """The packages, fetched once; without them these tests say nothing and must fail."""
    subprocess.run([os.path.join(ROOT, "tools/guest-packages.sh")], check=True)


def uptimes(text):
    return [float(line.split()[0]) for line in re.findall(r"^\d+\.\d\d \d+\.\d\d", text, re.M)]


def check_dmesg(text):
    assert "tsc: Fast TSC calibration using PIT" in text
    mhz = float(re.search(r"tsc: Detected ([0-9.]+) MHz", text)[1])
    assert abs(mhz / F_MHZ - 1) * 1e6 <= PPM, f"{mhz} MHz"
    assert not re.search(BAD_CLOCK, text)
    assert not re.search(BAD_MACHINE, text), re.search(f".*({BAD_MACHINE}).*", text)[0]


@pytest.mark.parametrize("shift", [0, 3])
def test_clocks(shift):
    run = run_verge(append="console=ttyS0 verge.script=time", icount=shift, timeout=300)
    check_dmesg(run.out)
    # The script's own dmesg holds what the console leaves out: messages of level debug, such as of spurious interrupts.
    dmesg = run.out.split("== dmesg")[1]
    check_dmesg(dmesg)
    assert "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved" in dmesg, "no debug messages in it"
    before, after = uptimes(run.out)
    assert 2.00 <= round(after - before, 2) <= 2.02
    assert "\ntsc\r\n== end" in run.out, "the clock source in the end"
    assert re.search(r"^ERR: +0\r$", run.out, re.M), "interrupts that nobody sent"
    assert "== script time: status 0" in run.out
    assert re.search(CLOSING, run.log)


def test_a_level_of_the_psabi():
    """cpu=v2: the kernel and its C library live with that CPU, and name it."""
    run = run_verge(vms=["vm=vm0 kernel=debian initrd=debian cpu=v2 -- console=ttyS0 -- \"grep -E 'model name|flags|address' /proc/cpuinfo\""], timeout=300)
    check_dmesg(run.out)
    assert re.search(r"^model name\s*: Verge x86-64-v2\r$", run.out, re.M), run.tail()
    assert re.search(r"^address sizes\s*: 36 bits physical, 48 bits virtual\r$", run.out, re.M)
    flags = set(re.search(r"^flags\s*: (.*)\r$", run.out, re.M)[1].split())
    assert flags >= {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"} and not flags & {"avx", "vme", "rdtscp", "pdpe1gb", "xsave"}


def test_command_behind_two_dashes():
    run = run_verge(append='console=ttyS0 -- "echo a=b; exit 3"')
    assert "\na=b\r\n== command: status 3\r\n" in run.out


def at_the_prompt(*options):
    """A person's terminal; nothing but the defaults."""
    began = time.monotonic()
    term = spawn_verge("--timeout", "300", *options, timeout=120)
    term.expect_exact("try: uptime; sleep 2; uptime    (poweroff to quit)")
    term.expect_exact("~ # ")
    # 20 s on an idle machine of two cores; other tests run beside this one.
    assert time.monotonic() - began < 90
    return term


def ends_with(term, status):
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == status


def test_shell_on_a_terminal():
    term = at_the_prompt()
    term.sendline("uptime; sleep 2; uptime")
    term.expect(r" (\d\d:\d\d:\d\d) up .*load average.*?\r\n")
    first = term.match[1]
    term.expect(r" (\d\d:\d\d:\d\d) up .*load average.*?\r\n")
    seconds = [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in (t.split(":") for t in (first, term.match[1]))]
    assert (seconds[1] - seconds[0]) % 86400 in (2, 3)
    term.expect_exact("~ # ")
    term.sendline("cat /proc/uptime; sleep 2; cat /proc/uptime")
    term.expect(r"(\d+\.\d\d) [0-9.]+\r\n(\d+\.\d\d) ")
    assert 2.00 <= round(float(term.match[2]) - float(term.match[1]), 2) <= 2.02
    term.expect_exact("~ # ")
    # Ctrl-C is the guest's.
    term.sendline("sleep 1000")
    term.expect_exact("sleep 1000\r\n")
    time.sleep(0.5)
    term.send("\x03")
    term.expect_exact("~ # ")
    term.sendline("sleep 1000 & jobs")
    term.expect("Running +sleep 1000")
    term.sendline("poweroff")
    term.expect(CLOSING)
    ends_with(term, 0)


def test_keys_at_the_shell():
    term = at_the_prompt()
    term.send("\x01h")
    for letter in "hntrdix":
        term.expect(rf"vg: Ctrl-A {letter}: \S+")
    term.send("\x01t")
    term.expect(r"vm0: clock [0-9,]+ = consumed [0-9,]+ \+ charged [0-9,]+ \+ snapped 0 \+ idle [0-9,]+: exact")
    term.expect(r"vm0: [0-9,]+ timer events, [0-9,]+ landed, 0 late")
    term.expect("ledger sum: exact")
    term.send("\x01r")
    term.expect(r"vm0: rip [0-9a-f]{4}:ffffffff[0-9a-f]{8} ")
    term.expect(r"cr0 [0-9a-f]+ .*cr3 [1-9a-f][0-9a-f]*")
    term.send("\x01d")
    term.expect("trace vm0 [0-9]+ ")
    term.send("\x01n")
    term.expect_exact("input goes to vm0")
    term.send("\x01i")
    term.expect_exact("vm0: NMI")
    term.expect("NMI received for unknown reason")
    # A key that is none goes nowhere; Ctrl-A twice sends one: to the start of the line, where the `e` is wanted.
    term.send("\x01qcho al")
    term.send("\x01\x01e")
    term.send("\x05l\r")
    term.expect_exact("\nall\r\n")
    term.expect_exact("~ # ")
    term.send("\x01x")
    term.expect("vm0: ended: quit by Ctrl-A x")
    term.expect(CLOSING)
    ends_with(term, 0)


def test_input_goes_to_the_guest_in_focus():
    """Two shells: Ctrl-A n moves the keyboard from one to the other and back."""
    line = "kernel=debian initrd=debian idle=skip mem=128M -- console=ttyS0 quiet"
    term = spawn_verge("--timeout", "300", "--vm", "vm=one " + line, "--vm", "vm=two " + line, timeout=200)
    prompts = {"one| ~ # ", "two| ~ # "}
    while prompts:
        found = sorted(prompts)
        prompts.remove(found[term.expect_exact(found)])
    for name, key in (("one", ""), ("two", "\x01n"), ("one", "\x01n")):
        term.send(key)
        if key:
            term.expect_exact("input goes to " + name)
        term.send("echo $((6 * 7))of\r")
        assert term.expect_exact(["one| 42of", "two| 42of"]) == ["one", "two"].index(name)
    term.send("poweroff\r")
    term.expect("one: code 0; ")
    term.send("\x01npoweroff\r")
    term.expect("two: code 0; .*ledger exact")
    ends_with(term, 0)


def test_input_comes_from_the_keyboard():
    """input=keyboard: what is typed here is typed at the guest's screen, through the i8042."""
    term = spawn_verge("--timeout", "120", "--vm", "kernel=debian initrd=debian input=keyboard -- console=ttyS0 -- "
                       '"echo ready; read x </dev/tty1; echo got=$x; grep i8042 /proc/interrupts"', timeout=90)
    term.expect_exact("ready\r\n")
    time.sleep(0.5)
    term.send("Two b\x7fWords\r")
    term.expect_exact("got=Two Words\r\n")
    term.expect_exact("== command: status 0")
    ends_with(term, 0)
