"""A guest that does random things to its CPU, ports and memory, a million times, beside guests whose figures stay the same."""
import os
import re
import subprocess

import pytest

from harness import LONG, ROOT, run_verge

GUESTS = os.path.join(ROOT, "build", "guests")
HOSTILE = os.path.join(GUESTS, "hostile.elf32")
TIMING = os.path.join(GUESTS, "timing.elf32")
OPS = 10_000_000 if LONG else 1_000_000
ENDING_OPS = 1_000_000 if LONG else 100_000
# To the cycle: ticks into a spin loop, and one-shots of random counts into a halted CPU.
TICKS = 4000 if LONG else 1000
NEIGHBOURS = {"spins": f"kernel={TIMING} mem=16M -- pit mode=2 hz=1000 ticks={TICKS}",
              "halts": f"kernel={TIMING} mem=16M idle=skip -- pit mode=0 ticks=2000 load=halt most=1193"}
# What ends a run of the hostile guest for good: its own code, a dead halt.
OWN_ENDS = set(range(120)) | {121}


@pytest.fixture(scope="module", autouse=True)
def guests():
    subprocess.run(["make", "-s", "guests"], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def alone(guests):
    return {name: figures(run_verge(vms=[f"vm={name} {line}"]).out) for name, line in NEIGHBOURS.items()}


def figures(output, name=None):
    """A guest's lines; `name` when several stand in the output."""
    lines = output.replace("\r", "").splitlines()
    if name:
        lines = [line.removeprefix(name + "| ") for line in lines if line.startswith(name + "| ")]
    assert lines[-1].startswith("RESULT PASS pit"), "\n".join(lines[-10:])
    return lines


def neighbours_first(order):
    return [f"vm={name} {NEIGHBOURS[name]}" for name in order]


def check_neighbours(run, alone):
    for name in NEIGHBOURS:
        assert figures(run.out, name) == alone[name]
        assert re.search(rf"{name}: code 0; .* 0 late; ledger exact", run.log), run.tail()


def test_random_operations(alone):
    """Resets and crashes restart it with the next seed, counted by Verge and by itself."""
    hostile = f"vm=hostile kernel={HOSTILE} mem=16M oncrash=reset -- ops={OPS} seed=1 deadly=1"
    run = run_verge(vms=[*neighbours_first(["spins"]), hostile, *neighbours_first(["halts"])], timeout=7200 if LONG else 900)
    check_neighbours(run, alone)
    assert f"total={OPS}" in run.out and "hostile| RESULT PASS hostile" in run.out
    restarts = [int(n) for n in re.findall(r"hostile: reset: .*; restart (\d+)", run.log)]
    assert restarts == list(range(1, len(restarts) + 1)) and len(restarts) >= OPS / 50000
    assert run.value("runs") == len(restarts) + 1
    starts = [int(n) for n in re.findall(r"hostile start seed=1 run=(\d+) ", run.out)]
    assert starts == list(range(len(restarts) + 1)), "each start is the next seed"
    assert re.search(r"hostile: code 0; .* 0 late; ledger exact", run.log)
    reasons = {reason for reason in re.findall(r"hostile: reset: (.*); restart", run.log)}
    assert {"triple fault", "port 92h", "keyboard controller"} <= reasons
    print(f"{OPS} operations, {len(restarts)} restarts, {run.seconds:.0f} s")


def test_endings(alone):
    """Port f4h and dead halts too: each end has its code, and the next seed goes on, until enough was done."""
    done, seed, codes = 0, 100, set()
    while done < ENDING_OPS:
        seed += 1
        hostile = f"vm=hostile kernel={HOSTILE} mem=16M oncrash=reset -- ops={ENDING_OPS - done} seed={seed} deadly=1 exits=1 trace=1"
        run = run_verge(expect=OWN_ENDS, vms=[hostile, *neighbours_first(["halts"])], timeout=600)
        assert figures(run.out, "halts") == alone["halts"]
        assert re.search(rf"hostile: code {run.code}; .* 0 late; ledger exact", run.log), run.tail()
        done += max([int(n) for n in re.findall(r"hostile at=(\d+)", run.out)], default=0) + 1
        codes.add(run.code)
        if "RESULT PASS hostile" in run.out:
            break
    assert len(codes) > 1, "it never ended by itself"
    print(f"{seed - 100} runs, codes {sorted(codes)}")


def test_same_again():
    """Random to the eye only: the same seed gives the same exceptions, interrupts and debug traps; another one doesn't."""
    first, again, other = (run_verge(vms=[f"kernel={HOSTILE} mem=16M -- ops=20000 seed={seed}"]).out for seed in (7, 7, 8))
    assert first == again and "RESULT PASS hostile" in first
    assert first.splitlines()[1] != other.splitlines()[1]
