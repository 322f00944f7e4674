"""Serial consoles where a PC has none at the two old ports: on PCI cards, at other ports, named by tables or by words. Each shows the banner, the
guest's output and a panic; none that is missing holds up the boot."""
import re
import socket
import subprocess
import time

import pytest

import at_entry
import harness
from test_acpi import adding, dbg2, spcr
from timing import build_guests

CODE_NO_VERDICT = 125
BANNER = re.compile(r"vg: Verge \S+ \(\w+\) at 100000, from qemu")
CARD = ["-chardev", "file,id=card,path=card", "-device", "pci-serial,chardev=card"]
COM3 = ["-chardev", "file,id=com3,path=com3", "-device", "isa-serial,iobase=0x3e8,irq=4,chardev=com3"]


@pytest.fixture(scope="module", autouse=True)
def image():
    build_guests()
    subprocess.run(["make", "-s", "build/verge.elf32"], cwd=harness.ROOT, check=True)


def boot(directory, *options, words="", code=0):
    """What came out of each file that `options` name."""
    machine = at_entry.Machine(directory, *options, "-append", words)
    assert machine.run() == code
    return [harness.read_text(directory / name) for name in re.findall(r"(?:path=|file:)(\w+)", " ".join(options))]


def shows_all(text):
    """Verge's first line, the guest's output, Verge's last."""
    assert len(BANNER.findall(text)) == 1 and "ACPI: HPET at" in text and "RESULT PASS" in text and "vm0: code 0;" in text, text
    assert text.index("Verge") < text.index("ACPI: HPET") < text.index("module 1: ") < text.index("RESULT PASS") < text.index("vm0: code 0;")


# ---- without a word ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_a_pci_uart_only(tmp_path, machine):
    text, = boot(tmp_path, "-M", machine, *CARD)
    shows_all(text)
    assert len(re.findall(r"com1: PCI 00:[0-9a-f]{2}\.[0-7] at port [0-9a-f]+\n", text.replace("\r", ""))) == 1, text


def test_behind_a_bridge(tmp_path):
    text, = boot(tmp_path, "-device", "pci-bridge,chassis_nr=1,id=bridge", *CARD[:-1], CARD[-1] + ",bus=bridge,addr=7")
    shows_all(text)
    assert re.search(r"com1: PCI 01:07\.0 at port", text), text


def test_a_uart_that_spcr_names(tmp_path):
    """It comes before a card."""
    card, com3 = boot(tmp_path, *CARD, *COM3, *adding(tmp_path, [spcr(0x3E8)]))
    shows_all(com3)
    assert "com1: SPCR at port 3e8" in com3 and card == ""


def test_a_uart_that_dbg2_names(tmp_path):
    """What SPCR names is not there."""
    com3, = boot(tmp_path, *COM3, *adding(tmp_path, [dbg2(0x3E8), spcr(0x2E8)]))
    shows_all(com3)
    assert "com1: DBG2 at port 3e8" in com3


def test_tables_that_name_nothing_there(tmp_path):
    card, = boot(tmp_path, *CARD, *adding(tmp_path, [dbg2(0x2E8), spcr(0xFEB00000, kind=0x12, space=0)]))
    shows_all(card)


def test_an_old_port_wins(tmp_path):
    card, com1 = boot(tmp_path, *CARD, "-serial", "file:com1", *adding(tmp_path, [spcr(0x3E8)]))
    shows_all(com1)
    assert card == ""


def test_isapc(tmp_path):
    """Neither PCI nor ACPI nor a UART."""
    boot(tmp_path, "-M", "isapc")


def test_a_card_that_is_switched_off(tmp_path):
    """Its decoding is off when Verge comes: CF8h selects its command register."""
    machine = at_entry.Machine(tmp_path, *CARD, "-monitor", "unix:monitor,server,nowait")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(tmp_path / "monitor"))
        ask(monitor, "o /w 0xcf8 0x80000804")
        before = ask(monitor, "i /h 0xcfc")
        ask(monitor, "o /h 0xcfc 0")
        assert re.search(r"= 0x\w\w\w[13]", before) and "= 0x0000" in ask(monitor, "i /h 0xcfc"), before
    assert machine.run() == 0
    shows_all(harness.read_text(tmp_path / "card"))


# ---- by words ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("words", ["com1=io:3e8", "com1=io:3e8,115200,8n1", "com1=spcr"])
def test_named(tmp_path, words):
    card, com3 = boot(tmp_path, *CARD, *COM3, *adding(tmp_path, [spcr(0x3E8)]), words=words)
    shows_all(com3)
    assert card == ""


@pytest.mark.parametrize("words", ["com1=pci", "com1=pci:00:1d.0,auto"])
def test_named_card(tmp_path, words):
    com2, card = boot(tmp_path, "-chardev", "null,id=none", "-serial", "chardev:none", "-serial", "file:com2", *CARD[:-1],
                      CARD[-1] + ",addr=0x1d", words=words)
    assert "RESULT PASS" in card and "vg: " not in card, card
    assert "com1: PCI 00:1d.0 at port" in com2 and "vm0: code 0;" in com2, com2


def test_a_card_with_two_ports(tmp_path):
    first, second = boot(tmp_path, "-chardev", "file,id=a,path=a", "-chardev", "file,id=b,path=b", "-device", "pci-serial-2x,chardev1=a,chardev2=b",
                         words="com1=pci com2=pci")
    assert "RESULT PASS" in first and "vg: " not in first, first
    assert BANNER.search(second) and "vm0: code 0;" in second, second


@pytest.mark.parametrize("words", ["com1=pci", "com1=pci:ff:1f.7", "com1=io:ffff", "com1=mmio:fe034000", "com1=mmio32:ffffffe0", "com1=spcr,9600,8n1"])
def test_named_and_absent(tmp_path, words):
    """A line says so, and all is on the other port."""
    com2, = boot(tmp_path, "-chardev", "null,id=none", "-serial", "chardev:none", "-serial", "file:com2", words=words)
    assert len(re.findall("com1=: no UART answers there", com2)) == 1, com2
    shows_all(com2)


@pytest.mark.parametrize("words, why", [("console=com2", "console=com2: this machine has no COM2"), ("log=com2", "log=com2: this machine has no COM2"),
                                        ("console=com2 log=com2", "console=com2: this machine has no COM2")])
def test_com2_is_absent(tmp_path, words, why):
    com1, = boot(tmp_path, "-serial", "file:com1", words=words)
    assert len(re.findall("no COM2", com1)) == 1 and why in com1, com1
    shows_all(com1)


def test_com2_alone(tmp_path):
    """Guests' bytes go there too, though console=com1 is the default; with com1=off they don't."""
    ports = ["-serial", "none", "-chardev", "file,id=two,path=two", "-device", "isa-serial,index=1,chardev=two"]
    two, = boot(tmp_path, *ports)
    shows_all(two)
    two, = boot(tmp_path, *ports, words="com1=off")
    assert BANNER.search(two) and "vm0: code 0;" in two and "RESULT PASS" not in two, two


# ---- the line, and the end ---------------------------------------------------------------------------------------------
def ask(monitor, line):
    """QEMU's answer."""
    monitor.settimeout(at_entry.PATIENCE)
    text = b""
    while not text.endswith(b"(qemu) "):
        text += monitor.recv(65536)
    monitor.sendall(line.encode() + b"\n")
    text = b""
    while not text.endswith(b"(qemu) "):
        text += monitor.recv(65536)
    monitor.sendall(b"\n")
    return text.decode("latin-1")


@pytest.mark.parametrize("words,divisor", [("com1=auto", 0x60), ("", 0x60), ("com1=9600,7e2", 0x0C)])
def test_the_divisor(tmp_path, words, divisor):
    """Firmware's stays under auto: 1200 baud here."""
    machine = at_entry.Machine(tmp_path, "-serial", "file:com1", "-monitor", "unix:monitor,server,nowait", "-append", words + " onexit=halt")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(tmp_path / "monitor"))
        for port, value in ((0x3FB, 0x9B), (0x3F8, 0x60), (0x3F9, 0x00)):
            ask(monitor, f"o /b {port:#x} {value:#x}")
        machine.stub.demand("D")
        deadline = time.monotonic() + at_entry.PATIENCE
        while "halted; code 0" not in harness.read_text(tmp_path / "com1") and time.monotonic() < deadline:
            time.sleep(0.2)
        control = re.search(r"= (0x\w\w)", ask(monitor, "i /b 0x3fb"))[1]
        ask(monitor, "o /b 0x3fb 0x83")
        low, high = (int(re.search(r"= (0x\w\w)", ask(monitor, f"i /b {port:#x}"))[1], 16) for port in (0x3F8, 0x3F9))
    machine.process.kill()
    machine.process.wait()
    assert (low, high) == (divisor, 0) and control == ("0x1e" if "7e2" in words else "0x03")


@pytest.mark.parametrize("options,words", [(CARD, ""), (COM3, "com1=io:3e8")])
def test_a_panic_is_seen(tmp_path, options, words):
    """An undefined opcode where the guests would be run."""
    machine = at_entry.Machine(tmp_path, *options, "-append", words)
    machine.write(at_entry.symbol("run_all"), b"\x0F\x0B")
    assert machine.run() == CODE_NO_VERDICT
    text = harness.read_text(tmp_path / options[1].split("path=")[1])
    assert BANNER.search(text) and re.search(r"PANIC: unexpected exception 6", text) and "run_all" in text, text
