#!/usr/bin/env bash
# ./run-qemu.sh --demo: how far the clock guest's 1000 Hz ticks land from their place, alone and beside a spinner, with Verge's one-shot and with
# the coarse host tick of old (timer=periodic:100). A table of ten lines on stdout; what is going on on stderr.
set -u
cd "$(dirname "$0")/.." || exit 125

seconds=1
clock="vm=clock kernel=build/guests/clock.elf32 mem=16M idle=wait rtc=2000-01-01T00:00:00 -- seconds=$seconds"
spinner="vm=spinner kernel=build/guests/timing.elf32 mem=16M -- spin seconds=2"

make -s guests >/dev/null || exit 125

# run TIMER [spinner]: prints the clock guest's summary line.
run() {
    local timer=$1 arguments=(--icount --timeout 60 --hv "slice=1ms timer=$1" --vm "$clock")
    [ $# -eq 1 ] || arguments+=(--vm "$spinner")
    echo "demo: timer=$timer${2:+, beside a $2} ..." >&2
    ./run-qemu.sh "${arguments[@]}" </dev/null 2>/dev/null | tr -d '\r' | sed -n 's/^\(clock| \)*demo //p'
}

row() { # row TIMER NEIGHBOUR LINE
    local ticks='' max_error_cycles='' mean='' within1pct='' lost='' field
    for field in $3; do
        case "$field" in
        ticks=*) ticks=${field#*=} ;;
        max_error_cycles=*) max_error_cycles=${field#*=} ;;
        mean=*) mean=${field#*=} ;;
        within1pct=*) within1pct=${field#*=} ;;
        lost=*) lost=${field#*=} ;;
        esac
    done
    [ -n "$ticks" ] || { echo "demo: no figures for timer=$1" >&2; exit 125; }
    printf '%-14s %-10s %7s %7s %16s %16s %10s %%\n' "$1" "$2" "$ticks" "$lost" "$mean" "$max_error_cycles" "$within1pct"
}

one=$(run oneshot) two=$(run oneshot spinner) three=$(run periodic:100) four=$(run periodic:100 spinner)
echo "Ticks of a 1000 Hz PIT over $seconds s of guest time (1,000,000 cycles a tick), in the guest's own cycles:"
echo
printf '%-14s %-10s %7s %7s %16s %16s %12s\n' timer beside ticks lost 'mean error' 'largest error' 'within 1 %'
row oneshot nobody "$one"
row oneshot spinner "$two"
row periodic:100 nobody "$three"
row periodic:100 spinner "$four"
echo
echo "oneshot: each tick on its cycle, whoever else runs. periodic:100: what a 10 ms host tick makes of it."
