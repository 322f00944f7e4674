#!/usr/bin/env python3
"""Line coverage of devices/ and of the time core by the unit tests:  coverage.py [--build DIR]

Builds the unit tests without sanitizers and with gcov's counters, runs them, prints a table, and fails when either group is
below LEAST per cent, when a file of a group was never executed, or when a test fails. gcovr does the counting.
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEAST = 90.0
GROUPS = {
    "devices": ["devices/*.c"],
    "time core": ["hv/clock.c", "hv/deadline.c", "hv/landing.c", "hv/charge.c", "hv/input.c", "lib/ratio.c"],
}
FLAGS = "-std=gnu11 -O0 -g --coverage -fprofile-update=atomic -I. -DVERGE_HOST"


def build(directory):
    command = ["make", "-s", f"-j{os.cpu_count()}", f"BUILD={directory}", f"HOSTFLAGS={FLAGS}"]
    tests = sorted(os.path.splitext(os.path.basename(t))[0] for t in glob.glob(os.path.join(ROOT, "tests/unit/test_*.c")))
    binaries = [f"{directory}/unit/{t}" for t in tests]
    subprocess.run([*command, *binaries], cwd=ROOT, check=True)
    return binaries


def run(binary):
    p = subprocess.run([os.path.join(ROOT, binary)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=600, errors="replace")
    return binary, p.returncode, p.stdout


def measure(directory):
    """File -> (lines, executed lines)."""
    wanted = [p for patterns in GROUPS.values() for p in patterns]
    filters = [arg for p in wanted for arg in ("--filter", "(.*/)?" + fnmatch.translate(p).replace(r"\Z", "$"))]
    p = subprocess.run(["gcovr", "--root", ".", "--json-summary", *filters, directory], cwd=ROOT, stdout=subprocess.PIPE,
                       check=True, text=True)
    return {f["filename"]: (f["line_total"], f["line_covered"]) for f in json.loads(p.stdout)["files"]}


def report(found):
    """Prints the table; returns the faults."""
    faults = []
    for group, patterns in GROUPS.items():
        files = sorted(os.path.relpath(f, ROOT) for p in patterns for f in glob.glob(os.path.join(ROOT, p)))
        total = covered = 0
        for file in files:
            lines, executed = found.get(file, (0, 0))
            if lines == 0 or executed == 0:
                faults.append(f"{file}: never executed by a unit test")
                continue
            print(f"{file:36}{executed:6} of{lines:5}{100 * executed / lines:7.1f} %")
            total += lines
            covered += executed
        share = 100 * covered / total if total else 0.0
        print(f"{group:36}{covered:6} of{total:5}{share:7.1f} %\n")
        if share < LEAST:
            faults.append(f"{group}: {share:.1f} % of the lines, at least {LEAST:.0f} % wanted")
    return faults


def main():
    p = argparse.ArgumentParser(description="line coverage by the unit tests", allow_abbrev=False)
    p.add_argument("--build", default="build/coverage")
    o = p.parse_args()
    for old in glob.glob(os.path.join(ROOT, o.build, "**/*.gcda"), recursive=True):
        os.remove(old)
    binaries = build(o.build)
    faults = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for binary, status, output in pool.map(run, binaries):
            if status != 0:
                print(output[-3000:])
                faults.append(f"{binary}: status {status}")
    faults += report(measure(o.build))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
