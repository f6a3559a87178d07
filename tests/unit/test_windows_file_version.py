"""The version in a PE file."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.windows.file_version import (
    FileVersionError,
    file_version,
    fixed_version,
    read_version,
)

ADDRESS, OFFSET = 0x3000, 0x400
part = st.integers(0, 0xFFFF)


def fixed(parts):
    high = parts[0] << 16 | parts[1]
    low = parts[2] << 16 | parts[3]
    return struct.pack("<13I", 0xFEEF04BD, 0x10000, high, low, *[0] * 9)


def directory(*entries, named=0):
    head = struct.pack("<12xHH", named, len(entries) - named)
    return head + b"".join(struct.pack("<II", *entry) for entry in entries)


def pe_file(parts, *, plus=True, others=(), padding=0):
    """Make a PE file with one section, whose resources have a version and others."""
    types = [*((number, 0) for number in others), (16, 0)]
    second = 16 + 8 * len(types)
    third, leaf = second + 24, second + 48
    types = [(number, 0x80000000 | second) for number, _ in types]
    resource = b"\x34\0\x34\0\0\0VS_VERSION_INFO".ljust(40, b"\0") + fixed(parts)
    tree = directory(*types) + directory((1, 0x80000000 | third)) + directory((1033, leaf))
    tree += struct.pack("<IIII", ADDRESS + leaf + 16, len(resource), 0, 0) + resource
    optional = struct.pack("<H", 0x20B if plus else 0x10B).ljust(108 if plus else 92, b"\0")
    optional += struct.pack("<I", 16) + struct.pack("<II", 0, 0) * 2
    optional += struct.pack("<II", ADDRESS, len(tree)) + struct.pack("<II", 0, 0) * 13
    section = struct.pack("<8s4I16x", b".rsrc", len(tree), ADDRESS, len(tree), OFFSET + padding)
    place = 64 + padding
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", place)
    coff = struct.pack("<4sHH12xHH", b"PE\0\0", 0x8664, 1, len(optional), 0)
    whole = (head.ljust(place, b"\0") + coff + optional + section).ljust(OFFSET + padding, b"\0")
    return whole + tree


@given(st.tuples(part, part, part, part), st.booleans(), st.sets(st.integers(1, 15), max_size=5))
def test_the_version_that_was_written_is_read(parts, plus, others):
    data = pe_file(parts, plus=plus, others=sorted(others))
    assert read_version(io.BytesIO(data)) == ".".join(map(str, parts))


@given(st.data())
def test_a_damaged_file_raises_one_error_only(data):
    whole = bytearray(pe_file((1, 2, 3, 4)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))
    with suppress(FileVersionError):
        read_version(io.BytesIO(whole[:end]))


@given(st.binary(max_size=300))
def test_garbage_raises_one_error_only(data):
    for start in (b"", b"MZ", pe_file((1, 2, 3, 4))[:300]):
        with suppress(FileVersionError):
            read_version(io.BytesIO(start + data))
    with suppress(FileVersionError):
        fixed_version(data)


def test_only_a_few_hundred_bytes_are_read_of_a_large_file():
    class Counting(io.BytesIO):
        count = 0

        def read(self, size=-1):
            data = super().read(size)
            self.count += len(data)
            return data

    file = Counting(pe_file((6, 1, 0, 9), padding=1 << 20))
    assert read_version(file) == "6.1.0.9"
    assert file.count < 1000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x7fELF".ljust(64, b"\0"), "it does not begin with MZ"),
        (b"MZ".ljust(100, b"\0"), "it has no PE header"),
        (b"MZ", "it ends before 64"),
    ],
)
def test_what_is_no_pe_file_is_named(data, said):
    with pytest.raises(FileVersionError) as error:
        read_version(io.BytesIO(data))
    assert str(error.value) == said


def test_a_file_without_a_version_has_an_empty_one(tmp_path):
    path = tmp_path / "setup.exe"
    path.write_bytes(b"MZ but nothing else")
    assert file_version(path) == ""
