"""What a machine shall have run."""

from pydantic import Field

from specs.kinds.record import Record
from specs.types.name import PathName
from specs.types.run_token import RunToken

MAX_ASSIGNMENTS = 100


class ScenarioAssignment(Record):
    """One scenario and the token of its run."""

    scenario: PathName = Field(
        description="The name of a Scenario document.", examples=["golden-compute"]
    )
    run: RunToken = Field(
        description="Any word. The scenario runs once for each word: a new one means run again.",
        examples=["2026-11"],
    )
