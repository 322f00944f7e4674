#!/usr/bin/env python3
"""Turn the linked ELF64 image into an ELF32 that Multiboot 1 loaders (qemu -kernel) take.

usage: mkelf32.py verge.elf verge.elf32 [--base ADDRESS]

Writes the same bytes with physical addresses only; --base moves the whole image to another 4 KB boundary, which the position-independent entry
must bear (tests boot such images). Output is a function of the input alone.
"""
import struct
import sys


def main(arguments):
    base = 0x100000
    if "--base" in arguments:
        at = arguments.index("--base")
        base = int(arguments[at + 1], 0)
        del arguments[at:at + 2]
    source, target = arguments
    data = open(source, "rb").read()
    assert data[:5] == b"\x7fELF\x02", "not an ELF64"
    entry, phoff = struct.unpack_from("<QQ", data, 24)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    segments = []
    for index in range(phnum):
        kind, flags, offset, vaddr, _, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + index * phentsize)
        if kind == 1 and memsz:
            segments.append((flags, offset, vaddr, filesz, memsz))
    start = min(segment[2] for segment in segments)
    header_size = 52 + 32 * len(segments)
    out = bytearray()
    headers = []
    position = (header_size + 4095) & ~4095
    blobs = []
    for flags, offset, vaddr, filesz, memsz in segments:
        address = vaddr - start + base
        headers.append(struct.pack("<8I", 1, position, address, address, filesz, memsz, flags, 4096))
        blob = data[offset:offset + filesz]
        blobs.append((position, blob))
        position = (position + filesz + 4095) & ~4095
    out += struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, entry - start + base, 52, 0, 0, 52, 32,
                       len(segments), 0, 0, 0)
    for header in headers:
        out += header
    for place, blob in blobs:
        out += bytes(place - len(out)) + blob
    with open(target, "wb") as file:
        file.write(out)


main(sys.argv[1:])
