"""Runs an emulator with two serial ports and carries the bytes: the guest's to stdout, Verge's log to stderr.

Why not QEMU's own stdio: it makes the terminal's file description non-blocking for everyone who shares it (so that a line
on stderr can get lost), keeps Ctrl-A for itself, and cannot reopen a stderr that is a socket. Here the emulator sees two
sockets (ports.py), and one writer thread per output blocks in its stead; nothing is ever dropped, a slow reader only
holds the emulator up once 16 MB wait for it.

Terminal rules: raw, Ctrl-C goes to the guest, Ctrl-] x ends the emulator; restored on every way
out. Without a terminal, stdin goes to the guest until it ends, and SIGINT, SIGTERM and SIGHUP end everything.
"""
import ctypes
import errno
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

from ports import is_listening

QUEUE_LIMIT = 16 << 20
HEARTBEAT_S = 8.0
STALE_LINE_S = 0.2
ESCAPE = 0x1D  # Ctrl-]
HALTED = re.compile(rb"^\[[^\]]*\] vg: halted, code [0-9]+$")
TAIL_LINES = 40
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def write_all(fd, data):
    """Writes everything, also to a descriptor that somebody else made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BlockingIOError:
            select.select([], [fd], [])


class Writer:
    """A thread that writes to one descriptor, in order; `broken` once nobody reads there any more.

    With `returns`, for a raw terminal, a bare newline gets its carriage return.
    """

    def __init__(self, fd, returns=False):
        self.fd = fd
        self.returns = returns
        self.ended_in_return = False
        self.waiting = 0  # bytes; written under the lock
        self.broken = False
        self.lock = threading.Lock()
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def put(self, data):
        if data and not self.broken:
            if self.returns:
                before = b"\r" if self.ended_in_return else b""
                self.ended_in_return = data.endswith(b"\r")
                data = re.sub(rb"(?<!\r)\n", b"\r\n", before + data)[len(before):]
            with self.lock:
                self.waiting += len(data)
            self.queue.put(data)

    def full(self):
        return self.waiting > QUEUE_LIMIT

    def close(self, patience_s):
        """Waits until all is written; None waits for ever."""
        self.queue.put(None)
        self.thread.join(patience_s)

    def _run(self):
        while (data := self.queue.get()) is not None:
            try:
                if not self.broken:
                    write_all(self.fd, data)
            except OSError:
                self.broken = True
            with self.lock:
                self.waiting -= len(data)


class Terminal:
    """The terminal on stdin, raw while in use."""

    def __init__(self):
        self.saved = None
        try:
            if os.isatty(0) and self._foreground():
                self.saved = termios.tcgetattr(0)
        except (OSError, termios.error):
            self.saved = None

    @staticmethod
    def _foreground():
        try:
            return os.tcgetpgrp(0) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal: nothing stops us from setting it

    def raw(self):
        if self.saved is None:
            return
        mode = [list(f) if isinstance(f, list) else f for f in self.saved]
        mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR |
                     termios.IGNCR | termios.ICRNL | termios.IXON)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, mode)

    def restore(self):
        if self.saved is not None:
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
            except (OSError, termios.error):
                pass  # the terminal is gone


class Keys:
    """Ctrl-] as the escape key, for a terminal only: `x` ends, Ctrl-] twice sends one, all else passes with it."""

    def __init__(self, on_quit):
        self.on_quit = on_quit
        self.escaped = False

    def filter(self, data):
        out = bytearray()
        for byte in data:
            if not self.escaped:
                if byte == ESCAPE:
                    self.escaped = True
                else:
                    out.append(byte)
                continue
            self.escaped = False
            if byte in b"xX":
                self.on_quit()
            elif byte == ESCAPE:
                out.append(byte)
            else:
                out += bytes([ESCAPE, byte])
        return bytes(out)


def prepare_child(wake_s):
    """In the child: SIGKILL when this program dies, however it does (PR_SET_PDEATHSIG of prctl(2)).

    With `wake_s`, a blocked SIGALRM each so many seconds: both outlast the exec (signal(7), setitimer(2)).
    """
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        pass
    if wake_s:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, wake_s, wake_s)


class Relay:
    """One run of a machine (machine.py). `on_line` gets each of Verge's lines and returns whether it goes to stderr."""

    def __init__(self, machine, say, on_line, timeout_s=None):
        self.machine = machine
        self.say_line = say
        self.on_line = on_line
        self.timeout_s = timeout_s
        self.ended_by = None  # None, "timeout", "keys", "output", or a signal number
        self.tail = []  # the last lines of both ports
        self.log_part = b""
        self.guest_part = b""
        self.own_part = b""
        self.killed_at = None
        self.typed = False

    def say(self, text):
        self.err.put((self.say_line(text) + "\n").encode())

    def end(self, reason):
        """Ends the emulator; the first reason counts."""
        if self.ended_by is None:
            self.ended_by = reason
            self.killed_at = time.monotonic()
            self.child.send_signal(self.machine.end_signal)

    def run(self):
        """Runs the machine's emulator and returns its status as subprocess gives it."""
        self.terminal = Terminal()
        raw = self.terminal.saved is not None
        self.out, self.err = Writer(1, raw and os.isatty(1)), Writer(2, raw and os.isatty(2))
        ports = self.machine.ports()
        self.com1, self.com2 = ports.near
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        kept = [s for s in ENDING_SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
        for s in kept:
            signal.signal(s, lambda number, _: self.end(number) if hasattr(self, "child") else sys.exit(125))
        signal.signal(signal.SIGTSTP, lambda *_: (self.terminal.restore(), os.kill(os.getpid(), signal.SIGSTOP)))
        signal.signal(signal.SIGCONT, lambda *_: self.terminal.raw())
        try:
            self.child = subprocess.Popen(self.machine.command(*ports.names), stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                          pass_fds=ports.inherited, preexec_fn=lambda: prepare_child(self.machine.wake_s))
            ports.started()
            self.terminal.raw()
            self._loop(wake_read)
            status = self.child.wait()
        finally:
            if hasattr(self, "child") and self.child.poll() is None:
                self.child.kill()
            patience = 5.0 if self.ended_by is not None else None
            self._flush_lines()
            self.out.close(patience)
            self.err.close(patience)
            self.terminal.restore()
            for s in kept:
                signal.signal(s, signal.SIG_DFL)
        return status

    # ---- the loop: never blocks but in select ---------------------------------------------------------------------
    def _loop(self, wake_read):
        emulator = self.child.stdout
        began = self.heard = time.monotonic()
        open_ports = {self.com1, self.com2, emulator}
        read_stdin = self.terminal.saved is not None or not os.isatty(0)
        keys = Keys(lambda: self.end("keys")) if self.terminal.saved is not None else None
        to_guest = b""
        while open_ports:
            readable = [p for p in open_ports if not (self.out if p is self.com1 else self.err).full()]
            if read_stdin and len(to_guest) < 4096:
                readable.append(0)
            writable = [self.com1] if to_guest and self.com1 in open_ports and not is_listening(self.com1) else []
            ready, can_write, _ = select.select(readable + [wake_read], writable, [], STALE_LINE_S)
            if wake_read in ready:
                os.read(wake_read, 512)
            if 0 in ready:
                data = self._read_stdin()
                read_stdin = data != b""
                self.typed = self.typed or (keys is not None and bool(data))
                to_guest += keys.filter(data or b"") if keys else (data or b"")
            if can_write:
                to_guest = to_guest[self._send(to_guest):]
            for port in [p for p in ready if p in open_ports]:
                if is_listening(port):
                    open_ports.add(self._accept(port))
                    open_ports.discard(port)
                elif not self._receive(port):
                    open_ports.discard(port)
                    if port is emulator:  # it is gone; whom it has not called by now it never will
                        open_ports = {p for p in open_ports if not is_listening(p)}
            self._clocks(began, not ready)
            if self.out.broken:
                self.end("output")

    @staticmethod
    def _read_stdin():
        """Bytes, b"" at the end of the input, None when there was nothing after all."""
        try:
            return os.read(0, 4096)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _send(self, data):
        try:
            return self.com1.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # the emulator is gone

    def _accept(self, listener):
        """The emulator has connected: the connection takes the listener's place."""
        connection, _ = listener.accept()
        if listener is self.com1:
            self.com1 = connection
        else:
            self.com2 = connection
        listener.close()
        return connection

    def _receive(self, port):
        try:
            data = os.read(port.fileno(), 65536)
        except OSError as e:
            if e.errno not in (errno.ECONNRESET, errno.EIO):
                raise
            data = b""
        if not data:
            return False
        self.heard = time.monotonic()
        if port is self.com1:
            self.out.put(data)
            *lines, self.guest_part = (self.guest_part + data).split(b"\n")
            self.guest_part = self.guest_part[-4096:]
            self._remember(lines)
        elif port is self.com2:
            *lines, self.log_part = (self.log_part + data).split(b"\n")
            for line in lines:
                self._log_line(line.rstrip(b"\r"))
        else:
            *lines, self.own_part = (self.own_part + data).split(b"\n")
            for line in lines:
                self._own_line(line)
        return True

    def _log_line(self, line):
        self._remember([line])
        if self.on_line(line):
            self.err.put(line + b"\n")
        if HALTED.match(line):  # no exit port took the code: nothing more will come
            self.end("halted")

    def _own_line(self, line):
        """The emulator's own words; that it was ended is no news to whoever ended it."""
        line = self.machine.own_line(line)
        if line is not None and not (self.ended_by is not None and b"terminating on signal" in line):
            self.err.put(self.machine.name.lower().encode() + b": " + line + b"\n")

    def _remember(self, lines):
        self.tail = (self.tail + lines)[-TAIL_LINES:]

    def _flush_lines(self):
        if self.log_part:
            self._log_line(self.log_part)
            self.log_part = b""
        if self.own_part:
            self._own_line(self.own_part)
            self.own_part = b""
        if self.guest_part:
            self._remember([self.guest_part])
            self.guest_part = b""

    def _clocks(self, began, idle):
        """Time-outs, and a sign of life while nobody can tell whether anything still moves."""
        now = time.monotonic()
        if self.timeout_s is not None and now - began >= self.timeout_s:
            self.end("timeout")
        if self.killed_at is not None and now - self.killed_at > 2.0:
            self.child.kill()
        at_prompt = self.guest_part != b""
        if idle and now - self.heard >= HEARTBEAT_S and not self.typed and not (self.terminal.saved and at_prompt):
            self.heard = now
            self.say(f"running for {now - began:.0f} s, no output in the last {HEARTBEAT_S:.0f} s")
