"""libyaml's complaints in the words of the person who wrote the file."""

from typing import Protocol

from specs.code import Code
from specs.source.flaw import Flaw

_TAB = (Code.TAB, "a tab where YAML wants spaces", "indent with spaces")
_ESCAPE = ("an unknown escape after a backslash", "double the backslash, or use single quotes")
_FIXED = {
    "mapping values are not allowed in this context": (
        'a ":" where no new key can begin',
        'put a value that contains ": " in quotes; otherwise align this line with its neighbours',
    ),
    "found unexpected ':'": (
        'a ":" inside an unquoted value in [ ] or { }',
        'put the value in quotes: "52:54:00:12:34:56"',
    ),
    "could not find expected ':'": (
        'a ":" is missing after this key',
        "write key: value, or put text of several lines in quotes",
    ),
    "did not find expected '-' indicator": (
        "this line does not belong to the list above",
        "align it with the list's dashes, or with the key that the list belongs to",
    ),
    "did not find expected key": (
        "this line does not fit the mapping above",
        "align it with its neighbours; check for an unclosed quote above it",
    ),
    "block sequence entries are not allowed in this context": (
        'a "-" where no list can begin',
        "begin the list on the line below its key",
    ),
    "did not find expected alphabetic or numeric character": (
        "an & or * without a name",
        "put a value that begins with & or * in quotes",
    ),
    "did not find expected comment or line break": (
        "text after a | or > or a directive",
        "begin the text on the next line, indented",
    ),
    "did not find expected node content": (
        "a value is missing here",
        'look for a "," or a bracket too many',
    ),
    "found unknown escape character": _ESCAPE,
    "found invalid Unicode character escape code": _ESCAPE,
    "did not find expected hexdecimal number": _ESCAPE,
    "did not find expected <document start>": (
        "text where the document has already ended",
        "begin the next document with a line of ---, or align this line with the others",
    ),
    "found unknown directive name": ("an unknown % directive", "remove the line"),
    "found incompatible YAML document": (
        "a %YAML directive of another version",
        "remove the line, or write %YAML 1.2",
    ),
}
_UNCLOSED = {
    "did not find expected ',' or ']'": ("this [ is not closed", 'add the "]", or a missing ","'),
    "did not find expected ',' or '}'": ("this { is not closed", 'add the "}", or a missing ","'),
}
_QUOTE_ENDS = ("found unexpected end of stream", "found unexpected document indicator")
_TAG = (Code.UNKNOWN_TAG, "an unknown tag", "only !secret NAME exists here")


class _Mark(Protocol):
    index: int
    line: int
    column: int


class _Complaint(Protocol):
    context: str | None
    context_mark: _Mark | None
    problem: str | None
    problem_mark: _Mark | None


def explain(complaint: _Complaint, text: str) -> Flaw:
    """Return what libyaml found in ``text``, placed where a person has to look.

    An unclosed quote or bracket is placed where it was opened.
    """
    problem = complaint.problem or "it cannot be read"
    mark = complaint.problem_mark or complaint.context_mark
    if mark is None:
        return Flaw(0, 0, 0, Code.SYNTAX, f"not YAML: {problem}", "")
    opened = complaint.context_mark or mark
    if problem in _UNCLOSED:
        message, hint = _UNCLOSED[problem]
        return Flaw(opened.line, opened.column, mark.index, Code.SYNTAX, message, hint)
    if problem in _QUOTE_ENDS and "quoted" in (complaint.context or ""):
        message, hint = "this quote is not closed", "add the closing quote"
        return Flaw(opened.line, opened.column, mark.index, Code.SYNTAX, message, hint)
    where = complaint.context or ""
    code, message, hint = _words(problem, where, text[mark.index : mark.index + 1])
    return Flaw(mark.line, mark.column, mark.index, code, message, hint)


def _words(problem: str, where: str, character: str) -> tuple[Code, str, str]:
    if "tab character" in problem:
        return _TAB
    if problem == "found character that cannot start any token":
        if character == "\t":
            return _TAB
        return (
            Code.SYNTAX,
            f'a value cannot begin with "{character}"',
            "put the value in quotes",
        )
    if where.endswith(" tag") or "tag handle" in problem:
        return _TAG
    if problem in _FIXED:
        message, hint = _FIXED[problem]
        return Code.SYNTAX, message, hint
    return Code.SYNTAX, f"not YAML: {problem}", ""
