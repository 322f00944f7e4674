"""Broken ACPI tables never stop the boot: the guest ends with code 0, and a line names each bad table.

-acpitable adds tables; QEMU mends their length and checksum, so that what lies there is the contents. Headers that lie are QEMU's own tables,
changed in memory at the image's entry."""
import re
import struct
import subprocess

import pytest

import at_entry
import harness
from timing import build_guests

SERIAL = ["-serial", "file:log"]


@pytest.fixture(scope="module", autouse=True)
def image():
    build_guests()
    subprocess.run(["make", "-s", "build/verge.elf32"], cwd=harness.ROOT, check=True)


def table(signature, contents, length=None):
    size = 36 + len(contents) if length is None else length
    return mended(signature + struct.pack("<IBB6s8sI4sI", size, 2, 0, b"VERGE ", b"TEST    ", 1, b"TEST", 1) + contents)


def mended(data):
    data = bytearray(data)
    data[9] = 0
    data[9] = -sum(data) & 0xFF
    return bytes(data)


def address(space, where, width=8, access=1):
    return struct.pack("<BBBBQ", space, width, 0, access, where)


def spcr(where=0x3E8, kind=0, baud=0, space=1):
    return table(b"SPCR", struct.pack("<Bxxx", kind) + address(space, where) + bytes(6) + bytes([baud]) + bytes(21))


def dbg2(where=0x3E8, first=44, count=1, length=36):
    return table(b"DBG2", struct.pack("<IIBHBHHHHHHHHH", first, count, 0, length, 1, 0, 0, 0, 0, 0x8000, 0, 0, 22, 34) + address(1, where) + bytes(2))


def adding(directory, tables):
    """QEMU's options for them."""
    options = []
    for i, data in enumerate(tables):
        (directory / f"table{i}").write_bytes(data)
        options += ["-acpitable", f"file={directory}/table{i}"]
    return options


def boots(machine, directory):
    """Verge's lines of a run that ends well."""
    code = machine.run()
    log = harness.read_text(directory / "log").replace("\r", "")
    assert code == 0 and "RESULT PASS" in log and "vm0: code 0;" in log, log
    return [line.split("vg: ", 1)[1] for line in log.splitlines() if "vg: " in line]


def complain(lines, wanted):
    """Each of these, and nothing else, was left out."""
    complaints = [line for line in lines if "left out" in line]
    assert len(complaints) == len(wanted), lines
    for want in wanted:
        assert any(re.search(want, line) for line in complaints), (want, lines)


# ---- contents ----------------------------------------------------------------------------------------------------------
CONTENTS = {
    "uarts-nowhere": [spcr(0x10000), dbg2(0xFFFFFFFFFFFFFFFF)],
    "uarts-in-ram": [spcr(0x5000000, kind=0x12, space=0), dbg2(0)],
    "uarts-of-other-kinds": [spcr(kind=0xFF), spcr(space=2), dbg2(count=0)],
    "short": [table(b"SPCR", b"\0" * 3), table(b"DBG2", b""), table(b"DMAR", b""), table(b"IVRS", b"\xFF" * 11)],
    "dbg2-offsets": [dbg2(first=0xFFFFFFFF, count=0xFFFFFFFF)],
    "dbg2-first-is-header": [dbg2(first=0)],
    "dbg2-length-0": [dbg2(length=0, count=0xFFFFFFFF)],
    "dbg2-length-long": [dbg2(length=0xFFFF)],
    "all-ones": [table(name, b"\xFF" * 400) for name in (b"SPCR", b"DBG2", b"APIC", b"MCFG", b"HPET", b"FACP", b"DMAR", b"SSDT")],
    "all-zeros": [table(name, bytes(400)) for name in (b"SPCR", b"DBG2", b"APIC", b"MCFG", b"HPET", b"FACP", b"IVRS", b"SSDT")],
    "many": [table(b"SSDT", bytes([i])) for i in range(60)],
    "signatures": [table(b"\0\xFF\x1B[", b""), table(b"RSDT", bytes(8)), table(b"XSDT", bytes(8))],
}
LINES = {"short": ["SPCR at .*: bad length", "DBG2 at .*: bad length", "DMAR at .*: bad length", "IVRS at .*: bad length"]}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents(tmp_path, name):
    lines = boots(at_entry.Machine(tmp_path, *SERIAL, *adding(tmp_path, CONTENTS[name])), tmp_path)
    complain(lines, LINES.get(name, []))
    assert "ACPI: 1 CPU" in lines


# ---- headers -----------------------------------------------------------------------------------------------------------
class Tables:
    """What firmware left: where each table is, and a way to spoil it."""

    def __init__(self, machine):
        self.machine = machine
        area = machine.read(0xE0000, 0x20000)
        self.rsdp = 0xE0000 + next(at for at in range(0, len(area), 16) if area[at:at + 8] == b"RSD PTR ")
        self.rsdt = self.word(self.rsdp + 16)
        self.at = {}
        for entry in range(self.rsdt + 36, self.rsdt + self.word(self.rsdt + 4), 4):
            self.at.setdefault(machine.read(self.word(entry), 4).decode(), self.word(entry))
        self.at["DSDT"] = self.word(self.at["FACP"] + 40)

    def word(self, where):
        return struct.unpack("<I", self.machine.read(where, 4))[0]

    def length(self, name, length):
        self.machine.write(self.at[name] + 4, struct.pack("<I", length))

    def flip(self, name, offset=9):
        where = self.at[name] + offset
        self.machine.write(where, bytes([self.machine.read(where, 1)[0] ^ 0x5A]))

    def change(self, name, offset, data):
        """With the checksum right."""
        whole = bytearray(self.machine.read(self.at[name], self.word(self.at[name] + 4)))
        whole[offset:offset + len(data)] = data
        self.machine.write(self.at[name], mended(whole))

    def root_entry(self, index, where):
        whole = bytearray(self.machine.read(self.rsdt, self.word(self.rsdt + 4)))
        whole[36 + 4 * index:40 + 4 * index] = struct.pack("<I", where)
        self.machine.write(self.rsdt, mended(whole))


def spoil_lengths(length):
    def spoil(tables):
        for name in ("APIC", "HPET", "MCFG", "FACP"):
            tables.length(name, length)
    return spoil, ["APIC at", "HPET at", "MCFG at", "FACP at"]


HEADERS = {
    **{f"length-{length:x}": spoil_lengths(length) for length in (0, 35, 36, 0x10000, 0x7FFFFFFF, 0xFFFFFFDC, 0xFFFFFFFF)},
    "checksum": (lambda t: [t.flip(name) for name in ("APIC", "HPET", "MCFG", "FACP")], ["bad checksum"] * 4),
    "dsdt": (lambda t: t.length("DSDT", 0xFFFFFFFC), ["DSDT at .*: bad length"]),
    "dsdt-signature": (lambda t: t.flip("DSDT", 0), ["DSDT at .*: bad signature"]),
    "dsdt-nowhere": (lambda t: [t.change("FACP", 40, b"\xF0\xFF\xFF\xFF"), t.change("FACP", 140, b"\xF0\xFF\xFF\xFF" + bytes(4))],
                     ["DSDT at fffffff0: can't be read"]),
    "root-entries": (lambda t: [t.root_entry(0, 0xFFFFFFF0), t.root_entry(1, 0xFED00000)], ["a table at fffffff0: can't be read"]),
    "root-length": (lambda t: t.machine.write(t.rsdt + 4, b"\xFF\xFF\xFF\xFF"), ["RSDT at .*: bad length"]),
    "root-checksum": (lambda t: t.machine.write(t.rsdt + 9, bytes([t.machine.read(t.rsdt + 9, 1)[0] ^ 1])), ["RSDT at .*: bad checksum"]),
    "root-pointer": (lambda t: t.machine.write(t.rsdp + 8, bytes([t.machine.read(t.rsdp + 8, 1)[0] ^ 1])), []),
    "madt-entry-0": (lambda t: t.change("APIC", 45, b"\0"), ["MADT: an entry's length is wrong"]),
    "madt-entry-1": (lambda t: t.change("APIC", 45, b"\1"), ["MADT: an entry's length is wrong"]),
    "madt-entry-ff": (lambda t: t.change("APIC", 45, b"\xFF"), ["MADT: an entry's length is wrong"]),
    "hpet-address": (lambda t: t.change("HPET", 44, b"\xFF" * 8), []),
    "mcfg-address": (lambda t: t.change("MCFG", 44, b"\xFF" * 16), []),
    "fadt-garbage": (lambda t: t.change("FACP", 36, b"\xFF" * 200), ["DSDT at f{16}: can't be read", "DSDT at ffffffff: can't be read"]),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(tmp_path, name):
    machine = at_entry.Machine(tmp_path, *SERIAL)
    spoil, wanted = HEADERS[name]
    spoil(Tables(machine))
    lines = boots(machine, tmp_path)
    complain(lines, wanted)


# ---- what is there -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("smp,line", [("1", "1 CPU"), ("8", "8 CPUs"), ("2,maxcpus=6", "2 CPUs")])
def test_cpus_are_counted(tmp_path, smp, line):
    lines = boots(at_entry.Machine(tmp_path, *SERIAL, "-smp", smp), tmp_path)
    assert f"ACPI: {line}" in lines


@pytest.mark.parametrize("device,name", [("intel-iommu", "DMAR"), ("amd-iommu", "IVRS")])
def test_an_iommu_is_noted(tmp_path, device, name):
    lines = boots(at_entry.Machine(tmp_path, *SERIAL, "-device", device), tmp_path)
    assert f"ACPI: the machine has an IOMMU ({name}): not used" in lines
