# shellcheck shell=bash
# Sourced by run-qemu.sh, run-tests.sh and the tools: messages, long commands that keep talking, missing tools.
#
# What a caller gets:
#   say TEXT...               one line on stderr, prefixed with the script's name
#   die TEXT...               the same, then exit 125 (no verdict: usage, missing tool)
#   watched LABEL LOG CMD...  run CMD with its output in LOG; a line at least every 8 s; on failure the end of LOG
#   need_tools PURPOSE...     make sure that the tools of these purposes are there (see tool_table); may install
# Variables that a caller sets: ME (name in messages), ASSUME_YES (0 or 1), VERGE_ROOT (the source tree).
# Nothing here is printed on stdout.

say() { printf '%s: %s\n' "$ME" "$*" >&2; }
die() { say "$*"; exit 125; }

# The end of a command's output, indented, so that it can't be taken for our own words.
show_tail() { tail -n "${2:-15}" -- "$1" 2>/dev/null | sed 's/^/    /' >&2; }

watched() {
    local label=$1 log=$2 pid began=$SECONDS shown=$SECONDS status=0
    shift 2
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    # What runs behind us must not outlive us.
    # shellcheck disable=SC2064 # the id of now
    trap "kill $pid 2>/dev/null; exit 125" INT TERM HUP
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - shown)) -ge 8 ]; then
            shown=$SECONDS
            say "$label: still at it after $((SECONDS - began)) s: $(tail -n 1 -- "$log" 2>/dev/null | cut -c1-90)"
        fi
    done
    wait "$pid" || status=$?
    trap - INT TERM HUP
    if [ "$status" -ne 0 ]; then
        say "$label failed (status $status); the end of $log:"
        show_tail "$log"
    fi
    return "$status"
}

# A Python 3 with the named modules. Debian's first: one in PATH may be a private build that lacks Debian's modules.
find_python() {
    local candidate import="import sys"
    for module in "$@"; do import="$import, $module"; done
    for candidate in /usr/bin/python3 python3 /usr/local/bin/python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c "$import" >/dev/null 2>&1; then
            # The real program, not a launcher in front of it that starts slowly and by the current directory.
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

# Probes for what no command's name tells. Each is silent and true if the thing can be used.
have_file() { [ -r "$1" ]; } # a pattern may have given it
have_command() { command -v "$1" >/dev/null 2>&1; }
have_python() { find_python "$@" >/dev/null; }
have_header() { have_command gcc && printf '#include <%s>\n' "$@" | gcc -E -x c - >/dev/null 2>&1; }
have_libc() { have_header stdio.h; }
have_cmocka() { have_header stdarg.h stddef.h setjmp.h stdint.h cmocka.h; }
have_fuzzer() {
    have_command clang || return 1
    local dir
    dir=$(mktemp -d) || return 1
    printf '%s\n' '#include <stddef.h>' 'int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n);' \
        'int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { (void)d; return n > 1000; }' >"$dir/f.c"
    clang -fsanitize=fuzzer "$dir/f.c" -o "$dir/f" >/dev/null 2>&1
    local status=$?
    rm -rf "$dir"
    return "$status"
}

# purpose | probe | Debian package. One line for each thing; a purpose is what a script asks for.
tool_table() {
    cat <<'TABLE'
qemu|have_command qemu-system-x86_64|qemu-system-x86
image|have_command grub-mkimage|grub-common
image|have_file /usr/lib/grub/i386-pc/boot.img|grub-pc-bin
image|have_file /usr/lib/grub/x86_64-efi/multiboot2.mod|grub-efi-amd64-bin
image|have_command mformat|mtools
image|have_command xorriso|xorriso
uefi|have_file /usr/share/OVMF/OVMF_CODE_4M.fd|ovmf
efi|have_file /usr/lib/crt0-efi-x86_64.o|gnu-efi
efi|have_command sbsign|sbsigntool
bochs|have_command bochs-bin|bochs
bochs|have_file /usr/lib/*/bochs/plugins/libbx_term_gui.so|bochs-term
bochs|have_file /usr/share/bochs/BIOS-bochs-latest|bochsbios
bochs|have_file /usr/share/vgabios/vgabios.bin|vgabios
run|have_python termios select socket|python3
build|have_command make|make
build|have_command gcc|gcc
build|have_command ld|binutils
build|have_command nasm|nasm
test|have_libc|libc6-dev
test|have_cmocka|libcmocka-dev
test|have_header Zydis/Zydis.h|libzydis-dev
test|have_header capstone/capstone.h|libcapstone-dev
test|have_header unicorn/unicorn.h|libunicorn-dev
test|have_command clang|clang
test|have_fuzzer|libclang-rt-14-dev
test|have_python pytest|python3-pytest
test|have_python pytest pexpect|python3-pexpect
test|have_command shellcheck|shellcheck
test|have_command gcovr|gcovr
test|have_command stty|coreutils
long|have_command debootstrap|debootstrap
TABLE
}

# Sets MISSING to the packages that the given purposes lack, in the table's order.
find_missing() {
    local purpose probe package wanted=" $* "
    MISSING=()
    while IFS='|' read -r purpose probe package; do
        case $wanted in *" $purpose "*) ;; *) continue ;; esac
        # shellcheck disable=SC2086 # a probe is a command with its arguments
        $probe || MISSING+=("$package")
    done < <(tool_table)
}

install_command() { # the one line a person can type
    local sudo='' update='apt-get update'
    [ "$(id -u)" -eq 0 ] || sudo='sudo '
    printf '%s%s && %sapt-get install -y --no-install-recommends %s' "$sudo" "$update" "$sudo" "${MISSING[*]}"
}

install_size() { # "12.3 MB to download, 45 MB on disk", or nothing when apt does not know the packages yet
    # Without --print-uris, apt-get installs a package that needs no further one without asking, whatever the answer would be.
    LC_ALL=C apt-get --assume-no --print-uris -o Debug::NoLocking=1 install --no-install-recommends "${MISSING[@]}" 2>/dev/null |
        sed -nE 's|^Need to get ([^/]*)(/.*)? of archives\.$|\1 to download|p
                 s|^After this operation, (.*) of additional disk space will be used\.$|, \1 on disk|p' | tr -d '\n'
}

# Reads a yes from the terminal. Only called with one.
ask() {
    local answer
    printf '%s [y/N] ' "$1" >&2
    read -r answer || return 1
    case $answer in [yY] | [yY][eE][sS]) return 0 ;; esac
    return 1
}

install_missing() {
    local sudo=() log
    log=$(mktemp) || die "no temporary file can be made"
    if [ "$(id -u)" -ne 0 ]; then
        have_command sudo || die "this needs root and there is no sudo; as root: $(install_command)"
        sudo=(sudo)
        # A password is asked for here, in the open, not behind the log of a running apt-get.
        sudo -v >&2 || die "sudo refused; as root: $(install_command)"
    fi
    watched "apt-get update" "$log" "${sudo[@]}" apt-get update ||
        say "going on with the package lists that are there"
    watched "apt-get install" "$log" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${MISSING[@]}" || {
        rm -f "$log"
        die "the packages could not be installed; try: $(install_command)"
    }
    rm -f "$log"
}

need_tools() {
    local size wanted=("$@")
    find_missing "$@"
    [ ${#MISSING[@]} -gt 0 ] || return 0
    if ! have_command apt-get; then
        say "missing, by Debian's package names: ${MISSING[*]}"
        die "this is no Debian system: install what provides them (a guest kernel is given with --kernel F)"
    fi
    size=$(install_size) # apt's status is that of the answer no
    say "missing packages: ${MISSING[*]} (${size:-size unknown before apt-get update})"
    if [ "$ASSUME_YES" -eq 1 ] || { [ -n "${CI:-}" ] && [ "$(id -u)" -eq 0 ]; }; then
        install_missing
    elif [ -t 0 ] && [ -t 2 ]; then
        ask "$ME: install them now?" || die "nothing installed; the command is: $(install_command)"
        install_missing
    else
        die "install them with: $(install_command)"
    fi
    hash -r
    find_missing "${wanted[@]}"
    [ ${#MISSING[@]} -eq 0 ] || die "installed, yet still not usable: ${MISSING[*]}"
    say "the missing packages are installed"
}
