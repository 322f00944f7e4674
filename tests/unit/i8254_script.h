/*
 * Waveforms as text, read like the figures of the 8254's datasheet. Channel 0, 11 guest cycles per CLK;
 * everything is done in the middle of a CLK period.
 *
 *   cXX    write XX to port 43h              wXX    write XX to port 40h           g0 g1  gate low, high
 *   rXX    reading port 40h gives XX         =0 =1  OUT is low, high now           nD     D more CLKs
 * (decimal) XX/O   one CLK; then port 40h reads XX and OUT is O           -/O    one CLK; then OUT is O
 *
 * Each script runs four times: OUT listened to or not, saved and restored before each token or not.
 */
#ifndef TESTS_UNIT_I8254_SCRIPT_H
#define TESTS_UNIT_I8254_SCRIPT_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/i8254_bench.h"

#define SCRIPT_CLK_CYCLES 11

static struct bench script_bench;

static void script_check(const char *script, size_t at, unsigned got, unsigned want)
{
    if (got == want)
        return;
    fprintf(stderr, "at token %zu of \"%s\": %X, not %X\n", at, script, got, want);
    fail();
}

static void script_token(struct bench *bench, const char *script, size_t at, const char *token)
{
    unsigned hex = token[0] ? (unsigned)strtoul(token + 1, NULL, 16) : 0;
    const char *slash = strchr(token, '/');

    if (slash) {
        guest_clock_advance(&bench->clock, bench->clock.now + SCRIPT_CLK_CYCLES);
        if (token[0] != '-')
            script_check(script, at, bench_in(bench, 0x40), (unsigned)strtoul(token, NULL, 16));
        token = slash;
        hex = (unsigned)(slash[1] - '0');
    }
    switch (token[0]) {
    case 'c':
        bench_out(bench, 0x43, hex);
        break;
    case 'w':
        bench_out(bench, 0x40, hex);
        break;
    case 'g':
        i8254_set_gate(&bench->pit, 0, hex);
        break;
    case 'r':
        script_check(script, at, bench_in(bench, 0x40), hex);
        break;
    case 'n':
        guest_clock_advance(&bench->clock,
                            bench->clock.now + strtoul(token + 1, NULL, 10) * SCRIPT_CLK_CYCLES);
        break;
    case '=':
    case '/':
        script_check(script, at, i8254_out(&bench->pit, 0), hex);
        if (bench->listened[0])
            script_check(script, at, bench->pin[0].level, hex);
        break;
    default:
        fail_msg("unknown token %s", token);
    }
}

static void script_run(const char *script)
{
    for (unsigned variant = 0; variant < 4; variant++) {
        struct bench *bench = &script_bench;
        char copy[200];
        size_t at = 0;

        assert_true(strlen(script) < sizeof(copy));
        strcpy(copy, script);
        bench_init(bench, 13125000, variant & 1);
        guest_clock_advance(&bench->clock, SCRIPT_CLK_CYCLES * 1000 + SCRIPT_CLK_CYCLES / 2);
        for (char *token = strtok(copy, " "); token; token = strtok(NULL, " ")) {
            if (variant & 2)
                bench_save_restore(bench);
            script_token(bench, script, ++at, token);
        }
    }
}

#endif
