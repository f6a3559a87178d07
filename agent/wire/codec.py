"""JSON to messages and back."""

import json
from typing import Any, TypeVar

import cattrs
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from agent.wire.step import Step

T = TypeVar("T")


def _step_type(step: type) -> str:
    return str(vars(step)["STEP_TYPE"])


_converter = make_converter()
_converter.register_structure_hook(str, lambda value, _: _of_type(value, str))
_converter.register_structure_hook(int, lambda value, _: _of_type(value, int))
_converter.register_structure_hook(bool, lambda value, _: _of_type(value, bool))
configure_tagged_union(Step, _converter, tag_name="type", tag_generator=_step_type)


class WireError(ValueError):
    """A message that does not have the promised form. The text names each bad field."""


def _of_type(value: Any, wanted: type[T]) -> T:  # noqa: ANN401 - JSON values are of any type
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is not {wanted.__name__}")
    return value


def encode(message: object) -> bytes:
    """Return the message as UTF-8 JSON."""
    return json.dumps(_converter.unstructure(message), separators=(",", ":")).encode()


def decode(kind: type[T], data: bytes) -> T:
    """Return the message that ``data`` holds; WireError when it does not hold one."""
    try:
        return _converter.structure(json.loads(data), kind)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"not a {kind.__name__}: {error}") from error
    except cattrs.BaseValidationError as group:
        problems = "; ".join(cattrs.transform_error(group))
        raise WireError(f"not a {kind.__name__}: {problems}") from group
