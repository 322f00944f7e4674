#!/usr/bin/env python3
"""Static checks, each a test of run-tests.sh:  lint.py [NAME...]   (all without a name)

A lint returns the number of files that it looked at, or raises; one that finds nothing to look at has failed.
"""
import ast
import concurrent.futures
import glob
import os
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Few checks, all of them errors: what is nearly always a bug, and what the analyzer proves about pointers and values.
TIDY = ("-*,bugprone-assert-side-effect,bugprone-infinite-loop,bugprone-integer-division,bugprone-macro-repeated-side-effects,"
        "bugprone-misplaced-widening-cast,bugprone-redundant-branch-condition,"
        "bugprone-sizeof-expression,bugprone-suspicious-*,bugprone-terminating-continue,bugprone-too-small-loop-variable,"
        "bugprone-undefined-memory-manipulation,clang-analyzer-core.*,clang-analyzer-deadcode.DeadStores,misc-redundant-expression")


class Fault(Exception):
    """What is wrong; the text is shown."""


def files(*patterns):
    """Files of the tree by glob patterns from its root, none of them built."""
    found = sorted({f for p in patterns for f in glob.glob(p, root_dir=ROOT, recursive=True)})
    return [f for f in found if not f.startswith("build")]


def run(command, failure):
    p = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode != 0:
        raise Fault(f"{failure}\n{p.stdout}")
    return p.stdout


def lint_includes():
    print(run([sys.executable, "-B", "tools/check_includes.py"], "the layers of docs/architecture.md are broken:"), end="")
    return 1


def make_flags(variable):
    """The Makefile's flags for the hypervisor (CFLAGS) or for verge.efi (EFI_CFLAGS)."""
    return shlex.split(run(["make", "-s", "--no-print-directory", "--eval", f"verge-show-flags: ; $(info $({variable})) @:", "verge-show-flags"],
                           f"the Makefile has no {variable}"))


def for_firmware(path):
    """A file of verge.efi, which has the firmware's types and headers."""
    return path.startswith("boot/efi/")


def lint_headers():
    """Each header compiles alone, with the flags of what it goes into."""
    flags = {False: make_flags("CFLAGS"), True: make_flags("EFI_CFLAGS")}
    headers = files("lib/**/*.h", "boot/**/*.h", "arch/**/*.h", "hv/**/*.h", "devices/**/*.h", "guest/**/*.h")
    bad = []
    for header in headers:
        p = subprocess.run(["gcc", *flags[for_firmware(header)], "-fsyntax-only", "-x", "c", header], cwd=ROOT, capture_output=True, text=True)
        # A header given as the main file makes gcc warn about `#pragma once`, no fault here.
        errors = [line for line in p.stderr.splitlines() if "error" in line and "pragma once" not in line]
        if p.returncode != 0 and errors:
            bad += [f"{header} does not compile alone:"] + errors
    if bad:
        raise Fault("\n".join(bad))
    return len(headers)


def each_file(command, paths, failure):
    """Runs `command FILE` for each file, two at a time."""
    def one(path):
        return subprocess.run([*command(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        bad = [p.stdout + p.stderr for p in pool.map(one, paths) if p.returncode != 0]
    if bad:
        raise Fault(failure + "\n" + "\n".join(bad))
    return len(paths)


def lint_format():
    """clang-format has nothing to say."""
    found = files("**/*.c", "**/*.h")
    return each_file(lambda path: ["clang-format", "--dry-run", "-Werror", path], found, "clang-format (`make format` mends it):")


def lint_tidy():
    """clang-tidy with a narrow choice of checks, over what goes into the hypervisor and verge.efi."""
    run(["make", "-s", "build/gen/version.h"], "the version header:")
    found = files("lib/**/*.c", "boot/**/*.c", "arch/**/*.c", "hv/**/*.c", "devices/**/*.c", "guest/*.c")
    flags = ["-std=c11", "-ffreestanding", "-mgeneral-regs-only", "-I.", "-Ibuild/gen"]
    firmware = [flag for flag in make_flags("EFI_CFLAGS") if not flag.startswith("-W")]
    return each_file(lambda path: ["clang-tidy", "-quiet", f"-checks={TIDY}", "-warnings-as-errors=*", path, "--",
                                   *(firmware if for_firmware(path) else flags)], found, "clang-tidy:")


def lint_shell():
    scripts = files("*.sh", "tools/**/*.sh", "tests/**/*.sh") + [".ci/run"]
    run(["shellcheck", "-x", *scripts], "shellcheck:")
    return len(scripts)


def lint_python():
    """Every Python file parses, and none is longer than a page of a hundred lines four times over."""
    found = files("tools/**/*.py", "tests/**/*.py")
    for path in found:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        ast.parse(text, path)
        if text.count("\n") > 400:
            raise Fault(f"{path}: {text.count(chr(10))} lines")
    return len(found)


def lint_text():
    """No tabs in C, no blanks at a line's end, a newline at the end of each file, no path of the machine it was written on."""
    found = files("**/*.c", "**/*.h", "**/*.asm", "**/*.py", "**/*.sh", "**/*.md")
    home = ("/wo" + "rk/main", "/wo" + "rk/shared", "/ro" + "ot/.")
    bad = []
    for path in found:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                bad.append(f"{path}:{number}: blanks at the end of the line")
            if "\t" in line and path.endswith((".c", ".h", ".asm")):
                bad.append(f"{path}:{number}: a tab")
            if any(h in line for h in home):
                bad.append(f"{path}:{number}: a path of one machine")
        if text and not text.endswith("\n"):
            bad.append(f"{path}: no newline at the end")
    if bad:
        raise Fault("\n".join(bad))
    return len(found)


LINTS = {name.removeprefix("lint_"): f for name, f in list(globals().items()) if name.startswith("lint_")}


def main(chosen):
    bad = 0
    for name in chosen or sorted(LINTS):
        if name not in LINTS:
            print(f"{name}: no such lint; there are {', '.join(sorted(LINTS))}")
            return 2
        try:
            count = LINTS[name]()
        except (Fault, SyntaxError, OSError) as e:
            print(f"{name}: {e}", flush=True)
            bad += 1
            continue
        bad += count == 0
        print(f"{name}: {count or 'nothing'} looked at", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
