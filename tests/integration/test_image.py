"""The image: it runs at any physical base with the same result, and two builds of one commit are the same bytes."""
import os
import shutil
import subprocess
import sys

import pytest

from harness import ROOT, run_verge

IMAGE = os.path.join(ROOT, "build", "verge.elf")
TIMING = os.path.join(ROOT, "build", "guests", "timing.elf32")
PIT = "pit mode=2 hz=1000 ticks=60 load=port slack=1000"
BASES = [0x2000000, 0x7655000]  # 32 MB, and a page that no larger boundary falls on


@pytest.fixture(scope="module")
def usual():
    subprocess.run(["make", "-s", "all", "guests"], cwd=ROOT, check=True)
    run = run_verge(kernel=TIMING, append=PIT)
    assert " at 100000, from " in run.log and run.value("lost") == 0
    return run


@pytest.mark.parametrize("base", BASES, ids=hex)
def test_other_base(usual, tmp_path, base):
    image = tmp_path / "verge.elf32"
    subprocess.run([sys.executable, os.path.join(ROOT, "tools", "mkelf32.py"), IMAGE, image, "--base", hex(base)], check=True)
    run = run_verge(image=image, kernel=TIMING, append=PIT)
    assert f" at {base:x}, from " in run.log
    assert "RESULT PASS pit" in run.out and run.out == usual.out
    assert "0 late; ledger exact" in run.log


def build(directory, jobs, **environment):
    """Builds what git holds of this commit, and what is changed in the working tree, in `directory`."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, files):
        if os.path.lexists(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(directory / name), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), directory / name, follow_symlinks=False)
    git = subprocess.run(["git", "rev-parse", "--absolute-git-dir"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["make", "-s", f"-j{jobs}", "all", "guests", "efi"], cwd=directory, check=True, timeout=600,
                   env={**os.environ, "GIT_DIR": git, **environment})
    built = {}
    for name in ("verge.elf32", "verge.elf", "verge.efi", *(f"guests/{g}.elf32" for g in ("timing", "hostile", "modes", "clock"))):
        with open(directory / "build" / name, "rb") as f:
            built[name] = f.read()
    return built


def test_two_builds_are_the_same_bytes(tmp_path):
    """From two directories, at other times, in other zones and languages, in another order."""
    first = build(tmp_path / "a", 1)
    second = build(tmp_path / "quite another place", 2, TZ="Asia/Tokyo", LC_ALL="C.UTF-8", HOME="/", USER="somebody")
    assert [name for name in first if first[name] != second[name]] == []
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout.strip()
    assert commit in first["verge.elf32"]
    for place in (b"quite another", str(tmp_path).encode(), os.path.dirname(ROOT).encode() + b"/" if ROOT.count("/") > 1 else b"\0none"):
        assert place not in second["verge.elf"], place
