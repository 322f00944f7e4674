#!/usr/bin/env python3
"""Write the symbol table for backtraces as NASM source: `nm -n verge.elf | symbols.py > symbols.asm` (functions only)."""
import sys

BASE = 0xFFFFFFFF80000000
symbols = []
for line in sys.stdin:
    parts = line.split()
    if len(parts) == 3 and parts[1] in "tT" and not parts[2].startswith(("stub_", ".", "image_", "text_end")) and "." not in parts[2]:
        symbols.append((int(parts[0], 16) - BASE, parts[2]))
print("section .symbols progbits alloc noexec nowrite align=8")
print("global symbol_count, symbol_table, symbol_names")
print("symbol_count: dd", len(symbols))
print("symbol_table:")
offset = 0
for address, name in symbols:
    print(f"    dd {address}, {offset}")
    offset += len(name) + 1
print("symbol_names:")
for _, name in symbols:
    print(f'    db "{name}", 0')
print("    db 0")
