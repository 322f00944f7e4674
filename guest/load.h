/*
 * Loads a guest's image and modules into its memory and says in what state its CPU starts. The image's type
 * is found from its bytes: Linux bzImage (load_linux.c) or Multiboot 1 (load_multiboot.c).
 *
 * Every byte of an image is untrusted: sizes are checked before use, and work is bounded by the sizes of
 * image and guest RAM. Guest RAM must be all zero before; on failure it may hold parts of the image and must
 * be cleared before another try. What a guest can read depends on the request alone, never on host addresses
 * or the order of loading.
 *
 * Pure C over struct guest_memory, in the monitor before the guest runs (or again after its reset), and on
 * the host in tests.
 */
#ifndef GUEST_LOAD_H
#define GUEST_LOAD_H

#include "hv/memory.h"

#define LOAD_MODULES 32
#define LOAD_MIN_RAM UINT64_C(0x200000) /* bytes of guest RAM without which no load is tried */

enum load_error {
    LOAD_OK,
    LOAD_UNKNOWN_IMAGE,     /* of no type that is known */
    LOAD_UNSUPPORTED,       /* known, but asks for something that is not there */
    LOAD_TRUNCATED,         /* shorter than it says */
    LOAD_MALFORMED,         /* contradicts itself */
    LOAD_NO_MEMORY,         /* the guest has too little memory, or none where the image wants to be */
    LOAD_MODULES_TOO_LARGE, /* initrd or modules do not fit beside the image */
    LOAD_TOO_MANY_MODULES,
    LOAD_COMMAND_LINE_TOO_LONG,
};

struct load_module {
    const uint8_t *data; /* host memory */
    uint64_t size;
    const char *text; /* Multiboot: the module's string; NULL is "" */
};

struct load_request {
    const char *name; /* of the image, for the guest (Multiboot) and the description; the part behind the last
                         / counts */
    const uint8_t *image; /* host memory */
    uint64_t image_size;
    const char *command_line;          /* NULL is "" */
    const struct load_module *modules; /* Linux: joined to one initrd, each on a 4-byte boundary */
    unsigned module_count;
    uint64_t acpi_rsdp_gpa; /* 0: none */
};

enum load_mode { LOAD_REAL16, LOAD_PROTECTED32, LOAD_LONG64 };
enum load_protocol { LOAD_LINUX, LOAD_MULTIBOOT };

/* attributes: bits 0 to 7 are byte 5 of the descriptor (type, S, DPL, P), bits 12 to 15 the high half of its
 * byte 6 (AVL, L, D/B, G). */
struct load_segment {
    uint16_t selector;
    uint16_t attributes;
    uint32_t limit; /* in bytes, G already applied */
    uint64_t base;
};

/* The CPU at the guest's first instruction. What is not named is as after a CPU reset, with IDT base and
 * limit 0. */
struct load_cpu {
    enum load_mode mode;
    uint64_t rip, rsp, rflags;
    uint64_t rax, rbx, rsi; /* all other general registers are 0 */
    uint64_t cr0, cr3, cr4, efer;
    uint64_t gdt_base; /* gpa = linear address */
    uint16_t gdt_limit;
    struct load_segment cs;
    struct load_segment data; /* DS, ES, FS, GS, SS */
    struct load_segment tr;
};

struct load_result {
    enum load_error error;
    char error_text[160]; /* one sentence without a name or a full stop; empty when all is well */
    enum load_protocol protocol;
    char description[80];                 /* "Linux 6.1.0-33-cloud-amd64" */
    uint64_t image_gpa, image_length;     /* what the image takes once it runs, its bss included */
    uint64_t modules_gpa, modules_length; /* 0, 0 without modules */
    struct load_cpu cpu;
};

/* Fills *result; true when error is LOAD_OK. */
bool load_image(struct guest_memory *memory, const struct load_request *request, struct load_result *result);

/* ---- for the loaders ---- */

#define LOAD_GDT_BYTES 32 /* two null descriptors, code at 10h, data at 18h */

/* Records the error and its sentence; always false, so that a loader can return it. */
bool load_fail(struct load_result *result, enum load_error error, const char *format, ...) PRINTF_LIKE(3, 4);

/* Whether [gpa, gpa + length) is RAM that the memory map calls usable, below the hole and not in the first
 * page. */
bool load_is_usable(struct guest_memory *memory, uint64_t gpa, uint64_t length);

/* Flat segments in *cpu for its mode, and their table at gdt_gpa. False without RAM there. */
bool load_flat_segments(struct guest_memory *memory, struct load_cpu *cpu, uint64_t gdt_gpa);

/* The part of a path behind the last slash; "" for NULL. */
const char *load_base_name(const char *path);

static inline uint64_t load_megabytes(uint64_t bytes) /* rounded up, for messages */
{
    return (bytes >> 20) + ((bytes & 0xFFFFF) != 0);
}

static inline uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return load_le16(p) | (uint32_t)load_le16(p + 2) << 16;
}

static inline uint64_t load_le64(const uint8_t *p)
{
    return load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

#endif
