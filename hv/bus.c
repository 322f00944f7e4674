/*
 * Port and MMIO buses: see bus.h for the contract and the choices. An aligned access of a width that the
 * region takes is one look-up and one call; everything else goes the slow way, piece by piece.
 */
#include "hv/bus.h"
#include "lib/string.h"

const struct bus_region bus_region_malformed = {.name = "(malformed region)"};
const struct bus_region bus_region_no_room = {.name = "(no room on the bus)"};

void bus_init(struct bus *bus, enum bus_kind kind)
{
    memset(bus, 0, sizeof *bus);
    bus->kind = kind;
}

static uint64_t low_bytes(unsigned width)
{
    return width >= 8 ? UINT64_MAX : BIT64(8 * width) - 1;
}

static unsigned smallest_width(unsigned widths)
{
    return widths & -widths;
}

const struct bus_region *bus_find(const struct bus *bus, uint64_t address)
{
    if (bus->kind == BUS_PORTS) {
        if (address > 0xFFFF)
            return NULL;
        return bus->regions[bus->region_at[bus->page_of[address >> 8]][address & 0xFF]];
    }
    unsigned low = 0, high = bus->region_count; /* the first region above address is in [low, high] */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (bus->regions[middle]->base > address)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0 || address - bus->regions[low - 1]->base >= bus->regions[low - 1]->length)
        return NULL;
    return bus->regions[low - 1];
}

/* ---- adding ---- */

static bool region_is_sound(const struct bus *bus, const struct bus_region *region)
{
    uint64_t last = bus->kind == BUS_PORTS ? 0xFFFF : UINT64_MAX;
    unsigned widths = region->widths;
    if (!region->ops || !region->ops->read || !region->ops->write || region->length == 0)
        return false;
    if (region->base > last || region->length - 1 > last - region->base)
        return false;
    if (widths == 0 || (widths & ~15u) != 0)
        return false;
    return ((region->base | region->length) & (smallest_width(widths) - 1)) == 0;
}

static const struct bus_region *find_overlap(const struct bus *bus, const struct bus_region *region)
{
    for (unsigned i = 0; i <= bus->region_count; i++) {
        const struct bus_region *other = bus->regions[i];
        if (other && region->base - other->base < other->length)
            return other;
        if (other && other->base - region->base < region->length)
            return other;
    }
    return NULL;
}

static void add_sorted(struct bus *bus, const struct bus_region *region)
{
    unsigned place = bus->region_count++;
    for (; place > 0 && bus->regions[place - 1]->base > region->base; place--)
        bus->regions[place] = bus->regions[place - 1];
    bus->regions[place] = region;
}

static bool add_ports(struct bus *bus, const struct bus_region *region)
{
    uint64_t end = region->base + region->length;
    unsigned missing = 0;
    for (uint64_t page = region->base >> 8; page <= (end - 1) >> 8; page++)
        missing += bus->page_of[page] == 0;
    if (missing > BUS_PORT_PAGES - bus->page_count)
        return false;
    uint8_t number = (uint8_t)++bus->region_count;
    bus->regions[number] = region;
    for (uint64_t port = region->base; port < end; port++) {
        uint8_t *page = &bus->page_of[port >> 8];
        if (*page == 0)
            *page = (uint8_t)++bus->page_count;
        bus->region_at[*page][port & 0xFF] = number;
    }
    return true;
}

const struct bus_region *bus_add(struct bus *bus, const struct bus_region *region)
{
    if (!region_is_sound(bus, region))
        return &bus_region_malformed;
    const struct bus_region *other = find_overlap(bus, region);
    if (other)
        return other;
    if (bus->region_count == BUS_REGIONS)
        return &bus_region_no_room;
    if (bus->kind == BUS_MMIO)
        add_sorted(bus, region);
    else if (!add_ports(bus, region))
        return &bus_region_no_room;
    return NULL;
}

/* ---- access ---- */

/* One piece of an access that had to be split. */
struct piece {
    const struct bus_region *region; /* NULL: unclaimed, one byte */
    uint64_t offset;                 /* in the region */
    unsigned bytes;                  /* of the access that it covers */
    unsigned width; /* of the call; more than bytes when the region takes wider ones only (choice 2) ... */
    unsigned skip;  /* ... and then where in the call's value its bytes stand */
};

/* The piece at address + done, at most `left` bytes. */
static struct piece next_piece(const struct bus *bus, uint64_t address, unsigned done, unsigned left)
{
    struct piece piece = {.bytes = 1, .width = 1};
    uint64_t at = address + done;
    if (at >= address)
        piece.region = bus_find(bus, at);
    if (!piece.region)
        return piece;
    piece.offset = at - piece.region->base;
    for (unsigned width = 8; width > 0; width /= 2) {
        bool aligned = (at & (width - 1)) == 0;
        if ((piece.region->widths & width) && aligned && width <= left &&
            width <= piece.region->length - piece.offset) {
            piece.bytes = piece.width = width;
            return piece;
        }
    }
    piece.width = smallest_width(piece.region->widths);
    piece.skip = (unsigned)(at & (piece.width - 1));
    piece.offset -= piece.skip;
    piece.bytes = MIN(left, piece.width - piece.skip);
    return piece;
}

/* Whether [address, address + width) is one call to this region. */
static bool is_direct(const struct bus_region *region, uint64_t address, unsigned width)
{
    if ((width & (width - 1)) != 0)
        return false;
    return region && (region->widths & width) && (address & (width - 1)) == 0 &&
           width <= region->length - (address - region->base);
}

static void count_unclaimed(struct bus *bus, uint64_t *counter, uint64_t address)
{
    (*counter)++;
    bus->counters.last_unclaimed = address;
}

static __attribute__((noinline)) uint64_t read_pieces(struct bus *bus, uint64_t address, unsigned width)
{
    uint64_t value = 0;
    bool counted = false;
    width = MIN(width, 8u);
    for (unsigned done = 0; done < width;) {
        struct piece piece = next_piece(bus, address, done, width - done);
        uint64_t part = UINT64_MAX;
        if (piece.region) {
            part =
                piece.region->ops->read(piece.region->opaque, piece.offset, piece.width) >> (8 * piece.skip);
        } else if (!counted) {
            count_unclaimed(bus, &bus->counters.unclaimed_reads, address + done);
            counted = true;
        }
        value |= (part & low_bytes(piece.bytes)) << (8 * done);
        done += piece.bytes;
    }
    return value;
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned width)
{
    const struct bus_region *region = bus_find(bus, address);

    if (is_direct(region, address, width))
        return region->ops->read(region->opaque, address - region->base, width) & low_bytes(width);
    return read_pieces(bus, address, width);
}
static __attribute__((noinline)) void write_pieces(struct bus *bus, uint64_t address, unsigned width,
                                                   uint64_t value)
{
    bool counted = false;
    width = MIN(width, 8u);
    for (unsigned done = 0; done < width;) {
        struct piece piece = next_piece(bus, address, done, width - done);
        if (piece.region && piece.bytes == piece.width) {
            uint64_t part = (value >> (8 * done)) & low_bytes(piece.bytes);
            piece.region->ops->write(piece.region->opaque, piece.offset, piece.width, part);
        } else if (!counted) {
            count_unclaimed(bus, &bus->counters.unclaimed_writes, address + done);
            counted = true;
        }
        done += piece.bytes;
    }
}

void bus_write(struct bus *bus, uint64_t address, unsigned width, uint64_t value)
{
    const struct bus_region *region = bus_find(bus, address);
    if (is_direct(region, address, width)) {
        region->ops->write(region->opaque, address - region->base, width, value & low_bytes(width));
        return;
    }
    write_pieces(bus, address, width, value);
}
