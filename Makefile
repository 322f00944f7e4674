# Verge: build, host tests and tools. `make help` lists the targets.

BUILD   ?= build
CC      ?= gcc
HOSTCC  ?= gcc
CLANG   ?= clang
NASM    ?= nasm
OBJCOPY ?= objcopy
LD      ?= ld

VERSION := 0.1
COMMIT  := $(shell git rev-parse --short=10 HEAD 2>/dev/null || echo unknown)

WARN := -Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wvla -Wundef -Wstrict-prototypes
# Ring 0: freestanding C11, general registers only, no red zone; one global stack-protector guard, set at boot.
CFLAGS := -std=c11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
          -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing -fstack-protector-strong \
          -mstack-protector-guard=global -ffile-prefix-map='$(subst ','\'',$(CURDIR))'=. $(WARN) -I. -I$(BUILD)/gen $(EXTRA_CFLAGS)
# Host tests: the same sources under ASan and UBSan.
HOSTFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
             $(WARN) -I. -DVERGE_HOST $(HOST_EXTRA)
FUZZFLAGS := -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. -DVERGE_HOST

# ---- the hypervisor ------------------------------------------------------------------------------------------------
C_SRC   := $(filter-out %/offsets.c,$(sort $(wildcard lib/*.c boot/*.c arch/x86/*.c arch/x86/decode/*.c \
           arch/x86/svm/*.c arch/x86/vmx/*.c arch/x86/host/*.c hv/*.c devices/*.c guest/*.c))) $(EXTRA_SRC)
ASM_SRC := $(sort $(wildcard boot/*.asm arch/x86/*.asm arch/x86/svm/*.asm arch/x86/vmx/*.asm guest/*.asm))
OBJ     := $(C_SRC:%.c=$(BUILD)/hv/%.o) $(ASM_SRC:%.asm=$(BUILD)/hv/%.asm.o)
GEN     := $(BUILD)/gen/svm_offsets.inc $(BUILD)/gen/vmx_offsets.inc $(BUILD)/gen/font.inc

# Rewritten while the Makefile is read, and only when it changes, so that a built tree is up to date.
$(shell mkdir -p '$(BUILD)/gen'; new='$(BUILD)/gen/version.h.'$$$$; old='$(BUILD)/gen/version.h'; \
    printf '\043define VERGE_VERSION "%s"\n\043define VERGE_COMMIT "%s"\n' '$(VERSION)' '$(COMMIT)' > "$$new"; \
    if cmp -s "$$new" "$$old"; then rm "$$new"; else mv "$$new" "$$old"; fi)

# Offsets for the assembler come from the C structs.
$(BUILD)/gen/%_offsets.inc: arch/x86/%/offsets.c arch/x86/%/switch.h arch/x86/speculation.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -S $< -o - | sed -n 's/^[[:space:]]*OFFSET \([A-Z0-9_]*\) \(.*\)/%define \1 \2/p' > $@

$(BUILD)/gen/font.inc: arch/x86/host/font.txt tools/font.py
	@mkdir -p $(@D)
	python3 tools/font.py $< > $@
$(BUILD)/hv/arch/x86/host/framebuffer.o: $(BUILD)/gen/font.inc

$(BUILD)/hv/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/hv/%.asm.o: %.asm $(GEN) arch/x86/gprs.inc arch/x86/arming.inc arch/x86/guard.inc arch/x86/long_mode.inc
	@mkdir -p $(@D)
	$(NASM) -f elf64 -I $(BUILD)/gen/ -I $(BUILD)/ $(EXTRA_ASMFLAGS) -o $@ $<

$(BUILD)/hv/guest/clock_guest.asm.o: $(BUILD)/guests/clock.elf32

LINK = $(LD) -n --build-id=none -z noexecstack --no-warn-rwx-segments -T linker.ld

# Linked twice: the first time to learn the functions' addresses for the backtrace's symbol table.
$(BUILD)/verge.elf: $(OBJ) linker.ld tools/symbols.py
	$(LINK) -o $(BUILD)/verge.first.elf $(OBJ)
	nm -n $(BUILD)/verge.first.elf | python3 tools/symbols.py > $(BUILD)/gen/symbols.asm
	$(NASM) -f elf64 -o $(BUILD)/gen/symbols.o $(BUILD)/gen/symbols.asm
	$(LINK) -o $@ $(OBJ) $(BUILD)/gen/symbols.o

$(BUILD)/verge.elf32: $(BUILD)/verge.elf tools/mkelf32.py
	python3 tools/mkelf32.py $< $@

# ---- verge.efi: the same image, started by UEFI firmware itself -----------------------------------------------------
EFI_INCLUDE ?= /usr/include/efi
EFI_LIB     ?= /usr/lib
# gnu-efi's headers, relocation code and linker script. The rest is ours: no other object of it is linked.
EFI_HEADERS := -DGNU_EFI_USE_MS_ABI -isystem $(EFI_INCLUDE) -isystem $(EFI_INCLUDE)/x86_64
EFI_CFLAGS := -std=c11 -O2 -ffreestanding -fpic -fvisibility=hidden -fshort-wchar -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
              -fno-asynchronous-unwind-tables -fno-strict-aliasing -ffile-prefix-map='$(subst ','\'',$(CURDIR))'=. $(WARN) \
              $(EFI_HEADERS) -I. -I$(BUILD)/gen
EFI_SRC    := $(sort $(wildcard boot/efi/*.c)) lib/string.c lib/fmt.c lib/words.c guest/cfg_line.c
EFI_OBJ    := $(EFI_SRC:%.c=$(BUILD)/efi/%.o) $(BUILD)/efi/boot/efi/handoff.asm.o

$(EFI_LIB)/crt0-efi-x86_64.o:
	@echo 'verge.efi needs the package gnu-efi; where it is not in $(EFI_LIB) and $(EFI_INCLUDE), set EFI_LIB and EFI_INCLUDE' >&2; exit 1

$(BUILD)/efi/%.o: %.c | $(EFI_LIB)/crt0-efi-x86_64.o
	@mkdir -p $(@D)
	$(CC) $(EFI_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/efi/boot/efi/handoff.asm.o: boot/efi/handoff.asm $(BUILD)/verge.elf32
	@mkdir -p $(@D)
	$(NASM) -f elf64 -I $(BUILD)/ -o $@ $<

$(BUILD)/efi/verge.so: $(EFI_OBJ)
	$(LD) -shared -Bsymbolic -nostdlib --no-undefined --build-id=none -z noexecstack --no-warn-rwx-segments \
	    -T $(EFI_LIB)/elf_x86_64_efi.lds -o $@ $(EFI_LIB)/crt0-efi-x86_64.o $(EFI_OBJ) $(EFI_LIB)/libgnuefi.a

$(BUILD)/verge.efi: $(BUILD)/efi/verge.so
	$(OBJCOPY) --strip-all -j .text -j .rodata -j .data -j .dynamic -j .dynsym -j '.rel*' -j '.rela*' -j .reloc \
	    --target=efi-app-x86_64 --subsystem=10 $< $@

.PHONY: efi sign
efi: $(BUILD)/verge.efi ## verge.efi, which UEFI firmware starts without another boot loader

sign: $(BUILD)/verge.efi ## KEY=FILE CERT=FILE: verge.signed.efi for Secure Boot, by sbsign
	@test -n '$(KEY)' -a -n '$(CERT)' || { echo 'make sign: write KEY=FILE CERT=FILE, the PEM files of your key and certificate' >&2; exit 1; }
	sbsign --key '$(KEY)' --cert '$(CERT)' --output $(BUILD)/verge.signed.efi $<

# ---- boot media ----------------------------------------------------------------------------------------------------
.PHONY: image usb
image: $(BUILD)/verge.img $(BUILD)/verge.iso ## verge.img for a USB stick and verge.iso for a CD, both for BIOS and UEFI

$(BUILD)/verge.img: $(BUILD)/verge.elf32 $(BUILD)/verge.efi tools/make_image.py $(wildcard boot/media/*)
	python3 -B tools/make_image.py disk --kernel $< --efi $(BUILD)/verge.efi --out $@
$(BUILD)/verge.iso: $(BUILD)/verge.elf32 $(BUILD)/verge.efi tools/make_image.py $(wildcard boot/media/*)
	python3 -B tools/make_image.py iso --kernel $< --efi $(BUILD)/verge.efi --out $@

usb: $(BUILD)/verge.img ## DEV=/dev/sdX: write verge.img to a USB stick, after asking
	@tools/write-usb.sh '$(DEV)' $<

# ---- what also runs on the host: everything without hardware -------------------------------------------------------
HOST_SRC := $(sort $(filter-out lib/string.c,$(wildcard lib/*.c)) $(wildcard devices/*.c arch/x86/decode/*.c) \
            hv/clock.c hv/deadline.c $(wildcard hv/bus.c hv/memory.c hv/charge.c hv/input.c hv/landing.c guest/load*.c guest/e820.c guest/cpuid*.c guest/settings.c guest/cfg*.c guest/plan_guest.c guest/module_string.c guest/msr.c hv/settings*.c boot/info*.c boot/efi/information.c arch/x86/rate.c arch/x86/host/acpi*.c arch/x86/host/terminal.c))
HOST_OBJ := $(HOST_SRC:%.c=$(BUILD)/host/%.o)
# Only in unit tests, which supply the machine below these: the CPU (arch/x86/asm.h, api/cpu.h under VERGE_HOST), the vCPU, the console.
UNIT_SRC := hv/run.c hv/slice.c hv/exits.c hv/vm.c hv/ledger.c hv/perturb.c hv/trace.c arch/x86/tsc.c arch/x86/phys.c \
            arch/x86/host/serial.c arch/x86/host/uart.c arch/x86/host/pci.c arch/x86/host/pci_uart.c \
            arch/x86/host/keyboard.c arch/x86/host/scan_codes.c \
            arch/x86/nested.c arch/x86/control.c arch/x86/host/deadline.c arch/x86/host/lapic.c arch/x86/vmx/check.c arch/x86/svm/check.c \
            arch/x86/vmx/preflight.c arch/x86/svm/preflight.c arch/x86/health.c arch/x86/identity.c arch/x86/speculation.c
# verge.efi's, of one test that supplies the firmware.
EFI_HOST_SRC := $(addprefix boot/efi/,console.c files.c memory.c modules.c text.c)
UNIT_OBJ := $(UNIT_SRC:%.c=$(BUILD)/host/%.o)
UNIT     := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ     := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ:tests/fuzz/%.c=$(BUILD)/fuzz/%)


.DEFAULT_GOAL := all
.PHONY: all help unit fuzz clean
all: $(BUILD)/verge.elf32 ## build the hypervisor image

help: ## list the targets
	@grep -hE '^[a-z0-9_-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# ---- host unit tests and fuzzers -----------------------------------------------------------------------------------
$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(HOSTCC) $(HOSTFLAGS) -MMD -c $< -o $@

$(BUILD)/libverge-host.a: $(HOST_OBJ) $(UNIT_OBJ)
	@rm -f $@
	ar rcs $@ $^

# A test may name libraries it needs in a line `// LIBS: -lzydis`.
$(BUILD)/unit/test_efi_firmware: private HOST_HEADERS := $(EFI_HEADERS)
$(BUILD)/unit/test_efi_firmware: $(EFI_HOST_SRC) boot/efi/loader.h
$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libverge-host.a $(wildcard tests/unit/*.h)
	@mkdir -p $(@D)
	$(HOSTCC) $(HOSTFLAGS) $(HOST_HEADERS) -MMD -MP -MF $@.d -MT $@ $< $(filter boot/%.c,$^) $(BUILD)/libverge-host.a -lcmocka $$(sed -n 's|^// LIBS: ||p' $<) -o $@

unit: $(UNIT_BIN) ## build and run the host unit tests (ASan, UBSan)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done

.PHONY: bench bench-bochs coverage mutants format lint
bench: $(BUILD)/verge.elf32 guests ## what exits, boot and image cost, into build/bench.json; fails beyond a limit
	python3 -B tools/bench.py

bench-bochs: $(BUILD)/verge.elf32 guests ## the same under Bochs: VT-x by each timer, SVM
	for machine in skylake skylake-deadline skylake-preempt ryzen; do python3 -B tools/bench.py --machine $$machine --json $(BUILD)/bench-$$machine.json || exit; done

coverage: ## line coverage of devices/ and the time core by the unit tests; fails below 90 %
	python3 -B tools/coverage.py --build $(BUILD)/coverage

mutants: ## seed eleven defects, each of which must make its named test fail
	python3 -B tools/mutants.py

format: ## clang-format over all C files
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint: ## clang-format, clang-tidy, includes, headers alone, scripts, text
	python3 -B tools/lint.py

$(BUILD)/fuzz/%: tests/fuzz/%.c $(HOST_SRC) $(wildcard lib/*.h devices/*.h hv/*.h hv/devapi/*.h arch/x86/decode/*.h arch/x86/host/*.h guest/*.h)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZFLAGS) $< $(HOST_SRC) -o $@

fuzz: $(FUZZ_BIN) ## build the libFuzzer targets

# ---- settings docs
$(BUILD)/settings_doc: tools/settings_doc.c tools/settings_doc.h $(BUILD)/libverge-host.a
	$(HOSTCC) $(HOSTFLAGS) $(HOST_HEADERS) $< $(filter boot/%.c,$^) $(BUILD)/libverge-host.a -o $@

.PHONY: settings-doc
settings-doc: $(BUILD)/settings_doc ## write docs/settings.md from the tables of keys
	$< > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

clean: ## remove everything built
	rm -rf $(BUILD)

include tests/guests/guests.mk
-include $(UNIT_BIN:=.d) $(EFI_SRC:%.c=$(BUILD)/efi/%.d) $(HOST_OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(C_SRC:%.c=$(BUILD)/hv/%.d)
