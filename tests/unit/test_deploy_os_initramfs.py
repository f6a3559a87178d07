import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import zstandard

from providers.deploy_os.initramfs import (
    Entry,
    archive,
    character_device,
    directory,
    entries_below,
    join_images,
    write_image,
)


def fill(root: Path) -> None:
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "tool").write_bytes(b"#!/bin/sh\n")
    (root / "usr" / "bin" / "tool").chmod(0o700)
    (root / "usr" / "note").write_bytes(b"12345")
    (root / "usr" / "note").chmod(0o640)
    (root / "bin").symlink_to("usr/bin")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def test_an_entry_has_the_form_that_the_kernel_documents() -> None:
    data = b"".join(archive([Entry("a", stat.S_IFREG | 0o644, b"hello")], mtime=0x11223344))

    assert data[:120] == (
        b"070701"
        b"00000001000081A4000000000000000000000001112233440000000500000000"
        b"0000000000000000000000000000000200000000"
        b"a\0"
        b"hello\0\0\0"
    )
    assert data[120:126] == b"070701"
    assert data.endswith(b"TRAILER!!!\0\0\0\0")


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_cpio_lists_what_was_written(tmp_path: Path) -> None:
    fill(tmp_path)
    entries = [
        directory("."),
        *entries_below(tmp_path),
        character_device("console", 0o600, 5, 1),
    ]

    said = subprocess.run(
        ["cpio", "-tv", "--quiet", "--numeric-uid-gid"],
        input=b"".join(archive(entries, mtime=0)),
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    ).stdout.decode()

    rows = [line.split() for line in said.splitlines()]
    assert [(row[0], " ".join(row[8:])) for row in rows if row[0][0] != "c"] == [
        ("drwxr-xr-x", "."),
        ("lrwxrwxrwx", "bin -> usr/bin"),
        ("drwxrwxrwt", "tmp"),
        ("drwxr-xr-x", "usr"),
        ("drwxr-xr-x", "usr/bin"),
        ("-rwxr-xr-x", "usr/bin/tool"),
        ("-rw-r--r--", "usr/note"),
    ]
    assert rows[-1][0] == "crw-------"
    assert rows[-1][4:6] == ["5,", "1"]
    assert {(row[2], row[3]) for row in rows} == {("0", "0")}


def test_equal_trees_give_equal_images_whatever_their_times(tmp_path: Path) -> None:
    images = []
    for number in (1, 2):
        root = tmp_path / f"root{number}"
        fill(root)
        os.utime(root / "usr" / "note", (number, number))
        image = tmp_path / f"{number}.img"
        write_image(entries_below(root), mtime=7, level=3, image=image)
        images.append(image.read_bytes())

    assert images[0] == images[1]


def test_joined_images_start_at_borders_of_four_bytes(tmp_path: Path) -> None:
    images = []
    for number, size in enumerate((1, 2, 3)):
        image = tmp_path / f"{number}.img"
        write_image([Entry("f", stat.S_IFREG, os.urandom(size))], 0, 1, image)
        images.append(image)

    join_images(images, tmp_path / "joined.img")

    joined = (tmp_path / "joined.img").read_bytes()
    starts = [at for at in range(0, len(joined), 4) if joined[at : at + 4] == b"\x28\xb5\x2f\xfd"]
    assert len(starts) == 3
    for image, start in zip(images, starts, strict=True):
        unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(joined[start:])
        expected = zstandard.ZstdDecompressor().decompressobj().decompress(image.read_bytes())
        assert unpacked == expected
