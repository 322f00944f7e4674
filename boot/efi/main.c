/*
 * verge.efi: Verge as a UEFI application, which needs no other boot loader. Loads Verge and the files of
 * \verge into memory, describes them and the machine as Multiboot 2 does, ends the firmware's boot services
 * and enters Verge as any loader does: 32-bit, paging off, at boot/entry.asm. This is where to start reading.
 *
 * Called by the firmware; whatever fails before boot services end is said in a line, and the firmware has the
 * machine again. Source: UEFI Specification, "Boot Manager", "EFI Loaded Image Protocol".
 */
#include "boot/efi/loader.h"
#include "lib/string.h"
#include "version.h"

#define WORDS_SIZE       2048
#define INFORMATION_SIZE (64u << 10)

EFI_SYSTEM_TABLE *efi_system;

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static uint64_t information_memory, handoff_memory;

/* Words for Verge: from the shell's command line, whose first word is our file name, or a boot entry's. Some
 * firmware puts data of its own there, which is no text. */
static void add_words(struct information *information, const EFI_LOADED_IMAGE *image)
{
    static char words[WORDS_SIZE];

    if (image->LoadOptions)
        text_from_firmware(image->LoadOptions, image->LoadOptionsSize / sizeof(CHAR16), words, sizeof words);
    information_add_string(information, MB2_TAG_CMDLINE, words);
}

static EFI_STATUS load(const EFI_LOADED_IMAGE *image, uint32_t *entry)
{
    const size_t handoff_size = (size_t)(efi_handoff_end - efi_handoff);
    EFI_FILE_HANDLE volume;
    EFI_STATUS status = kernel_load(entry);

    if (!EFI_ERROR(status))
        status = efi_allocate(EfiLoaderCode, handoff_size, "the way to Verge", &handoff_memory);
    if (!EFI_ERROR(status))
        status = efi_allocate(EfiLoaderData, INFORMATION_SIZE, "the boot information", &information_memory);
    if (EFI_ERROR(status))
        return status;
    memcpy((void *)(uintptr_t)handoff_memory, efi_handoff, handoff_size);
    status = efi_open_volume(image, &volume);
    if (status == EFI_NOT_FOUND) {
        efi_print("verge.efi came from no file system: the built-in clock guest will run\r\n");
        return EFI_SUCCESS;
    }
    if (EFI_ERROR(status))
        return status;
    status = modules_load(volume);
    volume->Close(volume);
    return status;
}

/* All but the memory map, which comes last. */
static void describe(struct information *information, const EFI_LOADED_IMAGE *image)
{
    information_begin(information, (void *)(uintptr_t)information_memory, INFORMATION_SIZE);
    information_add_string(information, MB2_TAG_LOADER_NAME, "verge.efi");
    add_words(information, image);
    modules_add(information);
    machine_add_screen(information);
    machine_add_rsdp(information);
}

static EFI_STATUS give_up(EFI_STATUS status)
{
    modules_free();
    kernel_free();
    if (handoff_memory)
        efi_free(handoff_memory, (uint64_t)(efi_handoff_end - efi_handoff));
    if (information_memory)
        efi_free(information_memory, INFORMATION_SIZE);
    efi_wait();
    return status;
}

EFI_STATUS efi_main(EFI_HANDLE image_handle, EFI_SYSTEM_TABLE *system)
{
    EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *image;
    struct information information;
    uint32_t entry = 0;
    EFI_STATUS status;

    efi_system = system;
    system->BootServices->SetWatchdogTimer(0, 0, 0, NULL); /* else a reset after five minutes of loading */
    efi_print("Verge %s (%s), by verge.efi\r\n", VERGE_VERSION, VERGE_COMMIT);
    status = system->BootServices->HandleProtocol(image_handle, &image_guid, (void **)&image);
    if (EFI_ERROR(status))
        efi_fail(status, "the firmware does not say where verge.efi came from");
    else
        status = load(image, &entry);
    if (EFI_ERROR(status))
        return give_up(status);
    describe(&information, image);
    status = efi_leave(image_handle, &information);
    if (EFI_ERROR(status))
        return give_up(status);
    information_end(&information); /* what did not fit would be the end of a memory map of 2,000 lines */
    ((handoff_function)(uintptr_t)handoff_memory)(MULTIBOOT2_LOADER_MAGIC, (uint32_t)information_memory,
                                                  entry);
}
