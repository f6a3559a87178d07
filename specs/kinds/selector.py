"""Which machines something is meant for."""

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from specs.diagnostics.codes import Code
from specs.kinds.record import Record
from specs.types.invalid_value import InvalidValue
from specs.types.labels import LabelKey, LabelValue
from specs.types.pattern import NamePattern, PathPattern


def _one_or_more(value: object) -> object:
    return value if isinstance(value, tuple | dict) else (value,)


def _in_order(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


_VALUE = TypeAdapter(LabelValue).json_schema()

AcceptedValues = Annotated[
    tuple[LabelValue, ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_one_or_more),
    AfterValidator(_in_order),
    WithJsonSchema({"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]}),
]
"""One value, or a list of which any will do."""


class Selector(Record):
    """Which machines are meant: all parts that are given must match.

    A selector only picks machines; it never sets one of their fields.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    machines: tuple[NamePattern, ...] = Field(
        default=(),
        min_length=1,
        max_length=10_000,
        description="Names or patterns; one of them must match. * stands for any characters, "
        "? for one.",
        examples=[["node-07*", "golden"]],
    )
    groups: tuple[PathPattern, ...] = Field(
        default=(),
        min_length=1,
        max_length=1000,
        description="Paths of groups or patterns; one of them must match. A group means "
        "everything below it too. * stays within one part of a path, ** does not.",
        examples=[["tokyo/row2", "osaka/**"]],
    )
    labels: dict[LabelKey, AcceptedValues] = Field(
        default_factory=dict,
        min_length=1,
        description="Labels that must all be there with the value, or one of the values.",
        examples=[{"role": "compute", "site": ["tokyo", "osaka"]}],
        json_schema_extra={"additionalProperties": False},
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not self.model_fields_set:
            raise InvalidValue(
                "the selector is empty",
                'add machines, groups or labels; all machines are: machines: ["*"]',
                Code.EMPTY_SELECTOR,
            ).as_pydantic()
        return self
