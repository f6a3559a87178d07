"""Boot entries: read at a capture, written at a restore."""

import os
import struct
import uuid
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.efi import (
    BootChanges,
    LoadOption,
    WantedEntry,
    build_load_option,
    parse_load_option,
    planned_changes,
)
from agent.imaging.efivarfs import EfiVariables, partition_guids, read_entries, write_entries
from agent.imaging.manifest import BootEntry, Firmware, ImagedPartition, Manifest
from tests.unit.imaging_images import MIB, described, small_gpt_image

GUID = "3f2a9c54-0a1b-4c5d-8e9f-001122334455"
OLD = "00000000-0000-0000-0000-00000000001d"
DEBIAN = WantedEntry("debian", 1, 2048, 4096, GUID, "\\EFI\\debian\\shimx64.efi")


def node(kind: int, subtype: int, data: bytes) -> bytes:
    return struct.pack("<BBH", kind, subtype, 4 + len(data)) + data


def option(label: str, *nodes: bytes, active: bool = True) -> bytes:
    paths = b"".join(nodes) + b"\x7f\xff\x04\x00"
    return struct.pack("<IH", active, len(paths)) + label.encode("utf-16-le") + b"\0\0" + paths


def load_option(label: str, path: str, *, active: int = 1, guid: str = GUID) -> bytes:
    drive = struct.pack("<IQQ", 1, 2048, 4096) + uuid.UUID(guid).bytes_le + b"\x02\x02"
    file = node(4, 4, path.encode("utf-16-le") + b"\0\0")
    return option(label, node(4, 1, drive), file, active=bool(active))


NETWORK = option(
    "UEFI PXEv4",
    node(2, 1, bytes(8)),  # ACPI
    node(3, 11, bytes(33)),  # MAC address
    node(3, 12, bytes(23)),  # IPv4
)
SHELL = option("Shell", node(4, 7, bytes(16)), node(4, 6, bytes(16)))


def test_a_load_option_names_label_partition_and_loader() -> None:
    data = load_option("debian", "\\EFI\\debian\\shimx64.efi")
    expected = LoadOption(
        label="debian", active=True, partition=GUID, loader=DEBIAN.loader, network=False
    )
    assert parse_load_option(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b"\1\0\0\0", load_option("x", "y")[:40], option("x", node(4, 1, bytes(30)))]
)
def test_a_malformed_load_option_names_nothing(data: bytes) -> None:
    found = parse_load_option(data)
    assert found is None or found.target is None


def test_what_starts_from_the_network_is_known() -> None:
    uri = option("HTTP", node(3, 11, bytes(33)), node(3, 24, b"http://boot.example.net"))
    bios = option("PXE", node(5, 1, b"\x80\0\0\0"))
    assert [parse_load_option(each).network for each in (NETWORK, uri, bios, SHELL)] == [
        *(True, True, True, False)
    ]


def test_a_load_option_is_built_as_firmware_writes_it() -> None:
    assert build_load_option(DEBIAN) == load_option("debian", DEBIAN.loader)


def plan(
    existing: dict[int, bytes],
    order: tuple[int, ...],
    current: int | None = None,
    wanted: tuple[WantedEntry, ...] = (DEBIAN,),
) -> BootChanges:
    return planned_changes(existing, order, current, wanted, {OLD})


def test_an_entry_goes_behind_the_one_that_booted_and_the_network() -> None:
    existing = {0: NETWORK, 1: NETWORK, 2: SHELL}
    expected = BootChanges({3: build_load_option(DEBIAN)}, (0, 1, 3, 2), ())
    assert plan(existing, (0, 1, 2), current=0) == expected
    assert plan(existing, (0, 1, 2), current=1) == expected
    assert plan(existing, (0, 1, 2)) == expected
    assert plan(existing, (2, 0, 1), current=2).order == (2, 0, 1, 3)
    assert plan({}, ()) == BootChanges({0: build_load_option(DEBIAN)}, (0,), ())


def test_what_is_as_it_should_be_is_not_written() -> None:
    same = load_option("Debian on the old disk", DEBIAN.loader.upper())
    for order in ((7, 0), (0, 7), (0, 7, 2)):
        assert plan({0: NETWORK, 2: SHELL, 7: same}, order, current=0).empty


def test_a_wanted_entry_far_behind_comes_next() -> None:
    same = build_load_option(DEBIAN)
    changes = plan({0: NETWORK, 2: SHELL, 7: same}, (0, 2, 7), current=0)
    assert changes == BootChanges({}, (0, 7, 2), ())


def test_second_ones_and_those_of_the_overwritten_disk_are_removed() -> None:
    existing = {
        0: NETWORK,
        1: load_option("ubuntu", "\\EFI\\ubuntu\\shimx64.efi", guid=OLD),
        2: load_option("off", DEBIAN.loader, active=0),
        3: build_load_option(DEBIAN),
        4: build_load_option(DEBIAN),
        5: load_option("another disk", "\\a.efi", guid=str(uuid.UUID(int=9))),
        6: load_option("same disk", "\\EFI\\BOOT\\BOOTX64.EFI"),
    }
    changes = plan(existing, (1, 2, 0, 5, 4, 3, 6), current=0)
    assert changes == BootChanges({}, (0, 4, 5, 6), (1, 2, 3))


def test_an_inactive_entry_is_made_active() -> None:
    changes = plan({4: load_option("off", DEBIAN.loader, active=0)}, (4,))
    assert changes == BootChanges({4: build_load_option(DEBIAN)}, None, ())


_guids = st.sampled_from((GUID, OLD, str(uuid.UUID(int=3))))
_loaders = st.sampled_from(("\\a.efi", "\\A.EFI", "\\b.efi"))
_options = st.one_of(
    st.sampled_from((NETWORK, SHELL, b"", b"broken")),
    st.builds(
        lambda guid, path, active: load_option("some", path, guid=guid, active=active),
        _guids,
        _loaders,
        st.integers(0, 1),
    ),
)
_numbers = st.integers(0, 9)
_wanted = st.builds(
    lambda guid, loader: WantedEntry("wanted", 1, 2048, 4096, guid, loader),
    st.sampled_from((GUID, str(uuid.UUID(int=3)))),
    _loaders,
)


@given(
    existing=st.dictionaries(_numbers, _options, max_size=8),
    order=st.lists(_numbers, unique=True, max_size=8),
    current=st.none() | _numbers,
    wanted=st.lists(_wanted, max_size=3),
)
def test_afterwards_all_is_there_once_and_a_second_time_changes_nothing(
    existing: dict[int, bytes], order: list[int], current: int | None, wanted: list[WantedEntry]
) -> None:
    changes = planned_changes(existing, order, current, wanted, {OLD})
    after = {**existing, **changes.writes}
    for number in changes.removals:
        del after[number]
    new_order = order if changes.order is None else changes.order
    targets = [
        (number, parsed)
        for number, data in after.items()
        if (parsed := parse_load_option(data)) and parsed.target
    ]
    for entry in wanted:
        (found,) = [n for n, parsed in targets if parsed.target == entry.target]
        assert dict(targets)[found].active
        assert found in new_order
    assert not [parsed for _, parsed in targets if parsed.partition == OLD]
    ours = {n for n, parsed in targets if parsed.target in [entry.target for entry in wanted]}
    others = [number for number in order if number not in changes.removals]
    assert [n for n in new_order if n not in ours] == [n for n in others if n not in ours]
    for number in set(existing) - ours - set(changes.removals):
        assert after[number] == existing[number]
    assert planned_changes(after, new_order, current, wanted, {OLD}).empty


# --- the variables' files ---------------------------------------------------------------


class FakeEfivarfs:
    """A folder of ordinary files instead of efivarfs: no firmware says no to anything.

    A write to a variable takes the place of the value; here the file is cut for that.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = EfiVariables(folder, EfiVariables().open_flags | os.O_TRUNC)
        folder.mkdir(exist_ok=True)

    def put(self, name: str, data: bytes) -> None:
        self.path(name).write_bytes(b"\7\0\0\0" + data)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@pytest.fixture
def fake(tmp_path: Path) -> FakeEfivarfs:
    return FakeEfivarfs(tmp_path / "efivars")


def test_only_entries_for_this_disk_are_kept_in_boot_order(fake: FakeEfivarfs) -> None:
    fake.put("BootOrder", struct.pack("<5H", 0x0A, 2, 1, 7, 3))
    fake.put("Boot000A", load_option("debian", "\\a.efi"))
    fake.put("Boot0001", load_option("old", "\\b.efi"))
    fake.put("Boot0002", load_option("elsewhere", "\\c.efi", guid=str(uuid.UUID(int=1))))
    fake.put("Boot0003", load_option("off", "\\d.efi", active=0))
    assert read_entries([(3, GUID)], fake.variables) == (
        BootEntry("debian", 3, "\\a.efi"),
        BootEntry("old", 3, "\\b.efi"),
    )


def test_a_machine_without_uefi_has_no_entries(tmp_path: Path) -> None:
    assert read_entries([(1, GUID)], EfiVariables(tmp_path / "absent")) == ()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "image").mkdir()
    _, image, _ = small_gpt_image(tmp_path / "image")
    partition = ImagedPartition(1, MIB, 4 * MIB, "", GUID, "vfat", "", "used-blocks", "")
    entries = (BootEntry("debian", 1, "\\EFI\\debian\\shimx64.efi"), BootEntry("gone", 2, "\\a"))
    return attrs.evolve(
        image,
        partitions=(partition,),
        firmware=Firmware(bios=False, uefi=True, entries=entries),
    )


def test_entries_come_back_and_a_second_time_nothing_is_written(
    fake: FakeEfivarfs, manifest: Manifest
) -> None:
    fake.put("BootOrder", struct.pack("<4H", 0, 1, 5, 2))
    fake.put("BootCurrent", struct.pack("<H", 0))
    fake.put("Boot0000", NETWORK)
    fake.put("Boot0001", SHELL)
    fake.put("Boot0002", load_option("ubuntu", "\\u.efi", guid=OLD))
    assert write_entries(manifest, frozenset({OLD, GUID}), fake.variables) == "1 written, 1 removed"
    start, size = MIB // 512, 4 * MIB // 512
    written = attrs.evolve(DEBIAN, start=start, size=size)
    assert fake.path("Boot0003").read_bytes() == b"\7\0\0\0" + build_load_option(written)
    assert fake.path("BootOrder").read_bytes() == b"\7\0\0\0" + struct.pack("<4H", 0, 3, 1, 5)
    assert not fake.path("Boot0002").exists()
    before = {path: path.stat().st_mtime_ns for path in fake.folder.iterdir()}
    assert write_entries(manifest, frozenset({GUID}), fake.variables) == "as they should be"
    assert {path: path.stat().st_mtime_ns for path in fake.folder.iterdir()} == before
    assert read_entries([(1, GUID)], fake.variables) == manifest.firmware.entries[:1]


def test_without_variables_a_remark_is_left_where_the_image_has_entries(
    fake: FakeEfivarfs, manifest: Manifest
) -> None:
    said = write_entries(manifest, frozenset(), fake.variables)
    assert said == f"not written: no variables in {fake.folder}"
    plain = attrs.evolve(manifest, firmware=Firmware(bios=True, uefi=False))
    assert write_entries(plain, frozenset(), fake.variables) == ""


def test_a_firmware_that_takes_nothing_is_a_remark(fake: FakeEfivarfs, manifest: Manifest) -> None:
    fake.put("BootOrder", struct.pack("<H", 1))
    takes_none = attrs.evolve(fake.variables, open_flags=os.O_RDONLY)
    said = write_entries(manifest, frozenset(), takes_none)
    assert said == "not written: the firmware refused: No such file or directory"


def test_the_partitions_that_a_disk_had_are_known_by_their_guids(tmp_path: Path) -> None:
    path, _, _ = small_gpt_image(tmp_path)
    assert partition_guids(described(path)) == {str(uuid.UUID(int=1))}
    with path.open("r+b") as file:
        file.write(bytes(MIB))
    assert partition_guids(described(path)) == frozenset()
    assert partition_guids(attrs.evolve(described(path), node="/absent")) == frozenset()
