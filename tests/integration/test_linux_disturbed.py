"""Identical though disturbed: Debian, with KASLR on, prints the same bytes alone, beside a spinner, in any slices, perturbed."""
import os
import re
import subprocess

import pytest

from harness import LONG, ROOT, run_verge

DEBIAN = "vm=vm0 kernel=debian initrd=debian idle=skip {more}-- console=ttyS0 verge.script=identity"
# It runs out when Debian has done most of its work; a spinner for ever would never let Verge end.
SPINNER = f"vm=spinner kernel={ROOT}/build/guests/timing.elf32 mem=16M -- spin seconds=2"
DEFAULT_TEXT_BASE = 0xFFFFFFFF81000000
DEFAULT_PHYSICAL_BASE = 0x1000000


@pytest.fixture(scope="module", autouse=True)
def guests():
    subprocess.run([os.path.join(ROOT, "tools/guest-packages.sh")], check=True)
    subprocess.run(["make", "-s", "guests"], cwd=ROOT, check=True)


def boot(hv="", spinner=None, more=""):
    """One boot's output. With a spinner first or last, the console marks each line with its guest."""
    vms = [DEBIAN.format(more=more)]
    if spinner:
        vms.insert(0 if spinner == "first" else 1, SPINNER)
    run = run_verge(vms=vms, hv=hv, timeout=600)
    assert re.search("vm0: code 0; .* 0 late; ledger exact", run.log) and "== script identity: status 0" in run.out
    if not spinner:
        return run.out
    assert "spinner| RESULT PASS spin" in run.out
    return "".join(line[len("vm0| "):] for line in run.out.splitlines(keepends=True) if line.startswith("vm0| "))


def same(output, other):
    """As ==, but a failure shows the first lines that differ."""
    for number, (line, expected) in enumerate(zip(output.splitlines(), other.splitlines()), 1):
        assert line == expected, f"line {number}"
    assert output == other


@pytest.fixture(scope="module")
def undisturbed(guests):
    return boot()


def bases(output):
    text = int(re.search(r"^([0-9a-f]{16}) T _stext", output, re.M)[1], 16)
    physical = int(re.search(r"^ *([0-9a-f]+)-[0-9a-f]+ : Kernel code", output, re.M)[1], 16)
    return text, physical


def test_kaslr_is_on(undisturbed):
    """The kernel lies elsewhere than linked, and elsewhere again in a guest that differs in its memory alone."""
    text, physical = bases(undisturbed)
    assert text != DEFAULT_TEXT_BASE and physical != DEFAULT_PHYSICAL_BASE
    assert bases(boot(more="mem=384M ")) != (text, physical)


DISTURBANCES = [("perturb=3", None), ("slice=10ms", "last"), ("perturb=1 slice=1ms loglevel=debug", "last"),
                ("perturb=2 slice=10ms loglevel=error", "first")]
if LONG:
    DISTURBANCES += [(words, None) for words in ("perturb=1", "perturb=2", "slice=1ms", "loglevel=error", "loglevel=debug")]
    DISTURBANCES += [(words, place) for words in ("slice=1ms", "loglevel=debug", "perturb=3") for place in ("first", "last")]


@pytest.mark.parametrize("words,spinner", DISTURBANCES)
def test_identical_though_disturbed(undisturbed, words, spinner):
    """Kernel layout, random bytes, interrupt counts and every time that the guest prints, byte for byte."""
    same(boot(words, spinner), undisturbed)
