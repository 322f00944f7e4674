"""Illegal guest states, put into a vCPU through the interface of loaders and debuggers by a test build of Verge (tests/image): each gives
a sentence and ends that guest alone; what a vendor's CPU doesn't check ends, if anything, the guest by its own doing."""
import os
import re
import subprocess

import pytest

import harness

BUILD = "build/spoil"
IMAGE = os.path.join(harness.ROOT, BUILD, "verge.elf32")
SOURCE = os.path.join(harness.ROOT, "tests/image/spoil.c")
NAMES = re.findall(r'^    \{"([a-z0-9-]+)",', open(SOURCE, encoding="utf-8").read(), re.M)
AT_ONCE = 25  # guests in one run, two modules each at most

SVM = {
    "cr0-pg-without-pe": "EFER.LME and CR0.PG are set without CR0.PE",
    "cr0-no-pg": "EFER.LMA is not what EFER.LME and CR0.PG say",
    "cr0-nw-without-cd": "CR0.NW is set without CR0.CD",
    "cr0-high": "CR0 has a bit above 31",
    "cr3-beyond": "CR3 is beyond the CPU's physical addresses",
    "cr4-no-pae": "EFER.LME and CR0.PG are set without CR4.PAE",
    "cr4-reserved": "CR4 has a bit that this CPU doesn't have",
    "cr4-high": "CR4 has a bit that this CPU doesn't have",
    "efer-reserved": "EFER has a reserved bit",
    "efer-no-lme": "EFER.LMA is not what EFER.LME and CR0.PG say",
    "efer-no-lma": "EFER.LMA is not what EFER.LME and CR0.PG say",
    "dr7-high": "DR7 has a bit above 31",
    "cs-long-and-32": "CS has both L and D",
    "event-vector": "an exception is injected with a vector above 31",
    "event-type": "the injected event's type doesn't exist",
}
VMX = {
    "cr0-pg-without-pe": "CR0.PG is set without CR0.PE",
    "cr0-no-pg": "EFER.LMA is set without CR0.PG",
    "cr0-nw-without-cd": "CR0.NW is set without CR0.CD",
    "cr0-high": "CR0 has a bit that VT-x fixes",
    "cr3-beyond": "CR3 is beyond the CPU's physical addresses",
    "cr4-no-pae": "EFER.LMA is set without CR4.PAE",
    "cr4-reserved": "CR4 has a bit that this CPU doesn't have",
    "cr4-high": "CR4 has a bit that this CPU doesn't have",
    "efer-reserved": "EFER has a reserved bit",
    "efer-no-lme": "EFER.LMA and EFER.LME differ under paging",
    "efer-no-lma": "EFER.LMA and EFER.LME differ under paging",
    "dr7-high": "DR7 has a bit above 31",
    "cs-unusable": "CS is not usable",
    "cs-data": "CS is no accessed code segment",
    "cs-system": "a code or data segment is a system segment",
    "cs-not-present": "CS is not usable",
    "cs-long-and-32": "CS has both L and D",
    "cs-dpl-3": "CS's DPL is not SS's",
    "cs-conforming-dpl-3": "a conforming CS's DPL is above SS's",
    "cs-base-high": "CS's base is above 4 GB",
    "cs-limit": "a segment's limit and granularity (G) don't agree",
    "ss-code": "SS is no accessed, writable data segment",
    "ss-base-high": "SS's base is above 4 GB",
    "ds-not-accessed": "a data segment is not accessed",
    "es-execute-only": "a data segment register holds code that can't be read",
    "fs-not-canonical": "FS's or GS's base is not canonical",
    "gs-not-canonical": "FS's or GS's base is not canonical",
    "tr-unusable": "TR is not usable",
    "tr-available": "TR is no busy TSS of the guest's mode",
    "tr-16-bit": "TR is no busy TSS of the guest's mode",
    "tr-of-ldt": "TR is a selector of the LDT",
    "tr-not-canonical": "TR's base is not canonical",
    "ldtr-no-ldt": "LDTR is no LDT",
    "gdtr-not-canonical": "GDTR's base is not canonical",
    "gdtr-limit": "GDTR's limit is above FFFFh",
    "idtr-not-canonical": "IDTR's base is not canonical",
    "idtr-limit": "IDTR's limit is above FFFFh",
    "rip-not-canonical": "RIP is not canonical",
    "rflags-vm": "in virtual-8086 mode a segment's base is not its selector times 16",
    "rflags-reserved": "RFLAGS has a reserved bit",
    "rflags-no-bit-1": "RFLAGS has a reserved bit",
    "event-vector": "an exception is injected with a vector above 31",
    "event-type": "the injected event's type doesn't exist",
    "event-external-masked": "an interrupt is injected with RFLAGS.IF clear",
}
# What SVM lets in and what then ends the guest, or the emulator: a triple fault of a guest ends Bochs on the ryzen model.
NOT_ON_RYZEN = {"rip-not-canonical", "rflags-vm"}


@pytest.fixture(scope="module")
def image():
    subprocess.run(["make", "-s", f"BUILD={BUILD}", "EXTRA_SRC=tests/image/spoil.c", f"{BUILD}/verge.elf32"], cwd=harness.ROOT, check=True)
    return IMAGE


@pytest.mark.parametrize("machine, sentences", [("qemu", SVM), ("skylake", VMX), ("ryzen", SVM)])
def test_each_illegal_state_ends_its_guest_with_a_sentence(image, machine, sentences):
    names = [n for n in NAMES if machine != "ryzen" or n not in NOT_ON_RYZEN]
    assert len(NAMES) == 45 and set(sentences) <= set(NAMES)
    for first in range(0, len(names), AT_ONCE):
        some = names[first:first + AT_ONCE]
        vms = ["vm=good kernel=build/guests/timing.elf32 mem=8M -- count rounds=100000"]
        vms += [f"vm=s{NAMES.index(n)} kernel=build/guests/hostile.elf32 mem=8M -- spoil={NAMES.index(n)}" for n in some]
        run = harness.run_verge(expect=126, machine=machine, image=image, vms=vms)
        assert "good| RESULT PASS count" in run.out, run.tail()
        for name in some:
            vm = f"s{NAMES.index(name)}"
            said = re.findall(rf"vg: {vm}: entry refused at rip [0-9a-f]+: (.*) \(code", run.log)
            if name in sentences:
                assert len(said) == 1 and said[0].startswith(sentences[name]), f"{name}: {said}\n{run.tail()}"
                assert re.search(rf"vg: {vm}: code 126;", run.log), f"{name}\n{run.tail()}"
            else:
                assert not said, f"{name}: {said}"
                assert re.search(rf"vg: {vm}: code (0|1|126);", run.log), f"{name}\n{run.tail()}"
        if "nothing" in some:
            assert "s0| RESULT PASS spoil 0: still here" in run.out, run.tail()
