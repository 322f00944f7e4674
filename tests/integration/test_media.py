"""Boot media: verge.img and verge.iso start Verge from a CD and from a USB stick, under BIOS and under UEFI, with the guests of /verge.

Under UEFI QEMU does not count instructions: the firmware alone would take half a minute.
"""
import os
import re
import shutil
import subprocess

import pexpect
import pytest

import harness
from timing import TIMING, build_guests

BUILD = os.path.join(harness.ROOT, "build")
ISO, DISK = os.path.join(BUILD, "verge.iso"), os.path.join(BUILD, "verge.img")
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
CONTENT_MOST = 12 << 20
PARTITION = "@@1M"
needs_grub = pytest.mark.skipif(
    not (os.path.isdir("/usr/lib/grub/i386-pc") and os.path.isdir("/usr/lib/grub/x86_64-efi") and shutil.which("xorriso") and shutil.which("mformat")),
    reason="needs grub-common, grub-pc-bin, grub-efi-amd64-bin, xorriso and mtools")
needs_uefi = pytest.mark.skipif(not os.path.exists(FIRMWARE), reason="needs ovmf")
pytestmark = needs_grub
BIOS_WAYS = [["--iso"], ["--usb"], ["--iso", "--usb"]]
UEFI_WAYS = [way + ["--uefi"] for way in BIOS_WAYS]


@pytest.fixture(scope="module", autouse=True)
def images():
    build_guests()
    subprocess.run(["make", "-s", "image"], cwd=harness.ROOT, check=True)


def name(way):
    return "".join(way)


@pytest.mark.parametrize("way", BIOS_WAYS, ids=name)
def test_bios(way):
    vms = [f"vm=one kernel={TIMING} mem=32M charge=1 idle=skip -- pit mode=2 hz=1000 ticks=20 \"load=spin\"",
           f"vm=two kernel={TIMING} mem=32M -- count rounds=1000"]
    run = harness.run_verge(vms=vms, more=way, hv="slice=2ms")
    assert "from GRUB 2.06" in run.log
    assert "one| RESULT PASS pit error=2..2" in run.out and "two| RESULT PASS count" in run.out, run.tail()
    assert run.log.count("ledger exact") == 2 and "serves no guest" not in run.log, run.tail()


@needs_uefi
@pytest.mark.parametrize("way", UEFI_WAYS, ids=name)
def test_uefi(way):
    run = harness.run_verge(icount=None, more=["--no-icount", *way], vms=[f"kernel={TIMING} mem=32M -- cpuid"])
    assert "from GRUB 2.06" in run.log and "serves no guest" not in run.log, run.tail()
    assert "RESULT PASS" in run.out, run.tail()


def test_linux_from_the_stick():
    """The default guest, kernel and initial RAM disk from the stick's FAT volume, to its shell. GRUB unpacks neither: it would get an archive of
    several gzip members wrong."""
    term = harness.spawn_verge("--no-icount", "--usb", "--vm", "kernel=debian initrd=debian -- console=ttyS0", timeout=120)
    size = os.path.getsize(os.path.join(BUILD, "guest", "initramfs.cpio.gz"))
    term.expect(rf"module \d+: [0-9a-f]+, {size:,} bytes")
    term.expect_exact("~ # ")
    term.sendline("poweroff")
    term.expect("vm0: code 0;")
    term.expect(pexpect.EOF)


def test_same_bytes_twice(tmp_path):
    for kind, made in (("disk", DISK), ("iso", ISO)):
        again = tmp_path / kind
        subprocess.run(["tools/make_image.py", kind, "--kernel", "build/verge.elf32", "--efi", "build/verge.efi", "--out", again], cwd=harness.ROOT, check=True)
        assert subprocess.run(["cmp", made, again], check=False).returncode == 0, kind


def test_the_disk_is_small_and_for_users():
    """One FAT32 partition VERGE of 256 MB, little in it, and a folder for guests."""
    assert os.stat(DISK).st_size == 257 << 20 and os.stat(DISK).st_blocks * 512 <= CONTENT_MOST
    with open(DISK, "rb") as file:
        sector = file.read(512)
    assert sector[450] == 0x0C and sector[446] == 0x80 and int.from_bytes(sector[458:462], "little") == 256 * 2048 and not any(sector[462:510])
    listed = subprocess.run(["mdir", "-b", "-/", "-i", DISK + PARTITION, "::"], check=True, capture_output=True, text=True).stdout
    assert {"::/boot/verge.elf32", "::/verge/README.TXT", "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/verge/verge.efi"} <= set(listed.split())
    label = subprocess.run(["mlabel", "-s", "-i", DISK + PARTITION, "::"], check=True, capture_output=True, text=True).stdout
    assert "VERGE" in label
    assert os.stat(ISO).st_size <= CONTENT_MOST


def boot_files(tmp_path, firmware, image):
    """QEMU with a stick, the built-in clock guest; the first lines of its clock."""
    variables = tmp_path / "variables"
    options = []
    if firmware == "uefi":
        shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
        options = ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}", "-drive", f"if=pflash,format=raw,file={variables}"]
    command = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp", "-m", "512", "-display", "none",
               "-nodefaults", "-no-reboot", *options, "-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={image}",
               "-device", "usb-storage,drive=stick", "-serial", "stdio"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace")
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if re.match(r"clock s=2 ", line):
                return lines
    finally:
        process.kill()
    pytest.fail("the clock guest does not run:\n" + "".join(lines[-20:]))
    return None


def test_without_guests(tmp_path):
    """The image as it is: the menu waits its three seconds, and the clock guest runs."""
    copy = tmp_path / "stick"
    subprocess.run(["cp", "--sparse=always", DISK, copy], check=True)
    boot_files(tmp_path, "bios", copy)


@needs_uefi
def test_files_copied_to_an_empty_volume(tmp_path):
    """As a person does who copies the image's files to a stick of theirs: without the image's boot sector, UEFI finds them all the same."""
    files, stick = tmp_path / "files", tmp_path / "stick"
    files.mkdir()
    subprocess.run(["mcopy", "-s", "-i", DISK + PARTITION, "::", files], check=True)
    with open(stick, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mformat", "-i", stick, "-F", "-c", "1", "-T", str(64 * 2048), "-h", "16", "-s", "63", "::"], check=True)
    for entry in sorted(files.iterdir()):
        subprocess.run(["mcopy", "-s", "-i", stick, entry, "::"], check=True)
    boot_files(tmp_path, "uefi", stick)


# ---- make usb ----------------------------------------------------------------------------------------------------------
def write_usb(device, answer=""):
    return subprocess.run(["tools/write-usb.sh", device, DISK], cwd=harness.ROOT, input=answer, capture_output=True, text=True, check=False)


def test_usb_refuses_what_is_no_disk(tmp_path):
    assert "no block device" in write_usb(str(tmp_path)).stderr
    assert "DEV=" in write_usb("").stderr


def test_usb_asks_and_writes(tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(300 << 20)
    p = subprocess.run(["losetup", "-f", "--show", disk], capture_output=True, text=True, check=False)
    if p.returncode:
        pytest.skip("no loop device can be set up here: " + p.stderr.strip())
    device = p.stdout.strip()
    try:
        refused = write_usb(device, "yes\n")
        assert refused.returncode == 125 and "nothing written" in refused.stderr and device in refused.stderr
        with open(disk, "rb") as file:
            assert not any(file.read(1 << 20))
        done = write_usb(device, device + "\n")
        assert done.returncode == 0 and "boots Verge" in done.stderr, done.stderr
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
    assert subprocess.run(["cmp", "-n", str(os.stat(DISK).st_size), DISK, disk], check=False).returncode == 0
