"""Which disk a step means: never a guess, never another disk."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from agent.steps.disk_choice import find_disk, refuse_part, same_disk, select_disk
from agent.wire.disk import Disk, DiskIdentity, DiskSelector

SSD = Disk(
    identity=DiskIdentity("naa.5000c500a1b2c3d4", "ZA1B2C3D", "pci-0000:00:1f.2-ata-1", 1000),
    node="/dev/sda",
    model="ST1000NX0313",
    sector_size=512,
    table="",
    removable=False,
    read_only=False,
)
SECOND = evolve(
    SSD, node="/dev/sdb", identity=DiskIdentity("", "ZB", "pci-0000:00:1f.2-ata-2", 2000)
)
STICK = evolve(SSD, node="/dev/sdc", removable=True, identity=DiskIdentity("", "U", "usb", 3000))
LOCKED = evolve(SSD, node="/dev/sdd", read_only=True, identity=DiskIdentity("", "L", "l", 4000))
EMPTY = evolve(SSD, node="/dev/sde", identity=DiskIdentity("", "E", "e", 0))
OTHERS = [STICK, LOCKED, EMPTY]


def code_of(error: pytest.ExceptionInfo[TerminalError]) -> str:
    return error.value.code


def test_the_system_disk_is_the_only_fixed_writable_one_with_a_size() -> None:
    assert select_disk(DiskSelector(), [*OTHERS, SSD]) is SSD


def test_two_candidates_are_an_error_that_names_both() -> None:
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(), [SSD, SECOND, STICK])
    assert str(caught.value) == (
        "RW452: more than one system disk (fixed, writable, not empty): "
        "/dev/sda ST1000NX0313 serial ZA1B2C3D wwn naa.5000c500a1b2c3d4 "
        "path pci-0000:00:1f.2-ata-1 1000 bytes; "
        "/dev/sdb ST1000NX0313 serial ZB path pci-0000:00:1f.2-ata-2 2000 bytes. "
        "Name the disk by serial, wwn or path in the scenario."
    )


def test_no_candidate_is_an_error_that_names_what_there_is() -> None:
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(), [LOCKED])
    assert caught.value.cause == (
        "there is no system disk (fixed, writable, not empty); this machine has: "
        "/dev/sdd ST1000NX0313 serial L path l 4000 bytes read-only"
    )
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(), [])
    assert caught.value.cause.endswith("this machine has: no disk at all")


def test_a_disk_may_be_named_even_if_its_role_would_not_choose_it() -> None:
    assert select_disk(DiskSelector(serial="ZB"), [SSD, SECOND]) is SECOND
    assert select_disk(DiskSelector(path="usb"), [SSD, STICK]) is STICK
    assert select_disk(DiskSelector(wwn="naa.5000c500a1b2c3d4"), [SSD, SECOND]) is SSD


def test_all_that_names_a_disk_must_agree() -> None:
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(serial="ZB", path="pci-0000:00:1f.2-ata-1"), [SSD, SECOND])
    assert code_of(caught) == "RW451"


def test_a_named_drive_without_medium_is_no_candidate() -> None:
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(serial="E"), [EMPTY])
    assert code_of(caught) == "RW451"


def test_an_unknown_role_is_an_error() -> None:
    with pytest.raises(TerminalError) as caught:
        select_disk(DiskSelector(role="data"), [SSD])
    assert code_of(caught) == "RW453"


W, S, P = "naa.1", "serial", "path"


@pytest.mark.parametrize(
    ("wanted", "seen", "same"),
    [
        (DiskIdentity(W, S, P, 9), DiskIdentity(W, S, P, 9), True),
        (DiskIdentity(W, S, P, 9), DiskIdentity(W, S, "moved", 9), True),
        (DiskIdentity(W, S, P, 9), DiskIdentity(W, S, P, 8), False),
        (DiskIdentity(W, S, P, 9), DiskIdentity(W, "other", P, 9), False),
        (DiskIdentity(W, S, P, 9), DiskIdentity("other", S, P, 9), False),
        (DiskIdentity(W, S, P, 9), DiskIdentity("", S, P, 9), False),
        (DiskIdentity("", S, P, 9), DiskIdentity(W, S, "moved", 9), True),
        (DiskIdentity(W, "", P, 9), DiskIdentity(W, S, "moved", 9), True),
        (DiskIdentity("", "", P, 9), DiskIdentity("", "", P, 9), True),
        (DiskIdentity("", "", P, 9), DiskIdentity("", "", "moved", 9), False),
        (DiskIdentity("", "", "", 9), DiskIdentity("", "", "", 9), False),
    ],
)
def test_the_same_disk(wanted: DiskIdentity, seen: DiskIdentity, same: bool) -> None:  # noqa: FBT001
    assert same_disk(wanted, seen) is same


def test_a_disk_is_found_by_its_identity_only() -> None:
    assert find_disk(SECOND.identity, [SSD, SECOND, *OTHERS]) is SECOND
    with pytest.raises(TerminalError) as caught:
        find_disk(SECOND.identity, [SSD, *OTHERS])
    assert code_of(caught) == "RW451"


def test_two_disks_with_one_identity_are_an_error() -> None:
    with pytest.raises(TerminalError) as caught:
        find_disk(SSD.identity, [SSD, evolve(SSD, node="/dev/sdz")])
    assert code_of(caught) == "RW452"


def test_a_read_only_disk_is_refused() -> None:
    with pytest.raises(TerminalError) as caught:
        find_disk(LOCKED.identity, [LOCKED])
    assert code_of(caught) == "RW454"
    assert caught.value.cause == (
        "the disk /dev/sdd ST1000NX0313 serial L path l 4000 bytes read-only is read-only"
    )


def test_one_half_of_a_mirror_is_not_written() -> None:
    refuse_part(SSD)
    with pytest.raises(TerminalError) as caught:
        refuse_part(evolve(SSD, part_of="a Linux software RAID (store:0)"))
    assert code_of(caught) == "RW575"
    assert caught.value.cause.endswith(" is part of a Linux software RAID (store:0)")


identities = st.builds(
    DiskIdentity,
    st.sampled_from(["", "w1", "w2"]),
    st.sampled_from(["", "s1", "s2"]),
    st.sampled_from(["", "p1", "p2"]),
    st.sampled_from([0, 1, 2]),
)


@given(identities, st.lists(identities, max_size=4))
def test_a_found_disk_always_is_the_wanted_one(
    wanted: DiskIdentity, present: list[DiskIdentity]
) -> None:
    disks = [evolve(SSD, identity=identity) for identity in present]
    try:
        found = find_disk(wanted, disks).identity
    except TerminalError:
        return
    assert found.size == wanted.size
    assert sum(same_disk(wanted, identity) for identity in present) == 1
    assert wanted.wwn in ("", found.wwn)
    assert wanted.serial in ("", found.serial)
