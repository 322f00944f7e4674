#!/usr/bin/env python3
"""The test runner behind run-tests.sh: finds, builds and runs all tests, several side by side, and counts them.

Kinds, each with at least one test or the run fails:
  lint/NAME               tools/lint.py NAME
  unit/test_NAME          a cmocka binary from tests/unit; each of its tests counts
  fuzz/fuzz_NAME          a libFuzzer target from tests/fuzz: a fixed time from tests/fuzz/seeds/NAME
  integration/FILE::TEST  pytest; one job per file. Lines in the file: `# LANE: alone` runs it when nothing else
                          runs, `# IMAGE: none` also when the hypervisor does not build

A test that crashes, hangs, or prints no result is a failed one. The last line is `N passed, N failed`.
"""
import argparse
import collections
import fnmatch
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from lint import LINTS  # noqa: E402

BUILD = os.path.join(ROOT, "build")
HEARTBEAT_S = 8.0
KINDS = ("lint", "unit", "fuzz", "integration")
FUZZ_S = 8
FUZZ_LONG_S = 120
SHOWN_LINES = 400


class Result:
    """What a job found: tests passed, texts of failed ones, reasons of skipped ones."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.output = ""


class Job:
    """One thing to run; `work` fills a Result."""

    def __init__(self, name, work, alone=False, image=False):
        self.name = name
        self.work = work
        self.alone = alone
        self.image = image  # needs the hypervisor


class Processes:
    """All programs that run now, each in a session of its own, so that a way out can end them all."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()

    def run(self, command, limit_s, env=None):
        """(status or None after the limit, output)."""
        p = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.STDOUT, errors="replace", start_new_session=True,
                             env={**os.environ, **(env or {})})
        with self.lock:
            self.running.add(p)
        try:
            output, _ = p.communicate(timeout=limit_s)
            return p.returncode, output
        except subprocess.TimeoutExpired:
            self._end(p)
            return None, p.communicate()[0] + f"\nended after {limit_s} s\n"
        finally:
            with self.lock:
                self.running.discard(p)

    @staticmethod
    def _end(p):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(p.pid, number)
            except ProcessLookupError:
                return
            try:
                p.wait(3)
                return
            except subprocess.TimeoutExpired:
                pass

    def end_all(self):
        with self.lock:
            for p in list(self.running):
                self._end(p)


processes = Processes()


def ending(status):
    """A status in words."""
    if status is None:
        return "ran out of time"
    return f"died of signal {-status}" if status < 0 else f"status {status}"


# ---- the kinds ---------------------------------------------------------------------------------------------------------
def lint_job(name):
    def work(result):
        status, result.output = processes.run([sys.executable, "-B", "tools/lint.py", name], 600)
        if status == 0:
            result.passed = 1
        else:
            result.failed.append(f"lint/{name}: {ending(status)}")
    return Job(f"lint/{name}", work)


def unit_job(name, long):
    """cmocka in its TAP form: `ok N - NAME` and `not ok N - NAME`, with `1..N` for each group."""
    def work(result):
        status, output = processes.run([os.path.join(BUILD, "unit", name)], 3600 if long else 300,
                                       {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
        result.output = output
        planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", output, re.M))
        for verdict, test, skip in re.findall(r"^(ok|not ok) \d+ -? ?([^\s#]*)([^\n]*)", output, re.M):
            if "# SKIP" in skip:
                result.skipped.append(f"unit/{name}:{test}")
            elif verdict == "ok":
                result.passed += 1
            else:
                result.failed.append(f"unit/{name}:{test}")
        seen = result.passed + len(result.failed) + len(result.skipped)
        if status != 0 and not result.failed:
            result.failed.append(f"unit/{name}: {ending(status)}")
        elif seen == 0:
            result.failed.append(f"unit/{name}: no test in it")
        elif seen != planned:
            result.failed.append(f"unit/{name}: {planned} tests planned, {seen} reported")
    return Job(f"unit/{name}", work)


def fuzz_job(name, long):
    def work(result):
        seeds = os.path.join(ROOT, "tests/fuzz/seeds", name.removeprefix("fuzz_"))
        if not glob.glob(seeds + "/*"):
            result.failed.append(f"fuzz/{name}: no seeds in {os.path.relpath(seeds, ROOT)}")
            return
        corpus = os.path.join(BUILD, "corpus", name)
        shutil.rmtree(corpus, ignore_errors=True)
        os.makedirs(corpus)
        os.makedirs(os.path.join(BUILD, "fuzz-crash"), exist_ok=True)
        seconds = FUZZ_LONG_S if long else FUZZ_S
        status, result.output = processes.run(
            [os.path.join(BUILD, "fuzz", name), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-seed=1",
             f"-artifact_prefix={BUILD}/fuzz-crash/{name}-", "-verbosity=1", corpus, seeds], seconds + 120)
        runs = re.search(r"^Done (\d+) runs", result.output, re.M)
        if status == 0 and runs and int(runs[1]) > 0:
            result.passed = 1
        else:
            result.failed.append(f"fuzz/{name}: {ending(status)}")
    return Job(f"fuzz/{name}", work)


def pytest_environment(long):
    return {"VERGE_LONG": "1" if long else "", "PYTHONDONTWRITEBYTECODE": "1"}


def pytest_command(*arguments):
    return [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=tests/integration", *arguments]


def integration_job(file, tests, long):
    """`tests` are the selected ones of the file, as pytest names them, all run in one pytest."""
    def work(result):
        report = os.path.join(BUILD, "test-reports", os.path.basename(file) + ".xml")
        os.makedirs(os.path.dirname(report), exist_ok=True)
        if os.path.exists(report):
            os.remove(report)
        status, result.output = processes.run(pytest_command("-rfE", f"--junitxml={report}", *tests),
                                              4 * 3600 if long else 1200, pytest_environment(long))
        try:
            cases = ElementTree.parse(report).iter("testcase")
        except (OSError, ElementTree.ParseError):
            cases = []
        for case in cases:
            name = f"integration/{os.path.basename(file)}::{case.get('name')}"
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                result.failed.append(name)
            elif skip is not None:
                result.skipped.append(f"{name}: {skip.get('message')}")
            else:
                result.passed += 1
        if status != 0 and not result.failed:
            result.failed.append(f"integration/{os.path.basename(file)}: {ending(status)}")
        elif result.passed + len(result.failed) + len(result.skipped) < len(tests):
            result.failed.append(f"integration/{os.path.basename(file)}: {len(tests)} tests chosen, fewer reported")
    with open(os.path.join(ROOT, file), encoding="utf-8") as f:
        marks = dict(re.findall(r"^# (LANE|IMAGE): (\w+)", f.read(), re.M))
    return Job("integration/" + os.path.basename(file), work, marks.get("LANE") == "alone", marks.get("IMAGE") != "none")


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
    simple = [("lint", sorted(LINTS), lint_job), ("unit", names("tests/unit/test_*.c"), lambda n: unit_job(n, o.long)),
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
        text += f" ({seconds:.1f} s)"
        for skipped in result.skipped:
            text += f"\n     skipped: {skipped}"
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
    order = {"integration": 0, "fuzz": 1, "unit": 2, "lint": 3}
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
    failed += [name for r in results for name in r.failed]
    for name in failed:
        print("failed:", name)
    print(f"{time.monotonic() - began:.0f} s" + (f", {skipped} skipped" if skipped else ""))
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    return 0 if passed > 0 and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        processes.end_all()
        print("interrupted: 0 passed, 1 failed", file=sys.stderr)
        sys.exit(130)
