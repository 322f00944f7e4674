"""What the machines of both emulators have in common: memory, Verge's words, how a run is ended. See qemu.py and bochs.py.

A machine's ports are the serial ports 1 and 2, the guest's bytes and Verge's log; relay.py carries them.
"""
import os
import re
import signal

from vmline import words_with_defaults

NO_VERDICT = 125
SPARE = 192 << 20  # Verge itself (8 MB), page tables, firmware, copies of the modules
LEAST = 512 << 20


class Failure(Exception):
    """Ends the run with status 125 and this one line."""


def module_name(index, path):
    """A file's name without what splits words anywhere. A guest sees its own: it is the same whatever the emulator."""
    return f"{index}-" + re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(path))


class Machine:
    """One emulated machine for Verge and `guests`; its files go to `directory`, whose path has no blank and no comma."""

    name = ""  # of the emulator, as the user knows it
    end_signal = signal.SIGTERM  # what ends it
    hz = None  # the TSC's rate when the machine sets it
    wake_s = None  # the emulator gets a SIGALRM each so many seconds

    def __init__(self, o, guests, directory):
        self.o = o
        self.guests = guests
        self.directory = directory
        self.trace = os.environ.get("VERGE_TRACE")  # for tests: the file for what an image built with GUEST_TRACE=1 writes to port E9h

    def memory_mb(self):
        """Memory for all guests, their files and Verge; never more than the host could hold."""
        files = sum(os.path.getsize(f) for g in self.guests for f in (g.kernel, g.initrd) if f)
        want = max(LEAST, sum(g.mem for g in self.guests) + 2 * files + SPARE)
        host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return -(-min(want, max(LEAST, host * 3 // 4)) >> 20)

    def words(self):
        """The hypervisor's words: the user's behind what this machine needs."""
        defaults = ["console=com1", "log=com2"]
        if self.hz:
            defaults.append(f"tsc={self.hz}")
        if self.o.screen:
            defaults.append("screen=log")
        return words_with_defaults(self.o.hv, defaults)

    def modules(self):
        """(file, module string) of each guest's kernel and initrd."""
        return [m for g in self.guests for m in g.modules()]

    def config(self):
        """(verge.cfg, files by their names in it): the same words and guests, for a boot medium."""
        lines, files = [self.words()], {}
        for guest in self.guests:
            words = ["vm=" + guest.name]
            for key, path in (("kernel", guest.kernel), ("initrd", guest.initrd)):
                if path:
                    name = module_name(len(files), path)
                    files[name] = path
                    words.append(f"{key}={name}")
            words += guest.words + ([] if guest.command_line is None else ["--", guest.command_line])
            lines.append(" ".join(words))
        return "\n".join(lines) + "\n", files

    def ports(self):
        """relay.py's ends of the serial ports."""
        raise NotImplementedError

    def command(self, com1, com2):
        """The emulator's command line; com1 and com2 are the names that the ports gave their far ends."""
        raise NotImplementedError

    def own_line(self, line):
        """Takes a line of the emulator's own; returns what stderr gets of it, or None."""
        return line

    def verdict(self, status, log):
        """(exit code, a line that explains it or None) of an emulator that ended by itself."""
        raise NotImplementedError
