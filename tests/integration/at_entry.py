"""Verge under a QEMU of the test's own making, whose memory a test may change at the first instruction of the image: after firmware, before Verge.

    machine = Machine(tmp_path, "-serial", "file:log", ...)      # no serial port unless given; stopped at the image's entry
    machine.read(0xE0000, 64), machine.write(address, data)
    code = machine.run()                                         # to Verge's verdict
"""
import os
import struct
import subprocess
import sys

import harness
from timing import TIMING

sys.path.insert(0, os.path.join(harness.ROOT, "tools"))
from hot_path import Stub  # noqa: E402

IMAGE = os.path.join(harness.ROOT, "build", "verge.elf32")
PATIENCE = 120
PIECE = 1024  # bytes in a packet
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+npt", "-m", "256", "-display", "none", "-vga", "none", "-nodefaults",
        "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-icount", "shift=0,sleep=off", "-kernel", IMAGE,
        "-initrd", f"{TIMING} kernel vm=vm0 mem=16M idle=skip -- count rounds=10"]


def symbol(name):
    """Its physical address: the image is loaded at its ELF32 header's addresses, which begin with image_start."""
    listing = subprocess.run(["nm", IMAGE.removesuffix("32")], capture_output=True, text=True, check=True).stdout
    addresses = {words[2]: int(words[0], 16) for words in map(str.split, listing.splitlines())}
    return addresses[name] - addresses["image_start"] + 0x100000


class Machine:
    def __init__(self, directory, *options):
        path = os.path.join(directory, "gdb")
        self.process = subprocess.Popen([*QEMU, "-gdb", f"unix:{path},server=on,wait=off", "-S", *options], cwd=directory,
                                        preexec_fn=harness.end_with_parent)
        self.stub = Stub(path)
        with open(IMAGE, "rb") as file:
            entry = struct.unpack("<I", file.read(28)[24:])[0]
        self.stub.demand(f"Z1,{entry:x},1")
        stopped = self.stub.ask("c")
        assert stopped.startswith("T05"), stopped
        self.stub.demand(f"z1,{entry:x},1")

    def read(self, address, size):
        pieces = [self.stub.ask(f"m{at:x},{min(PIECE, address + size - at):x}") for at in range(address, address + size, PIECE)]
        return bytes.fromhex("".join(pieces))

    def write(self, address, data):
        self.stub.demand(f"M{address:x},{len(data):x}:{data.hex()}")

    def run(self):
        """Verge's code; None: QEMU ended otherwise."""
        try:
            self.stub.demand("D")
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.stub.socket.close()
        return status >> 1 if status % 2 else None
