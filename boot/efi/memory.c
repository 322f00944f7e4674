/* Memory, and the end of boot services; the contract is in loader.h. UEFI Specification, "Memory Allocation
 * Services", "EFI_BOOT_SERVICES.ExitBootServices()", "Calling Conventions" (what memory is whose). */
#include "boot/efi/loader.h"

#define BELOW_4G 0xFFFFFFFFu
#define SPARE_LINES                                                                                          \
    32 /* of the memory map, which our own allocation and the firmware's last events lengthen */
#define ATTEMPTS 8

#define MEMORY_SPECIFIC_PURPOSE UINT64_C(0x40000) /* EFI_MEMORY_SP, which older headers don't have */

EFI_STATUS efi_allocate(EFI_MEMORY_TYPE type, uint64_t size, const char *what, uint64_t *address)
{
    EFI_PHYSICAL_ADDRESS at = BELOW_4G;
    EFI_STATUS status = EFI_OUT_OF_RESOURCES;

    if (size <= BELOW_4G) /* one page at least: a module may be empty */
        status = efi_system->BootServices->AllocatePages(AllocateMaxAddress, type, size / EFI_PAGE + 1, &at);
    if (EFI_ERROR(status))
        return efi_fail(status, "no %llu MB of memory below 4 GB for %s",
                        (unsigned long long)(size >> 20) + 1, what);
    *address = at;
    return EFI_SUCCESS;
}

void efi_free(uint64_t address, uint64_t size)
{
    efi_system->BootServices->FreePages(address, size / EFI_PAGE + 1);
}

/* What the memory is to Verge, once boot services are gone. Memory that is kept for a purpose, or can't be
 * cached, is no RAM to hand out. */
static enum mb2_range_type range_type(const EFI_MEMORY_DESCRIPTOR *line)
{
    if (line->Type == EfiConventionalMemory && line->Attribute & MEMORY_SPECIFIC_PURPOSE)
        return MB2_RESERVED;
    if (line->Attribute & (EFI_MEMORY_UC | EFI_MEMORY_WC | EFI_MEMORY_WT) &&
        !(line->Attribute & EFI_MEMORY_WB)) /* none of them: firmware that tells nothing */
        return MB2_RESERVED;
    switch (line->Type) {
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiConventionalMemory:
        return MB2_AVAILABLE;
    case EfiACPIReclaimMemory:
        return MB2_ACPI;
    case EfiACPIMemoryNVS:
        return MB2_ACPI_NVS;
    case EfiUnusableMemory:
        return MB2_BAD;
    default:
        return MB2_RESERVED;
    }
}

/* Descriptors may be longer than the header's: `step` says how long. */
static void add_map(struct information *information, const char *map, UINTN size, UINTN step)
{
    for (UINTN at = 0; at + step <= size; at += step) {
        const EFI_MEMORY_DESCRIPTOR *line = (const void *)(map + at);

        information_add_range(information, &(struct mb2_range){.base = line->PhysicalStart,
                                                               .length = line->NumberOfPages * EFI_PAGE,
                                                               .type = range_type(line)});
    }
}

EFI_STATUS efi_leave(EFI_HANDLE image, struct information *information)
{
    EFI_BOOT_SERVICES *boot = efi_system->BootServices;
    UINTN size = 0, room, key, step;
    UINT32 version;
    bool leaving = false;
    void *map;
    EFI_STATUS status;

    boot->GetMemoryMap(&size, NULL, &key, &step, &version);
    room = size + SPARE_LINES * step;
    status = boot->AllocatePool(EfiLoaderData, room, &map);
    if (EFI_ERROR(status))
        return efi_fail(status, "no memory for the memory map");
    /* The key is stale when an event's handler has changed the map since; then only the map may be asked for
     * again. */
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        size = room;
        status = boot->GetMemoryMap(&size, map, &key, &step, &version);
        if (EFI_ERROR(status))
            break;
        status = boot->ExitBootServices(image, key);
        if (!EFI_ERROR(status)) {
            add_map(information, map, size, step);
            return EFI_SUCCESS;
        }
        leaving = true;
    }
    if (leaving) {
        efi_system->RuntimeServices->ResetSystem(EfiResetCold, status, 0, NULL); /* does not return */
        return status;
    }
    boot->FreePool(map);
    return efi_fail(status, "the firmware gives no memory map (status %llu)",
                    (unsigned long long)(status & 0xFF));
}
