"""run-qemu.sh with a stand-in for Verge: outputs, verdicts, the terminal, odd names. No hypervisor is needed here."""
# IMAGE: none
import os
import re
import signal
import socket
import subprocess
import time

import pexpect
import pytest

from harness import ROOT, RUN_QEMU, read_text, run_script, run_verge, spawn_verge


def run_standin(standin, letters, expect=0, more=(), **options):
    return run_verge(image=standin, hv="do=" + letters, expect=expect, more=["--clock", *more], timeout=60, **options)


# ---- verdicts ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("letters,code", [("c00", 0), ("c07", 7), ("x77", 119), ("x79", 121), ("x7e", 126), ("x00", 125),
                                          ("t", 125)])
def test_exit_code(standin, letters, code):
    run_standin(standin, letters, expect=code)


def test_qemu_failure_is_no_verdict(standin):
    run = run_standin(standin, "c00", expect=125, qemu=["-no-such-option"])
    assert "no verdict" in run.err and "no-such-option" in run.err


def test_time_out(standin):
    run = run_verge(image=standin, hv="do=olh", expect=124, more=["--clock"], timeout=3, icount=None)
    assert "time-out after 3 s" in run.err and "hello from Verge" in run.err.split("time-out")[1]
    assert run.seconds < 15


# ---- outputs -----------------------------------------------------------------------------------------------------------
def test_stdout_is_the_guests(standin):
    run = run_standin(standin, "olc00")
    assert run.out == "hello from the guest\r\n"
    assert run.log == "[0.000123] vg: hello from Verge\n[0.000456] vg: vm0: code 0\n"
    assert run.log.splitlines()[0] in run.err


NUMBERED = [f"{i:04x}" for i in range(2000)]


def check_many(out, err):
    assert re.findall(r"guest line (\w+)", out) == NUMBERED
    assert re.findall(r"vg: line (\w+)", err) == NUMBERED


def test_no_line_is_lost_in_pipes(standin):
    run = run_standin(standin, "bc00")
    check_many(run.out, run.err)


def test_no_line_is_lost_in_files_and_sockets(standin, tmp_path):
    command = [RUN_QEMU, "--clock", "--icount", "--hv", "do=bc00"]
    env = {**os.environ, "VERGE_IMAGE": str(standin)}
    err_path = tmp_path / "err"
    err_path.write_text("what stood here before\n")
    near, far = socket.socketpair()
    with open(tmp_path / "out", "wb") as out, open(err_path, "ab") as err, near, far:
        assert subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=120).returncode == 0
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=far)
        far.close()
        time.sleep(2)  # a slow reader
        data = b""
        while chunk := near.recv(65536):
            data += chunk
        assert child.wait(60) == 0
    err_text = read_text(err_path)
    assert err_text.startswith("what stood here before\n")
    check_many(read_text(tmp_path / "out"), err_text)
    check_many(read_text(tmp_path / "out"), data.decode())


def test_closed_descriptors(standin):
    command = f"exec '{RUN_QEMU}' --clock --icount --hv do=olc05 <&- >&- 2>&-"
    assert run_script(["bash", "-c", command], 60, env={"VERGE_IMAGE": str(standin)}).code == 5


def test_nobody_reads_stdout(standin):
    command = f"'{RUN_QEMU}' --clock --hv do=bbbh --timeout 50 | head -n 1; exit ${{PIPESTATUS[0]}}"
    run = run_script(["bash", "-c", command], 90, env={"VERGE_IMAGE": str(standin)})
    assert run.code == 125 and run.seconds < 40


def test_screen_file(standin):
    run = run_standin(standin, "lsc00", screen=True)
    assert run.screen == "ALIENS\n  MOVE\n"
    assert "ALIENS" not in run.err and "ALIENS" in run.log


def test_stdin_goes_to_the_guest(standin):
    run = run_standin(standin, "ec00", stdin=b"a\x01\x03\x1dxQ")
    assert run.out == "6101031d78"


# ---- the machine's words -----------------------------------------------------------------------------------------------
def test_words_and_modules(standin, tmp_path):
    kernel = tmp_path / "a kernel, with blanks"
    initrd = tmp_path / "an, initrd"
    kernel.write_bytes(b"k" * 100)
    initrd.write_bytes(b"i" * 100)
    run = run_verge(image=standin, hv="do=mc00 slice=1ms tsc=5", kernel=kernel, initrd=initrd, mem="64M", append='a,b "c,, d" -- e')
    verge, first, second = [line.split(" ", 1)[1] for line in run.out.splitlines()]
    assert verge == "console=com1 log=com2 do=mc00 slice=1ms tsc=5"
    assert first == 'kernel vm=vm0 mem=64M -- a,b "c,, d" -- e'
    assert second == "initrd vm=vm0"


def test_several_guests(standin, tmp_path):
    (tmp_path / "one k").write_bytes(b"k")
    (tmp_path / "two").write_bytes(b"k")
    run = run_verge(image=standin, hv="do=mc00",
                    vms=[f'vm=a kernel="{tmp_path}/one k" idle=skip -- x  y', f"kernel={tmp_path}/two initrd={tmp_path}/two"])
    lines = [line.split(" ", 1)[1] for line in run.out.splitlines()]
    assert lines[1:] == ["kernel vm=a idle=skip -- x  y", "kernel vm=vm1", "initrd vm=vm1"]


def test_script_and_image_in_a_path_with_blanks(standin, tmp_path):
    place = tmp_path / "a place, with blanks"
    place.mkdir()
    os.symlink(ROOT, place / "ver ge,x")
    image = place / "ima ge,.elf"
    image.write_bytes(standin.read_bytes())
    run = run_script([place / "ver ge,x" / "run-qemu.sh", "--clock", "--icount", "--hv", "do=oc00", "--log", place / "l og,"], 60,
                     env={"VERGE_IMAGE": str(image), "TMPDIR": str(place)}, cwd=place)
    assert run.code == 0 and run.out == "hello from the guest\r\n"
    assert "code 0" in read_text(place / "l og,")


@pytest.mark.parametrize("args,text", [
    (["--cpu", "intel", "--accel", "tcg"], "VT-x"), (["--accel", "bochs", "--icount", "3"], "Bochs"), (["--accel", "bochs", "--gdb"], "QEMU's"),
    (["--accel", "xen"], "--accel xen"), (["--cpu", "arm"], "--cpu arm"), (["--nonsense"], "unknown option --nonsense"),
    (["--mem"], "--mem needs a value"), (["--timeout", "soon"], "--timeout soon"), (["--smp", "0"], "--smp 0"),
    (["--icount", "--no-icount"], "exclude"), (["--kernel", "/no/such"], "/no/such"), (["--vm", "vm=a idle=skip"], "kernel=FILE"),
    (["--vm", "vm=A kernel=x"], "vm=A"), (["--vm", "vm=a kernel='x"], "quote"), (["--kernel", "k", "--vm", "v"], "--vm"),
    (["--clock", "--mem", "1M"], "--clock"), (["--kernel", __file__, "--mem", "64"], "--mem 64"), (["--gdb", "99999"], "--gdb"),
    (["--clock", "--log", "/no/such/place"], "/no/such/place"), (["--clock", "--timeout", "0.0"], "--timeout 0.0"),
    (["--clock", "--uefi"], "--uefi goes with"), (["--clock", "--iso", "--accel", "bochs"], "not with Bochs"), (["--demo", "--usb"], "--demo"),
    (["--demo", "--vm", "kernel=x"], "--demo"), (["--demo", "--timeout", "5"], "--demo"),
])
def test_bad_usage(standin, args, text):
    run = run_script([RUN_QEMU, *args], 60, env={"VERGE_IMAGE": str(standin)})
    assert run.code == 125 and text in run.err and run.out == ""


def test_a_full_disk_is_no_fault_of_the_emulator(standin):
    """The guest's output comes all the same; without a whole log there is no verdict."""
    run = run_script([RUN_QEMU, "--clock", "--icount", "--hv", "do=oc00", "--log", "/dev/full"], 60, env={"VERGE_IMAGE": str(standin)})
    assert run.code == 125 and run.out == "hello from the guest\r\n"
    assert "/dev/full: No space left on device" in run.err and "can't be started" not in run.err


def test_help_lists_the_options():
    run = run_script([RUN_QEMU, "--help"], 20)
    assert run.code == 0
    for option in ("--kernel", "--vm", "--hv", "--icount", "--iso", "--usb", "--uefi", "--timeout", "--screen", "--gdb", "--demo"):
        assert option in run.out


# ---- terminal and signals ----------------------------------------------------------------------------------------------
def test_keys_reach_the_guest_and_the_terminal_is_restored(standin):
    term = spawn_verge("--clock", "--hv", "do=pec00", image=standin)
    before = term_mode(term)
    term.expect_exact("prompt# ")
    assert term_mode(term) != before
    for key in ("\x03", "\x01", "x", "\x1d\x1d", "\x1c", "\x1a"):
        term.send(key)
    term.expect_exact("0301781d1c1a")
    term.send("Q")
    # While the terminal is open, its mode can be asked for.
    wait_for(lambda: term_mode(term) == before)
    term.expect("code 0")
    term.wait()
    assert term.exitstatus == 0


def test_lines_on_a_raw_terminal(standin):
    """The guest's CR LF stays as it is, Verge's bare LF gets its CR."""
    term = spawn_verge("--clock", "--hv", "do=olc00", image=standin)
    term.expect(pexpect.EOF)
    for text in ("hello from Verge\r\n", "code 0\r\n"):
        assert text in term.before
    # The two streams keep no order between them: a line of Verge's may stand inside one of the guest's.
    assert "\r\r" not in term.before
    assert term.before.count("\n") == term.before.count("\r\n")


def test_escape_ends_a_hanging_emulator(standin):
    term = spawn_verge("--clock", "--hv", "do=ph", image=standin)
    before = term_mode(term)
    term.expect_exact("prompt# ")
    term.send("\x1dx")
    term.expect_exact("ended by Ctrl-] x")
    wait_for(lambda: term_mode(term) == before)
    term.wait()
    assert term.exitstatus == 125


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_all_and_restore_the_terminal(standin, number):
    term = spawn_verge("--clock", "--hv", "do=ph", image=standin)
    before = term_mode(term)
    term.expect_exact("prompt# ")
    emulators = children_of(term.pid)
    assert emulators
    os.kill(term.pid, number)
    wait_for(lambda: term_mode(term) == before)
    term.wait()
    assert term.signalstatus == number
    wait_for(lambda: not any(alive(p) for p in emulators))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals_without_a_terminal(standin, number):
    child = subprocess.Popen([RUN_QEMU, "--clock", "--hv", "do=oh"], env={**os.environ, "VERGE_IMAGE": str(standin)},
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"hello from the guest\r\n"
    emulators = children_of(child.pid)
    assert emulators
    os.kill(child.pid, number)
    assert child.wait(15) == -number
    child.stdout.close()
    wait_for(lambda: not any(alive(p) for p in emulators))


def term_mode(term):
    import termios
    return termios.tcgetattr(term.child_fd)


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def children_of(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(p) for p in found.split()]


def alive(pid):
    return " Z" not in read_text(f"/proc/{pid}/stat").partition(")")[2][:3] and os.path.exists(f"/proc/{pid}")
