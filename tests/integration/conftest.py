"""pytest's set-up: the stand-in image, soak tests only with --long, and the last serial lines under each failure."""
import os
import subprocess

import pytest

import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "long: a soak test, run by run-tests.sh --long only")


def pytest_collection_modifyitems(config, items):
    if harness.LONG:
        return
    soak = [item for item in items if item.get_closest_marker("long")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in soak]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    harness.recent_runs.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and harness.recent_runs:
        report.sections.append(("the last run", harness.recent_runs[-1].tail()))


@pytest.fixture(scope="session")
def standin(tmp_path_factory):
    """A tiny Multiboot image in Verge's place: tests/integration/standin.asm."""
    image = tmp_path_factory.mktemp("standin") / "standin.bin"
    source = os.path.join(os.path.dirname(__file__), "standin.asm")
    subprocess.run(["nasm", "-f", "bin", source, "-o", str(image)], check=True)
    return image
