"""The scripts on machines that lack things: missing tools, no apt, no network, no terminal; and the test runner's counting.

A link farm stands in for PATH: every program of this machine but some, and stubs that note how they were called. With
--long, also a real minimal Debian root.
"""
# IMAGE: none
import os
import shutil
import subprocess

import pexpect
import pytest

from harness import ROOT, run_script

PROBED = {"nasm": "nasm", "qemu-system-x86_64": "qemu-system-x86"}


class Machine:
    """A pretended machine: `farm` is its PATH, `tree` a source tree with an empty build folder."""

    def __init__(self, directory):
        self.farm = directory / "farm"
        self.tree = directory / "tree, with blanks"
        self.calls = directory / "calls"
        self.spare = directory / "spare"
        for d in (self.farm, self.tree, self.spare):
            d.mkdir()
        for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            for name in os.listdir(folder):
                if not os.path.lexists(self.farm / name):
                    os.symlink(os.path.join(folder, name), self.farm / name)
        self.calls.write_text("")
        for name in ("run-qemu.sh", "run-tests.sh", "tools"):
            os.symlink(os.path.join(ROOT, name), self.tree / name)
        self.stub("sudo", '[ "$1" = -v ] || exec "$@"')
        self.apt()

    def remove(self, *names):
        for name in names:
            target = self.farm / name
            if os.path.lexists(target):
                if not (self.spare / name).exists():
                    shutil.copy(target, self.spare / name, follow_symlinks=False)
                target.unlink()

    def stub(self, name, body):
        path = self.farm / name
        if os.path.lexists(path):
            path.unlink()
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n{body}\n')
        path.chmod(0o755)

    def apt(self, install=None, download="exit 100"):
        """A stub of apt-get; an install brings back what was taken away."""
        install = install or f'cp -P "{self.spare}"/* "{self.farm}"/'
        self.stub("apt-get", f'''case " $* " in
*" --assume-no "*)
    echo "Need to get 12.3 MB/45.6 MB of archives."
    echo "After this operation, 78.9 MB of additional disk space will be used."
    exit 1 ;;
*" update "*) exit 0 ;;
*" install "*) {install} ;;
*" download "*) {download} ;;
esac''')

    def user(self, number):
        self.stub("id", f'if [ "$1" = -u ]; then echo {number}; else exec /usr/bin/id "$@"; fi')

    def environment(self, standin, **more):
        return {"PATH": str(self.farm), "CI": None, "VERGE_IMAGE": str(standin), **more}

    def run(self, standin, *args, timeout=60, **more):
        return run_script([self.tree / "run-qemu.sh", "--hv", "do=oc00", "--icount", *args], timeout,
                          env=self.environment(standin, **more), cwd=self.tree)

    def called(self):
        return self.calls.read_text()


@pytest.fixture
def machine(tmp_path):
    m = Machine(tmp_path)
    m.user(0)
    return m


# ---- missing tools -----------------------------------------------------------------------------------------------------
def test_missing_tools_without_a_terminal(machine, standin):
    machine.remove(*PROBED)
    run = machine.run(standin, "--clock")
    assert run.code == 125 and run.out == ""
    assert "missing packages: qemu-system-x86 nasm (12.3 MB to download, 78.9 MB on disk)" in run.err
    assert "apt-get update && apt-get install -y --no-install-recommends qemu-system-x86 nasm" in run.err
    assert "sudo" not in run.err
    assert " -y " not in machine.called()
    # Asked about one package that needs no other, apt-get would install it, --assume-no or not.
    assert all("--print-uris" in line for line in machine.called().splitlines() if " install " in line)


def test_missing_tools_as_a_user_name_sudo(machine, standin):
    machine.user(1000)
    machine.remove("nasm")
    run = machine.run(standin, "--clock", CI="true")
    assert run.code == 125
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends nasm" in run.err


@pytest.mark.parametrize("how", [{"CI": "true"}, {"yes": True}])
def test_missing_tools_are_installed(machine, standin, how):
    machine.remove(*PROBED)
    run = machine.run(standin, "--clock", *(["--yes"] if "yes" in how else []), CI=how.get("CI"))
    assert run.code == 0 and run.out == "hello from the guest\r\n"
    called = machine.called()
    assert "apt-get update" in called and "apt-get install -y --no-install-recommends qemu-system-x86 nasm" in called
    assert called.index("apt-get update") < called.index("apt-get install -y")
    assert "sudo" not in called


def test_yes_as_a_user_goes_through_sudo(machine, standin):
    machine.user(1000)
    machine.remove("nasm")
    assert machine.run(standin, "--clock", "--yes").code == 0
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y" in machine.called()


def test_yes_as_a_user_without_sudo(machine, standin):
    machine.user(1000)
    machine.remove("nasm")
    machine.remove("sudo")
    run = machine.run(standin, "--clock", "--yes")
    assert run.code == 125 and "there is no sudo" in run.err and "install -y --no-install-recommends nasm" in run.err


def test_apt_fails(machine, standin):
    machine.remove("nasm")
    machine.apt(install='echo "E: the disk is full"; exit 100')
    run = machine.run(standin, "--clock", "--yes")
    assert run.code == 125 and "E: the disk is full" in run.err and "apt-get install failed (status 100)" in run.err


def test_apt_succeeds_and_brings_nothing(machine, standin):
    machine.remove("nasm")
    machine.apt(install="true")
    run = machine.run(standin, "--clock", "--yes")
    assert run.code == 125 and "still not usable: nasm" in run.err


def test_no_debian(machine, standin):
    machine.remove("nasm", "apt-get", "dpkg-deb")
    run = machine.run(standin, "--clock")
    assert run.code == 125 and "nasm" in run.err and "no Debian" in run.err and "--kernel F" in run.err


@pytest.mark.parametrize("answer,code", [("n", 125), ("y", 0)])
def test_asks_on_a_terminal(machine, standin, answer, code):
    machine.remove("nasm")
    env = {k: v for k, v in {**os.environ, **machine.environment(standin)}.items() if v is not None}
    term = pexpect.spawn(str(machine.tree / "run-qemu.sh"), ["--clock", "--hv", "do=oc00"], env=env, timeout=60, encoding="latin-1")
    term.expect_exact("install them now? [y/N]")
    term.sendline(answer)
    term.expect(pexpect.EOF)
    term.close()
    assert term.exitstatus == code
    assert ("install -y" in machine.called()) == (answer == "y")


# ---- the default guest -------------------------------------------------------------------------------------------------
def test_no_network_and_no_copy_gives_the_clock_guest(machine, standin):
    run = machine.run(standin)
    assert run.code == 0 and "could not be fetched" in run.err and "clock guest" in run.err


@pytest.mark.parametrize("option", [("--append", "selftest"), ("--mem", "128M")])
def test_no_network_is_no_verdict_for_who_wants_more(machine, standin, option):
    run = machine.run(standin, *option)
    assert run.code == 125 and "can't be had" in run.err and run.out == ""


def test_interrupted_fetch(machine, standin):
    """Ctrl-C: nothing half done stays, nothing is tried again, no other guest runs."""
    machine.apt(download="kill -INT 0; sleep 1")
    run = machine.run(standin)
    assert run.code not in (0, 124) and run.out == "" and "clock guest" not in run.err
    assert machine.called().count("download") <= 1
    assert not list((machine.tree / "build" / "guest").glob("fetch.*"))


def test_no_network_with_a_copy(machine, standin):
    guest = machine.tree / "build" / "guest"
    (guest / "linux/boot").mkdir(parents=True)
    (guest / "linux/boot/vmlinuz-6.1.0-99-cloud-amd64").write_bytes(b"kernel")
    (guest / "busybox-static/bin").mkdir(parents=True)
    busybox = guest / "busybox-static/bin/busybox"
    busybox.write_text("#!/bin/sh\necho sh\n")
    busybox.chmod(0o755)
    run = run_script([machine.tree / "run-qemu.sh", "--hv", "do=mc00", "--icount"], 60, env=machine.environment(standin))
    assert run.code == 0 and "6.1.0-99-cloud-amd64" in run.err
    assert "kernel vm=vm0 -- console=ttyS0" in run.out and "initrd vm=vm0" in run.out
    assert "download" not in machine.called()


def test_initramfs_is_the_same_each_time(tmp_path):
    busybox = tmp_path / "busybox"
    busybox.write_text("#!/bin/sh\nprintf 'sh\\nls\\n'\n")
    busybox.chmod(0o755)
    outputs = []
    for name in ("a", "b"):
        subprocess.run(["python3", os.path.join(ROOT, "tools/mkinitramfs.py"), str(busybox),
                        os.path.join(ROOT, "tools/guest-root"), str(tmp_path / name)], check=True)
        outputs.append((tmp_path / name).read_bytes())
        os.utime(busybox, (1, 1))
    assert outputs[0] == outputs[1]


# ---- the runner itself -------------------------------------------------------------------------------------------------
def runner_tree(directory, binary):
    """A tree with one unit test whose binary is the given script."""
    (directory / "tests/unit").mkdir(parents=True)
    (directory / "tests/integration").mkdir()
    (directory / "build/unit").mkdir(parents=True)
    (directory / "tests/unit/test_x.c").write_text("")
    (directory / "Makefile").write_text("build/unit/test_x: ;\n")
    path = directory / "build/unit/test_x"
    path.write_text("#!/bin/bash\n" + binary)
    path.chmod(0o755)
    os.symlink(os.path.join(ROOT, "run-tests.sh"), directory / "run-tests.sh")
    # A copy: behind a link to the folder, Python would import the runner's parts from the real tree.
    shutil.copytree(os.path.join(ROOT, "tools"), directory / "tools")
    return directory


@pytest.mark.parametrize("binary,code,last", [
    ("echo '1..2'; echo 'ok 1 - a'; echo 'ok 2 - b'", 0, "2 passed, 0 failed"),
    ("echo '1..2'; echo 'ok 1 - a'; echo 'not ok 2 - b'; exit 1", 1, "1 passed, 1 failed"),
    ("echo '1..2'; echo 'ok 1 - a'", 1, "1 passed, 1 failed"),
    ("echo '1..2'; echo 'ok 1 - a'; kill -SEGV $$", 1, "1 passed, 1 failed"),
    ("echo '1..1'; echo 'ok 1 - a'; exit 3", 1, "1 passed, 1 failed"),
    ("true", 1, "0 passed, 1 failed"),
])
def test_runner_counts(tmp_path, binary, code, last):
    tree = runner_tree(tmp_path / "t", binary)
    run = run_script([tree / "run-tests.sh", "--only", "unit/"], 60)
    assert run.out.splitlines()[-1] == last, run.tail()
    assert run.code == code


def test_runner_that_finds_nothing_fails(tmp_path):
    tree = runner_tree(tmp_path / "t", "true")
    run = run_script([tree / "run-tests.sh", "--only", "no-such-test"], 60)
    assert run.code == 1 and run.out.splitlines()[-1] == "0 passed, 1 failed"
    run = run_script([tree / "run-tests.sh", "--list"], 60)
    assert run.code == 1 and "fuzz: no test found" in run.err


def test_runner_does_not_run_what_no_longer_builds(tmp_path):
    tree = runner_tree(tmp_path / "t", "echo '1..1'; echo 'ok 1 - a'")
    (tree / "Makefile").write_text("build/unit/test_x: tests/unit/test_x.c always\n\tfalse\nalways:\n")
    run = run_script([tree / "run-tests.sh", "--only", "unit/"], 60)
    assert run.code == 1 and run.out.splitlines()[-1] == "0 passed, 1 failed"
    assert "does not build" in run.out


@pytest.mark.parametrize("name,line,fault", [
    ("lib/a.c", '#include "hv/b.h"', "breaks the layers"), ("hv/a.c", '#include "devices/d.h"', "breaks the layers"),
    ("devices/a.c", '#include "devices/d.h"', "breaks the layers"), ("devices/a.c", '#include "arch/x86/api/x.h"', "breaks the layers"),
    ("guest/a.c", '#include "arch/x86/svm/s.h"', "breaks the layers"), ("hv/a.c", "#include <stdio.h>", "freestanding"),
    ("hv/a.c", '#include "../lib/l.h"', "no path from the root"), ("boot/a.asm", '%include "guest/g.inc"', "breaks the layers"),
    ("arch/x86/svm/a.c", '#include "arch/x86/vmx/v.h"', "breaks the layers"),
    ("hv/main.c", '#include "devices/d.h"', None), ("devices/a.c", '#include "hv/devapi/v.h"', None),
    ("devices/d_regs.c", '#include "devices/d.h"', None), ("lib/a.c", "#ifdef VERGE_HOST\n#include <stdio.h>\n#endif", None),
])
def test_include_rules(tmp_path, name, line, fault):
    for path in ("hv/b.h", "devices/d.h", "arch/x86/api/x.h", "arch/x86/svm/s.h", "lib/l.h", "guest/g.inc", "hv/devapi/v.h",
                 "arch/x86/vmx/v.h"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(line + "\n")
    run = run_script(["python3", os.path.join(ROOT, "tools/check_includes.py"), tmp_path], 20)
    assert run.code == (1 if fault else 0) and (fault or "0 faults") in run.out


# ---- a real minimal root -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def minimal_root(tmp_path_factory):
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("needs root and debootstrap")
    root = tmp_path_factory.mktemp("debian") / "root"
    made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    # This machine's way to the archive, and its words on sources, if any.
    for path in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(path, str(root) + path)
    for folder in ("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/apt/trusted.gpg.d"):
        for name in os.listdir(folder):
            source = os.path.join(folder, name)
            if os.path.isfile(source) and not name.startswith(("20packagekit", "50appstream")):
                shutil.copy(source, str(root) + folder)
    tree = root / "home" / "ver ge"
    subprocess.run(["git", "clone", "-q", ROOT, str(tree)], check=True)
    subprocess.run(["chroot", str(root), "useradd", "-m", "person"], check=True)
    subprocess.run(["chroot", str(root), "chown", "-R", "person:", "/home/ver ge"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
    subprocess.run(["mount", "-t", "devtmpfs", "dev", str(root / "dev")], check=False)
    yield root
    for name in ("dev", "proc"):
        subprocess.run(["umount", "-l", str(root / name)], check=False, stderr=subprocess.DEVNULL)


def in_root(root, command, user="root", timeout=1800):
    return run_script(["chroot", "--userspec", user, root, "/usr/bin/env", "-i", "HOME=/tmp", "LC_ALL=C",
                       "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/bash", "-c",
                       f"cd '/home/ver ge' && {command}"], timeout)


@pytest.mark.long
def test_minimal_root(minimal_root):
    """A fresh Debian: refused without a terminal, refused to a user without sudo, installed with --yes, then used by the user."""
    run = in_root(minimal_root, "./run-qemu.sh --clock --timeout 60")
    assert run.code == 125 and "apt-get install -y --no-install-recommends qemu-system-x86" in run.err
    run = in_root(minimal_root, "./run-qemu.sh --yes", user="person")
    assert run.code == 125 and "no sudo" in run.err
    run = in_root(minimal_root, "git config --global --add safe.directory '*' 2>/dev/null; "
                                "./run-qemu.sh --yes --icount --timeout 300 --append 'console=ttyS0 verge.script=time'")
    assert run.code == 0 and "== script time: status 0" in run.out
    assert in_root(minimal_root, "chown -R person: .").code == 0
    run = in_root(minimal_root, "rm -rf build && ./run-qemu.sh --icount --timeout 300 --append 'console=ttyS0 verge.script=time'",
                  user="person")
    assert run.code == 0 and "== script time: status 0" in run.out
