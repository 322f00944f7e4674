"""The jobs of run-tests.sh: what each kind of test runs and how its results are counted. Used by run_tests.py.

A test that crashes, hangs, or prints no result is a failed one: every count is checked against what was planned.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
FUZZ_S = 8
FUZZ_LONG_S = 120


class Result:
    """What a job found: tests passed, texts of failed ones, reasons of skipped ones and of those that failed as expected."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.expected = []
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


def tool_job(name):
    """A script of tools/ that is a test as a whole: status 0 is passed."""
    def work(result):
        status, result.output = processes.run([sys.executable, "-B", f"tools/{name}.py"], 1200)
        if status == 0:
            result.passed = 1
        else:
            result.failed.append(f"tool/{name}: {ending(status)}")
    return Job(f"tool/{name}", work)


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
            elif skip is not None and skip.get("type") == "pytest.xfail":
                result.expected.append(f"{name}: {skip.get('message')}")
            elif skip is not None:
                result.skipped.append(f"{name}: {skip.get('message')}")
            else:
                result.passed += 1
        if status != 0 and not result.failed:
            result.failed.append(f"integration/{os.path.basename(file)}: {ending(status)}")
        elif result.passed + len(result.failed) + len(result.skipped) + len(result.expected) < len(tests):
            result.failed.append(f"integration/{os.path.basename(file)}: {len(tests)} tests chosen, fewer reported")
    with open(os.path.join(ROOT, file), encoding="utf-8") as f:
        marks = dict(re.findall(r"^# (LANE|IMAGE): (\w+)", f.read(), re.M))
    return Job("integration/" + os.path.basename(file), work, marks.get("LANE") == "alone", marks.get("IMAGE") != "none")
