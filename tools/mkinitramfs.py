#!/usr/bin/env python3
"""Packs the guests' initramfs: busybox plus the files of tools/guest-root, as a gzip'ed newc cpio archive.

    mkinitramfs.py BUSYBOX ROOT-DIR OUTPUT

The same input gives the same bytes: names sorted, no times, no owners, no host inode numbers, a fixed gzip header.
Device nodes are written without root, since the archive is made here and not by cpio(1).
The format is "newc" of the kernel's "initramfs buffer format" document.
"""
import os
import stat
import struct
import subprocess
import sys
import zlib

DIRECTORIES = ["bin", "dev", "etc", "proc", "root", "run", "scripts", "sys", "tmp"]
DEVICES = {"dev/console": (5, 1), "dev/null": (1, 3), "dev/ttyS0": (4, 64)}


def newc_entry(inode, name, mode, data=b"", device=(0, 0)):
    """One archive member: header, name and data, each padded to four bytes."""
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return pad4(header) + pad4(data)


def pad4(data):
    return data + b"\0" * (-len(data) % 4)


def collect(busybox, root):
    """All members as name -> (mode, data, device)."""
    members = {d: (stat.S_IFDIR | 0o755, b"", (0, 0)) for d in DIRECTORIES}
    for name, device in DEVICES.items():
        members[name] = (stat.S_IFCHR | 0o600, b"", device)
    # Each applet as a link, here rather than by `busybox --install` in each boot.
    for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
        members["bin/" + applet] = (stat.S_IFLNK | 0o777, b"busybox", (0, 0))
    with open(busybox, "rb") as f:  # after the links: busybox lists itself too
        members["bin/busybox"] = (stat.S_IFREG | 0o755, f.read(), (0, 0))
    for folder, _, files in os.walk(root):
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, root)
            with open(path, "rb") as f:
                data = f.read()
            members[name] = (stat.S_IFREG | (0o755 if data.startswith(b"#!") else 0o644), data, (0, 0))
    return members


def gzip_bytes(data):
    """gzip without a name and a time, whatever Python's version."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = body.compress(data) + body.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + packed + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    busybox, root, output = sys.argv[1:]
    members = collect(busybox, root)
    archive = b"".join(newc_entry(i + 1, name, mode, data, device)
                       for i, (name, (mode, data, device)) in enumerate(sorted(members.items())))
    archive += newc_entry(0, "TRAILER!!!", 0)
    packed = gzip_bytes(archive)
    try:
        with open(output, "rb") as f:
            if f.read() == packed:
                return
    except FileNotFoundError:
        pass
    with open(output + ".new", "wb") as f:
        f.write(packed)
    os.replace(output + ".new", output)


main()
