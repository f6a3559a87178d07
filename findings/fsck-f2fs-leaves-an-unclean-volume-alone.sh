#!/usr/bin/env bash
# fsck.f2fs -a does nothing to an F2FS that was not unmounted, and ends with 0.
#
# Guess from memory: "fsck.f2fs -a" is what boot scripts call after a crash, as "e2fsck -p" is: afterwards the
# volume is clean, or the status says that it is not.
# Behaviour (f2fs-tools 1.15.0 of Debian 12): without an error that the kernel reported in the checkpoint, -a prints
# "No error was reported" and ends with 0; the checkpoint's state still is "sudden-power-off". -f checks and leaves "unmount".
# Why it matters: who repairs an F2FS by -a goes on with one whose newest writes lie in blocks that look free.
#
# Output seen:
#   crashed: sudden-power-off
#   -a: status 0, sudden-power-off
#   -f: status 0, unmount
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get --quiet=2 download f2fs-tools=1.15.0-1 2>/dev/null
dpkg-deb --extract f2fs-tools_*.deb tools
PATH="$work/tools/usr/sbin:$work/tools/sbin:$PATH"

truncate --size=100M volume
mkfs.f2fs -q volume >/dev/null 2>&1

# A crash: the mark of an unmount taken out of both checkpoints, with the right checksum.
python3 - <<'PYTHON'
import struct
import zlib

with open("volume", "r+b") as file:
    file.seek(1024 + 76)
    (first,) = struct.unpack("<I", file.read(4))
    for place in (first, first + 512):
        file.seek(place * 4096)
        raw = bytearray(file.read(4096))
        flags, length = struct.unpack_from("<II", raw, 132)
        if not 1 < length <= 512:
            continue
        struct.pack_into("<I", raw, 132, flags & ~1)
        (end,) = struct.unpack_from("<I", raw, 164)
        checksum = zlib.crc32(raw[:end], 0xF2F52010 ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        struct.pack_into("<I", raw, end, checksum)
        file.seek(place * 4096)
        file.write(raw)
PYTHON

state() { fsck.f2fs --dry-run volume | grep "checkpoint state" | grep --only-matching "unmount\|sudden-power-off"; }
repair() { # option
    local status=0
    fsck.f2fs "$1" volume >/dev/null 2>&1 || status=$?
    echo "$1: status $status, $(state)"
}
found=$(echo "crashed: $(state)"; repair -a; repair -f)

echo "$found"
expected=$'crashed: sudden-power-off\n-a: status 0, sudden-power-off\n-f: status 0, unmount'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
