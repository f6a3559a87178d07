"""CSV as spreadsheets save it, and what they do to the cells.

Separators are commas, semicolons or tabs, or what a first line ``sep=;`` says.

A cell that begins with a character that makes spreadsheets calculate (``= + - @``, tab,
or their full-width forms) is written with a quote ``'`` before it, which is what OWASP
recommends ("CSV Injection"), and so is one that they would take for a number or a date and
write in another way (``007``, ``1E5``, ``1-2``). Reading takes one such quote away, so that
nothing changes on the way. A cell that begins with ``'`` itself gets one too.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

_CALCULATES = "=+-@\t＝＋－＠"  # noqa: RUF001 - the full-width forms count in some locales
_DELIMITERS = ",;\t"
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"

_REWRITTEN = re.compile(
    r"0\d+|\d{12,}"  # zeros are lost; long numbers become 1.23E+11
    r"|\d*\.\d*0|\d+(?:\.\d*)?e[+-]?\d+"
    r"|\d{1,4}[-/]\d{1,2}(?:[-/]\d{1,4})?|\d{1,2}:\d\d(?::\d\d)?"
    rf"|\d{{1,4}}[- ]?(?:{_MONTHS})[a-z]*(?:[- ]\d{{2,4}})?|(?:{_MONTHS})[a-z]*[- ]?\d{{1,4}}",
    re.IGNORECASE,
)
"""What a spreadsheet takes for a number or a date, and shows and saves in another way."""

_CHANGED = re.compile(
    r"\d(?:\.\d+)?e[+-]\d+"
    rf"|\d{{1,2}}-(?:{_MONTHS})(?:-\d\d|-\d{{4}})?|(?:{_MONTHS})-\d\d"
    r"|\d{1,2}月\d{1,2}日|\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d{1,4}/\d{1,2}/\d{1,4}"
    r"|#+|#(?:NAME\?|REF!|VALUE!|N/A|DIV/0!|NUM!|NULL!)",
    re.IGNORECASE,
)
"""What a spreadsheet saves in place of a number, of something like a date, or of a formula."""

_AS_TEXT = re.compile(r'="([^"]*)"')
"""The formula by which programs keep a spreadsheet from reading a number."""


class NotCsvError(Exception):
    """A row is no CSV; the text says why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"this is not CSV: {reason}")
        self.line = line


def read(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row that has any; lines are counted from 1.

    Raises NotCsvError.
    """
    lines = text.split("\n")
    first = re.fullmatch(r'"?sep=(.)"?', lines[0], re.IGNORECASE)
    skipped = 1 if first else 0
    delimiter = first[1] if first else _delimiter(lines)
    body = "\n".join(lines[skipped:])
    reader = csv.reader(StringIO(body, newline=""), delimiter=delimiter, strict=True)
    line = 1 + skipped
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise NotCsvError(line, str(error)) from error


def _delimiter(lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    bare = re.sub(r'"[^"]*"?', "", first)
    return max(_DELIMITERS, key=bare.count)


def text_of(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV (RFC 4180, lines end with LF) that no spreadsheet changes."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue()


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet calculates or takes for a number (see above)."""
    return f"'{cell}" if _needs_a_quote(cell) else cell


def uncalculated(cell: str) -> str:
    """Return a cell that no spreadsheet calculates; numbers and dates stay what they are."""
    return f"'{cell}" if _is_calculated(cell) else cell


def unguarded(cell: str) -> str:
    """Return what a cell holds: without the quote of ``guarded``."""
    if cell[:1] == "'" and _needs_a_quote(cell[1:]):
        return cell[1:]
    as_text = _AS_TEXT.fullmatch(cell)
    return as_text[1] if as_text else cell


def is_changed(cell: str) -> bool:
    """Return whether a cell, as it is in the file, is what a spreadsheet made of another."""
    return bool(_CHANGED.fullmatch(cell))


def _needs_a_quote(cell: str) -> bool:
    return _is_calculated(cell) or bool(_REWRITTEN.fullmatch(cell))


def _is_calculated(cell: str) -> bool:
    return cell.startswith((*_CALCULATES, "'"))
