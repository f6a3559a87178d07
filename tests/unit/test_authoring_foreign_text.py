"""Text from elsewhere is read as it was written, or a person is asked: it is never misread."""
# ruff: noqa: RUF001 - full-width characters are what it is about

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reconciler.authoring.foreign_text import ENCODINGS, foreign_text
from reconciler.authoring.rewrite import AuthoringError

LIST = "name,macs\r\n東京,02\r\n名古屋第一工場,03\r\n"
READ = LIST.replace("\r\n", "\n")
RECOGNISED = ["utf-8", "utf-8-sig", "cp932", "utf-16", "utf-16-le", "utf-16-be"]
LETTERS = (
    st.characters(codec="cp932", exclude_categories=("Cc",), exclude_characters="¢£¬‖−〜")
    | st.characters(exclude_categories=("Cs", "Cc"))
    | st.sampled_from("ｱﾃﾇ｡～①㈱髙﨑¥\\∥－")
)


@pytest.mark.parametrize("encoding", RECOGNISED)
def test_files_of_windows_are_recognised(encoding: str) -> None:
    assert foreign_text("m.csv", LIST.encode(encoding)) == READ


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_asked_for_is_taken(encoding: str) -> None:
    assert foreign_text("m.csv", LIST.encode(ENCODINGS[encoding]), encoding) == READ


@pytest.mark.parametrize("encoding", ["cp932", "euc-jp"])
def test_what_only_japanese_computers_write_survives(encoding: str) -> None:
    text = "ﾊﾝｶｸ ～ ① ㈱ Ⅲ ㎏"
    assert foreign_text("m.csv", text.encode(ENCODINGS[encoding]), encoding) == text


def test_the_wave_dash_is_the_one_of_its_encoding() -> None:
    assert foreign_text("m.csv", b"\x81\x60", "cp932") == "\uff5e"
    assert foreign_text("m.csv", b"\xa1\xc1", "euc-jp") == "\u301c"
    assert foreign_text("m.csv", "\u301c,\uff5e\n".encode("utf-8-sig")) == "\u301c,\uff5e\n"


@given(
    st.lists(st.text(LETTERS, max_size=8), max_size=6),
    st.sampled_from(",;\t\n"),
    st.sampled_from(RECOGNISED),
)
@example(["ﾃｱ", ""], ",", "cp932")
@example(["東京", "名前"], ",", "utf-8")
@example(["aⰀb", "㬀"], ",", "utf-16-le")
@settings(max_examples=500, deadline=None)
def test_a_list_is_read_as_it_was_written_or_refused(
    cells: list[str], separator: str, encoding: str
) -> None:
    text = f"x{separator}y" + separator.join(cells)
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)  # noqa: FBT003 - the encoding has no such character
    assume(data.decode(encoding) == text)  # Python writes the wave dash into CP932, too
    try:
        found = foreign_text("m.csv", data)
    except AuthoringError as error:
        assert error.code in {"RW937", "RW978"}  # noqa: PT017 - both outcomes are fine
    else:
        assert found == text


def test_a_file_that_two_encodings_fit_is_refused_with_a_line_in_each() -> None:
    with pytest.raises(AuthoringError) as caught:
        foreign_text("m.csv", "name,macs\nﾃｱ,02\n".encode("cp932"))
    assert (caught.value.code, caught.value.cause, caught.value.action) == (
        "RW978",
        ("m.csv can be read as utf-8 and as cp932; line 2 would be\n  utf-8  ñ,02\n  cp932  ﾃｱ,02"),
        "Say which is right: --encoding utf-8 or --encoding cp932",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xff\xa0,",
        b"\xef\xbb\xbf\x82,",
        b"\xff\xfea,b",
        b"\xff\xfe\0\0a\0\0\0,\0\0\0",
        b"a\0,b",
        b"\0",
        b"\x80,\n",
        b"\xfd\xfe,\xff\n",
        b"one word",
    ],
)
def test_what_is_no_list_in_any_encoding_is_refused(data: bytes) -> None:
    with pytest.raises(AuthoringError, match="RW937"):
        foreign_text("m.csv", data)


def test_a_wrong_encoding_that_is_asked_for_is_refused() -> None:
    with pytest.raises(AuthoringError, match=r"RW937: m\.csv is not a text in utf-8\. Name"):
        foreign_text("m.csv", LIST.encode("cp932"), "utf-8")
    with pytest.raises(AuthoringError, match=r"RW937: m\.csv is not a text in cp932"):
        foreign_text("m.csv", LIST.encode("utf-16-le"), "cp932")


def test_an_empty_file_is_an_empty_text_and_a_huge_one_is_refused() -> None:
    assert foreign_text("m.csv", b"") == foreign_text("m.csv", b"\xef\xbb\xbf") == ""
    with pytest.raises(AuthoringError, match=r"RW937: m\.csv has more than 32 MiB"):
        foreign_text("m.csv", bytes(32 * 2**20 + 1))


@given(st.binary(max_size=60), st.sampled_from(["", *ENCODINGS]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_text_or_an_error_with_a_code(data: bytes, encoding: str) -> None:
    try:
        assert "\0" not in foreign_text("m.csv", data, encoding)
    except AuthoringError as error:
        assert error.code in {"RW937", "RW978"}  # noqa: PT017 - both outcomes are fine
