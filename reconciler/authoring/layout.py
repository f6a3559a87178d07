"""The one layout of a YAML text: indentation, spaces, blank lines, line ends.

Lines stay lines, comments and quotes stay as they are, and keys keep their order: a
reviewer sees nothing move but spaces. The rules, by YAML 1.2.2's productions:

- two spaces for each level, lists indented below their key;
- one space after ``:``, ``-`` and ``,``, none inside brackets;
- at most one blank line in a row, none at either end, no spaces at ends of lines;
- a comment stands at the column of what follows it, or of the block that it ends;
- LF at the end of every line.

The tokens come from libyaml; only what stands between them is written anew.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockEntryToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    DirectiveToken,
    DocumentEndToken,
    DocumentStartToken,
    FlowEntryToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    ScalarToken,
    StreamEndToken,
    StreamStartToken,
    TagToken,
    Token,
    ValueToken,
)

_STEP = 2
_BLOCK_STARTS = (BlockMappingStartToken, BlockSequenceStartToken)
_FLOW_STARTS = (FlowMappingStartToken, FlowSequenceStartToken)
_FLOW_ENDS = (FlowMappingEndToken, FlowSequenceEndToken)
_MARKERS = (DirectiveToken, DocumentStartToken, DocumentEndToken, StreamEndToken)
_ONE_SPACE_AFTER = (
    AnchorToken,
    BlockEntryToken,
    DocumentStartToken,
    FlowEntryToken,
    KeyToken,
    TagToken,
    ValueToken,
)
_BLOCK_STYLES = ("|", ">")


@dataclass(frozen=True, slots=True)
class _Level:
    """One mapping or list in block style: the column that it had and the one that it gets."""

    old: int
    new: int
    outer: "_Level | None"
    is_mapping: bool
    is_indentless: bool = False
    """A list at the column of the key that it belongs to; libyaml gives it no end."""


def laid_out(text: str) -> str:
    """Return ``text`` in the one layout; what it says is the same.

    ``text`` is valid YAML without a byte order mark. A second pass changes nothing.
    """
    text = re.sub(r"\r\n?", "\n", text)
    return _Writer(text).written()


def comments(text: str) -> Iterator[str]:
    """Yield the comments of a YAML text, without what is around them."""
    end = 0
    for token in _tokens(text):
        for line in text[end : token.start_mark.index].split("\n"):
            if "#" in line:
                yield line.strip()
        end = max(end, token.end_mark.index)


def _tokens(text: str) -> Iterator[Token]:
    parser = CParser(text)
    try:
        while True:
            token = parser.get_token()
            yield token
            if isinstance(token, StreamEndToken):
                return
    finally:
        parser.dispose()


class _Writer:
    """Walks the tokens once; ``_level`` is where the walk is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._out: list[str] = []
        self._level: _Level | None = None
        self._level_before: _Level | None = None
        """Where the walk was at the last token that has characters."""
        self._flow = 0
        self._shift = 0
        """By how many columns the line moved in which the present flow collection began."""
        self._previous: Token | None = None
        self._begins_entry = False
        """Whether the next token with characters is the first of a key."""

    def written(self) -> str:
        """Return the text anew."""
        for token in _tokens(self._text):
            if not isinstance(token, StreamStartToken):
                self._take(token)
        return "".join(self._out)

    def _take(self, token: Token) -> None:
        if isinstance(token, BlockEndToken):
            self._leave_indentless()
            self._level = self._level.outer if self._level else None
            return
        if isinstance(token, _BLOCK_STARTS):
            self._enter(token.start_mark.column, is_mapping=isinstance(token, _BLOCK_STARTS[0]))
            return
        if not self._flow:
            self._find_level(token)
        if isinstance(token, KeyToken) and token.start_mark.index == token.end_mark.index:
            self._begins_entry = True
            return
        self._emit(token)

    def _enter(self, column: int, *, is_mapping: bool, is_indentless: bool = False) -> None:
        new = 0 if self._level is None else self._level.new + _STEP
        self._level = _Level(column, new, self._level, is_mapping, is_indentless)

    def _leave_indentless(self) -> None:
        if self._level and self._level.is_indentless:
            self._level = self._level.outer

    def _find_level(self, token: Token) -> None:
        """Enter or leave a list that stands at the column of its key."""
        if isinstance(token, BlockEntryToken):
            if self._level and self._level.is_mapping:
                self._enter(token.start_mark.column, is_mapping=False, is_indentless=True)
        elif isinstance(token, KeyToken) or (
            isinstance(token, ValueToken) and self._level and self._level.is_indentless
        ):
            self._leave_indentless()

    def _emit(self, token: Token) -> None:
        begin = self._previous.end_mark.index if self._previous else 0
        gap = self._text[begin : token.start_mark.index]
        at_line_start = self._previous is None or _is_block_scalar(self._previous)
        if at_line_start or "\n" in gap or isinstance(token, StreamEndToken):
            self._break_lines(gap, token, at_line_start=at_line_start)
        else:
            self._out.append(self._space(gap, token))
        self._out.append(self._token_text(token))
        if isinstance(token, _FLOW_STARTS):
            self._flow += 1
        elif isinstance(token, _FLOW_ENDS):
            self._flow -= 1
        self._previous = token
        self._level_before = self._level
        self._begins_entry = False

    def _space(self, gap: str, token: Token) -> str:
        """Return what stands between two tokens of one line."""
        previous = self._previous
        if isinstance(token, ValueToken):
            # *name: would be an alias called "name:" to some tools.
            return " " if isinstance(previous, AliasToken) else ""
        if isinstance(token, (*_FLOW_ENDS, FlowEntryToken)):
            return " " if isinstance(previous, ValueToken) else ""
        if isinstance(previous, _FLOW_STARTS):
            return ""
        return " " if isinstance(previous, _ONE_SPACE_AFTER) else gap

    def _break_lines(self, gap: str, token: Token, *, at_line_start: bool) -> None:
        """Write the end of a line, comments and blank lines, and the next indentation."""
        lines = gap.split("\n")
        if isinstance(token, StreamEndToken) and (
            lines[-1].strip() or (len(lines) == 1 and not at_line_start)
        ):
            lines.append("")
        if not at_line_start:
            self._out.append(lines.pop(0).rstrip())
            self._out.append("\n")
        old, new = self._columns(token, len(lines[-1]))
        keeps_blanks = self._previous is not None and _keeps_blank_lines(self._previous, self._text)
        blank = self._previous is None
        waiting = False
        for line in lines[:-1]:
            comment = line.strip()
            if not comment:
                if keeps_blanks:
                    self._out.append("\n")
                waiting = not blank and not keeps_blanks
                continue
            if waiting:
                self._out.append("\n")
            waiting = blank = keeps_blanks = False
            column = self._comment_column(len(line) - len(line.lstrip()), old, new)
            self._out.append(" " * column + comment + "\n")
        if isinstance(token, StreamEndToken):
            return
        if waiting:
            self._out.append("\n")
        self._out.append(" " * new)
        if not self._flow:
            self._shift = new - old

    def _columns(self, token: Token, old: int) -> tuple[int, int]:
        """Return the column that the first token of a line had, and the one that it gets."""
        if isinstance(token, _MARKERS):
            return 0, 0
        if self._level is None and isinstance(token, ScalarToken):
            return old, old  # at the first column, "---" would be a marker
        level = self._level.new if self._level else 0
        if self._flow:
            least = level if isinstance(token, _FLOW_ENDS) else level + _STEP
            return old, max(least, old + self._shift)
        is_entry = self._begins_entry or isinstance(token, (BlockEntryToken, KeyToken, ValueToken))
        return old, level if is_entry or self._level is None else level + _STEP

    def _comment_column(self, column: int, old: int, new: int) -> int:
        """Return the column for a comment before a line that moves from ``old`` to ``new``."""
        level = self._level_before
        while level is not None and column > old:
            if old < level.old <= column:
                return level.new
            level = level.outer
        return new

    def _token_text(self, token: Token) -> str:
        text = self._text[token.start_mark.index : token.end_mark.index]
        if not isinstance(token, ScalarToken) or "\n" not in text or self._level is None:
            return text
        if token.style in _BLOCK_STYLES:
            return self._block_scalar(text)
        first, *rest = text.split("\n")
        indent = " " * (self._level.new + _STEP)
        return "\n".join(
            [first, *(indent + line.lstrip(" \t") if line.strip() else "" for line in rest)]
        )

    def _block_scalar(self, text: str) -> str:
        """Return a literal or folded text, all its lines moved alike."""
        assert self._level is not None  # noqa: S101 - the caller looked
        header, *lines = text.split("\n")
        indented = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")]
        if not indented:
            return text
        if re.match(r"[|>][-+]?[1-9]", header):
            old, new = self._level.old, self._level.new
        else:
            old, new = indented[0], self._level.new + _STEP
        moved = [" " * new + line[old:] if len(line) > old else line.strip(" ") for line in lines]
        return "\n".join([header, *moved])


def _is_block_scalar(token: Token) -> bool:
    return isinstance(token, ScalarToken) and token.style in _BLOCK_STYLES


def _keeps_blank_lines(token: Token, text: str) -> bool:
    """Tell whether blank lines after the token belong to it (``|+``)."""
    return _is_block_scalar(token) and "+" in text[token.start_mark.index :][:3]
