/* Multiboot 2's information, written; the contract is in information.h. */
#include "boot/efi/information.h"
#include "lib/string.h"

#define MAP_HEAD 16 /* of the memory map's tag: type, size, entry size, entry version */

/* Zeroed room for a tag of `size` bytes with its head filled, or NULL. The end tag's room is always kept. */
static char *new_tag(struct information *information, enum mb2_tag_type type, size_t size)
{
    const struct mb2_tag head = {(uint32_t)type, (uint32_t)size};
    const size_t kept = type == MB2_TAG_END ? 0 : sizeof head;
    char *tag = information->memory + information->used;

    if (size > information->size ||
        ALIGN_UP(size, (size_t)MB2_ALIGNMENT) + kept > information->size - information->used) {
        information->full = true;
        return NULL;
    }
    memset(tag, 0, ALIGN_UP(size, (size_t)MB2_ALIGNMENT));
    memcpy(tag, &head, sizeof head);
    information->used += ALIGN_UP(size, (size_t)MB2_ALIGNMENT);
    return tag;
}

void information_begin(struct information *information, void *memory, size_t size)
{
    /* In front of the tags: total size, reserved. */
    *information = (struct information){.memory = memory, .size = size, .used = 2 * sizeof(uint32_t)};
    memset(memory, 0, information->used);
}

void information_add_string(struct information *information, enum mb2_tag_type type, const char *string)
{
    size_t size = strlen(string) + 1;
    char *tag = new_tag(information, type, sizeof(struct mb2_tag) + size);

    if (tag)
        memcpy(tag + sizeof(struct mb2_tag), string, size);
}

void information_add_module(struct information *information, uint64_t base, uint64_t size, const char *string)
{
    const uint32_t bounds[2] = {(uint32_t)base, (uint32_t)(base + size)};
    size_t length = strlen(string) + 1;
    char *tag = new_tag(information, MB2_TAG_MODULE, sizeof(struct mb2_tag) + sizeof bounds + length);

    if (!tag)
        return;
    memcpy(tag + sizeof(struct mb2_tag), bounds, sizeof bounds);
    memcpy(tag + sizeof(struct mb2_tag) + sizeof bounds, string, length);
}

void information_add_screen(struct information *information, const struct boot_screen *screen)
{
    enum {
        RGB = 1,
        COLORS = 8 + BOOT_FRAMEBUFFER_SIZE + 2
    }; /* two reserved bytes stand before the colours */
    char *tag = new_tag(information, MB2_TAG_FRAMEBUFFER, COLORS + 6);

    if (!tag)
        return;
    memcpy(tag + 8, &screen->address, 8);
    memcpy(tag + 16, &screen->pitch, 4);
    memcpy(tag + 20, &screen->width, 4);
    memcpy(tag + 24, &screen->height, 4);
    tag[28] = (char)screen->depth;
    tag[29] = RGB;
    memcpy(tag + COLORS, &screen->red, 2);
    memcpy(tag + COLORS + 2, &screen->green, 2);
    memcpy(tag + COLORS + 4, &screen->blue, 2);
}

void information_add_rsdp(struct information *information, enum mb2_tag_type type, const void *rsdp,
                          size_t size)
{
    char *tag = new_tag(information, type, sizeof(struct mb2_tag) + size);

    if (tag)
        memcpy(tag + sizeof(struct mb2_tag), rsdp, size);
}

/* Joins the range to the map's last line if it can be. */
static bool join(struct information *information, const struct mb2_range *range)
{
    char *last = information->memory + information->used - sizeof *range;
    struct mb2_range line;

    if (information->used == information->map + MAP_HEAD)
        return false;
    memcpy(&line, last, sizeof line);
    if (line.type != range->type || line.base + line.length != range->base)
        return false;
    line.length += range->length;
    memcpy(last, &line, sizeof line);
    return true;
}

void information_add_range(struct information *information, const struct mb2_range *range)
{
    const uint32_t entry_size = sizeof *range;
    struct mb2_tag head;

    if (!information->map) {
        char *tag = new_tag(information, MB2_TAG_MMAP, MAP_HEAD);

        if (!tag)
            return;
        memcpy(tag + sizeof head, &entry_size, sizeof entry_size);
        information->map = (size_t)(tag - information->memory);
    }
    if (join(information, range))
        return;
    if (information->size - information->used < sizeof *range + sizeof head) {
        information->full = true;
        return;
    }
    memcpy(information->memory + information->used, range, sizeof *range);
    information->used += sizeof *range;
    head = (struct mb2_tag){MB2_TAG_MMAP, (uint32_t)(information->used - information->map)};
    memcpy(information->memory + information->map, &head, sizeof head);
}

bool information_end(struct information *information)
{
    uint32_t total;

    new_tag(information, MB2_TAG_END, sizeof(struct mb2_tag));
    total = (uint32_t)information->used;
    memcpy(information->memory, &total, sizeof total);
    return !information->full;
}
