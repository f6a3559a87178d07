"""Scenario: ordered steps that bring a machine into a state."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.kinds.metadata import Document, PathMetadata
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.kinds.step import Step
from specs.kinds.waits import Waits
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import BitRate, Duration, between
from specs.types.run_token import RunToken

MAX_TARGETS = 1000


class ScenarioOptions(Record):
    """How the steps are run."""

    trigger: Literal["now", "next-boot"] = Field(
        default="now",
        description="now: as soon as the plan allows; a machine that is off is started, one that "
        "runs is restarted. next-boot: when somebody starts the machine next.",
        examples=["now"],
    )
    reboot: Literal["force", "graceful", "never"] = Field(
        default="graceful",
        description="What to do with a machine that is running when its turn comes. graceful: its "
        "agent is asked to restart it. never: the work is blocked until somebody shut it down. "
        "force: its power is cut, which nothing does yet, so that the work is blocked.",
        examples=["graceful"],
    )
    after: Literal["reboot", "poweroff", "stay"] = Field(
        default="reboot",
        description="What the machine does after the last step; stay keeps the RAM system.",
        examples=["reboot"],
    )
    timeout: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(7200),
        description="After this long the run has failed; waiting for its turn does not count. "
        "Between 1m and 1w.",
        examples=["2h"],
    )
    on_error: Literal["local-boot", "poweroff", "reboot", "stay"] = Field(
        default="local-boot",
        description="What the machine does once the run has failed, ran out of time or was "
        "cancelled. local-boot: it restarts, for its own disk, if nothing was written; where a "
        "disk was written it stays in the RAM system, so that nothing starts from half a disk. "
        "poweroff, reboot and stay hold in both cases.",
        examples=["local-boot"],
    )
    on_error_delay: Annotated[Duration, between(Duration(1), Duration(86_400))] = Field(
        default=Duration(60),
        description="How long the cause is on the machine's screen before. Between 1s and 1d; the "
        "keys p (power off) and r (restart) act at once.",
        examples=["1m"],
    )


class ScenarioTarget(Record):
    """Machines that shall have run the scenario, besides those that it is assigned to."""

    select: Selector = Field(
        description="The machines.", examples=[{"labels": {"role": "compute"}}]
    )
    run: RunToken = Field(
        description="Any word. The scenario runs once for each word: a new one means run again.",
        examples=["2026-11"],
    )


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


class ScenarioSpec(Record):
    """What happens, in order."""

    options: ScenarioOptions = Field(
        default_factory=ScenarioOptions, description="How the steps are run."
    )
    waits: Waits | None = Field(
        default=None, description="How long machines are waited for that it runs on."
    )
    delivery: Delivery | None = Field(
        default=None, description="How image data reaches the machines; unicast where absent."
    )
    targets: tuple[ScenarioTarget, ...] = Field(
        default=(),
        max_length=1000,
        description="Machines that shall have run it, besides those that it is assigned to.",
        examples=[[{"select": {"labels": {"role": "compute"}}, "run": "2026-11"}]],
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=100,
        description="The actions, in order.",
        examples=[[{"inspectDisks": {}}, {"restore": {"image": "debian12-golden"}}]],
    )


class Scenario(Document):
    """Ordered steps. They run once per run token on the machines they are assigned or targeted."""

    kind: Literal["Scenario"]
    metadata: PathMetadata
    spec: ScenarioSpec
