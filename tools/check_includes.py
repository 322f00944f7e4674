#!/usr/bin/env python3
"""Checks who includes whom against the layers of docs/architecture.md, in C (#include) and NASM (%include).

    check_includes.py [ROOT]        status 0: all is well; 1: each fault on a line; 2: nothing found to check

A quoted name is a path from the root of the tree; the first rule that matches the including file's path holds.
"""
import os
import re
import sys

# Folder of the including file -> prefixes that it may include. `own chip`: see chip().
API = "arch/x86/api"
DECODE = "arch/x86/decode/"  # pure functions over bytes and registers: as good as lib/, and the same for any backend
BOOT_INFO = "boot/boot_info.h"
RULES = [
    ("lib/", ["lib/"]),
    ("hv/devapi/", ["lib/", "hv/devapi/"]),
    ("hv/main.c", [""]),  # puts everything together
    ("hv/", ["lib/", "hv/", API, DECODE, BOOT_INFO]),  # docs/decisions/0003
    ("devices/", ["lib/", "hv/devapi/", "own chip"]),
    ("arch/x86/api", ["lib/", API]),
    ("arch/x86/decode/", ["lib/", "arch/x86/decode/"]),
    ("arch/x86/svm/", ["lib/", "arch/x86/", BOOT_INFO]),
    ("arch/x86/vmx/", ["lib/", "arch/x86/", BOOT_INFO]),
    ("arch/", ["lib/", "arch/", BOOT_INFO]),
    ("boot/efi/", ["lib/", "boot/", "guest/cfg.h", "guest/cfg_line.h"]),  # a program of its own, verge.efi: the words of verge.cfg
    ("boot/", ["lib/", "boot/", "arch/x86/"]),
    ("guest/clock_guest/", ["lib/", "guest/clock_guest/", "tests/guests/lib/"]),  # a program that runs in a VM
    ("guest/", ["lib/", "hv/", "devices/", "guest/", API, BOOT_INFO]),
]
# Two backends never see each other.
NEVER = [("arch/x86/svm/", "arch/x86/vmx/"), ("arch/x86/vmx/", "arch/x86/svm/"), ("hv/devapi/", "hv/main")]
# What a freestanding C11 compiler provides itself.
SYSTEM = {"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h"}
# Headers of gnu-efi, and who may include them.
FIRMWARE, FIRMWARE_FOLDER = {"efi.h"}, "boot/efi/"
FOLDERS = ["arch", "boot", "devices", "guest", "hv", "lib"]
INCLUDE = re.compile(r'^\s*[#%]\s*include\s*(["<])([^">]+)[">]')
HOST_ONLY = re.compile(r"^\s*#\s*(ifdef\s+VERGE_HOST|if\s+defined\s*\(?\s*VERGE_HOST)")


def chip(path):
    """devices/vga_text.c belongs to the chip `vga`: a model may be cut into several files."""
    return re.split(r"[_.]", os.path.basename(path))[0]


def allowed(includer, included):
    if any(includer.startswith(a) and included.startswith(b) for a, b in NEVER):
        return False
    for folder, prefixes in RULES:
        if includer.startswith(folder):
            return any(included.startswith(p) if p != "own chip" else
                       included.startswith("devices/") and chip(included) == chip(includer) for p in prefixes)
    return False


def rule_of(path):
    for folder, prefixes in RULES:
        if path.startswith(folder):
            return f"{folder} may include {', '.join(p or 'everything' for p in prefixes)}"
    return "no rule names this folder"


def check_file(root, path):
    """Faults of one file, each as (line number, text)."""
    host_depth = depth = 0
    with open(os.path.join(root, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            # What stands under VERGE_HOST is for host tests and may use the C library.
            if re.match(r"^\s*#\s*if", line):
                depth += 1
                if HOST_ONLY.match(line) and not host_depth:
                    host_depth = depth
            elif re.match(r"^\s*#\s*(else|elif)", line) and host_depth == depth:
                host_depth = 0
            elif re.match(r"^\s*#\s*endif", line):
                if host_depth == depth:
                    host_depth = 0
                depth -= 1
            m = INCLUDE.match(line)
            if not m or host_depth:
                continue
            kind, name = m.groups()
            if kind == "<":
                if name not in SYSTEM and not (name in FIRMWARE and path.startswith(FIRMWARE_FOLDER)):
                    yield number, f"<{name}> is no freestanding header"
            elif "/" not in name:
                # Generated (build/gen), or written without its folder by mistake.
                if os.path.exists(os.path.join(root, os.path.dirname(path), name)):
                    yield number, f'"{name}": write the path from the root, "{os.path.dirname(path)}/{name}"'
            elif ".." in name.split("/") or not os.path.exists(os.path.join(root, name)):
                yield number, f'"{name}" is no path from the root'
            elif not allowed(path, name):
                yield number, f'"{name}" breaks the layers: {rule_of(path)}'


def sources(root):
    for folder in FOLDERS:
        for here, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".asm", ".inc")):
                    yield os.path.relpath(os.path.join(here, name), root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    count = faults = 0
    for path in sources(root):
        count += 1
        for number, text in check_file(root, path):
            faults += 1
            print(f"{path}:{number}: {text}")
    if count == 0:
        print("no source file found: nothing was checked")
        return 2
    print(f"{count} files, {faults} faults")
    return 1 if faults else 0


sys.exit(main())
