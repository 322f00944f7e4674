/*
 * The few macros and integer helpers that every layer uses. Knows nobody; compiles freestanding and on the
 * host.
 */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)        (1u << (n))
#define BIT64(n)      (UINT64_C(1) << (n))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* The structure that holds `member` at `pointer`. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* `alignment` must be a power of two. */
#define ALIGN_DOWN(value, alignment) ((value) & ~((alignment)-1))
#define ALIGN_UP(value, alignment)   ALIGN_DOWN((value) + (alignment)-1, alignment)

#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

#endif
