/* VGA text: registers and retrace. What it models, its sources and choices are in vga_text.h; the screen's
 * readers are in vga_text_screen.c. */
#include "devices/vga_text.h"

#include "lib/string.h"

/* 720x400 at 70 Hz: VESA DMT. */
#define DOT_HZ             28322000
#define DOTS_PER_LINE      900
#define DOTS_SHOWN         720
#define LINES_PER_FRAME    449
#define LINES_SHOWN        400
#define RETRACE_FIRST_LINE 412
#define RETRACE_LINES      2

#define STATUS1_BLANK       0x01
#define STATUS1_RETRACE     0x08
#define STATUS0_SENSE       0x10
#define CRTC_OVERFLOW       0x07
#define CRTC_RETRACE_END    0x11
#define CRTC_PROTECT        0x80 /* in CRTC_RETRACE_END: registers 0 to 7 are read only */
#define CRTC_LINE_COMPARE_8 0x10 /* in CRTC_OVERFLOW: not protected */
#define DAC_MASK            0x3f

/* "Register values for mode 3", as the video BIOS leaves them. */
static const uint8_t mode3_crtc[VGA_TEXT_CRTC] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                                  0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                                  0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t mode3_attribute[VGA_TEXT_ATTRIBUTE] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
                                                            0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
                                                            0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
static const uint8_t mode3_sequencer[VGA_TEXT_SEQUENCER] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_graphics[VGA_TEXT_GRAPHICS] = {0x00, 0x00, 0x00, 0x00, 0x00,
                                                          0x10, 0x0e, 0x00, 0xff};
#define MODE3_MISC_OUTPUT      0x67
#define PALETTE_ADDRESS_SOURCE 0x20

static uint8_t indexed_read(const uint8_t *registers, unsigned count, unsigned index)
{
    return index < count ? registers[index] : 0;
}

static void indexed_write(uint8_t *registers, unsigned count, unsigned index, uint8_t value)
{
    if (index < count)
        registers[index] = value;
}

/* ---- CRT controller, 3D4h and 3D5h
 * --------------------------------------------------------------------------------- */

static uint64_t crtc_port_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct vga_text *vga = opaque;

    (void)width;
    if (offset == 0)
        return vga->state.crtc_index;
    return indexed_read(vga->state.crtc, VGA_TEXT_CRTC, vga->state.crtc_index);
}

static void crtc_port_write(void *opaque, uint64_t offset, unsigned width, uint64_t bus_value)
{
    struct vga_text *vga = opaque;
    uint8_t value = (uint8_t)bus_value;
    uint8_t index = vga->state.crtc_index;

    (void)width;
    if (offset == 0) {
        vga->state.crtc_index = value;
        return;
    }
    if (vga->state.crtc[CRTC_RETRACE_END] & CRTC_PROTECT && index <= CRTC_OVERFLOW) {
        if (index != CRTC_OVERFLOW)
            return;
        value = (uint8_t)((vga->state.crtc[index] & ~CRTC_LINE_COMPARE_8) | (value & CRTC_LINE_COMPARE_8));
    }
    indexed_write(vga->state.crtc, VGA_TEXT_CRTC, index, value);
}

/* ---- input status 1 and feature control, 3DAh
 * ------------------------------------------------------------------------ */

static uint64_t status_port_read(void *opaque, uint64_t offset, unsigned width)
{
    struct vga_text *vga = opaque;
    uint64_t dot = grid_edges(&vga->dots, guest_clock_now(vga->clock)) % (DOTS_PER_LINE * LINES_PER_FRAME);
    unsigned line = (unsigned)dot / DOTS_PER_LINE;
    unsigned column = (unsigned)dot % DOTS_PER_LINE;
    uint64_t value = 0;

    (void)offset;
    (void)width;
    vga->state.attribute_data = 0;
    if (line >= LINES_SHOWN || column >= DOTS_SHOWN)
        value |= STATUS1_BLANK;
    if (line - RETRACE_FIRST_LINE < RETRACE_LINES)
        value |= STATUS1_RETRACE;
    return value;
}

static void status_port_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct vga_text *vga = opaque;

    (void)offset;
    (void)width;
    vga->state.feature_control = (uint8_t)value;
}

/* ---- palette DAC
 * --------------------------------------------------------------------------------------------------- */

/* 3C9h steps through red, green and blue, then to the next entry. */
static void dac_step(struct vga_text_dac *dac, uint8_t *index)
{
    if (++dac->component == 3) {
        dac->component = 0;
        (*index)++;
    }
}

static uint8_t dac_read(struct vga_text_dac *dac)
{
    uint8_t value = dac->palette[dac->read_index][dac->component];

    dac_step(dac, &dac->read_index);
    return value;
}

static void dac_write(struct vga_text_dac *dac, uint8_t value)
{
    dac->palette[dac->write_index][dac->component] = value & DAC_MASK;
    dac_step(dac, &dac->write_index);
}

static void dac_set_index(struct vga_text_dac *dac, uint8_t *index, uint8_t value, uint8_t mode)
{
    *index = value;
    dac->component = 0;
    dac->mode = mode;
}

/* The EGA's 64 colours: bits 2 to 0 are two thirds of red, green, blue, bits 5 to 3 the other third. */
static void dac_reset(struct vga_text_dac *dac)
{
    memset(dac, 0, sizeof(*dac));
    dac->mask = 0xff;
    for (unsigned colour = 0; colour < 64; colour++)
        for (unsigned i = 0; i < 3; i++)
            dac->palette[colour][i] = (uint8_t)((colour >> (2 - i) & 1) * 42 + (colour >> (5 - i) & 1) * 21);
}

/* ---- 3C0h to 3CFh
 * -------------------------------------------------------------------------------------------------- */

static void attribute_write(struct vga_text_state *state, uint8_t value)
{
    if (state->attribute_data)
        indexed_write(state->attribute, VGA_TEXT_ATTRIBUTE, state->attribute_index & 0x1f, value);
    else
        state->attribute_index = value & 0x3f;
    state->attribute_data ^= 1;
}

static uint64_t main_port_read(void *opaque, uint64_t offset, unsigned width)
{
    struct vga_text *vga = opaque;
    struct vga_text_state *state = &vga->state;

    (void)width;
    switch (offset) {
    case 0x0:
        return state->attribute_index;
    case 0x1:
        return indexed_read(state->attribute, VGA_TEXT_ATTRIBUTE, state->attribute_index & 0x1f);
    case 0x2:
        return STATUS0_SENSE;
    case 0x3:
        return state->enable;
    case 0x4:
        return state->sequencer_index;
    case 0x5:
        return indexed_read(state->sequencer, VGA_TEXT_SEQUENCER, state->sequencer_index);
    case 0x6:
        return state->dac.mask;
    case 0x7:
        return state->dac.mode;
    case 0x8:
        return state->dac.write_index;
    case 0x9:
        return dac_read(&state->dac);
    case 0xa:
        return state->feature_control;
    case 0xc:
        return state->misc_output;
    case 0xe:
        return state->graphics_index;
    case 0xf:
        return indexed_read(state->graphics, VGA_TEXT_GRAPHICS, state->graphics_index);
    default:
        return 0;
    }
}

static void main_port_write(void *opaque, uint64_t offset, unsigned width, uint64_t bus_value)
{
    struct vga_text *vga = opaque;
    struct vga_text_state *state = &vga->state;
    uint8_t value = (uint8_t)bus_value;

    (void)width;
    switch (offset) {
    case 0x0:
        attribute_write(state, value);
        break;
    case 0x2:
        state->misc_output = value;
        break;
    case 0x3:
        state->enable = value;
        break;
    case 0x4:
        state->sequencer_index = value;
        break;
    case 0x5:
        indexed_write(state->sequencer, VGA_TEXT_SEQUENCER, state->sequencer_index, value);
        break;
    case 0x6:
        state->dac.mask = value;
        break;
    case 0x7:
        dac_set_index(&state->dac, &state->dac.read_index, value, 3);
        break;
    case 0x8:
        dac_set_index(&state->dac, &state->dac.write_index, value, 0);
        break;
    case 0x9:
        dac_write(&state->dac, value);
        break;
    case 0xe:
        state->graphics_index = value;
        break;
    case 0xf:
        indexed_write(state->graphics, VGA_TEXT_GRAPHICS, state->graphics_index, value);
        break;
    default: /* 3C1h, 3CAh to 3CDh: read only or absent */
        break;
    }
}

/* ---- reset and state
 * ------------------------------------------------------------------------------------------------- */

static void vga_text_reset(void *opaque)
{
    struct vga_text *vga = opaque;
    struct vga_text_state *state = &vga->state;

    memset(state, 0, sizeof(*state));
    memcpy(state->crtc, mode3_crtc, sizeof(mode3_crtc));
    memcpy(state->attribute, mode3_attribute, sizeof(mode3_attribute));
    memcpy(state->sequencer, mode3_sequencer, sizeof(mode3_sequencer));
    memcpy(state->graphics, mode3_graphics, sizeof(mode3_graphics));
    state->attribute_index = PALETTE_ADDRESS_SOURCE;
    state->misc_output = MODE3_MISC_OUTPUT;
    state->enable = 1;
    dac_reset(&state->dac);
}

static void vga_text_restored(void *opaque)
{
    struct vga_text *vga = opaque;

    vga->state.attribute_data &= 1;
    vga->state.attribute_index &= 0x3f;
    if (vga->state.dac.component > 2)
        vga->state.dac.component = 0;
}

void vga_text_init(struct vga_text *vga, const struct guest_clock *clock, const uint8_t *ram)
{
    static const struct bus_ops main_ops = {main_port_read, main_port_write};
    static const struct bus_ops crtc_ops = {crtc_port_read, crtc_port_write};
    static const struct bus_ops status_ops = {status_port_read, status_port_write};

    memset(vga, 0, sizeof(*vga));
    vga->clock = clock;
    vga->ram = ram;
    grid_init(&vga->dots, guest_clock_hz(clock), DOT_HZ, 1);
    vga->ports[0] = (struct bus_region){.base = 0x3c0,
                                        .length = 16,
                                        .widths = 1,
                                        .ops = &main_ops,
                                        .opaque = vga,
                                        .name = "vga_text registers"};
    vga->ports[1] = (struct bus_region){
        .base = 0x3d4, .length = 2, .widths = 1, .ops = &crtc_ops, .opaque = vga, .name = "vga_text crtc"};
    vga->ports[2] = (struct bus_region){.base = 0x3da,
                                        .length = 1,
                                        .widths = 1,
                                        .ops = &status_ops,
                                        .opaque = vga,
                                        .name = "vga_text status"};
    vga->device = (struct device){.name = "vga_text",
                                  .opaque = vga,
                                  .reset = vga_text_reset,
                                  .state = &vga->state,
                                  .state_size = sizeof(vga->state),
                                  .state_version = VGA_TEXT_STATE_VERSION,
                                  .restored = vga_text_restored};
    vga_text_reset(vga);
}
