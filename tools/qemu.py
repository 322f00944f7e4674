"""QEMU's command line for Verge and its guests, and the verdict of its status.

The exit code comes through QEMU's isa-debug-exit at port f4h as (code << 1) | 1. Status 1 is both QEMU's own failure and
Verge's code 0, so 0 needs a witness: a line with "code 0" on Verge's log.
"""
import os

from machine import NO_VERDICT, Machine, module_name
from media import boot_devices
from ports import SocketPairs

CPU = "qemu64,+npt,+vgif,+pdpe1gb,+rdtscp,+ssse3,+sse4.1,+sse4.2,+popcnt"  # with all of x86-64-v2, for guests with cpu=v2


class Qemu(Machine):
    name = "QEMU"

    def __init__(self, o, guests, directory):
        super().__init__(o, guests, directory)
        if o.accel in ("icount", "icount-idle"):
            self.hz = 1000000000  # 1 ns of virtual time is one tick, whatever the shift
        if o.accel == "icount-idle":
            # QEMU 7.2 with sleep=on: its main loop may miss that the CPU went idle while a character came in. It then waits
            # without a time-out, virtual time stands, and no interrupt ends the CPU's HLT. Any signal that it reads by signalfd
            # wakes it; it does nothing for SIGALRM.
            self.wake_s = 0.02

    def stage(self, index, path):
        """A link to `path` under a name that QEMU and Verge split at no blank or comma."""
        link = os.path.join(self.directory, module_name(index, path))
        os.symlink(os.path.abspath(path), link)
        return link

    def ports(self):
        return SocketPairs()

    def command(self, com1, com2):
        o = self.o
        cpu = "host" if o.accel == "kvm" else CPU
        command = ["qemu-system-x86_64", "-accel", "kvm" if o.accel == "kvm" else "tcg", "-M", "q35", "-cpu", cpu,
                   "-m", f"{self.memory_mb()}M", "-smp", str(o.smp),
                   "-display", "none", "-nodefaults", "-no-reboot",
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
        if o.accel == "icount-idle":
            command += ["-icount", f"shift={o.shift},sleep=on"]
        elif o.accel == "icount":
            command += ["-icount", f"shift={o.shift},sleep=off", "-seed", "1", "-rtc", "base=2000-01-01,clock=vm"]
        command += boot_devices(self) if o.iso or o.usb else self.direct_boot()
        if o.gdb is not None:
            command += ["-gdb", f"tcp:127.0.0.1:{o.gdb}", "-S"]
        if self.trace:
            command += ["-debugcon", "file:" + self.trace.replace(",", ",,")]
        for name, fd in (("com1", com1), ("com2", com2)):
            command += ["-chardev", f"socket,id={name},fd={fd}", "-serial", "chardev:" + name]
        return command + o.extra

    def direct_boot(self):
        options = ["-kernel", self.stage("v", self.o.image), "-append", self.words()]
        modules = self.modules()
        if modules:
            strings = [self.stage(i, path) + " " + words for i, (path, words) in enumerate(modules)]
            options += ["-initrd", ",".join(s.replace(",", ",,") for s in strings)]
        return options

    def verdict(self, status, log):
        if status % 2 == 0:
            return NO_VERDICT, f"QEMU ended with status {status}, not through Verge (a triple fault?): no verdict"
        code = status >> 1
        if code == 0 and not log.said_zero:
            return NO_VERDICT, "QEMU ended with status 1 and Verge reported no code 0: no verdict"
        return code, None
