"""pydantic's errors in the words of the person who wrote the document."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from specs.diagnostics.codes import Code
from specs.diagnostics.hints import curly_quotes, hint_for
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.quote import quoted
from specs.kinds.group import GroupSpec
from specs.kinds.machine import Hardware, MachineIdentity, ScenarioAssignment
from specs.kinds.machine_table import MachineRow
from specs.kinds.record import Record
from specs.types import mac_address
from specs.types.invalid_value import INVALID_VALUE
from specs.types.secret import SecretReference
from specs.validate.fields import (
    example,
    example_of,
    field_at,
    fields_of,
    is_list,
    model_at,
    places_of,
)


@dataclass(frozen=True, slots=True)
class ModelDiagnostic:
    """One error of a model, ready to be placed. ``at_key`` says to point at the key.

    ``meant`` is the field that was probably meant by an unknown one.
    """

    path: Path
    code: Code
    message: str
    hint: str
    at_key: bool = False
    meant: Path | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """One error of pydantic with what is needed to put it into words.

    ``missing`` are the required fields that the document lacks.
    """

    error: ErrorDetails
    path: Path
    model: type[Record]
    nearest: NearestNames
    written: Callable[[Path], str | None]
    missing: frozenset[Path]

    @property
    def place(self) -> str:
        return dotted(self.path)

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx", {})

    @property
    def description(self) -> str:
        field = field_at(self.model, self.path)
        return (field.description or "") if field else ""


def explain(
    errors: Iterable[ErrorDetails],
    model: type[Record],
    nearest: NearestNames,
    written: Callable[[Path], str | None],
) -> list[ModelDiagnostic]:
    """Return the diagnostics that the errors of one ``ValidationError`` make.

    ``written`` returns the text of a scalar as it stands in the file. What only
    follows from another error is left out: a list that is too short because its
    items are wrong, and a field that is missing because it is misspelt, or written
    in another place.
    """
    errors = list(errors)
    missing = frozenset(_path(error) for error in errors if error["type"] == "missing")
    diagnostics = []
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue
        case = _Case(error, _path(error), model, nearest, written, missing)
        diagnostics.append(_WORDS.get(error["type"], _other)(case))
    misspelt = {diagnostic.meant for diagnostic in diagnostics}
    return [
        diagnostic
        for diagnostic in diagnostics
        if diagnostic.code != Code.MISSING_FIELD or diagnostic.path not in misspelt
    ]


def _path(error: ErrorDetails) -> Path:
    return tuple(part for part in error["loc"] if part != "[key]")


def _invalid_value(case: _Case) -> ModelDiagnostic:
    message, hint, code, field = (case.context[key] for key in ("message", "hint", "code", "field"))
    path = (*case.path, field) if field else case.path
    at_key = "[key]" in case.error["loc"]
    value = case.error["input"]
    if isinstance(value, str) and not _is_key_block(value):
        hint = hint_for(value, hint)
    words = f"{dotted(path)}: {message}"
    return ModelDiagnostic(path, code, words, hint or case.description, at_key)


_is_key_block = re.compile(r"\s*-----BEGIN ").match


def _unknown_field(case: _Case) -> ModelDiagnostic:
    outer, name = case.path[:-1], str(case.path[-1])
    hint, meant = _meant_field(case, outer, name)
    place = f"{dotted(outer)}: " if outer else ""
    message = f"{place}unknown field {quoted(name)}"
    return ModelDiagnostic(case.path, Code.UNKNOWN_FIELD, message, hint, at_key=True, meant=meant)


def _meant_field(case: _Case, outer: Path, name: str) -> tuple[str, Path | None]:
    """Return the hint for an unknown field, and the field that was meant where that is known."""
    parent = model_at(case.model, outer)
    tried = _TRIED.get((parent, name))
    if tried:
        return tried, None
    if isinstance(case.error["input"], str) and _names_a_secret(name):
        return _PLAIN_SECRET, None
    known = sorted(fields_of(parent)) if parent else []
    near = next((each for each in known if _same_word(each, name)), None)
    others = [] if near else _elsewhere(case, outer, name)
    if len(others) == 1:
        (other,) = others
        if other[-1] == name:
            return f"it belongs in {dotted(other[:-1]) or 'the document itself'}", other
        return f"did you mean {dotted(other)}?", other
    if others:
        return f"did you mean {' or '.join(map(dotted, others))}?", None
    near = near or case.nearest.find(name, known) or _whole_word(name, known)
    if near:
        return _renamed(case, (*outer, near)), (*outer, near)
    return f"known here: {', '.join(known)}" if known else "nothing can be set here", None


def _same_word(one: str, other: str) -> bool:
    """Return whether two fields differ in nothing but their number: address and addresses."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return long in {short, f"{short}s", f"{short}es"}


def _renamed(case: _Case, path: Path) -> str:
    """Return the hint to rename a field, with its value as a list where one is wanted."""
    value, name = case.error["input"], path[-1]
    field = field_at(case.model, path)
    if field is None or not isinstance(value, str) or not is_list(field.annotation):
        return f"did you mean {quoted(str(name))}?"
    if _fits(field, [value]):
        return f"write {name}: [{quoted(value)}]"
    return f"did you mean {quoted(str(name))}? It is a list; for example {name}: {example(field)}"


def _fits(field: FieldInfo, value: object) -> bool:
    """Return whether a field takes a value."""
    annotation: Any = field.annotation
    for constraint in field.metadata:
        annotation = Annotated[annotation, constraint]
    try:
        TypeAdapter(annotation).validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError:
        return False
    return True


_SHORTEST_PART = 3


def _whole_word(part: str, words: Iterable[str]) -> str | None:
    """Return the one of ``words`` that ``part`` abbreviates, or None."""
    found = [word for word in words if word.startswith(part)]
    return found[0] if len(found) == 1 and len(part) >= _SHORTEST_PART else None


def _elsewhere(case: _Case, outer: Path, name: str) -> list[Path]:
    """Return the places in the document where the field, or its plural, would be known.

    Those below ``outer`` come alone where there are any, and of them the missing ones.
    """
    parent = model_at(case.model, outer)
    names = [name, f"{name}s", f"{name}es", name.removesuffix("s"), name.removesuffix("es")]
    words = dict.fromkeys(names)
    inner = [path for word in words for path in places_of(parent, word)] if parent else []
    below = [(*outer, *path) for path in inner]
    missing = [path for path in below if path in case.missing]
    return missing or below or [path for word in words for path in places_of(case.model, word)]


_PLAIN_SECRET = "no field takes it here; if it is in use, change it, since Git keeps it for ever"  # noqa: S105
_names_a_secret = re.compile("pass(word|wd|phrase)|secret|token|credential", re.IGNORECASE).search
_TRIED: dict[tuple[type[Record] | None, str], str] = {
    **dict.fromkeys(
        [(GroupSpec, "parent"), (GroupSpec, "group"), (GroupSpec, "groups")],
        "the name of a group is its place: rack/row1 is inside rack",
    ),
    **dict.fromkeys(
        [(GroupSpec, "machine"), (GroupSpec, "machines"), (GroupSpec, "members")],
        "a machine names its group: spec.group in its Machine document",
    ),
    **dict.fromkeys(
        [(MachineRow, "metadata"), (MachineRow, "spec")],
        "a row has the fields of a Machine without their sections, for example name and macs",
    ),
    **{
        (MachineRow, section): "a row has its fields without a section: "
        + ", ".join(fields_of(model))
        for section, model in (("hardware", Hardware), ("identity", MachineIdentity))
    },
    (MachineRow, "assign"): (
        "a table's machines get work from their groups' assign, or from a Scenario's targets"
    ),
}
"""What people try because other tools have it."""


def _missing_field(case: _Case) -> ModelDiagnostic:
    outer, name = case.path[:-1], case.path[-1]
    place = f"{dotted(outer)}: " if outer else ""
    shown = example(field_at(case.model, case.path))
    hint = f"add {name}: {shown}" if shown else f"add {name}"
    if case.description:
        hint += f" ({case.description.split('. ')[0].rstrip('.')})"
    message = f"{place}{quoted(str(name))} is missing"
    return ModelDiagnostic(case.path, Code.MISSING_FIELD, message, hint, at_key=True)


def _wrong_type(expected: str) -> Callable[[_Case], ModelDiagnostic]:
    def words(case: _Case) -> ModelDiagnostic:
        value = case.error["input"]
        if isinstance(value, SecretReference):
            return ModelDiagnostic(
                case.path,
                Code.SECRET_NOT_ALLOWED,
                f"{case.place}: a secret is not allowed here",
                "this value is shown in plans and logs; write the value itself",
            )
        message = f"{case.place}: must be {expected}, not {_shown(value, case)}"
        hint_for_type = _TYPE_HINTS.get(expected)
        curly = curly_quotes(value) if isinstance(value, str) else ""
        inner = value[1:-1] if isinstance(value, str) and curly else value
        hint = hint_for_type(inner, case) if hint_for_type else ""
        if curly:
            hint = f"{curly.partition(';')[0]}; {hint}" if hint else curly
        if not hint:
            shown = example(field_at(case.model, case.path))
            hint = f"for example {shown}" if shown else "one value is wanted here"
        return ModelDiagnostic(case.path, Code.WRONG_TYPE, message, hint)

    return words


def _text_hint(value: object, case: _Case) -> str:
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str):
        return f"write {_plain(value[0])}, not a list"
    written = case.written(case.path)
    if written is None:
        return ""
    meant = mac_address.suggestion(written)
    if meant and "macs" in case.path:
        return f'write "{meant}", with colons and in quotes'
    field = field_at(case.model, case.path)
    return f'put it in quotes: "{written}"' if field is None or _fits(field, written) else ""


def _boolean_hint(value: object, case: _Case) -> str:
    del case
    word = str(value).lower()
    if word in {"true", "false"}:
        return f"write {word}, without quotes"
    if word in {"yes", "y", "on", "no", "n", "off"}:
        meant = "true" if word in {"yes", "y", "on"} else "false"
        return f"write {meant}; yes, no, on and off are text"
    return "write true or false"


def _number_hint(value: object, case: _Case) -> str:
    del case
    digits = re.sub("[ _,']", "", value) if isinstance(value, str) else ""
    if digits.isascii() and digits.isdigit():
        return f"write {int(digits[:_LONGEST_NUMBER])}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_LONGEST_NUMBER:
        return f"write {int(value)}"
    return ""


def _mapping_hint(value: object, case: _Case) -> str:
    if isinstance(value, tuple) and any(isinstance(item, dict) for item in value):
        return "remove the dash: one mapping is wanted, not a list"
    model = model_at(case.model, case.path)
    known = fields_of(model) if model else {}
    if not isinstance(value, str) or model is None or not known:
        return ""
    if value in known:
        return f"write {value}: {{}}"
    if value.startswith("{"):
        return "remove the quotes around the mapping"
    key, colon, rest = value.partition(":")
    if colon and key in known and rest.strip():
        return f"write {key}: {_plain(rest.strip())}, with a space after the colon"
    mapping = _as_mapping(model, value)
    if mapping:
        return f"write {mapping}"
    shown = example_of(model)
    return f"for example {shown}" if shown else f"known here: {', '.join(sorted(known))}"


def _as_mapping(model: type[Record], text: str) -> str:
    """Return the mapping that a text most likely stands for; empty where that is not known."""
    if model is ScenarioAssignment:
        run = example(fields_of(model)["run"])
        return f"{{scenario: {_plain(text)}, run: {run}}}"
    required = [name for name, field in fields_of(model).items() if field.is_required()]
    return f"{{{required[0]}: {_plain(text)}}}" if len(required) == 1 else ""


_LISTS_OF_WORDS = frozenset(
    {"addresses", "arguments", "command", "install", "kernelArguments", "macs", "packages"}
)
"""Lists whose items have no spaces, or are the words of a command."""


_is_list_of_numbers = re.compile(r"\[\d+(, \d+)*\]").fullmatch


def _list_hint(value: object, case: _Case) -> str:
    shown = example(field_at(case.model, case.path))
    if isinstance(value, str) and _is_list_of_numbers(shown):
        numbers = re.split("[ ,]+", value.strip(" ,[]"))
        if all(each.isascii() and each.isdigit() for each in numbers):
            return f"write [{', '.join(numbers)}]"
        return f"for example {shown}"
    if isinstance(value, str):
        if value.startswith("["):
            return "remove the quotes around the list"
        model = model_at(case.model, case.path)
        if model is not None:
            mapping = _as_mapping(model, value)
            return f"write [{mapping}]" if mapping else ""
        words = value.split() if case.path[-1] in _LISTS_OF_WORDS else []
        return f"write [{', '.join(map(quoted, words or [value]))}]"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"write [{value}]"
    if isinstance(value, dict) and shown:
        return f"begin each item with a dash and a space; for example {shown}"
    return ""


_LONGEST_NUMBER = 18
_TYPE_HINTS: dict[str, Callable[[object, _Case], str]] = {
    "text": _text_hint,
    "true or false": _boolean_hint,
    "a whole number": _number_hint,
    "a mapping": _mapping_hint,
    "a list": _list_hint,
}
_is_plain = re.compile(r"[\w./-][\w ./-]{0,50}").fullmatch


def _plain(text: str) -> str:
    """Return ``text`` as somebody would write it: without quotes where that works."""
    return text if text.isprintable() and _is_plain(text) else quoted(text)


def _shown(value: object, case: _Case) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {case.written(case.path) or value}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def _choice(case: _Case) -> ModelDiagnostic:
    field = field_at(case.model, _without_indexes(case.path))
    choices = list(_choices(field.annotation)) if field else []
    description = (field.description or "") if field else ""
    words = f"one of {', '.join(choices)}" if len(choices) != 1 else choices[0]
    value = case.error["input"]
    if not isinstance(value, str):
        return _wrong_type(words)(case)
    meant = _meant_choice(case, value, choices)
    hint = f"did you mean {quoted(meant)}?" if meant else description
    message = f"{case.place}: must be {words}, not {quoted(value)}"
    return ModelDiagnostic(case.path, Code.BAD_VALUE, message, hint)


_OTHER_WORDS = {
    "aarch64": "arm64",
    "almalinux": "rhel",
    "centos": "rhel",
    "i686": "i386",
    "idrac": "redfish",
    "ilo": "redfish",
    "openpgp": "gpg",
    "opensuse": "suse",
    "pgp": "gpg",
    "rocky": "rhel",
    "sles": "suse",
    "wol": "wake-on-lan",
    "x64": "amd64",
    "x86_64": "amd64",
}
"""What others call some choices."""


def _meant_choice(case: _Case, value: str, choices: list[str]) -> str | None:
    meant = case.nearest.find(value, choices)
    if meant:
        return meant
    word = value.casefold()
    longer = [choice for choice in choices if word.startswith(choice)]
    other = _OTHER_WORDS.get(word)
    return longer[0] if longer else (other if other in choices else None)


def _without_indexes(path: Path) -> Path:
    """Return the path of the list that an item is in; other paths are their own."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return path


def _choices(annotation: object) -> Iterator[str]:
    """Yield the texts of all ``Literal`` types within a field's type."""
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _choices(part)


def _not_a_secret(case: _Case) -> ModelDiagnostic:
    """Refuse a plain value where a secret is wanted, without repeating the value."""
    return ModelDiagnostic(
        case.path,
        Code.WRONG_TYPE,
        f"{case.place}: must be a reference such as !secret bmc/rack07, not the value",
        "keep the value itself out of the repository; it stays in its history",
    )


def _limit(words: str, key: str) -> Callable[[_Case], ModelDiagnostic]:
    def diagnostic(case: _Case) -> ModelDiagnostic:
        limit, value = case.context[key], case.error["input"]
        message = f"{case.place}: must {words.format(limit)}"
        if isinstance(value, int):
            message += f", not {value}"
        return ModelDiagnostic(case.path, Code.BAD_VALUE, message, case.description)

    return diagnostic


def _length(words: str, key: str) -> Callable[[_Case], ModelDiagnostic]:
    def diagnostic(case: _Case) -> ModelDiagnostic:
        limit, value = case.context[key], case.error["input"]
        unit = "characters" if isinstance(value, str) else "items"
        message = f"{case.place}: must have {words} {limit} {unit}, not {len(value)}"
        if not value and limit == 1:
            message = f"{case.place}: must not be empty"
        return ModelDiagnostic(case.path, Code.BAD_VALUE, message, case.description)

    return diagnostic


def _other(case: _Case) -> ModelDiagnostic:
    return ModelDiagnostic(case.path, Code.BAD_VALUE, f"{case.place}: {case.error['msg']}", "")


_WORDS: dict[str, Callable[[_Case], ModelDiagnostic]] = {
    INVALID_VALUE: _invalid_value,
    "extra_forbidden": _unknown_field,
    "missing": _missing_field,
    "string_type": _wrong_type("text"),
    "int_type": _wrong_type("a whole number"),
    "bool_type": _wrong_type("true or false"),
    "tuple_type": _wrong_type("a list"),
    "dict_type": _wrong_type("a mapping"),
    "model_type": _wrong_type("a mapping"),
    "is_instance_of": _not_a_secret,
    "literal_error": _choice,
    "greater_than_equal": _limit("be at least {}", "ge"),
    "less_than_equal": _limit("be at most {}", "le"),
    "too_short": _length("at least", "min_length"),
    "too_long": _length("at most", "max_length"),
    "string_too_short": _length("at least", "min_length"),
    "string_too_long": _length("at most", "max_length"),
}
