"""Non-maskable interrupts. A test build of Verge has a source of them that a guest can ask (tests/image/nmi.c); the shipped one has the key Ctrl-A i
(test_linux.py). With charge=1 each NMI is held to the boundary between two instructions at which it has to be taken."""
import os
import subprocess

import pytest

import harness
from machines import MACHINES, timer_params
from modes import MODES, xfail
from timing import build_guests

BUILD = "build/nmi"
IMAGE = os.path.join(harness.ROOT, BUILD, "verge.elf32")
NMI_LIMITS = ("S1", "v86_exit")


@pytest.fixture(scope="module")
def image():
    build_guests()
    subprocess.run(["make", "-s", f"BUILD={BUILD}", "EXTRA_SRC=tests/image/nmi.c", f"{BUILD}/verge.elf32"], cwd=harness.ROOT, check=True)
    return IMAGE


@pytest.mark.parametrize("perturb", ["", "perturb=3", "perturb=8 slice=1ms"])
@pytest.mark.parametrize("machine, timer", timer_params())
def test_where_nmis_are_taken(image, machine, timer, perturb):
    limits = [name for name in NMI_LIMITS if name in MACHINES[machine].limits]
    vm = f"kernel={MODES} mem=32M charge=1 idle=skip -- only=nmisource {xfail(limits)}"
    run = harness.run_verge(machine=machine, image=image, hv=f"timer={timer} {perturb}".strip(), vms=[vm])
    assert run.value("failed") == 0 and run.value("passed") > (40 if "S1" in limits else 100), run.tail()
    assert "ledger exact" in run.log


def test_the_shipped_image_has_no_source(image):
    """Its hypercalls are none."""
    run = harness.run_verge(expect=None, vms=[f"kernel={MODES} mem=32M charge=1 -- only=nmisource xfail="])
    assert "TRAP vector=6" in run.out and run.code == 1, run.tail()
