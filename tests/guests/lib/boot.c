/* From the loader to guest_run(): words, UART, IDT, 8259; verdict at the end; and the few C library calls
 * that gcc makes by itself. */
#include "tests/guests/lib/boot.h"
#include "tests/guests/lib/guest.h"

#define MULTIBOOT_MEMORY  1u
#define MULTIBOOT_CMDLINE 4u
#define DEBUG_EXIT_PORT   0xF4

void guest_main(void);
void *memset(void *to, int value, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);

const char *command_line = "";

void *memset(void *to, int value, size_t count)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void guest_exit(uint8_t code)
{
    interrupts_off();
    out8(DEBUG_EXIT_PORT, code);
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

void guest_fail(const char *why)
{
    print("RESULT FAIL %s\n", why);
    guest_exit(1);
}

uint64_t buffer_words(void)
{
    uint64_t top = 16u << 20;
    if (multiboot_info->flags & MULTIBOOT_MEMORY)
        top = 0x100000u + (uint64_t)multiboot_info->mem_upper_kb * 1024;
    if (top > 0xC0000000u)
        top = 0xC0000000u;
    return top > BUFFER_BASE ? (top - BUFFER_BASE) / 8 : 0;
}

/* CPUID leaf 40000010h, as VMware defined it and Verge follows: EAX is the TSC's rate in kHz. */
uint64_t tsc_hz(void)
{
    uint64_t given = word_number("f", 0);
    if (given)
        return given;
    uint32_t r[4];
    cpuid(1, r);
    if (r[2] >> 31) {
        cpuid(0x40000000u, r);
        if (r[0] >= 0x40000010u && r[0] < 0x40000100u) {
            cpuid(0x40000010u, r);
            if (r[0])
                return (uint64_t)r[0] * 1000;
        }
    }
    return 1000000000u;
}

uint64_t port_charge(void)
{
    uint64_t with = UINT64_MAX, without = UINT64_MAX;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t start, end;
        __asm__ volatile("rdtsc\n\tmov %%eax, %%esi\n\tmov %%edx, %%edi\n\tout %%al, $0x80\n\trdtsc\n\t"
                         "shl $32, %%rdx\n\tor %%rdx, %%rax\n\tshl $32, %%rdi\n\tor %%rdi, %%rsi"
                         : "=a"(end), "=S"(start)
                         :
                         : "rdx", "rdi", "memory");
        if (end - start < with)
            with = end - start;
        __asm__ volatile("rdtsc\n\tmov %%eax, %%esi\n\tmov %%edx, %%edi\n\trdtsc\n\t"
                         "shl $32, %%rdx\n\tor %%rdx, %%rax\n\tshl $32, %%rdi\n\tor %%rdi, %%rsi"
                         : "=a"(end), "=S"(start)
                         :
                         : "rdx", "rdi", "memory");
        if (end - start < without)
            without = end - start;
    }
    return with - without;
}

uint32_t crc32_words(uint32_t crc, const uint64_t *words, uint64_t count)
{
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (unsigned bit = 0; bit < 8; bit++)
                c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
            table[i] = c;
        }
    crc = ~crc;
    for (uint64_t i = 0; i < count; i++)
        for (unsigned byte = 0; byte < 8; byte++)
            crc = crc >> 8 ^ table[(crc ^ words[i] >> 8 * byte) & 0xFF];
    return ~crc;
}

void guest_main(void)
{
    if ((multiboot_info->flags & MULTIBOOT_CMDLINE) && multiboot_info->cmdline)
        command_line = (const char *)(uintptr_t)multiboot_info->cmdline;
    pic_start();
    idt_start();
    uart_start();
    bool passed = guest_run();
    guest_exit(passed ? 0 : 1);
}
