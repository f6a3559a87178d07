"""Splitting a file into texts that a YAML parser may see.

Almost every file is one section. Where bytes are not UTF-8, or characters are
forbidden, or a merge conflict was left, only the documents that are touched drop
out, so that the others are still checked.
"""

import re
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.hints import described
from specs.diagnostics.position import Position
from specs.diagnostics.quote import quoted

MAX_FILE_BYTES = 16 * 1024 * 1024
"""40,000 machines take 10 to 14 MB, and those may be spread over many files."""

ANY_NAME = "*"
"""Stands for a text that is too long to be searched for the names that it may define."""

MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
"""Where a document begins or ends. At the start of a line, YAML allows it nowhere else."""

_MARKER_BYTES = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7})(?=[ \r\n]|\Z)", re.MULTILINE)
_CONTROL_BYTES = bytes(set(range(32)) - {0x09, 0x0A, 0x0D}) + b"\x7f"
_LONE_RETURN = re.compile("\r(?!\n)")
_LINE_ENDS = frozenset("\x85\u2028\u2029")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_SAMPLE = 32
"""Bytes by which UTF-16 without its mark is told: every second one of ASCII is NUL there."""


class Section(NamedTuple):
    """Some lines of a file that hold whole documents. ``first_line`` counts from 0."""

    file: str
    text: str
    first_line: int

    def position(self, line: int, column: int) -> Position:
        """Return the place in the file of a place in the text; both arguments count from 0."""
        return Position(self.file, self.first_line + line + 1, column + 1)


class Sections(NamedTuple):
    """What of a file can be parsed, and the texts of those documents that cannot."""

    readable: tuple[Section, ...]
    unreadable: tuple[str, ...]


def split(file: str, data: bytes, diagnostics: Diagnostics) -> Sections:
    """Return the readable parts of a file; report why the others are not."""
    start = Position(file, 1, 1)
    if len(data) > MAX_FILE_BYTES:
        diagnostics.error(
            start,
            Code.FILE_TOO_LARGE,
            f"the file has {len(data):,} bytes, at most {MAX_FILE_BYTES:,} are read",
            "split it; documents may be spread over any number of files",
        )
        return Sections((), (ANY_NAME,))
    utf16 = _utf16(data)
    if utf16:
        diagnostics.error(
            start, Code.ENCODING, "the file is UTF-16, not UTF-8", "save the file as UTF-8"
        )
        return Sections((), (data.decode(utf16, "replace"),))
    data = data.removeprefix(_UTF8_MARK)
    whole = _readable(data)
    if whole is not None and not _CONFLICT.search(data):
        return Sections((Section(file, whole, 0),), ())
    return _split_partly_readable(file, data, diagnostics)


def _utf16(data: bytes) -> str:
    """Return the codec of a file in UTF-16, with or without its mark, or nothing."""
    if data.startswith(_UTF16_MARKS):
        return "utf-16"
    low, high = data[:_SAMPLE:2], data[1 : _SAMPLE + 1 : 2]
    for zeros, others, codec in ((high, low, "utf-16-le"), (low, high, "utf-16-be")):
        if zeros and not any(zeros) and all(others):
            return codec
    return ""


@cache
def _forbidden() -> re.Pattern[str]:
    """Return what finds a character that YAML does not allow (YAML 1.2.2, section 5.1).

    The byte order mark is dealt with before. Also what ends a line for some programs only
    (libyaml among them): two would count lines differently.
    """
    return re.compile(
        "\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff"
        "\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    )


@cache
def _no_indentation() -> re.Pattern[str]:
    """Return what finds a key or an item after what looks like a space, or like nothing.

    Text may begin so.
    """
    space = "[\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000]"
    return re.compile(
        rf"^ *(?P<character>{space})(?: |{space})*(?=- |#|[\w\"'][^:\n]*:)", re.MULTILINE
    )


def _readable(data: bytes) -> str | None:
    """Return the text when every character of it is allowed where it stands."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if text.isascii():
        is_plain = len(data.translate(None, _CONTROL_BYTES)) == len(data)
        return text if is_plain and not ("\r" in text and _LONE_RETURN.search(text)) else None
    return None if _forbidden().search(text) or _no_indentation().search(text) else text


def _split_partly_readable(file: str, data: bytes, diagnostics: Diagnostics) -> Sections:
    readable: list[Section] = []
    unreadable: list[str] = []
    in_conflict = is_reported = False
    line = 0
    for segment in _segments(data):
        touched = in_conflict
        for marker in _CONFLICT.finditer(segment):
            kind = marker.group()[:1]
            if kind == b"<" or not (in_conflict or (is_reported and kind == b">")):
                _report_conflict(file, line + segment[: marker.start()].count(b"\n"), diagnostics)
            in_conflict = kind == b"<" or (kind == b"=" and in_conflict)
            is_reported = kind != b">"
            touched = True
        text = None if touched else _readable(segment)
        if text is not None:
            readable.append(Section(file, text, line))
        else:
            unreadable.append(segment.decode("utf-8", "replace"))
            if not touched:
                _report_character(file, segment, line, diagnostics)
        line += segment.count(b"\n")
    return Sections(tuple(readable), tuple(unreadable))


def _segments(data: bytes) -> list[bytes]:
    bounds = [0, *(match.start() for match in _MARKER_BYTES.finditer(data)), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds) if begin < end]


def _report_conflict(file: str, line: int, diagnostics: Diagnostics) -> None:
    diagnostics.error(
        Position(file, line + 1, 1),
        Code.CONFLICT_MARKER,
        "an unresolved merge conflict",
        "resolve it and remove the lines that begin with <<<<<<<, ======= and >>>>>>>",
    )


def _report_character(file: str, segment: bytes, first_line: int, diagnostics: Diagnostics) -> None:
    try:
        text = segment.decode("utf-8")
    except UnicodeDecodeError as error:
        before = segment[: error.start].decode("utf-8")
        diagnostics.error(
            _place(file, first_line, before),
            Code.ENCODING,
            f"the byte 0x{segment[error.start]:02x} is not UTF-8",
            "save the file as UTF-8",
        )
        return
    found = _forbidden().search(text)
    if found is None:
        _report_indentation(file, text, first_line, diagnostics)
        return
    place = _place(file, first_line, text[: found.start()])
    if found.group() == "\0":
        message, hint = "a NUL byte", "is this a text file? Remove the byte or the file"
    elif found.group() == "\r":
        message = "a carriage return without a line feed"
        hint = "end lines with a line feed, or with both"
    elif found.group() in _LINE_ENDS:
        message = f"{described(found.group())} ends a line for some programs and not for others"
        hint = "remove it; in double quotes it can be written as an escape"
    else:
        message = f"the character {quoted(found.group())} is not allowed in YAML"
        hint = "remove it"
    diagnostics.error(place, Code.CONTROL_CHARACTER, message, hint)


def _report_indentation(file: str, text: str, first_line: int, diagnostics: Diagnostics) -> None:
    found = _no_indentation().search(text)
    if found is None:  # pragma: no cover - the segment is here because it has one
        return
    diagnostics.error(
        _place(file, first_line, text[: found.start("character")]),
        Code.INVISIBLE_CHARACTER,
        f"{described(found['character'])} where YAML wants spaces",
        "remove it and indent with spaces; it was perhaps pasted from a web page",
    )


def _place(file: str, first_line: int, before: str) -> Position:
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    return Position(file, first_line + line + 1, column + 1)
