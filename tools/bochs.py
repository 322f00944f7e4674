"""Bochs's configuration for Verge and its guests, and the verdict of its end. The machine is deterministic: each instruction is
one tick of the TSC, devices go by ticks too, and the clock starts at a fixed date.

Boot: Verge, all modules and the Multiboot information are laid out here as they are to stand in memory, and become a disk
whose first sector (bochs_boot.asm) loads and starts them. That needs no GRUB and takes a tenth of its time. Bochs's own
RAM images (optramimage) are no way: it fills them block by block, and one of more than a block lands in the wrong place.
The exit code: Bochs has no exit port, so Verge names its code on its log and powers off by ACPI, and Bochs then says so.
Quirks met: its terminal display blocks unless somebody reads it; it needs TERM; it ends at a graphics mode (so its video card has
none); it ignores SIGTERM.
"""
import os
import re
import signal
import struct
import subprocess
import threading

from machine import NO_VERDICT, Failure, Machine, module_name
from ports import Listeners

MODELS = {"amd": "ryzen", "intel": "corei7_skylake_x"}
IMAGE_BASE = 0x100000
SECTOR = 512
CYLINDER = 16 * 63 * SECTOR
PAGE = 4096
MEMORY_MOST = 2048  # MB; beyond, Bochs would move memory out to a file, and then it loses some
MB1_FLAGS = 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9  # command line, modules, memory map, loader's name
SCREEN_OPENED = re.compile(rb'^Bochs connected to screen "(/dev/pts/[0-9]+)"')
LAST_WORDS = b"Bochs is exiting with the following message:"
POWERED_OFF = b"[ACPI  ] ACPI control: soft power off"
TRACE_MARK = b"~"
WAS_RESET = b"[UNMAP ] Shutdown port: shutdown requested"  # by bochs_boot.asm

CONFIGURATION = """\
config_interface: textconfig
display_library: term
cpu: model={model}, count={smp}, ips={hz}, reset_on_triple_fault=0, ignore_bad_msrs=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
vga: extension=none
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
plugin_ctrl: speaker=0, parallel=0, gameport=0, usb_uhci=0
clock: sync=none, time0=946684800
com1: enabled=1, mode=socket-client, dev={com1}
com2: enabled=1, mode=socket-client, dev={com2}
panic: action=fatal
error: action=report
log: {log}
"""
# Bochs as Debian builds it is a debugger: it runs, and quits when a signal has stopped it.
DEBUGGER_COMMANDS = "continue\nquit\n"


def load_image(path):
    """(entry, contents of memory from 1 MB on) of an ELF32 image."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:5] != b"\x7fELF\x01":
        raise Failure(f"{path}: Bochs starts ELF32 images only")
    entry, headers = struct.unpack_from("<II", data, 24)
    count = struct.unpack_from("<H", data, 44)[0]
    ram = bytearray()
    for i in range(count):
        kind, offset, _, address, in_file, size = struct.unpack_from("<6I", data, headers + 32 * i)
        if kind != 1:
            continue
        if address < IMAGE_BASE:
            raise Failure(f"{path}: a segment at {address:x}, below 1 MB")
        at = address - IMAGE_BASE
        ram += bytes(max(0, at + size - len(ram)))
        ram[at:at + in_file] = data[offset:offset + in_file]
    return entry, ram


def append(ram, data, alignment=8):
    """Adds `data` and returns its physical address."""
    ram += bytes(-len(ram) % alignment)
    at = len(ram)
    ram += data
    return IMAGE_BASE + at


def lay_out(image, words, modules):
    """`modules` are (file, name and words). (entry, address of the Multiboot information, contents of memory from 1 MB on)."""
    def string(text):
        return append(ram, os.fsencode(text) + b"\0")

    entry, ram = load_image(image)
    table = b""
    for path, module_words in modules:
        with open(path, "rb") as f:
            contents = f.read()
        start = append(ram, contents, PAGE)
        table += struct.pack("<4I", start, start + len(contents), string(module_words), 0)
    modules_at = append(ram, table)
    # The boot sector puts the memory map at 8000h and writes its length.
    info = struct.pack("<17I", MB1_FLAGS, 0, 0, 0, string(words), len(modules), modules_at, 0, 0, 0, 0, 0, 0x8000, 0, 0, 0,
                       string("Bochs"))
    return entry, append(ram, info), ram


def read_for_ever(path):
    """Takes in what Bochs draws, until it ends."""
    try:
        screen = os.open(path, os.O_RDONLY | os.O_NOCTTY)
        while os.read(screen, 65536):
            pass
    except OSError:
        pass  # Bochs has ended


class Bochs(Machine):
    name = "Bochs"
    end_signal = signal.SIGINT
    hz = 50000000

    def __init__(self, o, guests, directory):
        super().__init__(o, guests, directory)
        self.trace_file = None
        self.last_words = None  # b"" when the next line has them

    def file(self, name, contents):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            f.write(contents)
        return path

    def make_disk(self):
        """The boot sector and what it loads; of whole cylinders, as Bochs wants it."""
        modules = [(path, module_name(i, path) + " " + words) for i, (path, words) in enumerate(self.modules())]
        entry, info, ram = lay_out(self.o.image, self.words(), modules)
        path = os.path.join(self.directory, "disk")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bochs_boot.asm")
        sectors = -(-len(ram) // SECTOR)
        subprocess.run(["nasm", "-f", "bin", f"-DSECTORS={sectors}", f"-DENTRY={entry}", f"-DINFO={info}", "-o", path, source],
                       check=True)
        with open(path, "ab") as f:
            f.write(ram)
        os.truncate(path, -(-(SECTOR + len(ram)) // CYLINDER) * CYLINDER)
        return path

    def ports(self):
        return Listeners()

    def command(self, com1, com2):
        memory = self.memory_mb()
        if memory > MEMORY_MOST:
            raise Failure(f"Bochs works with {MEMORY_MOST} MB of memory at most; the guests and Verge want {memory}")
        configuration = CONFIGURATION.format(
            model=MODELS[self.o.cpu], smp=self.o.smp, hz=self.hz, memory=memory, com1=com1,
            com2=com2, disk=self.make_disk(), log=os.path.join(self.directory, "bochs.log"))
        if self.trace:
            configuration += "port_e9_hack: enabled=1\n"
            self.trace_file = open(self.trace, "wb", buffering=0)
        return ["env", "TERM=vt100", "bochs-bin", "-q", "-f", self.file("bochsrc", configuration.encode()),
                "-rc", self.file("debugger", DEBUGGER_COMMANDS.encode()), *self.o.extra]

    def own_line(self, line):
        mark = line.find(TRACE_MARK) if self.trace_file else -1
        if mark >= 0:  # perhaps behind words of Bochs that no line end follows
            self.trace_file.write(line[mark:] + b"\n")
            return None
        opened = SCREEN_OPENED.match(line)
        if opened:
            threading.Thread(target=read_for_ever, args=(opened[1],), daemon=True).start()
        if self.last_words == b"":
            self.last_words = line
            return None if line in (POWERED_OFF, WAS_RESET) else line
        if line == LAST_WORDS:
            self.last_words = b""
        return None

    def verdict(self, status, log):
        if self.last_words == WAS_RESET:
            return NO_VERDICT, "the machine was reset: no verdict"
        if self.last_words != POWERED_OFF:
            return NO_VERDICT, f"Bochs ended with status {status}, not through Verge: no verdict"
        if log.power_off is None:
            return NO_VERDICT, "the machine was powered off and Verge reported no code: no verdict"
        return log.power_off, None
