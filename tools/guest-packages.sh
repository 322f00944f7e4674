#!/bin/bash
# Fetches the default guest into build/guest without root: Debian's cloud kernel and a static busybox, unpacked from
# their packages and never installed, and packs the initramfs. What is there already is not fetched again.
#
#   tools/guest-packages.sh                     make build/guest/vmlinuz and build/guest/initramfs.cpio.gz
#   tools/guest-packages.sh --package NAME...   also unpack these packages, each under build/guest/NAME
#
# Status 0: all there. 1: something can't be had (no network and no copy), said in a line each.
# Needs apt-get and dpkg-deb; without root and without package lists it keeps lists of its own under build/apt.
set -u -o pipefail

VERGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 125
ME=${ME:-guest-packages}
# shellcheck source=tools/sh-common.sh
. "$VERGE_ROOT/tools/sh-common.sh"

guest_dir=$VERGE_ROOT/build/guest
lists=()

# Packages named after --package.
extra=()
while [ $# -gt 0 ]; do
    case $1 in
    --package) shift; [ $# -gt 0 ] || die "--package needs a name"; extra+=("$1") ;;
    *) die "unknown option $1" ;;
    esac
    shift
done

# apt-get with lists of our own once the system's prove useless: needs no root.
use_own_lists() {
    local apt=$VERGE_ROOT/build/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || return 1
    lists=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Debug::NoLocking=1)
    watched "reading Debian's package lists" "$guest_dir/apt.log" \
        apt-get "${lists[@]}" -o APT::Sandbox::User="$(id -un)" update
}

known() { [ -n "$(apt-cache "${lists[@]}" show --no-all-versions "$1" 2>/dev/null)" ]; }

# The newest real package behind a meta-package such as linux-image-cloud-amd64.
kernel_package() {
    LC_ALL=C apt-cache "${lists[@]}" depends linux-image-cloud-amd64 2>/dev/null |
        sed -nE 's/^ *Depends: (linux-image-[0-9].*-cloud-amd64)$/\1/p' | head -n 1
}

package_size() {
    apt-cache "${lists[@]}" show --no-all-versions "$1" 2>/dev/null |
        awk '/^Size:/ { printf "%.1f MB\n", $2 / 1e6; exit }'
}

# Interrupted: nothing half done stays, and nothing is tried again.
work=''
trap 'rm -rf "$work"; exit 130' INT TERM HUP

# fetch PACKAGE DIR: download and unpack; DIR appears only when whole.
fetch() {
    local package=$1 dir=$2
    work=$(mktemp -d "$guest_dir/fetch.XXXXXX") || return 1
    chmod 755 "$work"
    say "fetching $package ($(package_size "$package"))"
    # As root, apt would drop to a user that may not write here.
    if (cd "$work" && watched "downloading $package" ../apt.log \
        apt-get "${lists[@]}" -o APT::Sandbox::User="$(id -un)" download "$package") &&
        dpkg-deb -x "$work"/*.deb "$work/root" 2>>"$guest_dir/apt.log"; then
        rm -rf "$dir" && mv "$work/root" "$dir" && rm -rf "$work" && return 0
    fi
    rm -rf "$work"
    say "$package could not be fetched (no network?)"
    return 1
}

# get PACKAGE DIR: fetch, with lists of our own when the system has none or stale ones.
get() {
    known "$1" && fetch "$1" "$2" && return 0
    [ ${#lists[@]} -eq 0 ] || return 1
    use_own_lists && known "$1" && fetch "$1" "$2"
}

# The name of the newest kernel that was unpacked and is not empty; nothing when there is none.
newest_kernel() {
    find "$guest_dir/linux/boot" -name 'vmlinuz-*' -size +0 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1
}

get_kernel() {
    local package image
    if [ -z "$(newest_kernel)" ]; then
        package=$(kernel_package)
        if [ -z "$package" ] && [ ${#lists[@]} -eq 0 ]; then use_own_lists; package=$(kernel_package); fi
        [ -n "$package" ] || { say "no linux-image-cloud-amd64 in the package lists"; return 1; }
        if ! get "$package" "$guest_dir/linux"; then
            # A stale list names a kernel that the archive has replaced.
            package=$(kernel_package)
            [ -n "$package" ] && get "$package" "$guest_dir/linux" || return 1
        fi
    fi
    image=linux/boot/$(newest_kernel)
    [ "$(readlink "$guest_dir/vmlinuz")" = "$image" ] || ln -sfn "$image" "$guest_dir/vmlinuz"
}

get_initramfs() {
    local python
    [ -x "$guest_dir/busybox-static/bin/busybox" ] || get busybox-static "$guest_dir/busybox-static" || return 1
    python=$(find_python zlib) || { say "no python3"; return 1; }
    "$python" "$VERGE_ROOT/tools/mkinitramfs.py" "$guest_dir/busybox-static/bin/busybox" \
        "$VERGE_ROOT/tools/guest-root" "$guest_dir/initramfs.cpio.gz"
}

mkdir -p "$guest_dir" || die "cannot write under $VERGE_ROOT/build"
status=0
get_kernel || status=1
get_initramfs || status=1
for package in "${extra[@]}"; do
    [ -d "$guest_dir/$package" ] || get "$package" "$guest_dir/$package" || status=1
done
exit "$status"
