#!/bin/bash
# Writes a boot image to a USB stick:  write-usb.sh DEVICE IMAGE
# Shows the device, refuses what is no whole disk, is in use or too small, and asks before it overwrites it. `make usb DEV=/dev/sdX`.
set -u -o pipefail

VERGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 125
ME=${ME:-write-usb}
# shellcheck source=tools/sh-common.sh
. "$VERGE_ROOT/tools/sh-common.sh" || exit 125

[ $# -eq 2 ] || die "usage: make usb DEV=/dev/sdX"
device=$1 image=$2
[ -n "$device" ] || die "DEV= names the stick, such as make usb DEV=/dev/sdX; lsblk lists all disks"
[ -b "$device" ] || die "$device is no block device; lsblk lists all disks"
device=$(readlink -f -- "$device")
read -r kind size < <(lsblk --nodeps --noheadings --bytes --output TYPE,SIZE "$device") || die "$device: lsblk does not know it"
case $kind in
disk | loop) ;;
*) die "$device is a $kind, not a whole disk: leave out the partition's number" ;;
esac
used=$(lsblk --noheadings --output MOUNTPOINTS "$device" | tr -s ' \n' ' ')
[ -z "${used// /}" ] || die "$device is in use at $used: unmount it first"
[ "$size" -ge "$(stat -c %s -- "$image")" ] || die "$device is too small: $size bytes"

say "everything on this device will be lost:"
lsblk --output NAME,SIZE,TYPE,MODEL,LABEL "$device" >&2
printf '%s: type %s to go on: ' "$ME" "$device" >&2
read -r answer || answer=
[ "$answer" = "$device" ] || die "nothing written"
dd if="$image" of="$device" bs=4M conv=fsync status=none || die "writing to $device failed (as root?)"
cmp -n "$(stat -c %s -- "$image")" -- "$image" "$device" || die "$device does not hold what was written: the stick is bad"
say "done: $device boots Verge"
