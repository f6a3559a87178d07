"""pydantic's errors in the words of the person who wrote the document."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from specs.code import Code
from specs.kinds.record import Record
from specs.nearest import NearestNames
from specs.path import Path, dotted
from specs.quotation import quoted
from specs.rejection import REJECTION
from specs.secret_reference import SecretReference
from specs.value import mac_address


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of a model, ready to be placed. ``at_key`` says to point at the key.

    ``meant`` is the field that was probably meant by an unknown one.
    """

    path: Path
    at_key: bool
    code: Code
    message: str
    hint: str
    meant: Path | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """One error of pydantic with what is needed to put it into words."""

    error: ErrorDetails
    path: Path
    model: type[Record]
    nearest: NearestNames
    written: Callable[[Path], str | None]

    @property
    def place(self) -> str:
        return dotted(self.path)

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx", {})


def explain(
    errors: Iterable[ErrorDetails],
    model: type[Record],
    nearest: NearestNames,
    written: Callable[[Path], str | None],
) -> list[Complaint]:
    """Return the complaints that the errors of one ``ValidationError`` make.

    ``written`` returns the text of a scalar as it stands in the file. What only
    follows from another error is left out: a list that is too short because its
    items are wrong, and a field that is missing because it is misspelt.
    """
    complaints = []
    for error in errors:
        path = tuple(part for part in error["loc"] if part != "[key]")
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue
        case = _Case(error, path, model, nearest, written)
        complaints.append(_WORDS.get(error["type"], _other)(case))
    misspelt = {complaint.meant for complaint in complaints}
    return [
        complaint
        for complaint in complaints
        if complaint.code != Code.MISSING_FIELD or complaint.path not in misspelt
    ]


def _rejection(case: _Case) -> Complaint:
    message, hint, code, field = (case.context[key] for key in ("message", "hint", "code", "field"))
    path = (*case.path, field) if field else case.path
    at_key = "[key]" in case.error["loc"]
    return Complaint(path, at_key, code, f"{dotted(path)}: {message}", hint)


def _unknown_field(case: _Case) -> Complaint:
    *outer, name = case.path
    parent = _model_at(case.model, tuple(outer))
    known = sorted(_fields(parent)) if parent else []
    meant = case.nearest.find(str(name), known)
    if meant:
        hint = f"did you mean {quoted(meant)}?"
    elif known:
        hint = f"known here: {', '.join(known)}"
    else:
        hint = "nothing can be set here"
    place = f"{dotted(tuple(outer))}: " if outer else ""
    message = f"{place}unknown field {quoted(str(name))}"
    return Complaint(
        case.path,
        at_key=True,
        code=Code.UNKNOWN_FIELD,
        message=message,
        hint=hint,
        meant=(*outer, meant) if meant else None,
    )


def _missing_field(case: _Case) -> Complaint:
    *outer, name = case.path
    place = f"{dotted(tuple(outer))}: " if outer else ""
    field = _field_at(case.model, case.path)
    example = _example(field)
    hint = f"add {name}: {example}" if example else f"add {name}"
    if field is not None and field.description:
        hint += f" ({field.description.split('. ')[0].rstrip('.')})"
    message = f"{place}{quoted(str(name))} is missing"
    return Complaint(case.path, at_key=True, code=Code.MISSING_FIELD, message=message, hint=hint)


def _wrong_type(expected: str) -> Callable[[_Case], Complaint]:
    def words(case: _Case) -> Complaint:
        value = case.error["input"]
        if isinstance(value, SecretReference):
            return Complaint(
                case.path,
                at_key=False,
                code=Code.SECRET_NOT_ALLOWED,
                message=f"{case.place}: a secret is not allowed here",
                hint="this value is shown in plans and logs; write the value itself",
            )
        message = f"{case.place}: must be {expected}, not {_shown(value, case)}"
        hint = _type_hint(value, expected, case)
        return Complaint(case.path, at_key=False, code=Code.WRONG_TYPE, message=message, hint=hint)

    return words


def _type_hint(value: object, expected: str, case: _Case) -> str:
    written = case.written(case.path)
    if expected == "text" and written is not None:
        meant = mac_address.suggestion(written)
        if meant and "macs" in case.path:
            return f'write "{meant}", with colons and in quotes'
        return f'put it in quotes: "{written}"'
    if expected == "true or false" and isinstance(value, str):
        return "only true and false are booleans; yes, no, on and off are text"
    if isinstance(value, str) and expected == "a mapping":
        known = _model_at(case.model, case.path)
        return f"write {value}: {{}}" if known and value in _fields(known) else ""
    if expected == "a list" and isinstance(value, str | int):
        return f"write [{quoted(value) if isinstance(value, str) else value}]"
    example = _example(_field_at(case.model, case.path))
    return f"for example {example}" if example else ""


def _shown(value: object, case: _Case) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {case.written(case.path) or value}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def _choice(case: _Case) -> Complaint:
    field = _field_at(case.model, _without_indexes(case.path))
    choices = list(_choices(field.annotation)) if field else []
    value = case.error["input"]
    if not isinstance(value, str):
        return _wrong_type(f"one of {', '.join(choices)}")(case)
    meant = case.nearest.find(value, choices)
    hint = f"did you mean {quoted(meant)}?" if meant else ""
    words = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    message = f"{case.place}: must be {words}, not {quoted(value)}"
    return Complaint(case.path, at_key=False, code=Code.BAD_VALUE, message=message, hint=hint)


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


def _not_a_secret(case: _Case) -> Complaint:
    """Refuse a plain value where a secret is wanted, without repeating the value."""
    return Complaint(
        case.path,
        at_key=False,
        code=Code.WRONG_TYPE,
        message=f"{case.place}: must be a reference such as !secret bmc/rack07, not the value",
        hint="keep the value itself out of the repository; it stays in its history",
    )


def _limit(words: str, key: str) -> Callable[[_Case], Complaint]:
    def complaint(case: _Case) -> Complaint:
        message = f"{case.place}: must {words.format(case.context[key])}"
        field = _field_at(case.model, case.path)
        hint = (field.description or "") if field else ""
        return Complaint(case.path, at_key=False, code=Code.BAD_VALUE, message=message, hint=hint)

    return complaint


def _other(case: _Case) -> Complaint:
    message = f"{case.place}: {case.error['msg']}"
    return Complaint(case.path, at_key=False, code=Code.BAD_VALUE, message=message, hint="")


_WORDS: dict[str, Callable[[_Case], Complaint]] = {
    REJECTION: _rejection,
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
    "too_short": _limit("have at least {} item", "min_length"),
    "too_long": _limit("have at most {} items", "max_length"),
    "string_too_short": _limit("have at least {} character", "min_length"),
    "string_too_long": _limit("have at most {} characters", "max_length"),
}


def _example(field: FieldInfo | None) -> str:
    """Return a field's first example as flow YAML, or nothing."""
    return _flow(field.examples[0]) if field is not None and field.examples else ""


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and ":" in value:
        return f'"{value}"'
    return str(value)


def _fields(model: type[Record]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their names in documents."""
    return {str(field.alias): field for field in model.model_fields.values()}


def _field_at(model: type[Record], path: Path) -> FieldInfo | None:
    """Return the field at ``path``; for an item, the field of its list has no answer."""
    if not path or not isinstance(path[-1], str):
        return None
    parent = _model_at(model, path[:-1])
    return _fields(parent).get(path[-1]) if parent else None


def _model_at(model: type[Record], path: Path) -> type[Record] | None:
    """Return the model of the mapping at ``path``."""
    current: type[Record] | None = model
    for part in path:
        if isinstance(part, int):
            continue  # the field's annotation was already searched through its list
        field = _fields(current).get(part) if current else None
        current = _record_in(field.annotation) if field else None
    return current


def _record_in(annotation: object) -> type[Record] | None:
    """Return the model inside ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    found = (_record_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)
