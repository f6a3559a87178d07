"""Registration files."""

import codecs
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.windows.registry import (
    RegistryFormatError,
    RegistryValue,
    children,
    find,
    long_path,
    parse,
)

HEAD = "Windows Registry Editor Version 5.00\r\n\r\n"
NUMBERS = {
    "REG_NONE": 0,
    "REG_EXPAND_SZ": 2,
    "REG_BINARY": 3,
    "REG_MULTI_SZ": 7,
    "REG_QWORD": 11,
}

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
names = st.text(
    st.characters(exclude_characters="\0\\\r\n", exclude_categories=["Cs"]), min_size=1, max_size=20
)
values = st.one_of(
    st.builds(RegistryValue, st.just("REG_SZ"), texts),
    st.builds(RegistryValue, st.just("REG_EXPAND_SZ"), texts),
    st.builds(RegistryValue, st.just("REG_DWORD"), st.integers(0, 2**32 - 1)),
    st.builds(RegistryValue, st.just("REG_QWORD"), st.integers(0, 2**64 - 1)),
    st.builds(RegistryValue, st.just("REG_BINARY"), st.binary(max_size=60)),
    st.builds(RegistryValue, st.just("REG_MULTI_SZ"), st.lists(texts.filter(bool)).map(tuple)),
)


def encoded(text):
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le")


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def written(value):
    """Write a value as reg.exe does: long data over several lines."""
    if value.kind == "REG_SZ":
        return quoted(value.data)
    if value.kind == "REG_DWORD":
        return f"dword:{value.data:08x}"
    data = value.data
    if value.kind == "REG_QWORD":
        data = data.to_bytes(8, "little")
    elif value.kind == "REG_EXPAND_SZ":
        data = (data + "\0").encode("utf-16-le")
    elif value.kind == "REG_MULTI_SZ":
        data = "".join(f"{text}\0" for text in (*data, "")).encode("utf-16-le")
    digits = [f"{byte:02x}" for byte in data]
    lines = [",".join(digits[start : start + 20]) for start in range(0, len(digits), 20)]
    prefix = "hex:" if value.kind == "REG_BINARY" else f"hex({NUMBERS[value.kind]:x}):"
    return prefix + ",\\\r\n  ".join(lines)


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=4), max_size=4))
def test_what_was_written_is_read(wanted):
    wanted = {
        key.lower(): {name.lower(): v for name, v in vs.items()} for key, vs in wanted.items()
    }
    text = HEAD
    for key, inside in wanted.items():
        text += f"[HKEY_LOCAL_MACHINE\\{key}]\r\n"
        text += "".join(f"{quoted(name)}={written(value)}\r\n" for name, value in inside.items())
        text += "\r\n"
    keys = parse(encoded(text))
    found = {low.partition("\\")[2]: dict(key.values) for low, key in keys.items()}
    assert found == wanted


@given(st.binary(max_size=200))
def test_garbage_raises_one_error_only(data):
    for start in (
        b"",
        codecs.BOM_UTF16_LE,
        encoded(HEAD),
        encoded(HEAD + '[HKEY_USERS\\a]\r\n"b"='),
    ):
        with suppress(RegistryFormatError):
            parse(start + data)


@given(st.text('[]"\\@=hex(7):,dword0\r\n; ', max_size=200))
def test_almost_valid_text_raises_one_error_only(text):
    with suppress(RegistryFormatError):
        parse(encoded(HEAD + text))


def test_a_string_may_hold_line_breaks_as_reg_export_writes_them():
    keys = parse(
        encoded(HEAD + '[HKEY_USERS\\a]\r\n"text"="one\r\n[two]\r\n\\"three\\""\r\n@="all"\r\n')
    )
    key = find(keys, r"HKU\A")
    assert key.text("TEXT") == 'one\r\n[two]\r\n"three"'
    assert key.text("") == "all"


def test_keys_are_found_in_any_case_and_by_short_hives():
    keys = parse(
        encoded(
            HEAD + "[HKEY_LOCAL_MACHINE\\Software\\Ab]\r\n[HKEY_LOCAL_MACHINE\\Software\\Ab\\c]\r\n"
        )
    )
    assert find(keys, r"hklm\SOFTWARE\aB").name == "Ab"
    assert [key.name for key in children(keys, r"HKLM\software\AB")] == ["c"]
    assert long_path("HKCU") == "HKEY_CURRENT_USER"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"REGEDIT4\r\n", "it is not UTF-16 with its mark"),
        (encoded("REGEDIT4"), "it does not begin with 'Windows Registry Editor Version 5.00'"),
        (encoded(HEAD + '"a"="b"'), 'unexpected at 40: \'"a"="b"\''),
        (encoded(HEAD + "[HKEY_USERS\\a]\n@=hex:0"), "unexpected at 57: 'hex:0'"),
    ],
)
def test_what_is_wrong_is_named(data, said):
    with pytest.raises(RegistryFormatError) as error:
        parse(data)
    assert str(error.value) == said


def test_values_are_shown_as_people_write_them():
    assert RegistryValue("REG_DWORD", 31).text == "31"
    assert RegistryValue("REG_BINARY", b"\x01\xff").text == "01ff"
    assert RegistryValue("REG_MULTI_SZ", ("a", "b")).text == "a\nb"
