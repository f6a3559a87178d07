#!/usr/bin/env bash
# ntfsinfo ends with 0 when it is asked about a path that the volume does not have.
#
# Guess from memory: "ntfsinfo --file PATH VOLUME" ends with another status than 0 where there is no such
# file, as ntfscat of the same package does.
# Behaviour (ntfs-3g 2022.10.3 of Debian 12): the status is 0 and nothing is on the standard output; a message
# on the standard error is all that tells.
# Why it matters: whether a disk holds Windows is asked without mounting it, by a path such as /Windows/System32.
# Who goes by the status finds a Windows on every NTFS.
#
# Output seen:
#   ntfsinfo: status 0, 0 bytes of output
#   ntfscat: status 1, 0 bytes of output
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in "ntfs-3g=1:2022.10.3-1+deb12u4" "libntfs-3g89=1:2022.10.3-1+deb12u4"; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done
PATH="$work/tools/bin:$work/tools/sbin:$work/tools/usr/bin:$work/tools/usr/sbin:$PATH"
LD_LIBRARY_PATH=$(dirname "$(find tools -name 'libntfs-3g.so.*' | head -n 1)")
export LD_LIBRARY_PATH="$work/$LD_LIBRARY_PATH" PATH

truncate --size=32M volume
mkntfs --quiet --fast --force volume >/dev/null 2>&1

ask() { # program and its arguments
    local status=0
    "$@" >out 2>/dev/null || status=$?
    echo "$1: status $status, $(stat --format=%s out) bytes of output"
}
found=$(ask ntfsinfo --file /Windows/System32 volume; ask ntfscat volume /Windows/System32)

echo "$found"
expected=$'ntfsinfo: status 0, 0 bytes of output\nntfscat: status 1, 0 bytes of output'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
