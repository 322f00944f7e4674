#!/usr/bin/env python3
"""Seeds the defects of tests/mutants.toml, one at a time, and shows that their named tests see them:  mutants.py [PATTERN]

Works in a copy of the tree under build/mutants, which is kept for the next time. First every named test must pass there
unchanged; then, with each defect, each of its tests must fail. A defect that no longer fits the source is a fault.
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = "tests/mutants.toml"
SCRATCH = os.path.join(ROOT, "build/mutants/tree")
LIMIT_S = 200


def copy_tree():
    """The tree's files as they are, committed or not; unchanged ones keep their times, so that little is built again."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE).stdout.decode().split("\0")
    names = {n for n in names if n and os.path.exists(os.path.join(ROOT, n))}
    for here, _, files in os.walk(SCRATCH):
        for file in files:
            name = os.path.relpath(os.path.join(here, file), SCRATCH)
            if not name.startswith("build/") and name not in names:
                os.remove(os.path.join(here, file))
    for name in sorted(names):
        source, target = os.path.join(ROOT, name), os.path.join(SCRATCH, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or read(source) != read(target):
            shutil.copyfile(source, target)
            shutil.copymode(source, target)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def find_python():
    """One that has pytest, as run-tests.sh looks for it."""
    for python in ("/usr/bin/python3", sys.executable):
        if subprocess.run([python, "-c", "import pytest, pexpect"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    sys.exit("no python3 with pytest and pexpect")


def run(command):
    """(status, output); a run without end is a failed one. No mutant may keep a process alive."""
    p = subprocess.Popen(command, cwd=SCRATCH, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace", start_new_session=True, env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    try:
        output, _ = p.communicate(timeout=LIMIT_S)
        return p.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        return None, p.communicate()[0]


def build(targets):
    status, output = run(["make", "-s", *sorted(targets)])
    if status != 0:
        raise ValueError("does not build:\n" + output[-3000:])


def unit_test_fails(name):
    """Whether the test, or with `*` any test of the binary, fails. A binary that dies or hangs has failed."""
    binary, test = name.removeprefix("unit/").split(":")
    build([f"build/unit/{binary}"])
    status, output = run([f"build/unit/{binary}"])
    bad = re.findall(r"^not ok \d+ -? ?(\S+)", output, re.M)
    good = re.findall(r"^ok \d+ -? ?(\S+)", output, re.M)
    if test != "*" and status is not None and test not in bad + good and status >= 0:
        raise ValueError(f"{name}: there is no such test")
    return test in bad or (test == "*" and bool(bad)) or status is None or (status != 0 and test not in good and not bad)


def integration_test_fails(name):
    build(["build/verge.elf32"])
    status, output = run([find_python(), "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--rootdir=tests/integration",
                          "tests/" + name])
    if status not in (0, 1, None):
        raise ValueError(f"{name}: pytest's status {status}\n{output[-3000:]}")
    return status != 0


def test_fails(name):
    return unit_test_fails(name) if name.startswith("unit/") else integration_test_fails(name)


def seed(mutant):
    """Puts the defect in; returns the file's path and its text before."""
    path = os.path.join(SCRATCH, mutant["file"])
    before = read(path).decode()
    text = before
    for old, new in mutant["edits"]:
        if text.count(old) != 1:
            raise ValueError(f"{mutant['file']}: stands there {text.count(old)} times, once wanted: {old.strip()}")
        text = text.replace(old, new)
    write(path, text)
    return path, before


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def try_mutant(mutant):
    """Faults: the tests that did not see it."""
    path, before = seed(mutant)
    try:
        return [f"not seen by {test}" for test in mutant["tests"] if not test_fails(test)]
    finally:
        write(path, before)


def main():
    pattern = f"*{sys.argv[1]}*" if len(sys.argv) > 1 else "*"
    with open(os.path.join(ROOT, TABLE), "rb") as f:
        mutants = [m for m in tomllib.load(f)["mutant"] if fnmatch.fnmatchcase(m["name"], pattern)]
    if not mutants:
        sys.exit(f"no mutant is called {pattern}")
    copy_tree()
    bad = 0
    for test in sorted({test for m in mutants for test in m["tests"]}):
        try:
            fault = "it fails" if test_fails(test) else None
        except ValueError as e:
            fault = str(e)
        if fault:
            print(f"FAIL without any defect: {test}: {fault}", flush=True)
            bad += 1
    if bad:
        return 1
    print("all named tests pass without a defect", flush=True)
    for mutant in mutants:
        began = time.monotonic()
        try:
            faults = try_mutant(mutant)
        except ValueError as e:
            faults = [str(e)]
        bad += bool(faults)
        print(f"{'FAIL' if faults else 'seen'} {mutant['name']:30} {', '.join(mutant['tests'])} ({time.monotonic() - began:.0f} s)")
        print("".join(f"     {fault}\n" for fault in faults), end="", flush=True)
    print(f"{len(mutants) - bad} of {len(mutants)} defects seen")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
