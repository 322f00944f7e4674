"""Guests straight from their Debian packages: GRUB invaders on the text screen, memtest86+ on the serial line."""
import os
import re
import subprocess
import time

import pexpect
import pytest

from harness import ROOT, read_text, spawn_verge

PACKAGES = os.path.join(ROOT, "build", "guest")
INVADERS = os.path.join(PACKAGES, "grub-invaders", "boot", "invaders.exec")
COLUMNS_PER_SECOND = 17
MEMTEST = os.path.join(PACKAGES, "memtest86+", "boot", "memtest86+{}.bin")


@pytest.fixture(scope="module", autouse=True)
def packages():
    subprocess.run([os.path.join(ROOT, "tools/guest-packages.sh"), "--package", "grub-invaders", "--package", "memtest86+"], check=True)


def quit_verge(term, log):
    """Ctrl-A x; the log, once all has ended well."""
    term.send("\x01x")
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == 0
    text = read_text(log)
    assert re.search("vm0: code 0; .* 0 late; ledger exact", text), text
    return text


def invaders(tmp_path, words, play):
    """Plays for a while; the guest's seconds and its screen at the end."""
    log, screen = tmp_path / "log", tmp_path / "screen"
    term = spawn_verge("--icount", "--timeout", "120", "--log", log, "--screen", screen, "--vm", f"kernel={INVADERS} mem=16M {words}")
    term.expect(r"vm0: Multiboot .*invaders.exec \(a.out kludge\), 16 MB")
    play(term)
    text = quit_verge(term, log)
    return float(re.search(r"vm0: code 0; guest ([0-9.]+) s", text)[1]), read_text(screen).splitlines()


def aliens(screen):
    """Line and column of each alien's eye; where two of them cross, one covers the other."""
    return [(line, column) for line, text in enumerate(screen) for column, char in enumerate(text) if char == "*"]


def test_invaders(tmp_path):
    """Its one clock is PIT channel 0, polled: aliens that move by 17 columns a second, whenever one looks, and a ship that doesn't."""
    seen = [invaders(tmp_path, "", lambda term, s=s: time.sleep(s)) for s in (1, 4, 8)]
    lefts = []
    for seconds, screen in seen:
        found = aliens(screen)
        assert 20 <= len(found) <= 60 and sorted({line for line, _ in found}) == [0, 2, 4, 6, 8], "\n".join(screen)
        assert [line.rstrip() for line in screen[-2:]] == [" " * 40 + "_", " " * 39 + "/ \\"]
        lefts.append(min(column for _, column in found))
    assert seen[0][0] < seen[1][0] < seen[2][0], "guest time"
    assert lefts[0] > lefts[2], "aliens that stand still"
    for (seconds, _), left in zip(seen[1:], lefts[1:]):
        assert left <= 2 or abs(lefts[0] - left - COLUMNS_PER_SECOND * (seconds - seen[0][0])) < 2, (seen, lefts)


@pytest.mark.parametrize("entry", ["x64", "ia32"])
def test_memtest(tmp_path, entry):
    """By the 64-bit and the 32-bit entry. shift=3: it waits in loops of RDTSC, which an emulator runs slowly."""
    log, screen = tmp_path / "log", tmp_path / "screen"
    term = spawn_verge("--icount", "3", "--timeout", "300", "--log", log, "--screen", screen,
                       "--vm", f"kernel={MEMTEST.format(entry)} mem=16M -- console=ttyS0,115200", timeout=240)
    term.expect(r"vm0: Memtest86\+ v\d\.\d+, 16 MB")
    term.expect(r"CLK/Temp: +(\d+)MHz")
    assert 995 <= int(term.match[1]) <= 1005
    term.expect(r"Memory  : +16MB")
    began = time.monotonic()
    while not re.search(r"Time: ", term.before[-200:]) and time.monotonic() - began < 10:
        term.send("\r")  # <Enter> starts the tests at once
        if term.expect([r"#0  \[Address test, walking ones", pexpect.TIMEOUT], timeout=2) == 0:
            break
    else:
        term.expect(r"#0  \[Address test, walking ones")
    term.expect(r"#\d+  \[Moving inversions, 8 bit pattern\]")
    term.expect(r"Time:  0:00:0([4-9])  Status: Testing")
    text = quit_verge(term, log)
    # Its own clock and ours: it started some time after the reset, and was quit some time after the line.
    assert float(re.search(r"vm0: code 0; guest ([0-9.]+) s", text)[1]) >= 4
    shown = read_text(screen).splitlines()
    assert "Memtest86+" in shown[0] and re.search(r"Errors: 0\b", "\n".join(shown)), "\n".join(shown)
