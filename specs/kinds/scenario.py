"""Scenario: ordered steps that bring a machine into a state."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.delivery import Delivery
from specs.kinds.metadata import Document, PathMetadata
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.kinds.step import Step
from specs.types.quantities import Duration, between
from specs.types.run_token import RunToken


class ScenarioOptions(Record):
    """How the steps are run."""

    trigger: Literal["now", "next-boot"] = Field(
        default="now",
        description="now: as soon as the plan allows. next-boot: when the machine starts next.",
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
        description="After this long the run has failed. Between 1m and 1w.",
        examples=["2h"],
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


class ScenarioSpec(Record):
    """What happens, in order."""

    options: ScenarioOptions = Field(
        default_factory=ScenarioOptions, description="How the steps are run."
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
