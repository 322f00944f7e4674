"""The machine's screen as a console, where there is no serial port: what a person would see is read back from the screen, VGA text as the memory of
its cells, a framebuffer as a picture, by the shapes of the console's own font."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

import at_entry
import harness
from test_media import DISK, FIRMWARE, needs_grub, needs_uefi
from timing import build_guests

sys.path.insert(0, os.path.join(harness.ROOT, "tools"))
import font  # noqa: E402

CELL_WIDTH, CELL_HEIGHT = 6, 10
PATIENCE = 60
MACHINE = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp", "-m", "512", "-display", "none",
           "-nodefaults", "-no-reboot"]


class Watched:
    """QEMU with a screen and without serial ports; its monitor shows the screen."""

    def __init__(self, directory, *options):
        self.directory = directory
        path = os.path.join(directory, "monitor")
        self.process = self.start("-monitor", f"unix:{path},server,nowait", *options)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.settimeout(PATIENCE)
        self.monitor.connect(path)
        self.answer()

    def start(self, *options):
        return subprocess.Popen([*MACHINE, *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.monitor.close()
        self.process.kill()
        self.process.wait()

    def answer(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            text += self.monitor.recv(65536)
        return text.decode("latin-1")

    def command(self, line):
        self.monitor.sendall(line.encode() + b"\n")
        return self.answer()

    def text_screen(self):
        dump = self.command("xp /2000hx 0xb8000")
        words = [int(word, 16) for line in dump.splitlines() if ":" in line for word in re.findall(r"0x([0-9a-f]{4})\b", line.split(":", 1)[1])]
        text = "".join(chr(word & 0xFF) for word in words[:2000])
        return "\n".join(text[at:at + 80].rstrip() for at in range(0, len(text), 80))

    def picture(self):
        """(width, height, rows of bytes)"""
        path = os.path.join(self.directory, "picture")
        self.command(f"screendump {path}")
        with open(path, "rb") as file:
            _, size, _, pixels = file.read().split(b"\n", 3)
        width, height = map(int, size.split())
        return width, height, [pixels[y * width * 3:(y + 1) * width * 3] for y in range(height)]

    def pixel_screen(self):
        width, height, rows = self.picture()
        scale = max(width // (100 * CELL_WIDTH), 1)
        shapes = {tuple(glyph) + ("." * 5,): character for character, glyph in font.read(os.path.join(harness.ROOT, "arch/x86/host/font.txt")).items()}
        lines = []
        for top in range(0, height - CELL_HEIGHT * scale + 1, CELL_HEIGHT * scale):
            line = ""
            for left in range(0, width - CELL_WIDTH * scale + 1, CELL_WIDTH * scale):
                cell = tuple("".join("#" if rows[top + y * scale][(left + x * scale) * 3] else "." for x in range(5)) for y in range(CELL_HEIGHT))
                line += shapes.get(cell, "\0")
            lines.append(line.rstrip())
        return "\n".join(lines)

    def wait_for(self, screen, pattern):
        deadline, text = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            text = screen()
            if re.search(pattern, text):
                return text
            time.sleep(0.5)
        pytest.fail(f"not on the screen within {PATIENCE} s: {pattern}\n{text}")
        return None


class Panicking(Watched):
    """Meets an undefined opcode where the guests would be run."""

    def start(self, *options):
        machine = at_entry.Machine(self.directory, *options)
        machine.write(at_entry.symbol("run_all"), b"\x0F\x0B")
        machine.stub.demand("D")
        return machine.process


@pytest.fixture(scope="module", autouse=True)
def image():
    build_guests()
    subprocess.run(["make", "-s", "build/verge.elf32"], cwd=harness.ROOT, check=True)


def uefi(tmp_path):
    variables = tmp_path / "variables"
    shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}", "-drive", f"if=pflash,format=raw,file={variables}",
            "-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,snapshot=on,file={DISK}", "-device", "usb-storage,drive=stick"]


def test_vga_text_without_a_serial_port(tmp_path):
    with Watched(tmp_path, "-vga", "std", "-kernel", os.path.join(harness.ROOT, "build/verge.elf32")) as machine:
        text = machine.wait_for(machine.text_screen, r"clock s=2 pit=")
    assert re.search(r"vg: Verge \S+ \(\w+\), AMD SVM", text), text


@needs_grub
def test_safe_settings_show_text(tmp_path):
    """The menu's last entry: GRUB hands over in text mode, which is where Verge writes then."""
    subprocess.run(["make", "-s", "image"], cwd=harness.ROOT, check=True)
    with Watched(tmp_path, "-vga", "std", "-drive", f"format=raw,snapshot=on,file={DISK}") as machine:
        for _ in range(30):  # until GRUB's menu is there to take one; the last entry is the last
            machine.command("sendkey down")
            time.sleep(0.5)
        machine.command("sendkey ret")
        machine.wait_for(machine.text_screen, r"clock s=\d+ pit=")


def full_pipe(path):
    """What QEMU's pipe: takes, and nothing goes through it any more."""
    ends = []
    for end in (f"{path}.in", f"{path}.out"):
        os.mkfifo(end)
        ends.append(os.open(end, os.O_RDWR | os.O_NONBLOCK))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(ends[1], bytes(1 << 12))
    return ends


@pytest.mark.parametrize("words", ["", "log=none"])
def test_a_dead_serial_line_beside_the_screen(tmp_path, words):
    """A UART that takes nothing delays what the screen shows, but keeps nothing from it."""
    ends = full_pipe(tmp_path / "pipe")
    with Watched(tmp_path, "-vga", "std", "-serial", f"pipe:{tmp_path}/pipe", "-kernel", os.path.join(harness.ROOT, "build/verge.elf32"), "-append", words) as machine:
        machine.wait_for(machine.text_screen, r"clock s=\d+ pit=")
    for end in ends:
        os.close(end)


def test_a_panic_stays(tmp_path):
    """Nothing powers the machine off or resets it; the exit port would end QEMU."""
    with Panicking(tmp_path, "-vga", "std", "-append", "noreboot") as machine:
        text = machine.wait_for(machine.text_screen, r"PANIC: unexpected exception 6")
        time.sleep(5)
        assert machine.process.poll() is None
        text = machine.text_screen()
    assert "PANIC: unexpected exception 6" in text and "run_all" in text, text


@pytest.mark.parametrize("cpu,reason", [
    ("qemu64,-svm", 'this CPU has no AMD SVM, or the firmware hides it: enable "SVM Mode"'),
    ("qemu64", "this CPU's SVM has no nested paging (NPT), which Verge needs"),
    ("qemu64,-lm", "this CPU has no 64-bit long mode with NX; Verge can't run here."),
])
def test_why_it_cannot_run(tmp_path, cpu, reason):
    """One line on each console, and it stays there."""
    with Watched(tmp_path, "-vga", "std", "-cpu", cpu, "-serial", f"file:{tmp_path}/log",
                 "-kernel", os.path.join(harness.ROOT, "build/verge.elf32")) as machine:
        machine.wait_for(machine.text_screen, "can't run")
        time.sleep(2)
        assert machine.process.poll() is None
        shown, log = machine.text_screen().replace("\n", " "), harness.read_text(tmp_path / "log")
    assert reason in log, log
    assert reason.replace(" ", "") in shown.replace(" ", ""), shown


def press(machine, *keys):
    for key in keys:
        machine.command(f"sendkey {key}")


def test_keyboard(tmp_path):
    """The keys of a person without a serial line, on the PS/2 keyboard; the last ends Verge."""
    with Watched(tmp_path, "-vga", "std", "-kernel", os.path.join(harness.ROOT, "build/verge.elf32")) as machine:
        machine.wait_for(machine.text_screen, r"clock s=1 pit=")
        press(machine, "ctrl-a", "h")
        machine.wait_for(machine.text_screen, r"Ctrl-A x: quit Verge")
        press(machine, "ctrl-a", "m")
        text = machine.wait_for(machine.text_screen, r"vm0: [1-9][\d,]* timer events(.|\n)*---- to here ----")
        press(machine, "ctrl-a", "x")
        machine.process.wait(timeout=PATIENCE)
    report = re.sub(r"\s", "", text.split("copy from here ----")[-1])  # lines are broken at the screen's edge
    for line in (r"Verge \S+ \(\w+\), from qemu", r"QEMU Virtual CPU .*, signature 60fb1, microcode \w+, under a hypervisor",
                 r"AMD SVM, TSC [\d,]+ Hz, timer one-shot", r"511 MB RAM, ACPI: CPUs 1, HPET, PM timer, S5 known, reset register",
                 r"E=\d+ X=\d+ spread=\d+, recalibrated \d+ times", r"vm0: [\d,]+ timer events, [\d,]+ late \(worst \d+\), exact"):
        assert re.search(line.replace(" ", ""), report), (line, report)


@needs_grub
@needs_uefi
@pytest.mark.parametrize("card", [["-vga", "std"], ["-device", "bochs-display,xres=1920,yres=1080"]], ids=["std", "large"])
def test_framebuffer_without_a_serial_port(tmp_path, card):
    """Neither UART nor, on the second card, VGA text."""
    subprocess.run(["make", "-s", "image"], cwd=harness.ROOT, check=True)
    with Watched(tmp_path, *card, *uefi(tmp_path)) as machine:
        text = machine.wait_for(machine.pixel_screen, r"clock s=2 pit=")
    assert re.search(r"vg: Verge \S+ \(\w+\), AMD SVM", text.replace("\n", "")), text
    assert "\0" not in text.split("clock s=2")[0], "every cell is a character of the font"


def test_no_screen_and_no_serial_port(tmp_path):
    """Nobody to talk to: it runs all the same, to its end."""
    command = [*MACHINE, "-vga", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", "build/verge.elf32",
               "-initrd", "build/guests/timing.elf32 kernel vm=vm0 -- cpuid"]
    assert subprocess.run(command, cwd=harness.ROOT, timeout=PATIENCE, check=False).returncode == 1


@pytest.mark.parametrize("words", ["display=off", ""])
def test_display_off(tmp_path, words):
    module = "build/guests/timing.elf32 kernel vm=vm0 -- spin"
    with Watched(tmp_path, "-vga", "std", "-serial", f"file:{tmp_path}/log", "-kernel", os.path.join(harness.ROOT, "build/verge.elf32"),
                 "-append", words, "-initrd", os.path.join(harness.ROOT, module)) as machine:
        deadline = time.monotonic() + PATIENCE
        while "vg: memory:" not in harness.read_text(tmp_path / "log") and time.monotonic() < deadline:
            time.sleep(0.2)
        shown = "vg: memory:" in machine.text_screen()
    assert shown == (words == "")
