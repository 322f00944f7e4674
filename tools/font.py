#!/usr/bin/env python3
"""arch/x86/host/font.txt as a C table on stdout: nine bytes for each of the characters 20h to 7Fh, bit 4 the leftmost column.

The last one stands for all characters that there are no others for."""
import re
import sys

ROWS, COLUMNS, FIRST, LAST = 9, 5, 0x20, 0x7F
ROW = re.compile(r"[.#]{5}( [.#]{5})*\s*")


def read(path):
    """Character -> rows of text."""
    glyphs, names = {}, None
    with open(path, encoding="ascii") as file:
        for line in file.read().split("\n")[2:]:
            if not line.strip():
                names = None
            elif names is None:
                names = [{"sp": " ", "other": "\x7f"}.get(name, name) for name in line.split()]
                glyphs.update({name: [] for name in names})
            elif ROW.fullmatch(line):
                for name, row in zip(names, line.split(), strict=True):
                    glyphs[name].append(row)
            else:
                sys.exit(f"font.py: no row of glyphs: {line}")
    return glyphs


def main():
    glyphs = read(sys.argv[1])
    print("/* Made by tools/font.py from arch/x86/host/font.txt. */")
    for code in range(FIRST, LAST + 1):
        rows = glyphs.get(chr(code), [])
        if len(rows) != ROWS:
            sys.exit(f"font.py: {len(rows)} rows for {chr(code)!r}")
        values = [int(row.replace(".", "0").replace("#", "1"), 2) for row in rows]
        print("{" + ", ".join(f"0x{value:02X}" for value in values) + "},")


if __name__ == "__main__":
    main()
