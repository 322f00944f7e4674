/*
 * What any boot loader told us, in one form. Filled once by info_multiboot*.c from loader memory, with every
 * string copied, so that nothing below depends on where a loader put its tables. Addresses are host-physical
 * bytes.
 */
#ifndef BOOT_BOOT_INFO_H
#define BOOT_BOOT_INFO_H

#include "lib/base.h"

#define BOOT_RANGES_MAX   128
#define BOOT_MODULES_MAX  32
#define BOOT_STRINGS_SIZE 16384

/* Usable RAM as the loader's map names it. Ranges may overlap and be unsorted: arch/x86/phys.c sorts them
 * out. */
struct boot_range {
    uint64_t base;
    uint64_t length;
    bool usable;
};

struct boot_module {
    uint64_t base;
    uint64_t size;
    const char *string;
    uint32_t crc32; /* of the contents, taken before any memory was used; compared before each use */
};

/* What the firmware or the loader left on the screen. */
enum boot_screen_kind {
    BOOT_SCREEN_UNKNOWN, /* nothing was said: VGA text, if there is a VGA */
    BOOT_SCREEN_TEXT,    /* VGA text */
    BOOT_SCREEN_PIXELS,  /* a linear framebuffer */
    BOOT_SCREEN_OTHER    /* one that Verge can't use */
};

/* One colour of a pixel. */
struct boot_color {
    uint8_t position, bits;
};

struct boot_screen {
    enum boot_screen_kind kind;
    /* Pixels only. */
    uint64_t address;
    uint32_t pitch, width, height; /* bytes; pixels */
    uint8_t depth;                 /* bits of a pixel */
    struct boot_color red, green, blue;
};

struct boot_info {
    const char *loader;       /* its name, or "unknown" */
    const char *command_line; /* "" when there is none */
    uint64_t image_base;      /* where the image stands */
    uint64_t image_size;
    uint64_t rsdp; /* 0: not given */
    struct boot_screen screen;
    unsigned range_count;
    unsigned module_count;
    unsigned dropped; /* modules, ranges and strings that did not fit */
    struct boot_range ranges[BOOT_RANGES_MAX];
    struct boot_module modules[BOOT_MODULES_MAX];
    size_t strings_used;
    char strings[BOOT_STRINGS_SIZE];
};

#define MULTIBOOT1_LOADER_MAGIC 0x2BADB002u
#define MULTIBOOT2_LOADER_MAGIC 0x36D76289u

void boot_info_init(struct boot_info *info);

/*
 * `table` is the loader's information structure; a physical address p in it is read at (const char *)memory +
 * p (memory is the direct map; a host test passes a buffer and addresses relative to it).
 */
void boot_info_from_multiboot1(struct boot_info *info, const void *table, const void *memory);
void boot_info_from_multiboot2(struct boot_info *info, const void *table, const void *memory);

/* For the two above. A string that does not fit is cut and counted as dropped. */
const char *boot_info_copy_string(struct boot_info *info, const char *string, size_t most);
/* Multiboot's framebuffer fields, of either version: from `framebuffer_addr` on, with the colours `colors`
 * bytes behind its start. */
#define BOOT_FRAMEBUFFER_SIZE 22u
void boot_info_set_screen(struct boot_info *info, const char *framebuffer, size_t colors);
void boot_info_add_range(struct boot_info *info, uint64_t base, uint64_t length, bool usable);
void boot_info_add_module(struct boot_info *info, uint64_t start, uint64_t end, const char *string,
                          size_t most);

#endif
