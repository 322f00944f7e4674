/* Files of the volume that verge.efi came from, read only; the contract is in loader.h. UEFI Specification,
 * "Simple File System Protocol", "File Protocol". */
#include "boot/efi/loader.h"

#define PATH_SIZE 512
#define CHUNK     ((UINTN)1 << 20) /* firmware that fails at, or falls silent over, one long read is known */
#define LONG_FILE (4u << 20)       /* from here on progress is shown */

#define NOTHING_SHOWN 101u /* no percentage */

EFI_STATUS efi_open_volume(const EFI_LOADED_IMAGE *image, EFI_FILE_HANDLE *volume)
{
    EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *system = NULL;
    EFI_STATUS status =
        efi_system->BootServices->HandleProtocol(image->DeviceHandle, &guid, (void **)&system);

    if (EFI_ERROR(status))
        return EFI_NOT_FOUND;
    status = system->OpenVolume(system, volume);
    if (EFI_ERROR(status))
        return efi_fail(status, "the volume of verge.efi can't be opened (status %llu)",
                        (unsigned long long)(status & 0xFF));
    return EFI_SUCCESS;
}

/* The size of a file: where its end is. No directory has one. */
static EFI_STATUS size_of(EFI_FILE_HANDLE handle, uint64_t *size)
{
    EFI_STATUS status = handle->SetPosition(handle, UINT64_MAX);

    if (!EFI_ERROR(status))
        status = handle->GetPosition(handle, size);
    if (!EFI_ERROR(status))
        status = handle->SetPosition(handle, 0);
    return status;
}

static void show_progress(const char *path, uint64_t done, uint64_t size, unsigned *shown)
{
    unsigned percent = (unsigned)(done * 100 / size);

    if (size < LONG_FILE || percent == *shown)
        return;
    *shown = percent;
    efi_print("\r%s: %u %% of %llu MB%s", path, percent, (unsigned long long)size >> 20,
              percent == 100 ? "\r\n" : "");
}

static EFI_STATUS read_all(EFI_FILE_HANDLE handle, const char *path, const struct efi_file *file)
{
    unsigned shown = NOTHING_SHOWN;

    for (uint64_t done = 0; done < file->size;) {
        UINTN count = MIN(CHUNK, file->size - done);
        EFI_STATUS status = handle->Read(handle, &count, (char *)(uintptr_t)file->base + done);

        if (!EFI_ERROR(status) && count == 0)
            status = EFI_END_OF_FILE;
        if (EFI_ERROR(status) && shown != NOTHING_SHOWN)
            efi_print("\r\n");
        if (EFI_ERROR(status))
            return efi_fail(status, "%s: can't be read beyond byte %llu (status %llu)", path,
                            (unsigned long long)done, (unsigned long long)(status & 0xFF));
        done += count;
        show_progress(path, done, file->size, &shown);
    }
    return EFI_SUCCESS;
}

static EFI_STATUS load_open(EFI_FILE_HANDLE handle, const char *path, struct efi_file *file)
{
    EFI_STATUS status = size_of(handle, &file->size);

    if (EFI_ERROR(status))
        return efi_fail(status, "%s: is no file", path);
    status = efi_allocate(EfiLoaderData, file->size, path, &file->base);
    if (EFI_ERROR(status))
        return status;
    status = read_all(handle, path, file);
    if (EFI_ERROR(status))
        efi_free(file->base, file->size);
    return status;
}

EFI_STATUS efi_load_file(EFI_FILE_HANDLE volume, const char *path, struct efi_file *file)
{
    static CHAR16 wide[PATH_SIZE];
    EFI_FILE_HANDLE handle;
    EFI_STATUS status;

    text_to_firmware(path, wide, ARRAY_SIZE(wide));
    for (CHAR16 *at = wide; *at; at++)
        if (*at == '/')
            *at = '\\';
    status = volume->Open(volume, &handle, wide, EFI_FILE_MODE_READ, 0);
    if (status == EFI_NOT_FOUND)
        return status;
    if (EFI_ERROR(status))
        return efi_fail(status, "%s: can't be opened (status %llu)", path,
                        (unsigned long long)(status & 0xFF));
    status = load_open(handle, path, file);
    handle->Close(handle);
    return status;
}
