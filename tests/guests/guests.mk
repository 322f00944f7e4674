# The test guests: $(BUILD)/guests/NAME.elf32, Multiboot 1, 64-bit code behind a 32-bit entry. Included by the main Makefile.

GUEST_DIR    := tests/guests
GUEST_NAMES  := timing modes hostile clock
# Copies are loops, not REP: QEMU and Bochs count REP differently (docs/equivalence.md), so a guest uses it only where it means to.
GUEST_CFLAGS := -std=c11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
                -fno-asynchronous-unwind-tables -fno-strict-aliasing -ffunction-sections -fdata-sections -mstringop-strategy=unrolled_loop \
                -ffile-prefix-map='$(subst ','\'',$(CURDIR))'=. $(WARN) -I.
GUEST_LIB    := $(sort $(wildcard $(GUEST_DIR)/lib/*.c $(GUEST_DIR)/lib/*.asm))
guest_folder  = $(if $(filter clock,$(1)),guest/clock_guest,$(GUEST_DIR)/$(1))
guest_sources = $(GUEST_LIB) $(sort $(wildcard $(call guest_folder,$(1))/*.c $(call guest_folder,$(1))/*.asm))
guest_objects = $(patsubst %,$(BUILD)/guests/obj/%.o,$(call guest_sources,$(1)))

.PHONY: guests
guests: $(GUEST_NAMES:%=$(BUILD)/guests/%.elf32) ## build the small guests that the integration tests run

$(BUILD)/guests/obj/%.c.o: %.c $(GUEST_DIR)/guests.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/guests/obj/%.asm.o: %.asm $(wildcard $(GUEST_DIR)/*/*.inc)
	@mkdir -p $(@D)
	$(NASM) -f elf64 -o $@ $<

define guest_rule
$(BUILD)/guests/$(1).elf64: $(call guest_objects,$(1)) $(GUEST_DIR)/lib/guest.ld
	$(LD) -n --gc-sections --build-id=none -z noexecstack --no-warn-rwx-segments -T $(GUEST_DIR)/lib/guest.ld -o $$@ $(call guest_objects,$(1))
-include $(patsubst %.o,%.d,$(call guest_objects,$(1)))
endef
$(foreach name,$(GUEST_NAMES),$(eval $(call guest_rule,$(name))))

# QEMU's and Verge's Multiboot loaders want a 32-bit ELF; the .elf64 beside it keeps the symbols.
$(BUILD)/guests/%.elf32: $(BUILD)/guests/%.elf64
	$(OBJCOPY) --strip-all -O elf32-i386 $< $@
	@test $* != clock || test $$(stat -c %s $@) -le 32768 || { echo "$@: larger than 32 KB"; rm $@; exit 1; }
