"""Guest lines in verge.cfg's syntax, and the Multiboot modules that they stand for.

A line is `vm=NAME kernel=FILE initrd=FILE key=value ... -- guest command line`. Words are separated by blanks; quotes may
open anywhere in a word, a backslash escapes the next character, and the first stand-alone `--` ends the words: the rest
is the guest's, untouched. This is lib/'s parser once more, for the host's side; Verge checks every word again, so only
what the emulator needs (names, files, sizes) is judged here.
"""
import re

DEFAULT_MEM = 256 << 20  # Verge's own default of mem=


class LineError(Exception):
    """A guest line that cannot be used; the text names the fault."""


class Guest:
    """One VM: its name, its files and the words that go to Verge as they were written."""

    def __init__(self, name=None, kernel=None, initrd=None, words=(), command_line=None, mem=DEFAULT_MEM):
        self.name = name
        self.kernel = kernel
        self.initrd = initrd
        self.words = list(words)
        self.command_line = command_line
        self.mem = mem

    def modules(self):
        """(file, module string) for each module, the kernel first."""
        words = ["kernel", "vm=" + self.name] + self.words
        if self.command_line is not None:
            words += ["--", self.command_line]
        found = [(self.kernel, " ".join(words))] if self.kernel else []
        if self.initrd:
            found.append((self.initrd, "initrd vm=" + self.name))
        return found


def split_words(line):
    """Yields (text as written, value without quotes, offset behind it)."""
    at, end = 0, len(line)
    while at < end:
        if line[at] in " \t":
            at += 1
            continue
        start, value, quote = at, "", None
        while at < end and (quote or line[at] not in " \t"):
            c = line[at]
            if c == "\\" and at + 1 < end:
                at += 1
                value += line[at]
            elif quote:
                if c == quote:
                    quote = None
                else:
                    value += c
            elif c in "\"'":
                quote = c
            else:
                value += c
            at += 1
        if quote:
            raise LineError(f"a quote is left open in: {line}")
        yield line[start:at], value, at


def parse_size(text):
    """Bytes of `256M`, or None when it is no size (Verge will say so itself)."""
    m = re.fullmatch(r"([0-9]+)([KMG])", text)
    return int(m[1]) << {"K": 10, "M": 20, "G": 30}[m[2]] if m else None


def parse_guest(line):
    """One --vm line as a Guest; LineError names what is wrong."""
    guest = Guest()
    if "\n" in line or "\r" in line:
        raise LineError(f"a guest line is one line: {line!r}")
    for text, value, behind in split_words(line):
        if text == "--":
            guest.command_line = line[behind:].lstrip(" \t")
            break
        key, _, rest = value.partition("=")
        if key in ("vm", "kernel", "initrd"):
            attribute = "name" if key == "vm" else key
            if getattr(guest, attribute) is not None:
                raise LineError(f"{key}= stands twice in: {line}")
            if not rest:
                raise LineError(f"{key}= needs a value in: {line}")
            setattr(guest, attribute, rest)
            continue
        if key == "mem":
            guest.mem = parse_size(rest) or DEFAULT_MEM
        guest.words.append(text)
    if guest.name is not None and not re.fullmatch(r"[a-z0-9_-]{1,15}", guest.name):
        raise LineError(f"vm={guest.name}: a name is 1 to 15 of a-z 0-9 _ -")
    if guest.kernel is None:
        raise LineError(f"no kernel=FILE in the guest line: {line or '(empty)'}; "
                        "a right one: vm=vm0 kernel=bzImage initrd=root.gz mem=256M -- console=ttyS0")
    return guest


def words_with_defaults(words, defaults):
    """The user's hypervisor words behind those defaults whose key the user did not give."""
    given = {value.partition("=")[0] for _, value, _ in split_words(words)}
    kept = [d for d in defaults if d.partition("=")[0] not in given]
    return " ".join(kept + ([words] if words.strip() else []))
