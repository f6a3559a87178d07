"""Numbers of partitions, as their table has them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from specs.types.invalid_value import InvalidValue


def _each_once(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(numbers)) == len(numbers):
        return numbers
    twice = next(number for number in numbers if numbers.count(number) > 1)
    raise InvalidValue(f"partition {twice} is named twice", "name each once").as_pydantic()


PartitionNumbers = Annotated[
    tuple[Annotated[int, Field(ge=1, le=999)], ...],
    Field(min_length=1, max_length=128, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]
"""At least one number, each once."""
