"""Several physical CPUs: all are started, those without guests are no part of the others' time, and guests run on them at the same time.

Bochs runs them in turns of five instructions, all of which get the time of one turn: so two CPUs are one as fast as the other, and a reading of the TSC is
up to five cycles off. QEMU without icount has a thread for each, in real time. QEMU with icount runs one at a time and counts for all."""
import os
import re
import struct
import subprocess
import sys

import pexpect
import pytest

import at_entry
import harness
from machines import needs_bochs
from test_acpi import SERIAL, Tables, boots
from timing import TIMING, GuestRun, build_guests, make

sys.path.insert(0, os.path.join(harness.ROOT, "tools"))
from hot_path import Stub, run_to  # noqa: E402

PIT = f"kernel={TIMING} mem=16M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=100 load=spin"
COUNT = f"kernel={TIMING} mem=16M -- count rounds=100000"
HOSTILE = os.path.join(harness.ROOT, "build", "guests", "hostile.elf32")
REAL_TIME = {"icount": None, "more": ["--no-icount"]}
WATCHED = "build/watched"  # its watchdog waits for 3 s


@pytest.fixture(scope="module", autouse=True)
def built():
    build_guests()
    make()


def smp(cpus, **options):
    return {**options, "more": [*options.get("more", []), "--smp", str(cpus)]}


def figures(log):
    """CPU -> what the calibration found there."""
    return {int(cpu): rest for cpu, rest in re.findall(r"cpu(\d+): (E=\d+ X=\d+ spread=\d+)", log)}


# ---- parked ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cpus", [2, 8])
def test_parked_cpus_are_not_there(cpus):
    """icount: what the guest prints, and its time, are to the digit those of a machine with one CPU."""
    one, many = (harness.run_verge(vms=[PIT], hv="loglevel=debug", **smp(n)) for n in (1, cpus))
    assert "RESULT PASS pit error=2..2" in one.out and many.out == one.out
    ours, theirs = (GuestRun("vm0", run.out, run.log, True) for run in (one, many))
    assert theirs.time == ours.time and theirs.landings == ours.landings
    assert figures(many.log) == {cpu: figures(one.log)[0] for cpu in range(cpus)}, many.tail()
    assert many.log.count("its TSC agrees with cpu0's within") == cpus - 1


# ---- at the same time --------------------------------------------------------------------------------------------------
QUANTUM = 5  # of Bochs; what a reading of the TSC may be off
CLK = 42     # cycles of one of the PIT's clocks, up; by a reading that is off a guest may take its count for loaded at the next one


def pair(places, machine, timer):
    vms = [f"vm={name} kernel={TIMING} mem=16M charge=1 idle=skip cpu={cpu} -- pit mode=2 hz=1000 ticks=300 load={load}"
           for name, cpu, load in zip("ab", places, ("spin", "movsb"))]
    run = harness.run_verge(vms=vms, hv=f"loglevel=debug timer={timer}", machine=machine, expect={0, 1}, **smp(2))
    guests = [GuestRun(name, run.out, run.log, False) for name in "ab"]
    for guest in guests:
        least, most = guest.value("error_min"), guest.value("error_max")
        assert -CLK <= least <= most <= 2 * QUANTUM and most - least <= 2 * QUANTUM, run.tail()
        assert guest.value("lost") == guest.value("stray") == 0 and sum(guest.histogram("error").values()) == 300, run.tail()
        guest.check_accounts()
    began, ended = (float(re.search(rf"\[(\d+\.\d+)\] vg: {text}", run.log)[1]) for text in ("keyboard: ", "b: code [01]"))
    return run, guests, ended - began


@needs_bochs
@pytest.mark.parametrize("timer", ["oneshot", "deadline", "preempt", "oneshot apic=xapic"])
def test_two_guests_on_two_cpus(timer):
    """Both do the PIT test of the core, no tick late; the two take little longer than one, and each CPU's ledger is of its own guest."""
    run, guests, took = pair((0, 1), "skylake", timer)
    for guest in guests:
        assert guest.landings["late"] == 0, run.tail()
        assert guest.accounts["guests"] == guest.time["ledger"]
    assert figures(run.log).keys() == {0, 1}
    _, _, one_cpu = pair((1, 1), "skylake", timer)
    assert took < 0.7 * one_cpu


@needs_bochs
def test_two_amd_cpus():
    """S1 (machines.py): a slice that does not end makes one tick late."""
    pair((0, 1), "ryzen", "oneshot")


def test_two_guests_in_real_time():
    """QEMU's own threads: they may land late, but each does its work, on a CPU of its own, at the same time."""
    vms = [f"vm={name} cpu={cpu} kernel={TIMING} mem=16M -- pit mode=2 hz=100 ticks=100" for name, cpu in (("a", 0), ("b", 1))]
    run = harness.run_verge(vms=vms, hv="loglevel=debug", expect={0, 1}, **smp(2, **REAL_TIME))
    for name in "ab":
        guest = GuestRun(name, run.out, run.log, False)
        assert "ticks=100" in guest.out and "RESULT" in guest.out, run.tail()
        assert guest.accounts["guests"] == guest.time["ledger"]
        guest.check_accounts()


@pytest.mark.parametrize("cpus", [8])
def test_a_guest_on_each_of_eight(cpus):
    vms = [f"vm=g{cpu} cpu={cpu} kernel={TIMING} mem=16M -- cpuid" for cpu in range(cpus)]
    run = harness.run_verge(vms=vms, **smp(cpus, **REAL_TIME))
    assert run.out.count("RESULT PASS cpuid") == cpus and run.log.count("ledger exact") == cpus, run.tail()


# ---- ends --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("words, keys, code, text", [
    ("badexit code=7", "", 7, "vm1: code 7"), ("reset92", "onreset=stop", 122, "vm1: code 122"), ("reset92", "resets=3", 122, "vm1: reset: .* restart 3"),
    ("tripleflt", "", 126, "vm1: code 126"), ("reset92", "onreset=machine", 125, "reset, and onreset=machine")])
def test_ends_on_another_cpu(words, keys, code, text):
    vms = [f"vm=vm0 {COUNT}", f"vm=vm1 cpu=1 kernel={HOSTILE} mem=16M {keys} -- {words}"]
    run = harness.run_verge(vms=vms, expect=code, **smp(2))
    assert re.search(text, run.log), run.tail()


def test_the_console_cpu_has_no_guest():
    run = harness.run_verge(vms=[f"{COUNT}".replace("mem=", "cpu=1 mem=")], **smp(2))
    assert "RESULT PASS count" in run.out, run.tail()


@pytest.mark.parametrize("cpus, wanted, why", [(1, 1, "this machine's highest is 0"), (2, 2, "this machine's highest is 1")])
def test_no_such_cpu(cpus, wanted, why):
    run = harness.run_verge(vms=[f"vm=far cpu={wanted} {COUNT}"], expect=125, **smp(cpus))
    assert f"far: cpu={wanted}: {why}: set cpu=0" in run.log, run.tail()


# ---- CPUs that are none ------------------------------------------------------------------------------------------------
def test_entries_that_never_answer(tmp_path):
    """A MADT that names two CPUs which aren't there, one of them beyond xAPIC's reach: a line each, and on."""
    machine = at_entry.Machine(tmp_path, *SERIAL, "-smp", "2,maxcpus=5")
    tables = Tables(machine)
    tables.change("APIC", 44 + 2 * 8 + 4, struct.pack("<I", 1))
    tables.change("APIC", 44 + 3 * 8, struct.pack("<BBHIII", 9, 16, 0, 300, 1, 3))
    lines = boots(machine, tmp_path)
    assert "ACPI: 4 CPUs" in lines
    assert "cpu2: APIC ID 2 does not answer: not used" in lines and "cpu3: APIC ID 300 is out of xAPIC mode's reach: not used" in lines, lines
    assert any(line.startswith("cpu1: E=") for line in lines), lines


# ---- keys --------------------------------------------------------------------------------------------------------------
def test_keys_on_two_cpus():
    """Input goes to the guest in focus, whoever runs it; what keys show is shown by its CPU."""
    line = "kernel=debian initrd=debian mem=128M -- console=ttyS0"
    term = harness.spawn_verge("--no-icount", "--smp", "2", "--vm", f"vm=a cpu=0 {line}", "--vm", f"vm=b cpu=1 {line}", "--timeout", "250", timeout=200)
    waiting = {"a", "b"}
    while waiting:
        waiting.discard("ab"[term.expect([r"a\| ~ # ", r"b\| ~ # "])])
    term.send("echo to-$((40+2))\r")
    term.expect(r"a\| to-42")
    term.send("\x01n")
    term.expect("input goes to b")
    term.send("echo to-$((50+3))\r")
    term.expect(r"b\| to-53")
    term.send("\x01r")
    term.expect("b: rip ")
    term.send("\x01t")
    for text in ("a: clock", "ledger sum: exact", "cpu1:", "b: clock", "ledger sum: exact"):
        term.expect(text)
    term.send("\x01m")
    for text in ("report: copy from here", "cpu0: E=", "cpu1: E=", "to here"):
        term.expect(text)
    term.send("\x01x")
    term.expect("b: code 0|a: code 0")
    term.expect("b: code 0|a: code 0")
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == 0


def test_a_flood_stops_nobody():
    """One line for all: a guest of CPU 1 writes without end; the one of CPU 0 is heard, and ends with its lines."""
    line = "kernel=debian initrd=debian mem=128M -- console=ttyS0"
    term = harness.spawn_verge("--no-icount", "--smp", "2", "--hv", "console=com1 log=com1", "--vm", f"vm=a cpu=0 {line}", "--vm", f"vm=b cpu=1 {line}",
                               "--timeout", "250", timeout=200)
    waiting = {"a", "b"}
    while waiting:
        waiting.discard("ab"[term.expect([r"a\| ~ # ", r"b\| ~ # "])])
    term.send("\x01n")
    term.expect("input goes to b")
    term.send("yes\r")
    for _ in range(100):
        term.expect(r"b\| y\r")
    term.send("\x01n")
    term.expect("input goes to a")
    term.send("echo to-$((60+4))\r")
    term.expect(r"a\| to-64")
    term.send("\x01t")
    term.expect("b: clock")
    term.send("poweroff\r")
    term.expect("a: code 0")
    term.send("\x01x")
    term.expect("b: code 0")
    term.expect(pexpect.EOF)


# ---- a CPU that is stuck -----------------------------------------------------------------------------------------------
def test_watchdog(tmp_path):
    """CPU 0 is put, by the emulator, into a loop of the monitor with interrupts off; CPU 1, which has no guest, ends the machine."""
    make(f"BUILD={WATCHED}", "EXTRA_CFLAGS=-DSTUCK_SECONDS=3", f"{WATCHED}/verge.elf32")
    elf = f"{harness.ROOT}/{WATCHED}/verge.elf"
    symbols = {name: int(address, 16) for address, _, name in (line.split() for line in subprocess.run(
        ["nm", elf], capture_output=True, text=True, check=True).stdout.splitlines())}
    socket, log = tmp_path / "gdb", tmp_path / "log"
    command = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+svm,+npt", "-m", "256", "-smp", "2", "-display", "none", "-nodefaults",
               "-no-reboot", "-serial", f"file:{log}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", f"{elf}32", "-append", "console=none log=com1",
               "-chardev", f"socket,path={socket},server=on,wait=off,id=g", "-gdb", "chardev:g", "-S"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=harness.end_with_parent) as qemu:
        try:
            stub = Stub(str(socket))
            run_to(stub, symbols["console_service"], 100)
            registers = stub.ask("g")
            at = 16 * 16  # RIP follows the 16 general registers
            stub.demand("G" + registers[:at] + symbols["enter.stop"].to_bytes(8, "little").hex() + registers[at + 16:])
            stub.socket.sendall(b"$c#63")
            assert qemu.wait(timeout=120) == 2 * 125 + 1
        finally:
            qemu.kill()
    lines = harness.read_text(log)
    told = lines[lines.index("cpu0 has been in the monitor for 3 s: it is stuck"):]
    assert f"#0 {symbols['enter.stop'] + 1:016x} enter" in told, lines
    assert "PANIC: cpu0 is stuck" in told
