"""libyaml's errors in the words of the person who wrote the file."""

import re

from ruamel.yaml.error import MarkedYAMLError

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostic
from specs.diagnostics.hints import NO_TEMPLATES, curly_quotes
from specs.diagnostics.quote import LONGEST
from specs.types.secret import TAG_HINT
from specs.yaml.section import Section

_TAB = (Code.TAB, "a tab where YAML wants spaces", "indent with spaces")
_ESCAPE = ("an unknown escape after a backslash", "double the backslash, or use single quotes")
_FIXED = {
    "mapping values are not allowed in this context": (
        'a ":" where no new key can begin',
        'put a value that contains ": " in quotes; otherwise align this line with its neighbours',
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
        "text on the line of a | or >, or of a directive",
        "begin the text on the next line, indented; put text that begins with | or > in quotes",
    ),
    "mapping keys are not allowed in this context": (
        "a ? where no key can begin",
        "put a value that begins with ? in quotes",
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
_COLON_IN_FLOW = "found unexpected ':'"
_NO_COLON = "could not find expected ':'"
_NO_KEY = "did not find expected key"
_QUOTE_ENDS = ("found unexpected end of stream", "found unexpected document indicator")
_BEFORE = re.compile(r"[\w.:/-]+\Z")
_CLOCK = re.compile(r"\d{1,2}:\d\d")
_AFTER = re.compile(r"[\w.:/-]+")
_WORD_IN_BRACES = re.compile(r"\{\w+\}[\w.-]*")
_LONG_MARKER = ("a line of dashes that separates nothing", "write exactly three: ---")
_AFTER_QUOTE = (
    "text after a closing quote",
    'a quote inside "..." is written \\", and one inside \'...\' is doubled',
)
_TAG = (Code.UNKNOWN_TAG, "an unknown tag", TAG_HINT)


class UnreadableDocumentError(Exception):
    """The document cannot be used; those after it can.

    ``resume`` is the index into the section's text where the search for the next
    document begins.
    """

    def __init__(self, diagnostic: Diagnostic, resume: int) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic
        self.resume = resume


def unreadable_at(  # noqa: PLR0913, PLR0917 - a place, a continuation, and what a diagnostic has
    section: Section, line: int, column: int, resume: int, code: Code, message: str, hint: str
) -> UnreadableDocumentError:
    """Return the error for a place in a section; line and column count from 0."""
    position = section.position(line, column)
    return UnreadableDocumentError(Diagnostic(position, code, "error", message, hint), resume)


def explain(error: MarkedYAMLError, section: Section) -> UnreadableDocumentError:
    """Return what libyaml found in the section's text, placed where a person has to look.

    An unclosed quote or bracket is placed where it was opened, a key without its
    colon where the key begins.
    """
    problem = error.problem or "it cannot be read"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return unreadable_at(section, 0, 0, 0, Code.SYNTAX, f"not YAML: {problem}", "")
    text, code = section.text, Code.SYNTAX
    opened = error.context_mark or mark
    line, column = opened.line, opened.column
    character = text[mark.index : mark.index + 1]
    if problem in _UNCLOSED and character in {"]", "}"}:
        bracket = text[opened.index : opened.index + 1]
        message = f'a "{character}" where a {bracket} is still open'
        hint = f"remove it, or close the {bracket} before it"
        line, column = mark.line, mark.column
    elif problem in _UNCLOSED and (value := _with_braces(text, mark.index)):
        message = 'a "{" inside an unquoted value in [ ] or { }'
        hint = f'put the value in quotes: "{value}"'
        line, column = mark.line, mark.column
    elif problem in _UNCLOSED:
        message, hint = _UNCLOSED[problem]
        if mark.line != opened.line and text[mark.index :].strip():
            message += f" before line {section.position(mark.line, 0).line}"
    elif problem in _QUOTE_ENDS and "quoted" in (error.context or ""):
        message, hint = "this quote is not closed", "add the closing quote"
    elif problem == _NO_COLON:
        is_marker = text.startswith("----", opened.index)
        message, hint = _LONG_MARKER if is_marker else _FIXED[problem]
    else:
        code, message, hint = _words(problem, error.context or "", text, mark.index)
        is_at_end = not text[mark.index :].strip()
        line, column = _end(text) if is_at_end else (mark.line, mark.column)
    return unreadable_at(section, line, column, mark.index, code, message, hint)


def _end(text: str) -> tuple[int, int]:
    """Return line and column behind the last word: libyaml counts one line too many there."""
    text = text.rstrip()
    return text.count("\n"), len(text) - (text.rfind("\n") + 1)


def _words(problem: str, where: str, text: str, index: int) -> tuple[Code, str, str]:
    character = text[index : index + 1]
    cannot_begin = problem == "found character that cannot start any token"
    if "tab character" in problem or (cannot_begin and character == "\t"):
        return _TAB
    if where.endswith(" tag") or "tag handle" in problem:
        return _TAG
    if cannot_begin:
        if character == "%" and text[index - 1 : index] == "{":
            return Code.SYNTAX, "a line of a text template", NO_TEMPLATES
        message = f'a value cannot begin with "{character}"'
        return Code.SYNTAX, message, "put the value in quotes"
    if problem == _COLON_IN_FLOW:
        message = 'a ":" inside an unquoted value in [ ] or { }'
        return Code.SYNTAX, message, _unquoted_hint(text, index)
    message, hint = _FIXED.get(problem, (f"not YAML: {problem}", ""))
    if problem == _NO_KEY and character == ":":
        message, hint = 'there is no key before this ":"', "write the key, or remove the line"
    elif problem == _NO_KEY and _follows_quote(text, index):
        message, hint = _AFTER_QUOTE
    return Code.SYNTAX, message, hint


def _with_braces(text: str, index: int) -> str:
    """Return the unquoted value around a word in braces at ``index``, such as ``a-{machine}``."""
    before = _BEFORE.search(text, max(0, index - LONGEST), index)
    after = _WORD_IN_BRACES.match(text, index, index + LONGEST)
    return f"{before.group()}{after.group()}" if before and after else ""


def _unquoted_hint(text: str, index: int) -> str:
    """Return what helps where a value with a ":" at ``index`` stands in brackets without quotes."""
    value = _token(text, index)
    if not value:
        return "put the value in quotes"
    if _CLOCK.fullmatch(value):
        return 'write a time of day as "09:15", a duration as 75m'
    begin = text.index(value, max(0, index - len(value)))
    quote = text[max(0, begin - 1) : begin]
    if curly_quotes(quote):
        return f'{quote} is no quote to YAML; write "{value}"'
    return f'put the value in quotes: "{value}"'


def _token(text: str, index: int) -> str:
    """Return the unquoted value in brackets around ``index``, where it is short and plain."""
    before = _BEFORE.search(text, max(0, index - LONGEST), index)
    after = _AFTER.match(text, index, index + LONGEST)
    return f"{before.group()}{after.group()}" if before and after else ""


def _follows_quote(text: str, index: int) -> bool:
    line = text[text.rfind("\n", 0, index) + 1 : index]
    return line.rstrip(" ").endswith(('"', "'"))
