"""Text files from elsewhere: which encoding, which characters.

The encoding is recognised where only one fits. A byte order mark says it. Without one, the
file is read in each encoding of ``_CANDIDATES``, and what cannot be a list of machines falls
away: bytes that mean nothing, a NUL, no separator and no second line. UTF-16 without its mark
is told by that: every separator has a NUL byte, which the other encodings never have. Where
two readings remain that differ, a person has to say which is meant.
"""

import codecs
import re
from collections.abc import Mapping

from reconciler.authoring.rewrite import AuthoringError

MAX_BYTES = 32 * 2**20

ENCODINGS: Mapping[str, str] = {
    "utf-8": "utf-8-sig",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "cp932": "cp932",
    # With the special characters of JIS X 0213, of which ① and ㈱ are some.
    "euc-jp": "euc_jis_2004",
}
"""What a person may ask for, and Python's name of it. CP932 is what Windows calls Shift_JIS."""

_CANDIDATES = ("utf-8", "utf-16-le", "utf-16-be", "cp932")
"""Never EUC-JP: nearly every text in it is one in CP932, too."""
_MARKS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_UNASSIGNED = re.compile("[\x80-\x9f\uf8f0-\uf8f3]")
"""What Python makes of bytes that mean nothing in CP932."""
_SEPARATES = re.compile("[,;\t\n]")
_MOST_SHOWN = 40


def foreign_text(file: str, data: bytes, encoding: str = "") -> str:
    """Return the text of a file without its byte order mark; LF ends its lines.

    ``encoding`` is one of ENCODINGS, or empty where it shall be recognised. Raises
    AuthoringError RW937 where none fits, or not the one that is asked for, and RW978
    where several fit and give different texts.
    """
    if len(data) > MAX_BYTES:
        raise AuthoringError(
            "RW937", f"{file} has more than {MAX_BYTES >> 20} MiB", "Split it into several files"
        )
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")
    if encoding or marked:
        text = _decoded(data, encoding or marked)
        if text is None:
            raise _not_in(file, encoding or marked)
        return text
    if not data.strip():
        return ""
    readings = {name: _decoded(data, name) for name in _CANDIDATES}
    fitting = {
        name: text for name, text in readings.items() if text and _SEPARATES.search(text.strip())
    }
    if not fitting:
        raise AuthoringError(
            "RW937",
            f"{file} is no list in UTF-8, UTF-16 or Shift_JIS (CP932)",
            "Save it as UTF-8, or say what it is with --encoding",
        )
    if len(set(fitting.values())) > 1:
        raise _ambiguous(file, fitting)
    return next(iter(fitting.values()))


def _decoded(data: bytes, encoding: str) -> str | None:
    """Return the text, or None where the bytes are none in this encoding."""
    try:
        text = data.decode(ENCODINGS[encoding]).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    if "\0" in text or (encoding == "cp932" and _UNASSIGNED.search(text)):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _not_in(file: str, encoding: str) -> AuthoringError:
    return AuthoringError(
        "RW937",
        f"{file} is not a text in {encoding}",
        f"Name another --encoding ({', '.join(ENCODINGS)}), or save it as UTF-8",
    )


def _ambiguous(file: str, readings: Mapping[str, str]) -> AuthoringError:
    lines = {name: text.split("\n") for name, text in readings.items()}
    rows = zip(*lines.values(), strict=False)
    number = next((number for number, row in enumerate(rows) if len(set(row)) > 1), 0)
    width = max(map(len, lines))
    shown = "\n".join(
        f"  {name:{width}}  {text[number][:_MOST_SHOWN]}" for name, text in lines.items()
    )
    return AuthoringError(
        "RW978",
        f"{file} can be read as {' and as '.join(lines)}; line {number + 1} would be\n{shown}",
        f"Say which is right: --encoding {' or --encoding '.join(lines)}",
    )
