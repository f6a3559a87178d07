"""Limits on a quantity."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from specs.types.invalid_value import InvalidValue
from specs.types.quantities.bit_rate import BitRate
from specs.types.quantities.byte_size import ByteSize
from specs.types.quantities.duration import Duration

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

Q = TypeVar("Q", BitRate, ByteSize, Duration)


@dataclass(frozen=True, slots=True)
class Bounds(Generic[Q]):
    """The annotation of a field that takes ``lowest`` to ``highest``, both included."""

    lowest: Q
    highest: Q

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - slow to load

        check = partial(within, self.lowest, self.highest)
        return core_schema.no_info_after_validator_function(check, handler(source))


def between(lowest: Q, highest: Q) -> Bounds[Q]:
    """Return the annotation of a field that takes ``lowest`` to ``highest``, both included."""
    return Bounds(lowest, highest)


def within(lowest: Q, highest: Q, value: Q) -> Q:
    """Return a quantity within the limits; what pydantic raises for others."""
    if not lowest <= value <= highest:
        raise InvalidValue(f"{value} is not between {lowest} and {highest}").as_pydantic()
    return value
