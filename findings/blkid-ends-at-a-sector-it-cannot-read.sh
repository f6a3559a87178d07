#!/usr/bin/env bash
# blkid sees no partition table on a disk of which one sector, a MiB behind the table, cannot be read.
#
# Guess from memory: a bad sector hides what lies in it. blkid --probe still prints the partition table,
# whose sectors it can read, and says by an error that it could not read another place.
# Behaviour (util-linux 2.38.1 of Debian 12): blkid looks for each format that it knows at that format's
# own place, some of them MiBs behind the start, and the first failing read ends all of it: it prints
# nothing and ends with 2, as for a disk on which nothing is recognised. With --match-types of a
# single format that does not look there, the same table is printed.
# Why it matters: programs that ask blkid whether a disk or a partition is empty, or what to back up there,
# take a disk with one bad sector for a blank one.
#
# Output seen:
#   all can be read: status 0, gpt
#   a sector at 1 MiB cannot: status 2, nothing
#   a sector at 3 MiB cannot: status 0, gpt
#   a sector at 1 MiB cannot, asked for ext4: status 0, gpt
set -euo pipefail

work=$(mktemp -d)
server=
finish() {
    [[ -z $server ]] || { umount "$work/mounted" && wait "$server"; } || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"
for package in util-linux=2.38.1-5+deb12u3 libblkid1=2.38.1-5+deb12u3 fdisk=2.38.1-5+deb12u3 \
    libfdisk1=2.38.1-5+deb12u3 libsmartcols1=2.38.1-5+deb12u3 libuuid1=2.38.1-5+deb12u3 \
    libfuse2=2.9.9-6+b1; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done
python3 -m venv venv
venv/bin/pip --quiet install mfusepy==3.1.1
libraries=$work/tools/usr/lib/x86_64-linux-gnu:$work/tools/lib/x86_64-linux-gnu

truncate --size=16M disk
printf 'label: gpt\nstart=1MiB, size=14MiB\n' | LD_LIBRARY_PATH=$libraries tools/sbin/sfdisk --quiet disk

# The disk as a file of a file system in which a sector's read fails.
cat > failing.py <<'PYTHON'
import errno
import os
import stat
import sys
from pathlib import Path

import mfusepy

SECTOR = 512


class Disk(mfusepy.Operations):
    use_ns = True

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/disk":
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": os.path.getsize("disk")}

    def read(self, path, size, offset, fh):
        bad = int(Path("bad").read_text())
        if bad < offset + size and offset < bad + SECTOR:
            raise mfusepy.FuseOSError(errno.EIO)
        with open("disk", "rb") as file:
            return os.pread(file.fileno(), size, offset)


mfusepy.FUSE(Disk(), sys.argv[1], foreground=True, nothreads=True, direct_io=True)
PYTHON
mkdir mounted
echo -1000 > bad
FUSE_LIBRARY_PATH=$(find "$work/tools" -name "libfuse.so.2" | head -n 1) venv/bin/python failing.py mounted &
server=$!
until [[ -e mounted/disk ]]; do
    kill -0 "$server"
done

ask() { # what it is called, where the sector is, more options
    local status=0 kind
    echo "$2" > bad
    LD_LIBRARY_PATH=$libraries tools/sbin/blkid --probe --output export "${@:3}" mounted/disk \
        > said 2>/dev/null || status=$?
    kind=$(sed --quiet 's/^PTTYPE=//p' said)
    echo "$1: status $status, ${kind:-nothing}"
}
said=$(
    ask "all can be read" -1000
    ask "a sector at 1 MiB cannot" $((1 << 20))
    ask "a sector at 3 MiB cannot" $((3 << 20))
    ask "a sector at 1 MiB cannot, asked for ext4" $((1 << 20)) --match-types ext4
)
echo "$said"
expected='all can be read: status 0, gpt
a sector at 1 MiB cannot: status 2, nothing
a sector at 3 MiB cannot: status 0, gpt
a sector at 1 MiB cannot, asked for ext4: status 0, gpt'
[[ $said == "$expected" ]]
