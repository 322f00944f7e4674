/* Lines on the firmware's console; the contract is in loader.h. UEFI Specification, "Simple Text Output
 * Protocol", "Simple Text Input Protocol". */
#include "boot/efi/loader.h"
#include "lib/fmt.h"

#define LINE_SIZE    512
#define WAIT_SECONDS 10
#define SECOND       UINT64_C(10000000) /* in the units of SetTimer() */

static void print_list(const char *format, va_list arguments)
{
    static char line[LINE_SIZE];
    static CHAR16 wide[LINE_SIZE];
    SIMPLE_TEXT_OUTPUT_INTERFACE *out = efi_system->ConOut;

    fmt_vsnprintf(line, sizeof line, format, arguments);
    text_to_firmware(line, wide, ARRAY_SIZE(wide));
    if (out)
        out->OutputString(out, wide);
}

void efi_print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_list(format, arguments);
    va_end(arguments);
}

EFI_STATUS efi_fail(EFI_STATUS status, const char *format, ...)
{
    va_list arguments;

    efi_print("verge.efi: ");
    va_start(arguments, format);
    print_list(format, arguments);
    va_end(arguments);
    efi_print("\r\n");
    return status;
}

void efi_wait(void)
{
    EFI_BOOT_SERVICES *boot = efi_system->BootServices;
    SIMPLE_INPUT_INTERFACE *in = efi_system->ConIn;
    EFI_EVENT events[2];
    UINTN count = 0, which;

    if (EFI_ERROR(boot->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[count++])))
        return;
    boot->SetTimer(events[0], TimerRelative, WAIT_SECONDS * SECOND);
    if (in) {
        in->Reset(in, FALSE); /* keys of before */
        events[count++] = in->WaitForKey;
    }
    efi_print("verge.efi: back to the firmware at a key, or in %u seconds\r\n", WAIT_SECONDS);
    boot->WaitForEvent(count, events, &which);
    boot->CloseEvent(events[0]);
}
