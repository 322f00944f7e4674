/* Memory and string functions for ring 0. String instructions by quadwords: fast enough on every CPU, small
 * on all. */
#include "lib/string.h"
#include "lib/base.h"

void *(memcpy)(void *restrict destination, const void *restrict source, size_t count)
{
    void *to = destination;
    size_t words = count / 8, rest = count % 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(source), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(rest) : : "memory");
    return destination;
}

void *memmove(void *destination, const void *source, size_t count)
{
    char *to = destination;
    const char *from = source;

    if ((uintptr_t)to - (uintptr_t)from >= count)
        return memcpy(destination, source, count);
    while (count--)
        to[count] = from[count];
    return destination;
}

void *(memset)(void *destination, int value, size_t count)
{
    void *to = destination;
    uint64_t pattern = (uint8_t)value * UINT64_C(0x0101010101010101);
    size_t words = count / 8, rest = count % 8;

    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(pattern) : "memory");
    return destination;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *l = left, *r = right;

    for (size_t i = 0; i < count; i++)
        if (l[i] != r[i])
            return l[i] - r[i];
    return 0;
}

size_t strlen(const char *string)
{
    size_t length = 0;

    while (string[length])
        length++;
    return length;
}

int strcmp(const char *left, const char *right)
{
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return (unsigned char)*left - (unsigned char)*right;
}

int strncmp(const char *left, const char *right, size_t count)
{
    for (; count; left++, right++, count--)
        if (*left != *right || !*left)
            return (unsigned char)*left - (unsigned char)*right;
    return 0;
}

char *strchr(const char *string, int character)
{
    for (;; string++) {
        if (*string == (char)character)
            return (char *)(uintptr_t)string;
        if (!*string)
            return NULL;
    }
}
