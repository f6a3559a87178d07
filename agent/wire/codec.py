"""JSON to messages and back."""

import json
import reprlib
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import cattrs
from cattrs.errors import IterableValidationNote
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from agent.wire.package import Sign
from agent.wire.step import Step

T = TypeVar("T")

_MOST_ERRORS = 10
"""Errors that one list, and the whole text, may have: a message can hold millions."""
_LONGEST_ERROR = 200
_INTEGERS = range(-(2**63), 2**63)


def _step_type(step: type) -> str:
    return str(vars(step)["STEP_TYPE"])


_converter = make_converter()


class WireError(ValueError):
    """A message that does not have the promised form. The text names each bad field."""


def _of_type(value: Any, wanted: type[T]) -> T:  # noqa: ANN401 - JSON values are of any type
    if type(value) is not wanted:
        raise TypeError(f"{reprlib.repr(value)} is not {wanted.__name__}")
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - JSON values are of any type
    text = _of_type(value, str)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{reprlib.repr(text)} holds half a character")
    return text


def _integer(value: Any) -> int:  # noqa: ANN401 - JSON values are of any type
    number = _of_type(value, int)
    if number not in _INTEGERS:
        raise ValueError("a number does not fit 64 bits")
    return number


def _tuple_of(item: Any) -> Callable[[Any, Any], tuple[Any, ...]]:  # noqa: ANN401 - any type
    """Return what reads a list of ``item`` and gives up after a few errors.

    cattrs collects an exception with notes for each item: 36 s and 4 GiB for 4 MB.
    """
    read = _converter.get_structure_hook(item)

    def structure(values: Any, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON values
        errors: list[Exception] = []
        items = []
        for index, value in enumerate(_of_type(values, list)):
            try:
                items.append(read(value, item))
            except Exception as error:  # noqa: BLE001 - raised below, together
                note = IterableValidationNote(f"in a list @ index {index}", index, item)
                error.__notes__ = [*getattr(error, "__notes__", ()), note]
                errors.append(error)
                if len(errors) == _MOST_ERRORS:
                    break
        if errors:
            raise cattrs.IterableValidationError("a list is not valid", errors, kind)
        return tuple(items)

    return structure


_converter.register_structure_hook(str, lambda value, _: _text(value))
_converter.register_structure_hook(int, lambda value, _: _integer(value))
_converter.register_structure_hook(bool, lambda value, _: _of_type(value, bool))
_converter.register_structure_hook_factory(
    lambda kind: getattr(kind, "__origin__", None) is tuple and get_args(kind)[1:] == (...,),
    lambda kind: _tuple_of(get_args(kind)[0]),
)
configure_tagged_union(Step, _converter, tag_name="type", tag_generator=_step_type)
configure_tagged_union(
    Sign,
    _converter,
    tag_name="type",
    tag_generator=lambda kind: str(vars(kind)["SIGN_TYPE"]),
)


def encode(message: object) -> bytes:
    """Return the message as UTF-8 JSON."""
    return json.dumps(_converter.unstructure(message), separators=(",", ":")).encode()


def decode(kind: type[T], data: bytes) -> T:
    """Return the message that ``data`` holds; WireError when it does not hold one."""
    try:
        return _converter.structure(json.loads(data), kind)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"not a {kind.__name__}: {_bounded([str(error)])}") from error
    except cattrs.BaseValidationError as group:
        problems = _bounded(cattrs.transform_error(group))
        raise WireError(f"not a {kind.__name__}: {problems}") from group


def _bounded(problems: list[str]) -> str:
    shown = [problem[:_LONGEST_ERROR] for problem in problems[:_MOST_ERRORS]]
    more = [f"and {len(problems) - len(shown)} more"] if len(problems) > len(shown) else []
    return "; ".join([*shown, *more])
