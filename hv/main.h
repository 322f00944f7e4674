/* The monitor's entry from boot/entry.asm. */
#ifndef HV_MAIN_H
#define HV_MAIN_H

#include "lib/base.h"

/* magic and info: of the boot loader; image_base: host-physical address of the image. */
_Noreturn void boot_main(uint32_t magic, uint64_t info, uint64_t image_base);

#endif
