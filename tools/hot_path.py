"""The path from a guest's exit to its next entry, instruction by instruction, for tools/bench.py: QEMU's gdb stub steps through one round of a
guest's loop, and what the monitor executed in it is counted. The image that is measured is the one that ships."""
import bisect
import collections
import re
import socket
import subprocess
import time

MONITOR = 0xFFFFFFFF80000000  # the image's lowest virtual address (linker.ld); no test guest lives there
KINDS = (("xsave", re.compile(r"(f?x(save|rstor))")), ("wrmsr", re.compile(r"wrmsr")), ("division", re.compile(r"i?div[bwlq]?\b")),
         ("atomic", re.compile(r"lock|xchg .*\(")))
LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$")
SYMBOL = re.compile(r"^([0-9a-f]+) <(.*)>:$")


class Stub:
    """QEMU's gdb stub, as much of the protocol as stepping takes (GDB manual, "Remote Protocol")."""

    def __init__(self, path, seconds=60):
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(seconds)
        self.buffer = b""

    def ask(self, packet):
        self.socket.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())
        while True:
            found = re.search(rb"\$([^#]*)#..", self.buffer)
            if found:
                self.buffer = self.buffer[found.end():]
                self.socket.sendall(b"+")
                return found[1].decode()
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("QEMU has ended")
            self.buffer += more

    def demand(self, packet):
        answer = self.ask(packet)
        if answer != "OK":
            raise RuntimeError(f"gdb stub: {packet}: {answer}")

    def word(self, address):
        return int.from_bytes(bytes.fromhex(self.ask(f"m{address:x},8")), "little")

    def rip(self):
        """It follows the 16 general registers."""
        return int.from_bytes(bytes.fromhex(self.ask("g")[16 * 16:17 * 16]), "little")


class Code:
    """An ELF file's instructions by address, and whose function each is."""

    def __init__(self, path):
        self.path, self.text, self.starts, self.names = path, {}, [], []
        listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            found = LINE.match(line)
            if found:
                self.text[int(found[1], 16)] = found[2]
            elif SYMBOL.match(line):
                found = SYMBOL.match(line)
                self.starts.append(int(found[1], 16))
                self.names.append(found[2])

    def address(self, name):
        return self.starts[self.names.index(name)]

    def function(self, address):
        return self.names[bisect.bisect(self.starts, address) - 1].split(".")[0]


def symbol(path, name, among):
    """The address of a symbol; `among` is a symbol of the same object file that precedes it, since a static name may stand several times."""
    listing = subprocess.run(["objdump", "-t", path], capture_output=True, text=True, check=True).stdout
    listing = listing[listing.index(among):]
    return int(re.search(rf"^([0-9a-f]+) .*\s{name}$", listing, re.M)[1], 16)


def count(code, addresses):
    """{kind: how many} of a list of executed addresses. `again` are instructions that were executed before: a loop, a search."""
    counts = {"instructions": len(addresses), "again": len(addresses) - len(set(addresses))}
    for kind, pattern in KINDS:
        counts[kind] = sum(bool(pattern.match(code.text[address])) for address in addresses)
    return counts


def run_to(stub, address, times):
    """Stops at the guest's `address` for the `times`th time."""
    for passed in range(times):
        if passed:
            stub.ask("s")
        stub.demand(f"Z1,{address:x},1")
        stub.ask("c")
        stub.demand(f"z1,{address:x},1")
        if stub.rip() != address:
            raise RuntimeError(f"the guest stops at {stub.rip():x}, not at {address:x}")


def step_round(stub, address, watch_lapic):
    """Steps from `address` until the guest is there again: (the monitor's instructions, its accesses to the local APIC)."""
    executed, lapic = [], 0
    while True:
        lapic += "watch" in stub.ask("s")
        at = stub.rip()
        if at == address:
            return executed, lapic
        if at >= MONITOR:
            executed.append(at)
            watch_lapic()


def walk(stub, code, address, before=40, rounds=5):
    """Steps through some rounds of the guest's loop at `address`; of these, the one with the fewest instructions, at which nothing fell due.
    Returns what the monitor executed: counts, and the instructions of each function."""
    pointer, watched = symbol(code.path, "registers", "lapic.c"), []

    def watch_lapic():  # its address can be read from the monitor's address space only
        if not watched:
            stub.demand(f"Z4,{stub.word(pointer):x},1000")
            watched.append(True)

    run_to(stub, address, before)
    walked = [step_round(stub, address, watch_lapic) for _ in range(rounds)]
    executed, lapic = min(walked, key=lambda one: len(one[0]))
    return count(code, executed) | {"lapic": lapic}, collections.Counter(code.function(at) for at in executed)
