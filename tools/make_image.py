#!/usr/bin/env python3
"""Builds boot media: a disk image with one FAT32 partition, or a hybrid ISO, both for BIOS and UEFI, by GRUB.

    make_image.py disk|iso --kernel build/verge.elf32 --out FILE [--efi build/verge.efi] [--guests FOLDER] [--at-once]

FOLDER's files go to /verge beside README.TXT. --efi: goes to /EFI/verge, for firmware that is told to start it. --at-once: the menu does not wait. The same input gives the same bytes: all dates and serial numbers are fixed.
Sources: GRUB's manual, "Images", "BIOS installation"; UEFI Specification, "Removable Media Boot Behavior".
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MEDIA = os.path.join(ROOT, "boot", "media")
GRUB = "/usr/lib/grub"
EPOCH = 1577836800  # 2020-01-01: FAT knows no date before 1980
SERIAL = "56455247"  # of the FAT volumes
SECTOR = 512
START = 2048  # first sector of the partition: 1 MB
DISK_MB = 257
COMMON = "normal configfile search search_fs_file echo test regexp ls minicmd multiboot multiboot2 gzio reboot halt all_video".split()
FOR_BIOS = "biosdisk part_msdos part_gpt fat iso9660 serial".split()
FOR_UEFI = "part_msdos part_gpt fat iso9660 chain efi_gop".split()
# Embedded: GRUB's rescue mode reads it, which knows no `if`. Firmware may start us from another volume than the files' (the small one in
# verge.iso), a BIOS never does; and searching costs seconds there where floppy drives may be.
FIND_ROOT = "search --set=root --file /boot/verge.elf32\n"
START_MENU = "set prefix=($root)/boot/grub\nconfigfile /boot/grub/grub.cfg\n"
ENVIRONMENT = {**os.environ, "TZ": "UTC", "SOURCE_DATE_EPOCH": str(EPOCH), "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}


class ImageError(Exception):
    """The image can't be made; the text says why."""


def run(*command):
    try:
        p = subprocess.run([str(c) for c in command], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError as e:
        raise ImageError(f"{command[0]} is missing (Debian: grub-common grub-pc-bin grub-efi-amd64-bin mtools xorriso)") from e
    if p.returncode:
        raise ImageError(f"{command[0]} failed:\n{p.stdout}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def grub_image(work, format_, modules, prefix):
    """A GRUB with these modules that looks for the volume it belongs to."""
    config, image = os.path.join(work, "embedded.cfg"), os.path.join(work, format_)
    with open(config, "w", encoding="utf-8") as file:
        file.write((FIND_ROOT if format_ == "x86_64-efi" else "") + START_MENU)
    run("grub-mkimage", "-O", format_, "-o", image, "-p", prefix, "-c", config, *modules)
    return image


def make_tree(work, kernel, guests, at_once, efi):
    """The files as they stand on either medium, all of one date."""
    tree = os.path.join(work, "tree")
    copies = {"boot/verge.elf32": kernel, "boot/grub/grub.cfg": os.path.join(MEDIA, "grub.cfg"), "verge/README.TXT": os.path.join(MEDIA, "README.TXT"),
              "EFI/BOOT/BOOTX64.EFI": grub_image(work, "x86_64-efi", COMMON + FOR_UEFI, "/boot/grub")}
    if efi:
        copies["EFI/verge/verge.efi"] = efi
    for name in sorted(os.listdir(guests)) if guests else ():
        copies["verge/" + name] = os.path.join(guests, name)
    for name, source in copies.items():
        target = os.path.join(tree, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
    if at_once:
        menu = os.path.join(tree, "boot/grub/grub.cfg")
        text = read(menu).replace(b"set timeout=3\n", b"set timeout=0\n")
        with open(menu, "wb") as file:
            file.write(text)
    for here, folders, files in os.walk(tree, topdown=False):
        for name in files + folders:
            os.chmod(os.path.join(here, name), 0o755 if name in folders else 0o644)
            os.utime(os.path.join(here, name), (EPOCH, EPOCH))
    return tree


def format_fat(image, sectors, offset, size):
    """A FAT volume of `sectors`; size: mformat's options for its kind."""
    at = f"{image}@@{offset}"
    run("mformat", "-i", at, *size, "-v", "VERGE", "-N", SERIAL, "-h", "255", "-s", "63", "-T", sectors, "::")
    return at


def copy_tree(at, tree):
    for name in sorted(os.listdir(tree)):
        run("mcopy", "-i", at, "-s", "-m", "-p", "-o", "-Q", os.path.join(tree, name), "::")


def partition_entry(start, sectors):
    """Active, FAT32 by LBA; the CHS fields say that they can't (1023, 254, 63)."""
    return b"\x80\xfe\xff\xff\x0c\xfe\xff\xff" + start.to_bytes(4, "little") + sectors.to_bytes(4, "little")


def boot_sector(start, sectors):
    """GRUB's, which reads the core image behind it from sector 1 on, with a partition table."""
    boot = bytearray(read(f"{GRUB}/i386-pc/boot.img"))
    boot[0x66:0x68] = b"\x90\x90"  # as grub-bios-setup does for hard disks: take the drive number of a BIOS that passes none for 80h
    boot[440:446] = int(SERIAL, 16).to_bytes(4, "little") + b"\0\0"
    boot[446:510] = partition_entry(start, sectors) + bytes(48)
    return bytes(boot[:510]) + b"\x55\xaa"


def make_disk(work, tree, out):
    core = read(grub_image(work, "i386-pc", COMMON + FOR_BIOS, "(hd0,msdos1)/boot/grub"))
    if len(core) > (START - 1) * SECTOR:
        raise ImageError("GRUB does not fit in front of the partition")
    sectors = DISK_MB * 2048 - START
    with open(out, "wb") as image:
        image.write(boot_sector(START, sectors) + core)
        image.truncate(DISK_MB << 20)
    copy_tree(format_fat(out, sectors, START * SECTOR, ["-F", "-c", "4", "-H", START]), tree)


def make_iso(work, tree, out):
    """El Torito for BIOS and UEFI, and an MBR, so that the same file works on a stick."""
    eltorito = os.path.join(tree, "boot", "grub", "eltorito.img")
    shutil.copyfile(grub_image(work, "i386-pc-eltorito", COMMON + FOR_BIOS, "/boot/grub"), eltorito)
    os.utime(eltorito, (EPOCH, EPOCH))
    efi, volume = os.path.join(tree, "EFI", "BOOT", "BOOTX64.EFI"), os.path.join(work, "efi.img")
    sectors = os.path.getsize(efi) // SECTOR + 512
    with open(volume, "wb") as file:
        file.truncate(sectors * SECTOR)
    folder = os.path.join(work, "efi")
    os.makedirs(os.path.join(folder, "EFI", "BOOT"))
    shutil.copyfile(efi, os.path.join(folder, "EFI", "BOOT", "BOOTX64.EFI"))
    for name in ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT", "EFI"):
        os.utime(os.path.join(folder, name), (EPOCH, EPOCH))
    copy_tree(format_fat(volume, sectors, 0, []), folder)
    os.utime(volume, (EPOCH, EPOCH))
    date = "2020010100000000"
    run("xorriso", "-as", "mkisofs", "-o", out, "-V", "VERGE", "-r", "-J", "-joliet-long", f"--modification-date={date}", "--set_all_file_dates", date,
        "-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info",
        "--grub2-mbr", f"{GRUB}/i386-pc/boot_hybrid.img", "-partition_offset", "16", "-append_partition", "2", "0xef", volume, "-appended_part_as_gpt",
        "-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot", tree)


def build(kind, kernel, guests, out, at_once=False, efi=None):
    """Makes the image `out`: "disk" or "iso"; `guests`: a folder whose files go to /verge, or None; `efi`: verge.efi, or None. ImageError, OSError."""
    with tempfile.TemporaryDirectory() as work:
        made = os.path.join(work, "image")
        (make_disk if kind == "disk" else make_iso)(work, make_tree(work, kernel, guests, at_once, efi), made)
        run("cp", "--sparse=always", made, out + ".new")
    os.replace(out + ".new", out)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("kind", choices=["disk", "iso"])
    p.add_argument("--kernel", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--efi")
    p.add_argument("--guests")
    p.add_argument("--at-once", action="store_true")
    o = p.parse_args()
    try:
        build(o.kind, o.kernel, o.guests, o.out, o.at_once, o.efi)
    except (ImageError, OSError) as e:
        sys.exit(f"make_image: {e}")


if __name__ == "__main__":
    main()
