/*
 * The setup header of a Linux bzImage, read from untrusted bytes and checked. Used by load_linux.c alone.
 * Pure. Source: the Linux kernel's documentation, "The Linux/x86 Boot Protocol".
 */
#ifndef GUEST_LOAD_LINUX_HEADER_H
#define GUEST_LOAD_LINUX_HEADER_H

#include "guest/load.h"

/* Offsets in the image's first sectors and, the same, in boot_params ("The Real-Mode Kernel Header"). */
enum {
    HDR_START = 0x1F1, /* setup_sects; the header is copied to boot_params from here */
    HDR_SYSSIZE = 0x1F4,
    HDR_VID_MODE = 0x1FA,
    HDR_BOOT_FLAG = 0x1FE,
    HDR_JUMP_OFFSET = 0x201, /* the header ends at 202h plus this */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_KERNEL_VERSION = 0x20E,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21C,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22C,
    HDR_KERNEL_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_SUBARCH = 0x23C,
    HDR_SETUP_DATA = 0x250,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_LIMIT = 0x290, /* boot_params has other things from here */
};

#define LINUX_ENTRY_64 UINT64_C(0x200) /* from the load address */

/* What the header says, checked. Sizes in bytes. */
struct linux_kernel {
    unsigned version; /* boot protocol, 20Ch is 2.12 */
    bool entry64;
    uint64_t header_end; /* offset in the image */
    uint64_t payload;    /* offset in the image */
    uint64_t payload_size;
    uint64_t load_gpa;
    uint64_t run_size;   /* what it needs from load_gpa on before it knows the memory map */
    uint64_t initrd_end; /* the initrd must end at or below */
    uint64_t initrd_gpa, initrd_size;
    uint64_t command_line_max; /* without the terminating 0 */
};

/* Whether the image has the header's signature and is long enough to read the version. */
bool linux_header_matches(const struct load_request *request);

/* Fills *kernel but for the initrd's place, and the description. False with the error in *result. */
bool linux_header_read(const struct load_request *request, struct linux_kernel *kernel,
                       struct load_result *result);

#endif
