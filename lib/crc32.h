/*
 * CRC-32 as in IEEE 802.3 and zip (polynomial 04C11DB7h reflected, start and final value all ones): the
 * checksum that the boot code shows of each module. The check value of "123456789" is CBF43926h.
 */
#ifndef LIB_CRC32_H
#define LIB_CRC32_H

#include "lib/base.h"

/* Continues from `crc`, the result so far: 0 at the start, so crc32(crc32(0, a), b) is that of a followed by
 * b. */
uint32_t crc32(uint32_t crc, const void *data, size_t size);

#endif
