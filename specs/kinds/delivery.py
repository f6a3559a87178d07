"""How image data reaches the machines."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.kinds.record import Record
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import BitRate, Duration, between

MAX_TARGETS = 1000


class Delivery(Record):
    """How image data reaches the machines.

    A multicast round begins when ``maxTargets`` machines are ready or ``maxWait`` has
    passed since the first was; who comes later has the next round.
    """

    mode: Literal["unicast", "multicast"] = Field(
        description="unicast: each machine fetches what it needs. multicast: it is sent once to "
        "all that wait for it.",
        examples=["unicast"],
    )
    max_targets: Annotated[int, Field(ge=1, le=MAX_TARGETS)] | None = Field(
        default=None,
        description="A multicast round begins when this many machines are ready. Between 1 and "
        "1000; without it, only maxWait begins a round.",
        examples=[20],
    )
    max_wait: Annotated[Duration, between(Duration(1), Duration(86_400))] | None = Field(
        default=None,
        description="A multicast round begins when the first machine has waited this long. "
        "Between 1s and 1d; 10m where absent.",
        examples=["10m"],
    )
    max_rate: Annotated[BitRate, between(BitRate(10**6), BitRate(10**11))] | None = Field(
        default=None,
        description="How fast it is sent by multicast. Between 1Mbit/s and 100Gbit/s; as fast as "
        "the machines follow where absent.",
        examples=["400Mbit/s"],
    )

    @model_validator(mode="after")
    def _limits_multicast_only(self) -> Self:
        if self.mode == "unicast":
            for name in ("max_targets", "max_wait", "max_rate"):
                if getattr(self, name) is not None:
                    field = str(type(self).model_fields[name].alias)
                    raise InvalidValue(
                        "belongs to multicast", "remove it, or set mode: multicast", field=field
                    ).as_pydantic()
        return self
