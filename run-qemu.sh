#!/bin/bash
# Runs Verge with its guests under QEMU, or under Bochs. `./run-qemu.sh` alone gives an unmodified Debian kernel with a shell, on
# guest time, under QEMU.
# Here: options, missing tools, the image, the default guest, what the accelerator may be. Then tools/run_emulator.py.
# stdout carries the guest's bytes only; all else goes to stderr. Exit codes: see usage.
set -u -o pipefail

VERGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 125
ME=run-qemu
ASSUME_YES=0
# shellcheck source=tools/sh-common.sh
. "$VERGE_ROOT/tools/sh-common.sh" || exit 125

usage() {
    cat <<'USAGE'
./run-qemu.sh [options] [-- more emulator arguments]     run Verge and its guests in an emulator

Guest (without any: Debian's kernel with a busybox shell; fetched once, kept under build/guest):
  --kernel F          a Linux bzImage or a Multiboot kernel (`debian`: the default one)
  --initrd F          its initial RAM disk (`debian`: the default one)
  --append S          its command line (default for Debian: console=ttyS0)
  --mem SIZE          its memory, such as 256M
  --vm "LINE"         a guest in verge.cfg's syntax; repeat it for several guests:
                      vm=NAME kernel=FILE initrd=FILE key=value ... -- guest command line
  --clock             the built-in clock guest
Verge and the machine:
  --hv "WORDS"        words for the hypervisor, such as "slice=1ms timer=periodic:100"
  --cpu amd|intel     the processor: SVM under QEMU, VT-x under Bochs
  --accel auto|tcg|kvm|bochs
                      auto and tcg: exact in guest cycles, idle in real time. kvm: fast, as exact as the host allows.
                      bochs: another emulator, 50 MHz, fully deterministic; an instruction takes a tick, idle passes
                      at once; a minute to a Linux shell. auto with intel
  --icount [N]        fully deterministic: the guests' output is the same each time; an instruction takes 2^N ticks
  --no-icount         QEMU without instruction counting: deadlines land late
  --iso               start from verge.iso in a CD drive, by GRUB, not directly
  --usb               start from verge.img on a USB stick; with --iso: from verge.iso on one
  --uefi              under UEFI firmware, with --iso or --usb
  --smp N             processors
  --gdb [PORT]        wait for a debugger of Verge itself at QEMU's own gdb stub (default port 1234)
  --timeout S         give up after S seconds of real time
Output (stdout: the guest's bytes; stderr: Verge's lines and this script's):
  --log FILE          a copy of Verge's lines
  --screen FILE       the guest's text screen at the end
Else:
  --demo              tick errors of the clock guest: alone and beside a spinner, one-shot and coarse tick
  --yes               install missing tools without asking
  --help              this

On a terminal: Ctrl-C goes to the guest, Ctrl-A x ends Verge, Ctrl-A h helps, Ctrl-] x ends the emulator whatever hangs.
Exit code: the guests' highest (0 power-off, N written to port f4h, 121 halted, 122 reset, 126 crash);
124 time-out, 125 no verdict (Verge failed, bad usage, missing tool).
USAGE
}

# ---- options -----------------------------------------------------------------------------------------------------------
cpu=amd accel=auto icount='' kernel='' initrd='' mem='' smp=1 timeout='' log='' screen='' gdb='' hv='' clock=0 demo=0
medium=()
has_append=0 append=''
vms=() extra=()

# Stops when the option $1 has no value; $2 is the number of words left, the option included.
value_of() { [ "$2" -ge 2 ] || die "$1 needs a value; see --help"; }
is_number() { case $1 in '' | *[!0-9]* | ???????*) return 1 ;; esac; }
in_range() { is_number "$1" && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }

while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --yes) ASSUME_YES=1 ;;
    --demo) demo=1 ;;
    --clock) clock=1 ;;
    --iso | --usb | --uefi) medium+=("$1") ;;
    --no-icount) [ -z "$icount" ] || die "--icount and --no-icount exclude each other"; icount=off ;;
    --icount)
        [ -z "$icount" ] || die "--icount and --no-icount stand once, and not together"
        icount=0
        if is_number "${2:-}"; then icount=$2; shift; fi
        in_range "$icount" 0 10 || die "--icount $icount: 0 to 10"
        ;;
    --gdb)
        gdb=1234
        if is_number "${2:-}"; then gdb=$2; shift; fi
        in_range "$gdb" 1 65535 || die "--gdb $gdb: a port is 1 to 65535"
        ;;
    --append) value_of "$1" $#; has_append=1 append=$2; shift ;;
    --kernel | --initrd | --mem | --hv | --vm | --cpu | --accel | --smp | --timeout | --log | --screen)
        value_of "$1" $#
        [ -n "$2" ] || die "$1 needs a value; see --help"
        case $1 in
        --kernel) kernel=$2 ;;
        --initrd) initrd=$2 ;;
        --mem) mem=$2 ;;
        --hv) hv="${hv:+$hv }$2" ;;
        --vm) vms+=("$2") ;;
        --cpu) cpu=$2 ;;
        --accel) accel=$2 ;;
        --smp) smp=$2 ;;
        --timeout) timeout=$2 ;;
        --log) log=$2 ;;
        --screen) screen=$2 ;;
        esac
        shift
        ;;
    --) shift; extra=("$@"); break ;;
    *) die "unknown option $1; see --help" ;;
    esac
    shift
done

single=$kernel$initrd$mem
[ $has_append -eq 0 ] || single+=yes
case $cpu:$accel in
amd:auto | amd:tcg | amd:kvm | amd:bochs | intel:kvm | intel:bochs) ;;
intel:auto) accel=bochs ;;
intel:tcg) die "--cpu intel: QEMU emulates no VT-x; leave out --accel $accel: Bochs does" ;;
amd:* | intel:*) die "--accel $accel: auto, tcg, kvm or bochs" ;;
*) die "--cpu $cpu: amd or intel" ;;
esac
case $accel:$icount in
kvm:?*) die "--accel kvm has no instruction counting: leave out --icount and --no-icount" ;;
bochs: | bochs:0) [ -z "$gdb" ] || die "--gdb is QEMU's: not with Bochs" ;;
bochs:*) die "Bochs always counts one tick for an instruction: leave out --icount N and --no-icount" ;;
esac
[ $demo -eq 0 ] || [ -z "$single${vms[*]-}$hv$icount$timeout$log$screen$gdb${extra[*]-}${medium[*]-}" ] || die "--demo stands alone"
case "${medium[*]}:$accel" in
:* | *--iso*:[!b]* | *--usb*:[!b]*) ;;
*:bochs) die "${medium[*]} is QEMU's: not with Bochs" ;;
*) die "--uefi goes with --iso or --usb" ;;
esac
in_range "$smp" 1 64 || die "--smp $smp: 1 to 64"
[[ -z $timeout || ($timeout =~ ^[0-9]+(\.[0-9]+)?$ && $timeout =~ [1-9]) ]] || die "--timeout $timeout: seconds, such as --timeout 60"
[ ${#vms[@]} -eq 0 ] || [ -z "$single" ] || die "--vm describes whole guests: --kernel, --initrd, --append and --mem go into its line"
[ $clock -eq 0 ] || [ -z "$single${vms[*]-}" ] || die "--clock is the whole guest: no --kernel, --initrd, --append, --mem or --vm with it"

# A closed descriptor would be taken by the next file that is opened.
{ : <&0; } 2>/dev/null || exec </dev/null
{ : >&1; } 2>/dev/null || exec >/dev/null
{ : >&2; } 2>/dev/null || exec 2>/dev/null

# ---- tools and image ---------------------------------------------------------------------------------------------------
emulator=qemu
[ "$accel" != bochs ] || emulator=bochs
purposes=("$emulator" run build)
[ ${#medium[@]} -eq 0 ] || purposes+=(image)
case " ${medium[*]} " in *" --uefi "*) purposes+=(uefi) ;; esac
need_tools "${purposes[@]}"
python=$(find_python termios select socket) || die "no usable python3"

# VERGE_IMAGE names an image that is not to be built: an older one, or a test's stand-in.
image=${VERGE_IMAGE:-}
if [ -z "$image" ]; then
    image=$VERGE_ROOT/build/verge.elf32
    mkdir -p "$VERGE_ROOT/build" || die "cannot write under $VERGE_ROOT"
    if ! make -s -q -C "$VERGE_ROOT" build/verge.elf32 >/dev/null 2>&1; then
        say "building build/verge.elf32"
        watched "make" "$VERGE_ROOT/build/make.log" make -j"$(nproc 2>/dev/null || echo 1)" -C "$VERGE_ROOT" build/verge.elf32 || exit 125
    fi
fi
[ -r "$image" ] || die "$image: no such image"

if [ $demo -eq 1 ]; then
    [ -x "$VERGE_ROOT/tools/demo.sh" ] || die "--demo is not built yet"
    exec "$VERGE_ROOT/tools/demo.sh"
fi

# ---- the default guest -------------------------------------------------------------------------------------------------
default_kernel=$VERGE_ROOT/build/guest/vmlinuz default_initrd=$VERGE_ROOT/build/guest/initramfs.cpio.gz

wants_debian() {
    if [ $clock -eq 1 ]; then return 1; fi
    if [ ${#vms[@]} -eq 0 ]; then
        [ -z "$kernel" ] || [ "$kernel" = debian ] || [ "$initrd" = debian ]
        return
    fi
    case " ${vms[*]} " in *[=\"]debian[\"\ ]*) return 0 ;; esac
    return 1
}

describe() {
    if [ $clock -eq 1 ]; then echo "the built-in clock guest"
    elif [ ${#vms[@]} -gt 0 ]; then echo "${#vms[@]} by --vm"
    elif [ "$kernel" = debian ] || [ "$kernel" = "$default_kernel" ]; then
        echo "Debian's kernel $(readlink "$default_kernel" | sed 's/.*vmlinuz-//') with a busybox shell"
    else echo "$kernel"; fi
}

if wants_debian; then
    fetched=0
    if have_command apt-get && have_command dpkg-deb; then
        ME=$ME "$VERGE_ROOT/tools/guest-packages.sh" || fetched=$?
        [ "$fetched" -ne 130 ] || exit 125
    else
        say "no apt-get here: Debian's kernel can't be fetched; give one with --kernel F --initrd F"
        fetched=1
    fi
    if [ ! -r "$default_kernel" ] || [ ! -r "$default_initrd" ]; then
        [ -z "$single${vms[*]-}" ] || die "the default kernel or initramfs is needed and can't be had"
        say "Debian's kernel is not there: the built-in clock guest runs instead"
        clock=1
    elif [ "$fetched" -ne 0 ]; then
        say "using the copies under build/guest"
    fi
fi
if [ $clock -eq 0 ] && [ ${#vms[@]} -eq 0 ] && [ -z "$kernel" ]; then
    kernel=$default_kernel initrd=${initrd:-$default_initrd}
fi
if [ "$kernel" = debian ] || [ "$kernel" = "$default_kernel" ]; then
    if [ $has_append -eq 0 ]; then has_append=1 append=console=ttyS0; fi
fi

# ---- accelerator -------------------------------------------------------------------------------------------------------
check_kvm() {
    local nested
    grep -qE '^flags.*\b(svm|vmx)\b' /proc/cpuinfo || die "--accel kvm: neither svm nor vmx in /proc/cpuinfo: this CPU can't run a hypervisor in a guest"
    nested=$(cat /sys/module/kvm_amd/parameters/nested /sys/module/kvm_intel/parameters/nested 2>/dev/null)
    case $nested in *1* | *Y*) ;; *) die "--accel kvm: nesting is off (the parameter nested of kvm_amd or kvm_intel)" ;; esac
    { : <>/dev/kvm; } 2>/dev/null || die "--accel kvm: /dev/kvm can't be opened (are you in the group kvm?)"
    [ "$cpu" = amd ] || grep -qE '^flags.*\bvmx\b' /proc/cpuinfo || die "--accel kvm --cpu intel: this host's CPU has no VT-x"
    echo quit | timeout 10 qemu-system-x86_64 -accel kvm -cpu host -M q35 -nodefaults -display none -S -monitor stdio \
        >/dev/null 2>&1 || die "--accel kvm: a trial start of QEMU failed"
}

case $accel:$icount in
bochs:*) mode=bochs; how="deterministic: 50 MHz, an instruction takes a tick" ;;
kvm:*) check_kvm; mode=kvm; how="KVM: as exact as this host allows" ;;
*:off) mode=tcg; how="TCG without icount"; say "warning: without icount deadlines land 10 us to 8 ms late; figures mean nothing" ;;
*:) mode="icount-idle"; how="TCG with icount: exact in guest cycles, idle in real time" ;;
*) mode=icount; how="TCG with icount shift=$icount: deterministic" ;;
esac
shift_by=0
if is_number "$icount"; then shift_by=$icount; fi

emulator_version() {
    if [ "$emulator" = bochs ]; then bochs-bin --help 2>/dev/null | sed -n 's/^ *Bochs x86 Emulator \([^ ]*\).*/Bochs \1/p'
    else qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/^QEMU emulator version \([^ ]*\).*/QEMU \1/p'; fi
}
say "$(emulator_version), $how"
say "guest: $(describe)"
if [ -t 0 ]; then say "Ctrl-A x ends Verge, Ctrl-] x ends the emulator; Ctrl-C goes to the guest"; fi
if [ -n "$gdb" ]; then say "QEMU waits for a debugger of Verge itself: gdb build/verge.elf -ex 'target remote :$gdb'"; fi

arguments=(--me "$ME" --image "$image" --cpu "$cpu" --accel "$mode" --shift "$shift_by" --smp "$smp" --hv="$hv" "${medium[@]}")
for line in "${vms[@]}"; do arguments+=(--vm="$line"); done
[ $clock -eq 1 ] || [ -z "$kernel" ] || arguments+=(--kernel="$kernel")
[ -z "$initrd" ] || arguments+=(--initrd="$initrd")
[ $has_append -eq 0 ] || arguments+=(--append="$append")
[ -z "$mem" ] || arguments+=(--mem="$mem")
[ ! -r "$default_kernel" ] || arguments+=(--default-kernel="$default_kernel" --default-initrd="$default_initrd")
[ -z "$timeout" ] || arguments+=(--timeout="$timeout")
[ -z "$log" ] || arguments+=(--log="$log")
[ -z "$screen" ] || arguments+=(--screen="$screen")
[ -z "$gdb" ] || arguments+=(--gdb="$gdb")
exec "$python" "$VERGE_ROOT/tools/run_emulator.py" "${arguments[@]}" -- "${extra[@]}"
