"""The programs' output, as captured from Debian 12, and what is made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging import blkid, partclone
from agent.imaging.blkid import Signature
from agent.imaging.extent import Extent
from agent.imaging.partclone import MapRefusedError
from providers.imaging import (
    btrfs_check,
    checker,
    e2fsck,
    fsck_fat,
    ntfsfix,
    sfdisk,
    xfs_repair,
)
from providers.imaging.checker import Outcome

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

DIRTY = b"""\
Partclone v0.3.23 http://partclone.org
Starting to map device (dirty.img) to domain log (-)
extfsclone.c: FS was not cleanly unmounted
Partclone fail, please check log !
"""

MOUNTED = b"""\
Partclone v0.3.23 http://partclone.org
Starting to map device (/dev/loop0) to domain log (-)
device (/dev/loop0) is mounted at /tmp/m
error exit
Partclone fail, please check log !
"""


def test_a_domain_map_gives_the_used_extents() -> None:
    assert partclone.parse_map(DOMAIN_MAP, 0x04000000) == (
        Extent(0, 0x448400),
        Extent(0x800400, 0x40800),
    )


def test_what_lies_behind_the_file_system_counts_as_used() -> None:
    assert partclone.parse_map(DOMAIN_MAP, 0x05000000)[-1] == Extent(0x04000000, 0x01000000)


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


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (DIRTY, "FS was not cleanly unmounted"),
        (MOUNTED, "device (/dev/loop0) is mounted at /tmp/m"),
        (b"libxfs: size check failed\n", "libxfs: size check failed"),
        (b"", "it said nothing"),
    ],
)
def test_the_reason_of_a_refusal_is_one_line(log: bytes, reason: str) -> None:
    assert partclone.parse_failure(log) == reason


def test_partclone_is_asked_for_a_map_and_for_nothing_else() -> None:
    command = partclone.arguments("partclone.extfs", "/dev/vda2")
    assert command[:2] == ["partclone.extfs", "--domain"]
    assert command[command.index("--output") + 1] == "-"


def test_a_missing_partclone_is_a_refused_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(partclone.PROGRAMS, "ext4", "partclone.absent")
    with pytest.raises(MapRefusedError, match=r"^partclone\.absent is not installed$"):
        partclone.domain_map("ext4", "/dev/null", 512)


BLKID = b'DEVNAME=/dev/vda2\nLABEL=a\\ b\\"c\\$\nUUID=1939\nBLOCK_SIZE=1024\nTYPE=ext4\n'


def test_blkid_names_type_and_label() -> None:
    assert blkid.parse(BLKID) == Signature(type="ext4", label='a b"c$')


def test_a_disk_with_a_table_only_has_no_file_system() -> None:
    assert blkid.parse(b"DEVNAME=/dev/vda\nPTUUID=9ecd\nPTTYPE=gpt\n") == Signature()


def test_a_label_cannot_carry_control_characters_or_be_endless() -> None:
    assert blkid.parse(b"LABEL=\x1b[31m\xff\nTYPE=vfat\n").label == "?[31m\ufffd"
    assert len(blkid.parse(b"LABEL=" + b"x" * 1000).label) == 200


SFDISK_GOOD = "disk:\nNo errors detected.\nHeader version: 1.0\nUsing 2 out of 128 partitions.\n"
SFDISK_CORRUPT_BACKUP = (
    "disk:\nNo errors detected.\n"
    "The backup GPT table is corrupt, but the primary appears OK, so that will be used.\n"
)


def test_sfdisk_is_judged_by_its_words_because_its_exit_code_is_always_0() -> None:
    assert sfdisk.judge(Outcome(0, SFDISK_GOOD)) == ""
    assert sfdisk.judge(Outcome(0, SFDISK_CORRUPT_BACKUP)).startswith("sfdisk ended with 0: ")
    assert sfdisk.judge(Outcome(0, "disk:\nunrecognized partition table type\n")) == (
        "sfdisk ended with 0: disk: / unrecognized partition table type"
    )


@pytest.mark.parametrize("module", [e2fsck, fsck_fat, xfs_repair, btrfs_check, ntfsfix])
def test_a_file_system_checker_is_judged_by_its_exit_code(module: object) -> None:
    assert module.judge(Outcome(0, "clean\n")) == ""  # type: ignore[attr-defined]
    for code in (1, 4, 8, -9):
        text = module.judge(Outcome(code, "first\n\nUNEXPECTED INCONSISTENCY\n"))  # type: ignore[attr-defined]
        assert f"ended with {code}: first / UNEXPECTED INCONSISTENCY" in text


def test_a_checker_that_is_not_installed_proves_nothing() -> None:
    assert checker.run(["no-such-checker"], e2fsck.judge) == (
        "no-such-checker is not installed on the server"
    )
