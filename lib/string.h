/*
 * The memory and string functions of <string.h> that Verge uses, with their C11 meaning. In the host build
 * libc supplies them.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
size_t strlen(const char *string);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t count);
char *strchr(const char *string, int character);

#ifndef VERGE_HOST
/* So that small copies of constant size become a few moves: a freestanding compiler doesn't take the plain
 * names for what they are. */
#define memcpy(destination, source, count) __builtin_memcpy(destination, source, count)
#define memset(destination, value, count)  __builtin_memset(destination, value, count)
#endif

#endif
