#!/usr/bin/env python3
"""What exits, a wake-up, a boot and the image cost:  bench.py [--machine NAME] [--json FILE]

Runs the timing guest under QEMU with icount, or under Bochs, where a cycle is an instruction, and prints `key=value` lines; the same go to
build/bench.json. Machines: qemu (AMD SVM); skylake, skylake-deadline and skylake-preempt (Intel VT-x by each timer), ryzen (AMD SVM), all
of them under Bochs.
Fails when a figure is beyond its limit. Everything is measured from outside the monitor:

  exit.X              host TSC for N rounds of a loop, less the guest's own instructions, over N: everything between exit and entry included
  hot.X.Y             (qemu) one such exit stepped through by QEMU's gdb stub: the monitor's instructions, and of these the XSAVE, WRMSR, divisions and
                      atomic ones, the accesses to the local APIC, and those executed `again` (a loop, a search)
  wake.hlt_error      the worst one-shot that ends a halt against the best one that interrupts a loop, in guest cycles
  guest.cpu_ratio     guest cycles over elapsed host cycles, of a loop with a 1000 Hz tick
  boot.instructions   from entry to the first run of a guest, without measuring f (tsc= is given) and without the clearing of the guest's memory,
                      which two boots with different sizes tell apart
  image.bytes, memory.bytes, clock_guest.bytes   the file that is booted; the image in memory and what Verge allocates for itself; the built-in guest
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

from hot_path import Code, Stub, walk

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMAGE = "build/verge.elf"
GUEST = "build/guests/timing"
ROUNDS = 10_000
MARK_AFTER = 0x70  # from the mark before a loop to the one after it: tests/guests/timing/bench.c
HOT = ("cpuid", "rdmsr", "pit_read", "port61", "uart_status")
HOT_LIMITS = dict.fromkeys(("xsave", "wrmsr", "lapic", "atomic", "division", "again"), 0)
MOST = {"exit.cpuid": 250, "exit.rdmsr": 250, "exit.pit_read": 300, "exit.uart_status": 300, "wake.hlt_error": 0, "boot.instructions": 30_000_000,
        "image.bytes": 400 << 10, "memory.bytes": 8 << 20, "clock_guest.bytes": 32 << 10}
LEAST = {"guest.cpu_ratio": 0.99}
TSC = "tsc=1000000000"  # Bochs counts one tick for an instruction, whatever Verge takes the rate for: the same rate as QEMU's
MACHINES = {
    "qemu": (["--icount"], ""),
    "skylake": (["--cpu", "intel"], TSC + " timer=oneshot"),
    "skylake-deadline": (["--cpu", "intel"], TSC + " timer=deadline"),
    "skylake-preempt": (["--cpu", "intel"], TSC + " timer=preempt"),
    "ryzen": (["--accel", "bochs"], TSC),
}
machine = "qemu"


def number(text):
    return int(text.replace(",", ""))


def command(words, mem, log, *more, hv=""):
    options, words_of_machine = MACHINES[machine]
    return ["./run-qemu.sh", *options, "--timeout", "300", "--hv", f"loglevel=debug {words_of_machine} {hv}".strip(), "--log", log,
            "--vm", f"kernel={GUEST}.elf32 mem={mem} idle=skip -- {words}", *more]


def run(words, mem="16M", hv=""):
    """The guest's output and Verge's log of a run that passes."""
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        log = os.path.join(directory, "log")
        done = subprocess.run(command(words, mem, log, hv=hv), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode or "RESULT PASS" not in done.stdout:
            sys.exit(f"bench: `{words}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        with open(log, encoding="latin-1") as f:
            return done.stdout, f.read()


def account(log, name):
    return int(re.search(rf"account {name}=(\d+)", log)[1])


def exits():
    out, log = run(f"bench n={ROUNDS} kind=all", hv="slice=1s")  # a slice's end takes some 50,000 cycles, in whichever loop it falls
    marks = {int(code, 16): int(tsc) for code, tsc in re.findall(r"mark (\w+) tsc (\d+)", log)}
    figures = {}
    for kind, rounds, mark, own in re.findall(r"kind=(\w+) n=(\d+) mark=(\w+) .*own_instructions=(\d+)", out):
        mark = int(mark, 16)
        figures[f"exit.{kind}"] = round((marks[mark + MARK_AFTER] - marks[mark] - int(own)) / int(rounds), 1)
    del figures["exit.none"]
    return figures | {"wake.hlt_error": int(re.search(r"wake_error=(-?\d+)", out)[1])}


def ratio():
    log = run("pit mode=2 hz=1000 ticks=1000 load=spin")[1]
    elapsed = int(re.search(r"of elapsed=(\d+)", log)[1]) - account(log, "boot")
    return {"guest.cpu_ratio": round(account(log, "guests") / elapsed, 5)}


def boot():
    sizes = (64, 128)
    logs = [run("count rounds=1", f"{size}M")[1] for size in sizes]
    small, large = (account(log, "boot") for log in logs)
    image, own = re.search(r"memory: ([\d,]+) KB image, ([\d,]+) KB own", logs[0]).groups()
    return {"boot.instructions": 2 * small - large, "memory.bytes": number(image) + number(own) << 10,
            "image.bytes": os.path.getsize(os.path.join(ROOT, IMAGE + "32")),
            "clock_guest.bytes": os.path.getsize(os.path.join(ROOT, "build/guests/clock.elf32"))}


def hot(kind):
    """Steps through one round of a loop."""
    guest = Code(os.path.join(ROOT, GUEST + ".elf64"))
    with tempfile.TemporaryDirectory(prefix="verge-bench-") as directory:
        socket = os.path.join(directory, "gdb")
        qemu = subprocess.Popen(command(f"bench n=1000 kind={kind}", "16M", os.path.join(directory, "log"),
                                        "--", "-S", "-gdb", f"unix:{socket},server=on,wait=off"),
                                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            counts, _ = walk(Stub(socket), Code(os.path.join(ROOT, IMAGE)), guest.address(f"bench_{kind}.again"))
        finally:
            qemu.terminate()
            qemu.wait()
    return {f"hot.{kind}.{key}": value for key, value in counts.items()}


def faults(figures):
    found = [f"{key}={figures[key]}: at most {most}" for key, most in MOST.items() if figures[key] > most]
    found += [f"{key}={figures[key]}: at least {least}" for key, least in LEAST.items() if figures[key] < least]
    for kind in HOT if machine == "qemu" else ():
        found += [f"hot.{kind}.{key}={figures[f'hot.{kind}.{key}']}: at most {most}" for key, most in HOT_LIMITS.items()
                  if figures[f"hot.{kind}.{key}"] > most]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", choices=MACHINES, default="qemu")
    parser.add_argument("--json", default=os.path.join(ROOT, "build", "bench.json"))
    options = parser.parse_args()
    global machine
    machine = options.machine
    figures = exits() | ratio() | boot()
    for kind in HOT if machine == "qemu" else ():
        figures |= hot(kind)
    with open(options.json, "w", encoding="ascii") as f:
        json.dump(figures, f, indent=1)
        f.write("\n")
    for key, value in figures.items():
        print(f"{key}={value}")
    found = faults(figures)
    for fault in found:
        print("beyond its limit: " + fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
