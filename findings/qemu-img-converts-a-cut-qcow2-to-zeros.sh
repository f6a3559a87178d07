#!/usr/bin/env bash
# qemu-img convert reads zeros where a qcow2 file was cut, and ends with 0.
#
# Guess from memory: a qcow2 of which half is missing, as a broken download leaves it, makes "qemu-img convert" fail
# with an input/output error at the first cluster that lies behind the file's end.
# Behaviour (qemu-utils 7.2 of Debian 12): what lies behind the end of the file reads as zeros, since the layer below the
# format is a file that has none there. The conversion says nothing and ends with 0; "qemu-img info" and "map" neither. Only
# "qemu-img check", which compares the clusters' places with the file's size, finds it. Of a compressed qcow2
# the conversion fails. Less than a cluster that is missing is not found by the check either.
# Why it matters: a disk of which the second half is zeros is imported as if it were whole.
#
# Output seen:
#   convert: status 0, the disk has 16777216 bytes, it differs from the one that was put in
#   check: status 2
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get --quiet=2 download 'qemu-utils=1:7.2+dfsg-7+deb12u*' 2>/dev/null
dpkg-deb --extract qemu-utils_*.deb tools
PATH="$work/tools/usr/bin:$PATH"

openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head --bytes=16M >disk.raw || true
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
truncate --size=$(($(stat --format=%s disk.qcow2) / 2)) disk.qcow2

status=0
qemu-img convert -f qcow2 -O raw disk.qcow2 out.raw 2>/dev/null || status=$?
same="is the one"
cmp --quiet disk.raw out.raw || same="differs from the one"
found="convert: status $status, the disk has $(stat --format=%s out.raw) bytes, it $same that was put in"
status=0
qemu-img check -f qcow2 disk.qcow2 >/dev/null 2>&1 || status=$?
found+=$'\n'"check: status $status"

echo "$found"
expected=$'convert: status 0, the disk has 16777216 bytes, it differs from the one that was put in\ncheck: status 2'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
