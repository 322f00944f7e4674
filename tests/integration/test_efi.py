"""verge.efi, which UEFI firmware starts without another boot loader: from a FAT volume, with the guests of its folder verge, and signed.

QEMU does not count instructions: the firmware alone would take half a minute. The stick can't be written to.
"""
import os
import re
import shutil
import subprocess
import zlib

import pexpect
import pytest

import harness
from test_media import DISK, FIRMWARE, PARTITION, needs_grub, needs_uefi
from test_screen import Watched
from timing import TIMING, build_guests

EFI, SIGNED = (os.path.join(harness.ROOT, "build", name) for name in ("verge.efi", "verge.signed.efi"))
DEBIAN = os.path.join(harness.ROOT, "build", "guest")
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
SECURE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
SECURE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"  # a key whose other half is there is enrolled
SNAKEOIL = "/usr/share/ovmf/PkKek-1-snakeoil"
SECURE_MACHINE = ["-M", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
ENVIRONMENT = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}
BOOT = "EFI/BOOT/BOOTX64.EFI"
PATIENCE = 90
pytestmark = [needs_uefi,
              pytest.mark.skipif(not os.path.exists("/usr/lib/crt0-efi-x86_64.o"), reason="needs gnu-efi"),
              pytest.mark.skipif(not shutil.which("mformat"), reason="needs mtools")]
needs_sbsign = pytest.mark.skipif(not (shutil.which("sbsign") and shutil.which("openssl")), reason="needs sbsigntool and openssl")


@pytest.fixture(scope="module", autouse=True)
def application():
    build_guests()
    subprocess.run(["make", "-s", "efi"], cwd=harness.ROOT, check=True)


def make_stick(tmp_path, files, mb=64):
    """A FAT32 volume without partitions. files: {name on it: a file's path, or its text}."""
    stick, tree = tmp_path / "stick", tmp_path / "tree"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if os.path.exists(content):
            os.symlink(os.path.abspath(content), tree / name)
        else:
            (tree / name).write_text(content, encoding="utf-8")
    with open(stick, "wb") as file:
        file.truncate(mb << 20)
    subprocess.run(["mformat", "-i", stick, "-F", "-c", "1", "-T", str(mb * 2048), "-h", "16", "-s", "63", "::"], check=True, env=ENVIRONMENT)
    subprocess.run(["mcopy", "-i", stick, "-s", *sorted(tree.iterdir()), "::"], check=True, env=ENVIRONMENT)
    return stick


def firmware(tmp_path, stick, code=FIRMWARE, variables=VARIABLES, fresh=True, how="format=raw,file={stick}"):
    """QEMU's options: the firmware, its variables (fresh, or as an earlier run left them), and the stick behind xHCI. how: it is read."""
    if fresh:
        shutil.copyfile(variables, tmp_path / "variables")
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,format=raw,file={tmp_path}/variables",
            "-device", "qemu-xhci", "-drive", "if=none,id=stick,readonly=on," + how.format(stick=stick), "-device", "usb-storage,drive=stick"]


def start(tmp_path, stick, *more, memory="512", machine=("-M", "q35"), **how):
    """The machine with its serial line on a terminal."""
    command = ["-accel", "tcg", *machine, "-cpu", "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp", "-m", memory, "-display", "none", "-nodefaults", "-no-reboot",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-serial", "stdio", *firmware(tmp_path, stick, **how), *more]
    return pexpect.spawn("qemu-system-x86_64", command, timeout=PATIENCE, encoding="latin-1", preexec_fn=harness.end_with_parent, dimensions=(24, 200))


def ends_well(term):
    """The rest of the run, whose verdict is code 0."""
    term.expect(pexpect.EOF)
    text = term.before
    term.close()
    assert term.exitstatus == 1 and "code 0" in text, text
    return text


def returns_to_the_firmware(term):
    term.expect("back to the firmware at a key")
    term.send(" ")
    term.expect(r"failed to start Boot\w+")
    term.terminate(force=True)


@pytest.mark.parametrize("memory", ["512", "6G"])
def test_clock_guest(tmp_path, memory):
    """Alone on the volume. With 6 GB the firmware puts verge.efi itself, and its page tables, above 4 GB."""
    with start(tmp_path, make_stick(tmp_path, {BOOT: EFI}), memory=memory) as term:
        term.expect(r"no /verge/verge\.cfg: the built-in clock guest will run")
        term.expect(r"vg: Verge \S+ \(\w+\) at [0-9a-f]+, from verge\.efi")
        term.expect(r"ACPI: HPET at fed00000, .* reset register known")
        assert "left out" not in term.before
        term.expect(r"MB RAM")
        megabytes = int(re.search(r"([0-9,]+) $", term.before)[1].replace(",", ""))
        assert megabytes > (6000 if memory == "6G" else 480)
        term.expect(r"clock s=2 pit=")
        term.send("\x01x")
        ends_well(term)


def test_from_the_network(tmp_path):
    """The firmware loads it by PXE: there is no volume to read from."""
    (tmp_path / "tftp").mkdir()
    shutil.copy(EFI, tmp_path / "tftp" / "verge.efi")
    net = ["-netdev", f"user,id=net,tftp={tmp_path}/tftp,bootfile=verge.efi", "-device", "virtio-net-pci,netdev=net,romfile="]  # not iPXE, which makes a volume of it
    with start(tmp_path, make_stick(tmp_path, {"empty": "no boot loader"}), *net) as term:
        term.expect("verge.efi came from no file system: the built-in clock guest will run")
        term.expect(r"clock s=2 pit=")
        term.send("\x01x")
        ends_well(term)


def test_linux(tmp_path):
    """Kernel and initial RAM disk from the volume, to the shell."""
    subprocess.run([os.path.join(harness.ROOT, "tools/guest-packages.sh")], check=True)
    config = "\ufeff# a comment kernel=none\r\nslice=1ms\r\nvm=one \\\r\n  kernel=vmlinuz initrd=initrd.gz mem=256M -- console=ttyS0 initrd=none\r\n"
    stick = make_stick(tmp_path, {BOOT: EFI, "verge/verge.cfg": config, "verge/vmlinuz": f"{DEBIAN}/vmlinuz", "verge/initrd.gz": f"{DEBIAN}/initramfs.cpio.gz"})
    with start(tmp_path, stick, memory="1G") as term:
        term.expect(r"/verge/vmlinuz: 100 % of \d+ MB\r+\n")
        assert re.search(r"/verge/vmlinuz: 5\d % of", term.before)
        term.expect_exact("~ # ")
        log = term.before
        modules = re.findall(r"module \d+: .*, crc (\w+): (\S+)", log)
        assert [name for _, name in modules] == ["config", "/verge/vmlinuz", "/verge/initrd.gz"], log
        with open(f"{DEBIAN}/vmlinuz", "rb") as file:
            assert int(modules[1][0], 16) == zlib.crc32(file.read())
        assert "serves no guest" not in log
        term.sendline("poweroff")
        assert "one: code 0;" in ends_well(term)


def test_names_and_folders(tmp_path):
    """A name in UTF-8, one in a folder; a file that serves two guests is loaded once."""
    config = "vm=one kernel=käse.elf32 mem=32M -- cpuid\nvm=two kernel=käse.elf32 mem=32M -- cpuid\nvm=three kernel=sub/t.elf32 mem=32M -- cpuid\n"
    stick = make_stick(tmp_path, {BOOT: EFI, "verge/verge.cfg": config, "verge/käse.elf32": TIMING, "verge/sub/t.elf32": TIMING})
    with start(tmp_path, stick) as term:
        text = ends_well(term)
    assert text.count("RESULT PASS cpuid") == 3 and len(re.findall(r"module \d+: ", text)) == 3, text


def write_noise(path, mb):
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for number in range(mb):
            file.write(number.to_bytes(8, "little") + block[8:])


def test_large_file(tmp_path):
    """Read in pieces; every byte arrives."""
    write_noise(tmp_path / "noise", 160)
    config = "vm=one kernel=t.elf32 initrd=noise mem=384M -- cpuid\n"
    stick = make_stick(tmp_path, {BOOT: EFI, "verge/verge.cfg": config, "verge/t.elf32": TIMING, "verge/noise": tmp_path / "noise"}, mb=256)
    with start(tmp_path, stick, memory="1G") as term:
        text = ends_well(term)
    assert all(f"/verge/noise: {percent} % of 160 MB" in text for percent in (0, 37, 100)), text
    with open(tmp_path / "noise", "rb") as file:
        assert f"167,772,160 bytes, crc {zlib.crc32(file.read()):08x}: /verge/noise" in text
    assert "RESULT PASS cpuid" in text, text


@pytest.mark.parametrize("config,line", [
    ("vm=one kernel=absent -- words\n", r"/verge/absent: is not there, and /verge/verge\.cfg names it"),
    ("vm=one kernel=sub\n", r"/verge/sub: is no file"),
    ("vm=one kernel=noise\n", r"no 301 MB of memory below 4 GB for /verge/noise"),
], ids=["absent", "folder", "memory"])
def test_what_can_not_be_loaded(tmp_path, config, line):
    """One line, and at a key the firmware has the machine again."""
    write_noise(tmp_path / "noise", 300)
    files = {BOOT: EFI, "verge/verge.cfg": config, "verge/sub/file": "text"}
    if "noise" in config:
        files["verge/noise"] = tmp_path / "noise"
    with start(tmp_path, make_stick(tmp_path, files, mb=512), memory="256") as term:
        term.expect(r"\nverge\.efi: " + line + r"\r+\n")
        returns_to_the_firmware(term)


@needs_grub
def test_from_the_boot_menu(tmp_path):
    """The image's files on an empty volume, GRUB's taken away; an entry that the EFI shell made is what the firmware starts next time."""
    files = tmp_path / "image"
    files.mkdir()
    subprocess.run(["make", "-s", "image"], cwd=harness.ROOT, check=True)
    subprocess.run(["mcopy", "-s", "-i", DISK + PARTITION, "::", files], check=True, env=ENVIRONMENT)
    (files / BOOT).unlink()
    (files / "verge/verge.cfg").write_text("vm=one kernel=t.elf32 mem=32M -- cpuid\n", encoding="utf-8")
    shutil.copyfile(TIMING, files / "verge/t.elf32")
    (files / "startup.nsh").write_text('fs0:\r\nbcfg boot add 0 \\EFI\\verge\\verge.efi "Verge"\r\nreset\r\n', encoding="utf-8")
    stick = make_stick(tmp_path, {str(path.relative_to(files)): path for path in files.rglob("*") if path.is_file()})
    with start(tmp_path, stick) as term:
        term.expect(pexpect.EOF)  # the reset ends QEMU
    with start(tmp_path, stick, fresh=False) as term:
        term.expect(r'starting Boot\w+ "Verge"')
        assert "RESULT PASS cpuid" in ends_well(term)


def test_a_bad_sector(tmp_path):
    """A stick that can't be read in the middle of a file."""
    write_noise(tmp_path / "noise", 8)
    mark = b"here it is bad".ljust(512)
    with open(tmp_path / "noise", "r+b") as file:
        file.seek((5 << 20) + (1 << 19))
        file.write(mark)
    stick = make_stick(tmp_path, {BOOT: EFI, "verge/verge.cfg": "vm=one kernel=noise\n", "verge/noise": tmp_path / "noise"})
    sector = stick.read_bytes().index(mark) // 512
    bad = f"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={stick},file.inject-error.0.event=read_aio," \
          f"file.inject-error.0.errno=5,file.inject-error.0.sector={sector}"
    with start(tmp_path, stick, how=bad) as term:
        term.expect(r"\nverge\.efi: /verge/noise: can't be read beyond byte 5242880 \(status 7\)\r+\n")
        returns_to_the_firmware(term)


def test_words_for_verge(tmp_path):
    """From the EFI shell: what stands behind the file's name are words for Verge."""
    stick = make_stick(tmp_path, {"verge.efi": EFI, "startup.nsh": "fs0:\r\nverge.efi tsc=2000000000 loglevel=debug\r\n"})
    with start(tmp_path, stick) as term:
        term.expect(r"AMD SVM, TSC 2,000,000,000 Hz")
        term.expect(r"clock s=1 ")
        term.send("\x01x")
        ends_well(term)


def test_an_unknown_word(tmp_path):
    stick = make_stick(tmp_path, {"verge.efi": EFI, "startup.nsh": "fs0:\r\nverge.efi slcie=1ms\r\n"})
    with start(tmp_path, stick) as term:
        term.expect(r'hypervisor string: .*slcie.*slice=')
        term.expect(pexpect.EOF)


@pytest.mark.parametrize("card", [["-vga", "std"], ["-device", "bochs-display,xres=1920,yres=1080"]], ids=["std", "large"])
def test_framebuffer_without_a_serial_port(tmp_path, card):
    with Watched(tmp_path, *card, *firmware(tmp_path, make_stick(tmp_path, {BOOT: EFI}))) as machine:
        text = machine.wait_for(machine.pixel_screen, r"clock s=2 pit=")
    assert re.search(r"vg: Verge \S+ \(\w+\), AMD SVM", text.replace("\n", "")), text


# ---- make sign -------------------------------------------------------------------------------------------------------------
def sign(key, certificate):
    return subprocess.run(["make", "-s", "sign", f"KEY={key}", f"CERT={certificate}"], cwd=harness.ROOT, capture_output=True, text=True, check=False)


def make_key(tmp_path, name):
    key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
    subprocess.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}/", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    return key, certificate


@needs_sbsign
def test_sign(tmp_path):
    mine, other = make_key(tmp_path, "mine"), make_key(tmp_path, "other")
    assert sign(*mine).returncode == 0
    for (_, certificate), good in ((mine, True), (other, False)):
        p = subprocess.run(["sbverify", "--cert", certificate, SIGNED], capture_output=True, check=False)
        assert (p.returncode == 0) == good, certificate
    assert "warning" not in subprocess.run(["sbverify", "--list", SIGNED], capture_output=True, text=True, check=True).stderr


def test_sign_says_what_it_needs():
    p = sign("", "")
    assert p.returncode and "KEY=FILE CERT=FILE" in p.stderr


@needs_sbsign
@pytest.mark.skipif(not os.path.exists(SECURE_VARIABLES), reason="needs ovmf with its snakeoil key")
def test_secure_boot(tmp_path):
    """With the signer's key enrolled the firmware starts it; what isn't signed it refuses."""
    subprocess.run(["openssl", "rsa", "-in", SNAKEOIL + ".key", "-passin", "pass:snakeoil", "-out", tmp_path / "key"], check=True, capture_output=True)
    assert sign(tmp_path / "key", SNAKEOIL + ".pem").returncode == 0
    for image, line in ((SIGNED, r"clock s=1 pit="), (EFI, r"failed to load Boot0001 .*Access Denied")):
        place = tmp_path / os.path.basename(image)
        place.mkdir()
        with start(place, make_stick(place, {BOOT: image}), machine=SECURE_MACHINE, code=SECURE, variables=SECURE_VARIABLES) as term:
            term.expect(line)
            term.terminate(force=True)
