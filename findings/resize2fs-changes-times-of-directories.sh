#!/usr/bin/env bash
# resize2fs gives directories a new modification time when it makes an ext4 smaller.
#
# Guess from memory: what is in a file system that resize2fs has made smaller is what was in it before, with
# all times; blocks lie elsewhere, and nothing else.
# Behaviour (e2fsprogs 1.47.0 of Debian 12): files whose inodes lie behind the new end get other inode numbers.
# Every directory that names such a file gets the time of the run as its modification and change time. The
# times of the files stay.
# Why it matters: whoever compares a shrunk copy with the original by times finds directories that nobody has
# changed; incremental backups read them again, and file handles of NFS clients are stale.
#
# Output seen:
#   before: inode > 4096 yes, directory 2001-02-03, file 2001-02-03
#   after: inode > 4096 no, directory now, file 2001-02-03
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in "e2fsprogs=1.47.0-2+b2" "libext2fs2=1.47.0-2+b2" "libcom-err2=1.47.0-2+b2" "libss2=1.47.0-2+b2"; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done
PATH="$work/tools/sbin:$work/tools/usr/sbin:$work/tools/usr/bin:$PATH"
LD_LIBRARY_PATH=$(dirname "$(find tools -name 'libext2fs.so.*' | head -n 1)")
export LD_LIBRARY_PATH="$work/$LD_LIBRARY_PATH" PATH TZ=UTC

mkdir -p tree/first tree/second
(cd tree/first && seq 6000 | xargs touch)
touch tree/second/file
find tree -exec touch --date=2001-02-03 {} +
mke2fs -q -t ext4 -b 1024 -N 16384 -d tree volume 64M >/dev/null
inode() { debugfs -R "stat $1" volume 2>/dev/null; }
number() { inode "$1" | sed -n 's/^Inode: \([0-9]*\) .*/\1/p'; }
last=second/file
if (($(number /second/file) < $(number /first/6000))); then last=first/6000; fi
# The groups behind the first ones become superfluous.
for name in $(seq 5500); do echo "rm /first/$name"; done | debugfs -w -f - volume >/dev/null 2>&1
e2fsck -f -p volume >/dev/null

day() { # path
    local seconds
    seconds=$(inode "$1" | sed -n 's/^ *mtime: 0x\([0-9a-f]*\).*/\1/p')
    seconds=$((16#$seconds))
    if ((seconds > $(date +%s) - 3600)); then echo now; else date --date="@$seconds" +%F; fi
}
say() {
    local high=no
    (($(number "/$last") > 4096)) && high=yes
    echo "$1: inode > 4096 $high, directory $(day "/${last%/*}"), file $(day "/$last")"
}
found=$(say before; resize2fs volume 16M >/dev/null 2>&1; say after)

echo "$found"
expected=$'before: inode > 4096 yes, directory 2001-02-03, file 2001-02-03\nafter: inode > 4096 no, directory now, file 2001-02-03'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
