#!/usr/bin/env bash
# fsck.exfat -n calls a volume clean whose boot sector says that it was not unmounted.
#
# Guess from memory: like e2fsck, xfs_repair and fsck.fat, the checker of exFAT says when a volume was not
# unmounted, at least when it is asked to look only.
# Behaviour (exfatprogs 1.2.0 of Debian 12): where the structures are in order, "-n" prints "clean" and ends
# with 0, whatever the VolumeDirty flag says (exFAT specification, 3.1.13.2). dump.exfat does not show the flag either.
# Why it matters: a program that reads the allocation bitmap of a volume, to copy what is used, has to know
# whether its last writes have arrived. The checker's word is not enough; the flag has to be read.
#
# Output seen:
#   flag not set: clean, status 0
#   flag set: clean, status 0
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get --quiet=2 download exfatprogs=1.2.0-1+deb12u1 2>/dev/null
dpkg-deb --extract exfatprogs_*.deb tools
PATH="$work/tools/sbin:$work/tools/usr/sbin:$PATH"

truncate --size=32M volume
mkfs.exfat volume >/dev/null

check() { # what the flag is
    local status=0 said
    said=$(fsck.exfat -n volume) || status=$?
    grep --quiet ': clean\. ' <<<"$said" && said=clean || said="not called clean"
    echo "$1: $said, status $status"
}
found=$(check "flag not set")
# VolumeFlags are two bytes at 106; VolumeDirty is bit 1.
printf '\x02' | dd of=volume bs=1 seek=106 conv=notrunc status=none
found+=$'\n'$(check "flag set")

echo "$found"
expected=$'flag not set: clean, status 0\nflag set: clean, status 0'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
