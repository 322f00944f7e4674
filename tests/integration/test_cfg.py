"""verge.cfg as a boot module, on a machine with one serial line in use: its words count, and Verge speaks before and after the guest only."""
import os

import harness
import timing

TIMING = timing.TIMING
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "qemu64,+npt", "-m", "256", "-display", "none", "-nodefaults", "-no-reboot",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-icount", "shift=0,sleep=off", "-kernel", os.path.join(harness.ROOT, "build/verge.elf32")]
CFG = """# two guests
log=com1 tsc=1000000000 \\
    loglevel=debug
vm=first kernel=timing.elf32 mem=16M idle=skip -- count rounds=10
vm=second kernel=timing.elf32 mem=16M idle=skip -- count rounds=20
"""


def boot(directory, cfg, words=""):
    """(what COM1 sent, what COM2 sent)"""
    timing.build_guests()
    (directory / "verge.cfg").write_bytes(cfg.encode())
    if not (directory / "timing.elf32").exists():
        (directory / "timing.elf32").symlink_to(TIMING)
    run = harness.run_script([*QEMU, "-append", words, "-initrd", "verge.cfg config,timing.elf32", "-serial", "file:com1", "-serial", "file:com2"],
                             60, cwd=directory)
    assert run.code == 1, run.tail()
    return [harness.read_text(directory / port).replace("\r", "").splitlines() for port in ("com1", "com2")]


def guest_lines(port):
    return [line for line in port if "vg: " not in line]


def test_words_of_the_file_count(tmp_path):
    com1, com2 = boot(tmp_path, CFG)
    assert any("module 2: " in line for line in com2) and not any("TSC 1,000,000,000 Hz" in line for line in com2), "log=com1 counts from where it was read"
    assert any("TSC 1,000,000,000 Hz, from tsc=" in line for line in com1)
    again, _ = boot(tmp_path, CFG.replace("\n", "\r\n"))
    assert guest_lines(again) == guest_lines(com1) != []


def test_one_line_for_all(tmp_path):
    """A guest's last bytes come before the line that closes it."""
    com1, _ = boot(tmp_path, CFG)
    for name, instructions in (("first", 23), ("second", 43)):
        said = [i for i, line in enumerate(com1) if line.startswith(f"{name}| ")]
        closed = [i for i, line in enumerate(com1) if f"vg: {name}: code 0;" in line]
        assert len(said) == 2 and len(closed) == 1 and said[-1] < closed[0]
        assert f"instructions={instructions}" in com1[said[0]] and "RESULT PASS" in com1[said[1]]
    assert not any("| [" in line for line in com1), "no line of Verge's within a guest's"


def test_the_command_line_wins(tmp_path):
    com1, com2 = boot(tmp_path, CFG, "log=com2 loglevel=info")
    assert any("first: code 0;" in line for line in com2) and not any("vg:" in line for line in com1)
    assert not any("account boot" in line for line in com2)
