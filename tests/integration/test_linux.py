"""An unmodified Debian kernel under Verge: its own opinion of its clocks, its shell, and identity though disturbed."""
import os
import re
import subprocess
import time

import pexpect
import pytest

from harness import ROOT, run_verge, spawn_verge

DEBIAN = "vm=vm0 kernel=debian initrd=debian idle=skip -- console=ttyS0 "


@pytest.fixture(scope="module", autouse=True)
def debian():
    """The packages, fetched once; without them these tests say nothing and must fail."""
    subprocess.run([os.path.join(ROOT, "tools/guest-packages.sh")], check=True)


def uptimes(text):
    return [float(line.split()[0]) for line in re.findall(r"^\d+\.\d\d \d+\.\d\d", text, re.M)]


@pytest.mark.parametrize("shift", [0, 3])
def test_clocks(shift):
    run = run_verge(append="console=ttyS0 verge.script=time", icount=shift)
    assert "Fast TSC calibration using PIT" in run.out
    mhz = float(re.search(r"tsc: Detected ([0-9.]+) MHz", run.out)[1])
    assert abs(mhz - 1000) <= 0.25, "beyond 250 ppm"
    assert not re.search(r"unstable|lost ticks|Unable to calibrate|calibration failed", run.out)
    before, after = uptimes(run.out)
    assert 2.00 <= round(after - before, 2) <= 2.02
    assert "== script time: status 0" in run.out
    assert re.search(r"vm0: code 0; guest [0-9.]+ s; monitor [0-9.]+ %; [0-9,]+ timer events, 0 late; ledger exact", run.log)


def test_command_behind_two_dashes():
    run = run_verge(append='console=ttyS0 -- "echo a=b; exit 3"')
    assert "\na=b\r\n== command: status 3\r\n" in run.out


def test_shell_on_a_terminal():
    began = time.monotonic()
    term = spawn_verge("--timeout", "120")
    term.expect_exact("try: uptime; sleep 2; uptime    (poweroff to quit)")
    term.expect_exact("~ # ")
    assert time.monotonic() - began < 60  # 20 s on an idle machine of two cores; tests run side by side
    term.sendline("sleep 1000")
    term.expect_exact("sleep 1000\r\n")
    time.sleep(0.5)
    term.send("\x03")
    term.expect_exact("~ # ")
    term.sendline("sleep 1000 & jobs")
    term.expect("Running +sleep 1000")
    term.sendline("cat /proc/uptime; sleep 2; cat /proc/uptime")
    term.expect(r"(\d+\.\d\d) [0-9.]+\r\n(\d+\.\d\d) ")
    assert 2.00 <= round(float(term.match[2]) - float(term.match[1]), 2) <= 2.03
    term.sendline("poweroff")
    term.expect("vm0: code 0; .*ledger exact")
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == 0


@pytest.fixture(scope="module")
def undisturbed(debian):
    run = run_verge(vms=[DEBIAN + "verge.script=identity"], timeout=300)
    assert "== script identity: status 0" in run.out
    return run.out


@pytest.mark.parametrize("words", ["perturb=1", "perturb=2", "perturb=3", "slice=1ms", "loglevel=error", "loglevel=debug"])
def test_identical_though_disturbed(undisturbed, words):
    """KASLR on: kernel layout, random bytes, interrupt counts and every time that the guest prints, byte for byte."""
    assert run_verge(vms=[DEBIAN + "verge.script=identity"], hv=words, timeout=300).out == undisturbed
