"""Boot media for an emulated machine: make_image.py's images with the guests of this run, and the devices that they are in."""
import os
import shutil

from machine import Failure
from make_image import ImageError, build

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"


def make_medium(machine, kind):
    """The image ("disk" or "iso") that holds Verge, this machine's guests and their verge.cfg."""
    folder, image = os.path.join(machine.directory, "verge"), os.path.join(machine.directory, kind)
    os.mkdir(folder)
    config, files = machine.config()
    with open(os.path.join(folder, "verge.cfg"), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(config)
    for name, path in files.items():
        os.symlink(os.path.abspath(path), os.path.join(folder, name))
    try:
        build(kind, machine.o.image, folder, image, at_once=True)
    except (ImageError, OSError) as e:
        raise Failure(f"the boot medium can't be made: {e}") from e
    return image


def boot_devices(machine):
    """QEMU's options for --iso, --usb (both: the ISO on a stick) and --uefi."""
    o = machine.o
    image = make_medium(machine, "iso" if o.iso else "disk")
    drive = f"if=none,id=medium,format=raw,file={image}"
    if o.usb:
        options = ["-device", "qemu-xhci", "-drive", drive, "-device", "usb-storage,drive=medium,bootindex=0"]
    else:
        options = ["-drive", drive + ",media=cdrom", "-device", "ide-cd,drive=medium,bootindex=0"]
    if o.uefi:
        variables = os.path.join(machine.directory, "variables")
        shutil.copyfile(VARIABLES, variables)
        options += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}", "-drive", f"if=pflash,format=raw,file={variables}"]
    return options
