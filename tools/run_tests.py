#!/usr/bin/env python3
"""The test runner behind run-tests.sh: finds, builds and runs all tests, several side by side, and counts them.

Kinds, each with at least one test or the run fails:
  lint/NAME               tools/lint.py NAME
  tool/NAME               tools/NAME.py: coverage; mutants only with --long
  unit/test_NAME          a cmocka binary from tests/unit; each of its tests counts
  fuzz/fuzz_NAME          a libFuzzer target from tests/fuzz: a fixed time from tests/fuzz/seeds/NAME
  integration/FILE::TEST  pytest; one job per file. Lines in the file: `# LANE: alone` runs it when nothing else
                          runs, `# IMAGE: none` also when the hypervisor does not build

A test that crashes, hangs, or prints no result is a failed one. XFAIL is a known limit of an emulator, named and counted:
neither passed nor failed; one that no longer fails is a failure. The last line is `N passed, N failed`.
"""
import argparse
import collections
import fnmatch
import glob
import os
import re
import signal
import sys
import threading
import time

from lint import LINTS
from test_jobs import (BUILD, ROOT, Result, fuzz_job, integration_job, lint_job, processes, pytest_command,
                       pytest_environment, tool_job, unit_job)

HEARTBEAT_S = 8.0
KINDS = ("lint", "tool", "unit", "fuzz", "integration")
SHOWN_LINES = 400


# ---- finding -----------------------------------------------------------------------------------------------------------
def names(pattern):
    return sorted(os.path.splitext(os.path.basename(p))[0] for p in glob.glob(os.path.join(ROOT, pattern)))


def integration_tests(long):
    """pytest's own list: file -> test names. A file that does not load is reported, not skipped."""
    status, output = processes.run(pytest_command("--collect-only", "tests/integration"), 120, pytest_environment(long))
    found = collections.OrderedDict()
    for line in output.splitlines():
        if "::" in line and not line.startswith(("ERROR", " ")):
            # pytest names them from its root directory.
            name = line if line.startswith("tests/") else "tests/integration/" + line
            found.setdefault(name.split("::")[0], []).append(name)
    return found, (None if status in (0, 5) else output)


def find_tests(o):
    """Jobs for all chosen tests, their names, faults in finding them."""
    def chosen(name):
        return o.only is None or fnmatch.fnmatchcase(name, f"*{o.only}*")

    jobs, listed, faults = [], [], []
    tools = ["coverage", "mutants"] if o.long else ["coverage"]
    simple = [("lint", sorted(LINTS), lint_job), ("tool", tools, tool_job),
              ("unit", names("tests/unit/test_*.c"), lambda n: unit_job(n, o.long)),
              ("fuzz", names("tests/fuzz/fuzz_*.c"), lambda n: fuzz_job(n, o.long))]
    counts = collections.Counter()
    for kind, found, make_job in simple:
        counts[kind] = len(found)
        for name in found:
            if chosen(f"{kind}/{name}"):
                listed.append(f"{kind}/{name}")
                jobs.append(make_job(name))
    files, broken = integration_tests(o.long)
    if broken:
        faults.append("integration: pytest can't load the tests\n" + broken)
    for file, tests in files.items():
        counts["integration"] += len(tests)
        tests = [t for t in tests if chosen(t.removeprefix("tests/"))]
        if tests:
            listed += [t.removeprefix("tests/") for t in tests]
            jobs.append(integration_job(file, tests, o.long))
    faults += [f"{kind}: no test found" for kind in KINDS if counts[kind] == 0 and o.only is None]
    if not jobs:
        faults.append("no test found" + (f" for --only {o.only}" if o.only else ""))
    return jobs, listed, faults


# ---- building and running ----------------------------------------------------------------------------------------------
def build(jobs):
    """Builds what the jobs need, as far as it goes; returns the names of the jobs that can't run, and the output."""
    targets = {}
    for job in jobs:
        kind, name = job.name.split("/", 1)
        if kind in ("unit", "fuzz"):
            targets[job.name] = f"build/{kind}/{name}"
        elif job.image:
            targets[job.name] = "build/verge.elf32"
    wanted = sorted(set(targets.values()))
    if not wanted:
        return {}, ""
    print(f"building {len(wanted)} targets", flush=True)
    began = time.monotonic()
    done = threading.Event()

    def sign_of_life():
        while not done.wait(HEARTBEAT_S):
            print(f"...  building ({time.monotonic() - began:.0f} s)", flush=True)

    threading.Thread(target=sign_of_life, daemon=True).start()
    try:
        return build_targets(targets, wanted, began)
    finally:
        done.set()


def build_targets(targets, wanted, began):
    """As build(): `targets` is job name -> target, `wanted` each of them once."""
    status, output = processes.run(["make", "-k", f"-j{min(os.cpu_count() or 1, 4)}", *wanted], 1800)
    print(f"built in {time.monotonic() - began:.0f} s" + ("" if status == 0 else ", not everything"), flush=True)
    if status == 0:
        return {}, ""
    # Which ones: each asked for alone. An old binary of a target that no longer builds must not be run.
    good = {target for target in wanted if processes.run(["make", target], 600)[0] == 0}
    return {name for name, target in targets.items() if target not in good} or set(targets), output


class Runner:
    """Workers that take jobs from both ends of one queue: long ones from the front, short ones from the back."""

    def __init__(self, jobs, workers):
        self.queue = collections.deque(jobs)
        self.workers = workers
        self.lock = threading.Lock()
        self.results = []
        self.now = {}  # worker -> (job, start)
        self.spoke = time.monotonic()
        self.stop = False

    def say(self, text):
        with self.lock:
            self.spoke = time.monotonic()
            print(text, flush=True)

    def run_job(self, job, worker):
        began = time.monotonic()
        self.now[worker] = (job, began)
        result = Result()
        try:
            job.work(result)
        except Exception as e:  # a fault of the runner is a failed test too
            result.failed.append(f"{job.name}: {e!r}")
        del self.now[worker]
        if self.stop:
            return
        seconds = time.monotonic() - began
        self.results.append(result)
        text = f"{'FAIL' if result.failed else 'ok  '} {job.name}: {result.passed} passed"
        text += f", {len(result.failed)} failed" if result.failed else ""
        text += f", {len(result.skipped)} skipped" if result.skipped else ""
        text += f", {len(result.expected)} xfailed" if result.expected else ""
        text += f" ({seconds:.1f} s)"
        for skipped in result.skipped:
            text += f"\n     skipped: {skipped}"
        for expected in result.expected:
            text += f"\n     XFAIL: {expected}"
        if result.failed:
            text += "".join(f"\n     failed: {name}" for name in result.failed)
            lines = result.output.splitlines()[-SHOWN_LINES:]
            text += "\n" + "\n".join("    | " + line for line in lines)
        self.say(text)

    def work(self, worker):
        while not self.stop:
            try:
                job = self.queue.popleft() if worker == 0 else self.queue.pop()
            except IndexError:
                return
            self.run_job(job, worker)

    def run(self):
        threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(self.workers)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            time.sleep(0.1)
            if time.monotonic() - self.spoke >= HEARTBEAT_S:
                now = time.monotonic()
                self.say("...  " + ", ".join(f"{job.name} ({now - began:.0f} s)" for job, began in list(self.now.values())))


def run_all(jobs, workers):
    order = {"tool": 0, "integration": 1, "fuzz": 2, "unit": 3, "lint": 4}
    jobs = sorted(jobs, key=lambda j: order[j.name.split("/")[0]])
    results = []
    for chosen, count in (([j for j in jobs if not j.alone], workers), ([j for j in jobs if j.alone], 1)):
        runner = Runner(chosen, count)
        try:
            runner.run()
        except KeyboardInterrupt:
            runner.stop = True
            processes.end_all()
            raise
        results += runner.results
    return results


def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    p.add_argument("--long", action="store_true")
    p.add_argument("--list", action="store_true")
    p.add_argument("--only")
    p.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4))
    o = p.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))

    os.makedirs(BUILD, exist_ok=True)
    began = time.monotonic()
    jobs, listed, faults = find_tests(o)
    if o.list:
        print("\n".join(listed))
        for fault in faults:
            print(fault, file=sys.stderr)
        return 1 if faults else 0

    failed = list(faults)
    bad, output = build(jobs)
    if bad:
        telling = [line for line in output.splitlines() if re.search(r"\berror\b|undefined reference|\*\*\*|^ld:", line, re.I)]
        print("\n".join("    | " + line for line in (telling or output.splitlines())[-60:]))
        failed += [f"{name}: does not build" for name in sorted(bad)]
    results = run_all([j for j in jobs if j.name not in bad], max(1, o.jobs))
    passed = sum(r.passed for r in results)
    skipped = sum(len(r.skipped) for r in results)
    expected = sum(len(r.expected) for r in results)
    failed += [name for r in results for name in r.failed]
    for name in failed:
        print("failed:", name)
    print(f"{time.monotonic() - began:.0f} s" + (f", {skipped} skipped" if skipped else "") +
          (f", {expected} failed as known limits of emulators (XFAIL)" if expected else ""))
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    return 0 if passed > 0 and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        processes.end_all()
        print("interrupted: 0 passed, 1 failed", file=sys.stderr)
        sys.exit(130)
