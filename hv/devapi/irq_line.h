/*
 * An interrupt line: a device owns the line and sets its level; who listens is wired in guest/. Level only,
 * never a pulse: edges are the receiver's to find. Setting an unchanged level does nothing.
 */
#ifndef HV_DEVAPI_IRQ_LINE_H
#define HV_DEVAPI_IRQ_LINE_H

#include "lib/base.h"

typedef void irq_line_sink(void *opaque, unsigned input, bool level);

struct irq_line {
    irq_line_sink *sink; /* NULL: not connected */
    void *opaque;
    unsigned input; /* which of the receiver's inputs */
    bool level;
};

static inline void irq_line_set(struct irq_line *line, bool level)
{
    if (line->level == level)
        return;
    line->level = level;
    if (line->sink)
        line->sink(line->opaque, line->input, level);
}

static inline void irq_line_connect(struct irq_line *line, irq_line_sink *sink, void *opaque, unsigned input)
{
    line->sink = sink;
    line->opaque = opaque;
    line->input = input;
}

#endif
