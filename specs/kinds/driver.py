"""The drivers that machines are switched on by, and what each of them wants to know."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

from specs.types.invalid_value import InvalidValue

Driver = Literal["wake-on-lan", "manual", "redfish", "ipmi", "webhook"]

_REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "redfish": ("address", "username", "password"),
        "ipmi": ("address", "username", "password"),
        "webhook": ("url",),
    }
)
_OPTIONAL: Mapping[str, tuple[str, ...]] = MappingProxyType({"webhook": ("token",)})


class _Block(Protocol):
    """The power block of a document."""

    @property
    def driver(self) -> Driver: ...

    @property
    def model_fields_set(self) -> set[str]: ...


Block = TypeVar("Block", bound=_Block)


def fits_its_driver(block: Block) -> Block:
    """Return a power block that has what its driver wants, and nothing else.

    Raises what pydantic hands on for any other.
    """
    given = block.model_fields_set
    if len(given) == 1 and block.driver not in _REQUIRED:
        return block
    required = _REQUIRED.get(block.driver, ())
    missing = [name for name in required if name not in given]
    if missing:
        raise InvalidValue(
            f"driver {block.driver} wants {', '.join(required)}", f"add {', '.join(missing)}"
        ).as_pydantic()
    allowed = {"driver", *required, *_OPTIONAL.get(block.driver, ())}
    for name in sorted(given - allowed):
        raise InvalidValue(
            f"means nothing to driver {block.driver}",
            "remove it, or choose the driver that it belongs to",
            field=name,
        ).as_pydantic()
    return block
