#!/usr/bin/env bash
# LVM's local/extra_system_ids does nothing on a machine that has no system ID of its own.
#
# Guess from memory: a volume group with a system ID is another machine's; who lists that ID in
# local/extra_system_ids, "additional system IDs that this machine may access", can change the group.
# Behaviour (lvm2 2.03.16 of Debian 12): only where the machine has an ID, too. With the default,
# system_id_source="none", the group stays foreign. With system_id_source="lvmlocal" and the group's own ID as
# local/system_id, given on the command line, it can be changed.
# And such a group has the flag WRITE_LOCKED in place of the status WRITE, and so have its volumes: not a lock that somebody
# holds, but what keeps versions of LVM away that know no system IDs.
# Why it matters: a system that boots into RAM to repair or enlarge a group has no ID.
#
# Output seen:
#   extra_system_ids alone: status 5
#   the group's own ID: status 0
#   status = ["RESIZEABLE", "READ"]
#   flags = ["WRITE_LOCKED"]
# Needs root, for a loop device; activates nothing.
set -euo pipefail

work=$(mktemp -d)
node=
trap '[[ -z $node ]] || losetup --detach "$node"; rm -rf "$work"' EXIT
cd "$work"
for package in "lvm2=2.03.16-2" "libdevmapper-event1.02.1=2:1.02.185-2"; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done
LD_LIBRARY_PATH=$(dirname "$(find "$work/tools" -name 'libdevmapper-event.so.*' | head -n 1)")
export LD_LIBRARY_PATH LVM_SYSTEM_DIR="" LVM_SUPPRESS_FD_WARNINGS=1

truncate --size=32M disk
node=$(losetup --find --show disk)

lvm() { # the command, what is configured besides, and its other arguments
    local command=$1 settings=$2
    shift 2
    settings+=' devices { use_devicesfile=0 hints="none" obtain_device_list_from_udev=0 }'
    settings+=" global/locking_dir=\"$work\" backup { backup=0 archive=0 }"
    "$work/tools/sbin/lvm" "$command" --driverloaded n --devices "$node" --config "$settings" "$@" 2>/dev/null
}
own='global/system_id_source="lvmlocal" local/system_id="golden"'
lvm pvcreate "" "$node" >/dev/null
lvm vgcreate "$own" vg0 "$node" >/dev/null

try() { # what it is, and what is configured
    local status=0
    lvm lvcreate "$2" --activate n --zero n --wipesignatures n --extents 1 vg0 >/dev/null || status=$?
    echo "$1: status $status"
}
found=$(
    try "extra_system_ids alone" 'local/extra_system_ids=["golden"]'
    try "the group's own ID" "$own"
    lvm vgcfgbackup "$own" --file text vg0 >/dev/null
    grep --only-matching --max-count=2 --extended-regexp '(status|flags) = .*' text
)

echo "$found"
expected='extra_system_ids alone: status 5
the group'\''s own ID: status 0
status = ["RESIZEABLE", "READ"]
flags = ["WRITE_LOCKED"]'
[[ $found == "$expected" ]] || { echo "this has changed" >&2; exit 1; }
