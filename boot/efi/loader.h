/*
 * What the parts of verge.efi share. All of it runs in the firmware's boot services, on one CPU, in the
 * firmware's own 64-bit mode with memory mapped one to one, until efi_leave().
 *
 * A function that returns EFI_STATUS and fails has said so on the firmware's console, in one line, unless its
 * contract says otherwise. Sources: UEFI Specification 2.10, cited by the names of its sections.
 */
#ifndef BOOT_EFI_LOADER_H
#define BOOT_EFI_LOADER_H

#include <efi.h>
#include "boot/boot_info.h"
#include "boot/efi/information.h"

#define EFI_PAGE ((UINTN)4096)

extern EFI_SYSTEM_TABLE *efi_system; /* set by efi_main() before anything else */

/* ---- text.c: UTF-8, and the UCS-2 of firmware ------------------------------------------------------------
 */

/* Both terminate, cut what does not fit and return the length. `size` counts units of the result. */
size_t text_to_firmware(const char *text, CHAR16 *out, size_t size);
/* Only for printable ASCII: at anything else the text is empty. `length`: units at most. */
size_t text_from_firmware(const CHAR16 *text, size_t length, char *out, size_t size);

/* ---- console.c -------------------------------------------------------------------------------------------
 */

void efi_print(const char *format, ...) PRINTF_LIKE(1, 2);
/* One line, "verge.efi: ..."; returns `status`, so that `return efi_fail(...)` reads well. */
EFI_STATUS efi_fail(EFI_STATUS status, const char *format, ...) PRINTF_LIKE(2, 3);
/* Until a key, or for some seconds: so that the line can be read before the firmware's menu covers it. */
void efi_wait(void);

/* ---- memory.c --------------------------------------------------------------------------------------------
 */

/* Whole pages below 4 GB, not zeroed, for `what`. */
EFI_STATUS efi_allocate(EFI_MEMORY_TYPE type, uint64_t size, const char *what, uint64_t *address);
void efi_free(uint64_t address, uint64_t size);
/* Ends the firmware's boot services and adds their last memory map to `information`. After success no
 * function of theirs may be called. Firmware that began to end and then refuses for good has stopped its
 * timers and drivers: nothing can be printed and no key waited for, so the machine is reset. */
EFI_STATUS efi_leave(EFI_HANDLE image, struct information *information);

/* ---- files.c ---------------------------------------------------------------------------------------------
 */

struct efi_file {
    uint64_t base, size;
};

/* The root of the volume that `image` was started from. EFI_NOT_FOUND is returned silently: it came from
 * elsewhere, such as a network. */
EFI_STATUS efi_open_volume(const EFI_LOADED_IMAGE *image, EFI_FILE_HANDLE *volume);
/* `path` with slashes, from the root. EFI_NOT_FOUND is returned silently. */
EFI_STATUS efi_load_file(EFI_FILE_HANDLE volume, const char *path, struct efi_file *file);

/* ---- modules.c: verge.cfg and the files that it names ----------------------------------------------------
 */

EFI_STATUS modules_load(EFI_FILE_HANDLE volume);
void modules_add(struct information *information);
void modules_free(void);

/* ---- kernel.c: Verge itself ------------------------------------------------------------------------------
 */

/* *entry: where it is entered, in 32-bit mode. */
EFI_STATUS kernel_load(uint32_t *entry);
void kernel_free(void);

/* ---- machine.c: what the firmware knows of the machine ---------------------------------------------------
 */

void machine_add_screen(struct information *information);
void machine_add_rsdp(struct information *information);

/* ---- handoff.asm -----------------------------------------------------------------------------------------
 */

extern const char efi_kernel[], efi_kernel_end[]; /* build/verge.elf32 */
/* To be copied below 4 GB, and called there: leaves 64-bit mode and jumps to `entry`. */
typedef void (*handoff_function)(uint32_t magic, uint32_t information, uint32_t entry)
    __attribute__((noreturn));
extern const char efi_handoff[], efi_handoff_end[];

#endif
