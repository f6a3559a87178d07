"""The programs' output, as captured from Debian 12, and what is made of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import blkid, btrfs, lvm, ntfsresize, partclone, resize2fs, sfdisk
from agent.commands.blkid import Signature
from agent.commands.partclone import MapRefusedError
from agent.commands.sfdisk import PartitionTable
from agent.errors import CommandError
from providers.imaging import checker

DOMAIN_MAP = b"""\
# Domain logfile created by unset_name v0.3.23
# Source: e1024.img
# Offset: 0x00000000
# current_pos  current_status
0x04000000     ?
#      pos        size  status
0x00000000  0x00448400  +
0x00448400  0x003B8000  ?
0x00800400  0x00040800  +
0x00840C00  0x037BF400  ?
"""

DIRTY = """\
Partclone v0.3.23 http://partclone.org
Starting to map device (dirty.img) to domain log (-)
extfsclone.c: FS was not cleanly unmounted
Partclone fail, please check log !
"""

MOUNTED = """\
Partclone v0.3.23 http://partclone.org
Starting to map device (/dev/loop0) to domain log (-)
device (/dev/loop0) is mounted at /tmp/m
error exit
Partclone fail, please check log !
"""


def test_a_domain_map_gives_the_used_extents() -> None:
    assert partclone.parse_map(DOMAIN_MAP, 0x04000000) == (
        (0, 0x448400),
        (0x800400, 0x40800),
    )


def test_what_lies_behind_the_file_system_counts_as_used() -> None:
    assert partclone.parse_map(DOMAIN_MAP, 0x05000000)[-1] == (0x04000000, 0x01000000)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (b"", "partclone found no used block"),
        (
            DOMAIN_MAP.replace(b"0x00448400  0x003B8000", b"0x00448400  0x003B0000"),
            "partclone maps",
        ),
        (
            DOMAIN_MAP.replace(b"0x00448400  0x003B8000", b"0x00448000  0x003B8400"),
            "partclone maps",
        ),
        (DOMAIN_MAP.replace(b"0x003B8000", b"0xnonsense"), "partclone wrote the line"),
        (DOMAIN_MAP.replace(b"0x037BF400", b"0x047BF400"), "partclone maps"),
        (DOMAIN_MAP.replace(b" +", b" ?"), "partclone found no used block"),
    ],
)
def test_a_map_that_is_not_gapless_is_refused(output: bytes, problem: str) -> None:
    with pytest.raises(MapRefusedError, match=problem):
        partclone.parse_map(output, 0x04000000)


@given(st.binary(max_size=300))
def test_garbage_for_a_map_raises_one_error_type(output: bytes) -> None:
    with pytest.raises(MapRefusedError):
        partclone.parse_map(output, 1 << 30)


DIRTY_NTFS = """\
Partclone v0.3.23 http://partclone.org
Starting to map device (nd.img) to domain log (-)
ntfsclone-ng.c: NTFS Volume 'nd.img' is scheduled for a check or it was shutdown
uncleanly. Please boot Windows or fix it by fsck.
Partclone fail, please check /dev/null !
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            DIRTY_NTFS,
            " ".join(
                line.removeprefix("ntfsclone-ng.c: ") for line in DIRTY_NTFS.splitlines()[2:4]
            ),
        ),
        (DIRTY, "FS was not cleanly unmounted"),
        (MOUNTED, "device (/dev/loop0) is mounted at /tmp/m"),
        ("libxfs: size check failed\n", "libxfs: size check failed"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_of_a_refusal_is_one_line(log: str, reason: str) -> None:
    assert partclone.parse_failure(log) == reason


def test_partclone_is_asked_for_a_map_and_for_nothing_else() -> None:
    command = partclone.arguments("partclone.extfs", Path("/dev/vda2"))
    assert command[:2] == ["partclone.extfs", "--domain"]
    assert command[command.index("--output") + 1] == "-"


def test_a_missing_partclone_is_a_refused_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(partclone.PROGRAMS, "ext4", "partclone.absent")
    with pytest.raises(MapRefusedError, match=r"^partclone\.absent is not installed$"):
        partclone.domain_map("ext4", Path("/dev/null"), 512)


BLKID = (
    b"ID_FS_LABEL=a_b\nID_FS_LABEL_ENC=a\\x20b\\x22c\\x24\nID_FS_UUID=1939\n"
    b"ID_FS_BLOCK_SIZE=1024\nID_FS_TYPE=ext4\n"
)


def test_blkid_names_type_and_label() -> None:
    assert blkid.parse_signature(BLKID) == Signature("ext4", 'a b"c$', "1939")


def test_a_disk_with_a_table_only_has_no_file_system() -> None:
    table = b"ID_PART_TABLE_UUID=9ecd\nID_PART_TABLE_TYPE=gpt\n"
    assert blkid.parse_signature(table) == Signature(table="gpt")


def test_a_label_cannot_carry_control_characters_or_be_endless() -> None:
    hostile = b"ID_FS_LABEL_ENC=\\x1b[31m\\xc3\\xb6\nID_FS_TYPE=vfat\n"
    assert blkid.parse_signature(hostile).label == "?[31m\xf6"
    assert len(blkid.parse_signature(b"ID_FS_LABEL_ENC=" + b"x" * 1000).label) == 200


@given(st.binary(max_size=300))
def test_garbage_for_a_signature_raises_nothing(output: bytes) -> None:
    assert blkid.parse_signature(output).label.isprintable()


PLAIN = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#+-.:=@_")


def blkids(label: list[tuple[str, bool]]) -> bytes:
    """Return a label as libblkid writes it: unsafe bytes escaped, and characters where asked.

    It leaves characters of UTF-8 as they are, but for those that Unicode reserves.
    """
    return b"".join(
        bytes([byte]) if byte in PLAIN or (byte >= 0x80 and not escaped) else b"\\x%02x" % byte
        for char, escaped in label
        for byte in char.encode()
    )


characters = st.characters(exclude_categories=["Cs", "Cc"])


@given(st.lists(st.tuples(characters, st.booleans()), max_size=200))
def test_labels_of_all_scripts_come_out_as_they_are(label: list[tuple[str, bool]]) -> None:
    text = "".join(char if char.isprintable() else "?" for char, _ in label)
    printed = b"ID_FS_LABEL=x\nID_FS_LABEL_ENC=" + blkids(label) + b"\nID_FS_TYPE=ext4\n"
    assert blkid.parse_signature(printed).label == text


def test_a_label_that_ends_within_a_character_keeps_the_rest() -> None:
    cut = "日本語".encode()[:-1]
    printed = b"ID_FS_LABEL_ENC=" + cut[:6] + b"\\xe8\\xaa\nID_FS_TYPE=ext4\n"
    assert blkid.parse_signature(printed).label == "日本\ufffd"


def test_what_sfdisk_says_before_its_document_is_passed_over() -> None:
    document = b'{"partitiontable": {"label": "dos", "device": "/dev/vda"}}'
    said = b"omitting empty partition (5)\nomitting empty partition (6)\n\n"
    assert sfdisk.parse_table(said + document, 512) == PartitionTable("mbr")


SFDISK_GOOD = "disk:\nNo errors detected.\nHeader version: 1.0\nUsing 2 out of 128 partitions.\n"
SFDISK_CORRUPT_BACKUP = (
    "disk:\nNo errors detected.\n"
    "The backup GPT table is corrupt, but the primary appears OK, so that will be used.\n"
)


def test_sfdisk_is_judged_by_its_words_because_its_exit_code_is_always_0() -> None:
    is_good = partial(sfdisk.is_good, Path("/corrupt/disk"))
    assert is_good(0, SFDISK_GOOD)
    assert is_good(0, f"/corrupt/disk:\n{SFDISK_GOOD}")
    assert not is_good(1, SFDISK_GOOD)
    assert not is_good(0, SFDISK_CORRUPT_BACKUP)
    assert not is_good(0, "disk:\nunrecognized partition table type\n")


@pytest.mark.parametrize("status", [1, 4, 8])
def test_a_checker_is_judged_by_its_exit_status(status: int) -> None:
    script = f"echo first; echo; echo UNEXPECTED INCONSISTENCY >&2; exit {status}"
    assert checker.run(["sh", "-c", script]) == (
        f"sh ended with {status}: first / UNEXPECTED INCONSISTENCY"
    )
    assert checker.run(["sh", "-c", "echo clean"]) == ""
    assert (
        checker.run(["sh", "-c", "echo corrupt"], partial(sfdisk.is_good, Path("disk")))
        == "sh ended with 0: corrupt"
    )


def test_a_checker_that_is_not_installed_verifies_nothing() -> None:
    assert checker.run(["no-such-checker"]) == "no-such-checker is not installed on the server"


FSCK_FAT_LABEL = """\
fsck.fat 4.2 (2021-01-31)
There are differences between boot sector and its backup.
This is mostly harmless. Differences: (offset:original/backup)
  71:4f/4c, 72:54/41, 73:48/42, 75:52/4c, 76:4c/20, 77:41/20, 78:42/20
  , 79:45/20, 80:4c/20
  Not automatically fixing this.
Volume label 'LABEL' stored in root directory and label 'OTHERLABEL' stored in boot sector and different.
  Auto-copying volume label from root directory to boot sector.
Free cluster summary wrong (77 vs. really 136813)
  Auto-correcting.

Leaving filesystem unchanged.
g.img: 33 files, 1001/137814 clusters
"""  # noqa: E501 - the program's own lines
FSCK_FAT_LOST = """\
fsck.fat 4.2 (2021-01-31)
/ABC.PY
  File size is 500000 bytes, cluster chain length is 2048 bytes.
  Truncating file to 2048 bytes.

Leaving filesystem unchanged.
g.img: 3 files, 2/9971 clusters
"""
FSCK_FAT_NAME = """\
fsck.fat 4.2 (2021-01-31)
/A?C.PY
  Bad short file name (A?C.PY).
  Auto-renaming it.
  Renamed to FSCK0000.000

Leaving filesystem unchanged.
g.img: 3 files, 2/9971 clusters
"""


def test_harmless_remarks_of_fsck_fat_are_told_from_lost_content() -> None:
    assert checker.is_intact_fat(0, "")
    assert checker.is_intact_fat(1, FSCK_FAT_LABEL)
    assert checker.is_intact_fat(1, FSCK_FAT_NAME)
    assert not checker.is_intact_fat(1, FSCK_FAT_LOST)
    assert not checker.is_intact_fat(1, FSCK_FAT_NAME.replace("Auto-renaming it", "Bad start"))
    assert not checker.is_intact_fat(1, FSCK_FAT_LABEL + "Something else\n")
    assert not checker.is_intact_fat(1, FSCK_FAT_LABEL.partition("\n")[2])  # its start was cut off
    assert not checker.is_intact_fat(2, FSCK_FAT_LABEL)


NTFSRESIZE = """\
Checking filesystem consistency ...
Accounting clusters ...
Cluster accounting failed at 14032 (0x36d0): {} cluster in $Bitmap
Cluster accounting failed at 14033 (0x36d1): {} cluster in $Bitmap
Filesystem check failed! Totally {} cluster accounting mismatches.
ERROR: NTFS is inconsistent. Run chkdsk /f on Windows then reboot it TWICE!
"""


def test_ntfs_clusters_that_no_file_has_are_harmless() -> None:
    assert checker.is_intact_ntfs(0, "")
    assert checker.is_intact_ntfs(1, NTFSRESIZE.format("extra", "extra", 2))
    assert not checker.is_intact_ntfs(1, NTFSRESIZE.format("extra", "missing", 2))
    assert not checker.is_intact_ntfs(1, NTFSRESIZE.format("extra", "extra", 12))
    assert not checker.is_intact_ntfs(1, "ERROR(22): Opening '/disk' as NTFS failed")


def test_lvm_sees_the_disks_own_volumes_alone_and_activates_nothing() -> None:
    nodes = Path("/dev/loop1"), Path("/dev/loop2")
    line = lvm.arguments("pvresize", nodes, "", Path("/tmp/locks"))  # noqa: S108 - a name alone
    assert line[:7] == [
        *("lvm", "pvresize", "--yes", "--driverloaded", "n", "--devices", "/dev/loop1,/dev/loop2")
    ]
    (settings,) = line[8:]
    assert 'system_id_source="none"' in settings
    assert 'locking_dir="/tmp/locks"' in settings
    named = lvm.arguments("lvextend", nodes, "golden", Path("/run"))[-1]
    assert 'system_id_source="lvmlocal"' in named
    assert 'local { system_id="golden" }' in named


NTFS_INFO = b"""\
ntfsresize v2022.10.3 (libntfs-3g)
Device name        : volume
NTFS volume version: 3.1
Cluster size       : 4096 bytes
Current volume size: 100659712 bytes (101 MB)
Current device size: 100663296 bytes (101 MB)
Checking filesystem consistency ...
Accounting clusters ...
Space in use       : 45 MB (44.3%)
Collecting resizing constraints ...
You might resize at 44556288 bytes or 45 MB (freeing 56 MB).
Please make a test run using both the -n and -s options before real resizing!
"""


def test_how_small_a_file_system_can_be_is_read_of_its_own_tool() -> None:
    said = b"Estimated minimum size of the filesystem: 18070\n"
    assert resize2fs.parse_smallest([], said) == 18070
    assert ntfsresize.parse_smallest([], NTFS_INFO) == 44556288
    assert btrfs.parse_smallest([], b"156237824 bytes (149.00MiB)\n") == 156237824


@pytest.mark.parametrize(
    ("parse", "program"),
    [
        (resize2fs.parse_smallest, "resize2fs"),
        (ntfsresize.parse_smallest, "ntfsresize"),
        (btrfs.parse_smallest, "btrfs"),
    ],
)
def test_a_tool_that_says_nothing_of_it_has_failed(
    parse: Callable[[list[str], bytes], int], program: str
) -> None:
    with pytest.raises(
        CommandError, match=f"RW565: {program} volume did not say how small it can be"
    ):
        parse([program, "volume"], b"Volume is full\n")
