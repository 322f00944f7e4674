/* The screen and the ACPI tables, as the firmware knows them; the contract is in loader.h. UEFI
 * Specification, "Graphics Output Protocol", "EFI Configuration Table & Properties Table". */
#include "boot/efi/loader.h"
#include "lib/string.h"

/* Stands on the handle of each output device that the console uses: a custom of EDK II, which nearly all
 * firmware comes from; not in the specification, nor in gnu-efi. */
#define CONSOLE_OUT_DEVICE                                                                                   \
    {                                                                                                        \
        0xd3b36f2c, 0xd551, 0x11d4,                                                                          \
        {                                                                                                    \
            0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d                                                   \
        }                                                                                                    \
    }

/* ACPI, "Root System Description Pointer (RSDP)". */
#define RSDP_OLD_SIZE  20u
#define RSDP_LENGTH_AT 20u
#define RSDP_NEW_SIZE  36u
#define RSDP_MOST      256u /* what a later revision might grow to; more is garbage */

/* The bits of a mask stand together. */
static struct boot_color color_of(UINT32 mask)
{
    if (!mask)
        return (struct boot_color){0, 0};
    return (struct boot_color){(uint8_t)__builtin_ctz(mask),
                               (uint8_t)(32 - __builtin_clz(mask) - __builtin_ctz(mask))};
}

/* False: no linear framebuffer (the firmware draws by itself only). */
static bool read_mode(const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode, struct boot_screen *screen)
{
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = mode ? mode->Info : NULL;
    EFI_PIXEL_BITMASK masks = {0x000000FF, 0x0000FF00, 0x00FF0000, 0xFF000000};
    unsigned bits;

    if (!info) /* a card that has set no mode */
        return false;
    if (info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor)
        masks = (EFI_PIXEL_BITMASK){0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000};
    else if (info->PixelFormat == PixelBitMask)
        masks = info->PixelInformation;
    else if (info->PixelFormat != PixelRedGreenBlueReserved8BitPerColor)
        return false;
    bits = masks.RedMask | masks.GreenMask | masks.BlueMask | masks.ReservedMask;
    if (!mode->FrameBufferBase || !bits)
        return false;
    bits = 32 - (unsigned)__builtin_clz(bits);
    *screen = (struct boot_screen){.kind = BOOT_SCREEN_PIXELS,
                                   .address = mode->FrameBufferBase,
                                   .pitch = info->PixelsPerScanLine * ((bits + 7) / 8),
                                   .width = info->HorizontalResolution,
                                   .height = info->VerticalResolution,
                                   .depth = (uint8_t)bits,
                                   .red = color_of(masks.RedMask),
                                   .green = color_of(masks.GreenMask),
                                   .blue = color_of(masks.BlueMask)};
    return true;
}

/* The first screen on which the firmware's console shows, else the first of all. The console's own handle may
 * be a virtual screen over several, which has no framebuffer. */
void machine_add_screen(struct information *information)
{
    EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_GUID console_guid = CONSOLE_OUT_DEVICE;
    EFI_BOOT_SERVICES *boot = efi_system->BootServices;
    struct boot_screen screen = {.kind = BOOT_SCREEN_UNKNOWN};
    EFI_HANDLE *handles;
    UINTN count;
    bool on_console = false;

    if (EFI_ERROR(boot->LocateHandleBuffer(ByProtocol, &graphics_guid, NULL, &count, &handles)))
        return;
    for (UINTN i = 0; i < count && !on_console; i++) {
        EFI_GRAPHICS_OUTPUT_PROTOCOL *graphics;
        struct boot_screen one;
        void *mark;

        if (EFI_ERROR(boot->HandleProtocol(handles[i], &graphics_guid, (void **)&graphics)) ||
            !read_mode(graphics->Mode, &one))
            continue;
        on_console = !EFI_ERROR(boot->HandleProtocol(handles[i], &console_guid, &mark));
        if (on_console || screen.kind == BOOT_SCREEN_UNKNOWN)
            screen = one;
    }
    boot->FreePool(handles);
    if (screen.kind == BOOT_SCREEN_PIXELS)
        information_add_screen(information, &screen);
}

static const char *configuration_table(EFI_GUID guid)
{
    for (UINTN i = 0; i < efi_system->NumberOfTableEntries; i++)
        if (memcmp(&efi_system->ConfigurationTable[i].VendorGuid, &guid, sizeof guid) == 0)
            return efi_system->ConfigurationTable[i].VendorTable;
    return NULL;
}

void machine_add_rsdp(struct information *information)
{
    const char *old = configuration_table((EFI_GUID)ACPI_TABLE_GUID);
    const char *new = configuration_table((EFI_GUID)ACPI_20_TABLE_GUID);
    uint32_t length;

    if (old)
        information_add_rsdp(information, MB2_TAG_ACPI_OLD, old, RSDP_OLD_SIZE);
    if (!new)
        return;
    memcpy(&length, new + RSDP_LENGTH_AT, sizeof length);
    if (length < RSDP_NEW_SIZE || length > RSDP_MOST)
        length = RSDP_NEW_SIZE;
    information_add_rsdp(information, MB2_TAG_ACPI_NEW, new, length);
}
