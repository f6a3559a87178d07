import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.imaging import manifest as m
from agent.imaging.chunk import CHUNK_SIZE, count_spans
from agent.imaging.errors import ManifestError
from agent.imaging.extent import Extent, merged
from agent.imaging.manifest import (
    BootEntry,
    Firmware,
    ImagedPartition,
    LogicalVolume,
    Manifest,
)
from agent.imaging.table import Region
from agent.wire.imaged_system import ImagedSystem, Obstacle
from tests.unit.imaging_images import noise, small_gpt_image

MIB = CHUNK_SIZE
ROOT = ImagedPartition(
    number=1,
    start=MIB,
    size=6 * MIB,
    type="0fc63daf-8483-4772-8e79-3d69d8477de4",
    uuid="00000000-0000-0000-0000-000000000001",
    filesystem="ext4",
    label="root",
    method="used-blocks",
    reason="",
)


VOLUME = {
    "group": "vg0",
    "name": "root",
    "uuid": "",
    "filesystem": "ext4",
    "label": "",
    "method": "used-blocks",
    "reason": "",
    "extents": [MIB, MIB],
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    _, manifest, _ = small_gpt_image(tmp_path_factory.mktemp("image"))
    entry = BootEntry("debian", 1, "\\EFI\\debian\\shimx64.efi")
    return attrs.evolve(
        manifest,
        partitions=(ROOT,),
        firmware=Firmware(bios=True, uefi=True, entries=(entry,)),
    )


def plain(used: tuple[Extent, ...], size: int = 64 * MIB) -> Manifest:
    digests = noise(32 * count_spans(used))
    return Manifest(
        disk_size=size,
        sector_size=512,
        table="none",
        firmware=Firmware(bios=False, uefi=False),
        regions=(Region("boot-sector", 0, bytes(512)),),
        partitions=(),
        used=used,
        digests=digests,
    )


def test_a_manifest_survives_the_round_trip(image: Manifest) -> None:
    assert m.decode(m.encode(image)) == image


def test_the_encoding_of_version_1_is_pinned() -> None:
    older = attrs.evolve(plain((Extent(0, 512), Extent(MIB, 2 * MIB))), version=1)
    data = m.encode(older)
    zeros = base64.b64encode(bytes(512)).decode()
    digests = base64.b64encode(noise(96)).decode()
    assert data.decode() == (
        '{"digests":"' + digests + '","disk":{"sectorSize":512,"size":67108864},'
        '"firmware":{"bios":false,"entries":[],"uefi":false},"partitions":[],'
        '"regions":[{"kind":"boot-sector","offset":0,"raw":"' + zeros + '"}],'
        '"table":"none","used":[0,512,1048064,2097152],"version":1}'
    )
    assert m.digest(data) == "f6169f506e5ba43a44123604b45b1c3a7c6ddabe97e82b2681349fa95e17ec07"
    assert m.decode(data) == older


def test_the_encoding_of_version_2_is_pinned() -> None:
    volume = LogicalVolume(
        *("vg0", "root", "lv-1", "ext4", "root", "used-blocks", ""),
        extents=(Extent(2 * MIB, MIB), Extent(MIB, MIB)),
    )
    system = ImagedSystem(
        *("Debian GNU/Linux 12", "vg0/root", "systemd", "ifupdown"),
        (Obstacle("RW462", "it has no Python", "Install python3"),),
    )
    image = attrs.evolve(
        plain((Extent(0, 512), Extent(MIB, 2 * MIB))),
        volumes=(volume,),
        system=system,
        version=2,
    )
    data = m.encode(image)
    document = json.loads(data)
    assert document["version"] == 2
    assert "unreadable" not in document
    assert document["volumes"] == [
        {
            "extents": [2 * MIB, MIB, MIB, MIB],
            "filesystem": "ext4",
            "group": "vg0",
            "label": "root",
            "method": "used-blocks",
            "name": "root",
            "reason": "",
            "uuid": "lv-1",
        }
    ]
    assert document["system"] == {
        "init": "systemd",
        "name": "Debian GNU/Linux 12",
        "network": "ifupdown",
        "obstacles": [
            {"action": "Install python3", "cause": "it has no Python", "code": "RW462"},
        ],
        "root": "vg0/root",
    }
    assert m.decode(data) == image


def test_the_encoding_of_version_3_has_what_the_disk_did_not_give() -> None:
    lost = (Extent(MIB + 512, 1024), Extent(2 * MIB, 512))
    image = attrs.evolve(plain((Extent(0, 512), Extent(MIB, 2 * MIB))), unreadable=lost)
    data = m.encode(image)
    document = json.loads(data)
    assert document["version"] == 3
    assert document["unreadable"] == [MIB + 512, 1024, MIB - 1536, 512]
    assert m.decode(data) == image
    assert image.unreadable_bytes == 1536


@given(
    st.lists(st.builds(Extent, st.integers(0, 9000), st.integers(1, 4000)), max_size=6).map(
        lambda extents: merged(
            [Extent(0, 512), *(Extent(e.offset * 512, e.length * 512) for e in extents)]
        )
    )
)
def test_chunks_are_what_the_used_extents_say(used: tuple[Extent, ...]) -> None:
    manifest = plain(used)
    assert m.decode(m.encode(manifest)) == manifest
    chunks = list(manifest.chunks())
    assert len(chunks) == manifest.chunk_count
    assert sum(chunk.span.used for chunk in chunks) == manifest.used_bytes
    assert b"".join(bytes.fromhex(chunk.digest) for chunk in chunks) == manifest.digests


def test_an_image_of_a_terabyte_stays_compact() -> None:
    manifest = plain((Extent(0, 1 << 35),), size=1 << 35)  # 32 GiB, 32,768 chunks
    assert len(m.encode(manifest)) < 45 * manifest.chunk_count


Change = Callable[[dict[str, Any]], object]


def changed(image: Manifest, change: Change) -> bytes:
    document = json.loads(m.encode(image))
    change(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.update(version=4), "version 4, this program reads 1 to 3"),
        (lambda d: d.update(version=2), "it is not in canonical form"),
        (lambda d: d.pop("unreadable"), "unreadable is no list"),
        (lambda d: d.update(unreadable=[0]), "unreadable holds an odd number of values"),
        (
            lambda d: d.update(unreadable=[0, 700]),
            "unreadable extent 0+700 is no whole number of sectors",
        ),
        (lambda d: d.update(unreadable=[0, 512, 0, 512]), "unreadable: gap 0 and length 512"),
        (lambda d: d.update(unreadable=[1 << 40, 512]), "a part of unreadable lies outside used"),
        (lambda d: d.update(version=1), "it is not in canonical form"),
        (lambda d: d.pop("system"), "it is not in canonical form"),
        (lambda d: d.pop("volumes"), "volumes is no list"),
        (lambda d: d.update(volumes=[VOLUME, VOLUME]), "two volumes have the same name"),
        (lambda d: d.update(volumes=[{**VOLUME, "method": "all"}]), "has the method 'all'"),
        (lambda d: d.update(volumes=[{**VOLUME, "extents": [1]}]), "an odd number of values"),
        (lambda d: d.update(volumes=[{**VOLUME, "extents": [0, 1 << 50]}]), "not on the disk"),
        (lambda d: d.update(volumes=[{**VOLUME, "reason": "a"}]), "must state a reason exactly"),
        (lambda d: d.update(version=True), "version is no int"),
        (lambda d: d.pop("digests"), "digests is no str"),
        (lambda d: d.update(extra=1), "it is not in canonical form"),
        (lambda d: d["disk"].update(size="8"), "disk.size is no int"),
        (lambda d: d["disk"].update(size=8 * MIB + 1), "is no size of a disk"),
        (lambda d: d["disk"].update(size=-512), "is no size of a disk"),
        (lambda d: d["disk"].update(size=1 << 70), "is no size of a disk"),
        (lambda d: d["disk"].update(sectorSize=520), "disk.sectorSize 520 is none of"),
        (lambda d: d["disk"].update(size=4 * MIB), "used ends at 8388608, the disk at 4194304"),
        (lambda d: d.update(table="apm"), "table 'apm' is none of"),
        (lambda d: d.update(table="x" * 501), "table has 501 characters"),
        (lambda d: d.update(used=[]), "used does not start with the disk's first sector"),
        (lambda d: d.update(used=[512, 512]), "used does not start with the disk's first"),
        (lambda d: d.update(used=[0]), "used holds an odd number of values"),
        (lambda d: d.update(used=[0, 512, 0, 512]), "used: gap 0 and length 512 after offset 512"),
        (lambda d: d.update(used=[0, 512, 512, -5]), "used: gap 512 and length -5"),
        (lambda d: d.update(used=[0, 512, -512, 512]), "used: gap -512"),
        (lambda d: d.update(used=[0, 700]), "used extent 0+700 is no whole number of sectors"),
        (lambda d: d.update(used=[0, 512.0]), "used holds something else than integers"),
        (lambda d: d.update(used=[0, True]), "used holds something else than integers"),
        (lambda d: d.update(digests="AAAA"), "digests holds 3 bytes"),
        (lambda d: d.update(digests="not base64!"), "digests is no base64"),
        (lambda d: d["partitions"][0].update(start=0, size=9 * MIB), "ends at 9437184, the disk"),
        (lambda d: d["partitions"][0].update(size=0), "partition 1 ends at 1048576"),
        (lambda d: d["partitions"][0].update(start=-1), "partition 1 overlaps"),
        (lambda d: d["partitions"][0].update(number=0), "partition 0 has an impossible number"),
        (lambda d: d["partitions"][0].update(method="raw"), "has the method 'raw'"),
        (lambda d: d["partitions"][0].update(reason="why"), "must state a reason exactly where"),
        (
            lambda d: d["partitions"][0].update(method="full-sector", reason="LUKS"),
            "was kept in full, but parts of it are not in used",
        ),
        (lambda d: d["partitions"].append(d["partitions"][0]), "have the same number"),
        (
            lambda d: d["partitions"].append({**d["partitions"][0], "number": 2}),
            "partition 2 overlaps the one before it",
        ),
        (lambda d: d["partitions"][0].update(label="\x1b[2J"), "holds unprintable characters"),
        (lambda d: d.update(partitions=[[]]), "partitions[0] is no object"),
        (lambda d: d.update(regions=[]), "regions does not start with the boot sector"),
        (lambda d: d["regions"].pop(0), "regions does not start with the boot sector"),
        (lambda d: d["regions"][0].update(raw="AAAA"), "the boot sector is not the first sector"),
        (lambda d: d["regions"][1].update(kind="x"), "region x at 512 is none of"),
        (lambda d: d["regions"][1].update(offset=0), "overlaps the one before it"),
        (lambda d: d["regions"][1].update(raw=""), "is empty, overlaps"),
        (lambda d: d["regions"].pop(1), "without the regions gpt-header and gpt-entries"),
        (
            lambda d: d["regions"].append(
                {"kind": "ebr", "offset": 8 * MIB, "raw": base64.b64encode(bytes(512)).decode()}
            ),
            "a region lies outside used",
        ),
        (
            lambda d: d["regions"][1].update(raw=base64.b64encode(bytes(512)).decode()),
            "LBA 1 has no GPT signature",
        ),
        (
            lambda d: d["regions"][2].update(raw=base64.b64encode(bytes(16384)).decode()),
            "the checksum of the GPT entries at LBA 2 is wrong",
        ),
        (lambda d: d["firmware"].update(bios=1), "firmware.bios is no bool"),
        (lambda d: d["firmware"]["entries"][0].update(partition="1"), "partition is no int"),
    ],
)
def test_a_malformed_manifest_is_refused_by_field(
    image: Manifest, change: Change, problem: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        m.decode(changed(image, change))
    assert problem in str(caught.value)
    assert caught.value.code == "RW401"


def test_the_unchanged_document_is_accepted(image: Manifest) -> None:
    assert m.decode(changed(image, lambda document: document)) == image


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b'"', b"\xff\xfe", b"[" * 100_000, b"{}" * 2, b"1" * 5000],
)
def test_garbage_is_refused_with_the_same_error(data: bytes) -> None:
    with pytest.raises(ManifestError):
        m.decode(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b'"version":3,', b'"version":3,"version":3,'),
        lambda data: data.replace(b'"table"', b'"\\u0074able"'),
        lambda data: data.decode().encode("utf-16"),
    ],
)
def test_one_image_has_one_encoding(image: Manifest, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ManifestError, match="not in canonical form"):
        m.decode(change(m.encode(image)))


@settings(max_examples=60)
@given(data=st.data())
def test_a_changed_byte_gives_an_error_or_another_valid_image(
    image: Manifest, data: st.DataObject
) -> None:
    encoded = bytearray(m.encode(image))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    try:
        decoded = m.decode(bytes(encoded))
    except ManifestError:
        return
    assert m.encode(decoded) == bytes(encoded)


def test_an_oversized_document_is_refused_unread(
    image: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m, "MAX_MANIFEST_SIZE", 100)
    with pytest.raises(ManifestError, match="at most 100 are allowed"):
        m.decode(m.encode(image))


def test_the_identity_does_not_depend_on_when_or_where(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, first, _ = small_gpt_image(tmp_path / "a")
    _, second, _ = small_gpt_image(tmp_path / "b")
    assert m.digest(m.encode(first)) == m.digest(m.encode(second))
