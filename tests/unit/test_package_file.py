"""``package.json`` and what a list says: whatever the bytes are, one error or a package."""

import json
from typing import Any

import pytest
from builders.package_world import package_text
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile

from providers.package_source.listing import listed_packages
from providers.package_source.package_file import (
    InvalidPackageError,
    PackageFile,
    decode,
    encode,
)
from specs.types.ed25519_key import key_bytes, key_text
from specs.types.invalid_value import InvalidValue

DOCUMENT = json.loads(package_text("agent", "1.0", {"a.deb": b"a"}))
FILE = PackageFile("a.deb", "9f" * 32, 1)
GOOD = encode(DOCUMENT, [FILE])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_package_is_read_as_it_was_written() -> None:
    found = decode(GOOD)
    assert (found.name, found.version, found.files) == ("agent", "1.0", (FILE,))
    assert list(found.targets) == ["agent/1.0/files/a.deb"]
    assert found.document.spec.setup.command == ("true",)


def test_the_order_of_files_changes_nothing() -> None:
    other = PackageFile("b.deb", "9e" * 32, 2)
    assert encode(DOCUMENT, [FILE, other]) == encode(DOCUMENT, [other, FILE])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_package_or_one_error(data: bytes) -> None:
    with pytest.raises(InvalidPackageError):
        decode(data)


@given(st.sampled_from(["document", "files", "format"]), JSON)
def test_any_value_in_place_of_a_field_is_one_error(field: str, value: Any) -> None:
    whole = {**json.loads(GOOD), field: value}
    try:
        text = json.dumps(whole).encode()
    except ValueError:
        return
    if value != json.loads(GOOD)[field] and not (field == "files" and value == []):
        with pytest.raises(InvalidPackageError):
            decode(text)


@given(st.sampled_from(["name", "sha256", "size"]), JSON)
def test_any_value_in_a_file_is_a_file_or_one_error(field: str, value: Any) -> None:
    whole = json.loads(GOOD)
    whole["files"][0][field] = value
    try:
        (file,) = decode(json.dumps(whole).encode()).files
    except InvalidPackageError:
        return
    assert getattr(file, field) == value
    assert "/" not in file.name
    assert file.name not in {"", ".", ".."}


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a%2fb", "a?b", "a#b", "a\nb", "x" * 201],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidPackageError, match="cannot be the name"):
        decode(encode(DOCUMENT, [PackageFile(name, "9f" * 32, 1)]))


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidPackageError, match="two of its files"):
        decode(encode(DOCUMENT, [FILE, PackageFile("a.deb", "9e" * 32, 1)]))


def test_a_document_of_another_kind_is_refused() -> None:
    group = {"apiVersion": "rackwright/v1alpha1", "kind": "Group", "metadata": {"name": "a"}}
    with pytest.raises(InvalidPackageError, match="not exactly one Package"):
        decode(encode({**group, "spec": {}}, []))


@given(st.dictionaries(st.text(max_size=30), JSON, max_size=5))
def test_whatever_a_list_names_packages_are_found_or_passed_over(custom: dict[str, Any]) -> None:
    targets = {
        path: TargetFile(5, {"sha256": "9f" * 32}, path, {"custom": each})
        for path, each in {**custom, "agent/1.0/package.json": custom.get("x")}.items()
    }
    found = list(listed_packages(targets))
    assert ("agent", "1.0") in [(each.name, each.version) for each in found]
    assert all(isinstance(each.yanked, str) and each.yanked.isprintable() for each in found)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_was_written(raw: bytes) -> None:
    assert key_bytes(key_text(raw)) == raw


@given(st.text())
def test_no_other_text_is_a_key(text: str) -> None:
    try:
        raw = key_bytes(text)
    except ValueError:
        return
    assert key_text(raw) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ed25519:AAAA", "is not an Ed25519 public key"),
        ("-----BEGIN PRIVATE KEY-----", "this is a private key"),
    ],
)
def test_a_document_with_no_key_says_so(text: str, said: str) -> None:
    from specs.types.ed25519_key import _key  # noqa: PLC0415 - the check of the field's type

    with pytest.raises(InvalidValue, match=said):
        _key(text)
