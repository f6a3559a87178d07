"""How long work waits for a machine: said by the fleet, groups and scenarios."""

from typing import Annotated

from pydantic import Field

from specs.kinds.record import Record
from specs.types.quantities import Duration, between

_LONG = between(Duration(60), Duration(86_400))
MOST_ATTEMPTS = 100


class Waits(Record):
    """How long is waited for machines at work. Of each, the nearest level that says it wins.

    Near to far: the scenario, the machine's groups from its own to the root, the Fleet. All count
    only while the server can hear, and none while work waits for its turn.
    """

    grant: Annotated[Duration, _LONG] | None = Field(
        default=None,
        description="From the boot grant to the agent's claim: a server's firmware may test its "
        "memory for ten minutes. Between 1m and 1d; 15m where no level says it.",
        examples=["15m"],
    )
    silence: Annotated[Duration, _LONG] | None = Field(
        default=None,
        description="An agent at work says something every ten seconds; when nothing was heard for "
        "this long, the work ends. Between 1m and 1d; 10m where no level says it.",
        examples=["10m"],
    )
    proof: Annotated[Duration, _LONG] | None = Field(
        default=None,
        description="From the last step to the report of the agent of the installed system. "
        "Between 1m and 1d; 15m where no level says it.",
        examples=["15m"],
    )
    wake: Annotated[Duration, between(Duration(5), Duration(600))] | None = Field(
        default=None,
        description="Between two requests to a machine to start. Between 5s and 10m; 20s where no "
        "level says it.",
        examples=["20s"],
    )
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = Field(
        default=None,
        description="How many attempts agents may begin, and how many boot grants may go unused, "
        "before the work fails. Between 1 and 100; 5 where no level says it.",
        examples=[5],
    )
