"""Work handed to an agent, and what the agent says while doing it."""

from attrs import field, frozen, validators

from agent.wire.power import PowerPolicy
from agent.wire.step import Step

REBOOT_PREFIX = "reboot-"
"""Work with this prefix to an op_id only restarts the installed system, so that it boots over the
network for that operation."""
EVENT_KINDS = ("step-started", "progress", "step-done", "failed", "done")
AFTER_ERRORS = ("local-boot", "poweroff", "reboot", "stay")


@frozen
class TimeLimit:
    """How long the steps from ``first`` to ``last``, both included, may take together.

    ``seconds`` count from the beginning of the step ``first``; waiting for one's turn is not
    among them.
    """

    first: int
    last: int
    seconds: int = field(validator=validators.ge(1))


@frozen
class OnError:
    """What the machine does ``delay`` seconds after an operation ended without success.

    ``local-boot`` restarts it where no disk was written, and lets it stay in the Deploy-OS
    where one was. The others hold whatever was written.
    """

    action: str = field(default="stay", validator=validators.in_(AFTER_ERRORS))
    delay: int = field(default=0, validator=validators.ge(0))


@frozen
class Work:
    """One armed operation for this machine. ``GET /v1/work`` returns it, or 204.

    Nothing may be done before ``POST /v1/operations/{operation}/claim`` was
    answered with 204: the claim consumes the grant. ``attempt`` is the fencing
    token: the server refuses (409) whatever comes from an older attempt.
    """

    operation: str
    attempt: int
    steps: tuple[Step, ...]
    limits: tuple[TimeLimit, ...] = ()
    on_error: OnError = field(factory=OnError)
    disks_written: bool = False
    """An earlier attempt began to write: the disks are not what they were before it."""
    power: PowerPolicy = field(factory=PowerPolicy)
    """What is waited for before an installed system is shut down or restarted."""


@frozen
class Claim:
    """The agent is about to begin; body of ``…/claim``."""

    attempt: int


@frozen
class OperationEvent:
    """Body of ``POST /v1/operations/{operation}/events``; delivered at least once.

    ``sequence`` counts from 1 within one attempt, so that a repeated delivery is
    recognised. ``step`` is the index into ``Work.steps``. Bytes are of the step.
    """

    attempt: int
    sequence: int = field(validator=validators.ge(1))
    kind: str = field(validator=validators.in_(EVENT_KINDS))
    step: int
    bytes_done: int = 0
    bytes_total: int = 0
    message: str = field(default="", validator=validators.max_len(4000))
    code: str = ""
    """Error code of a ``failed`` event."""
    action: str = field(default="", validator=validators.max_len(4000))
    result: dict[str, str] = field(factory=dict)
    """What the step found, for ``step-done``: ``manifest``, ``chunks-written`` …

    ``finished`` with the time of that where an agent refuses what it has done."""

    @property
    def is_refusal(self) -> bool:
        """Return whether the agent refuses the work because it was finished before."""
        return self.kind == "failed" and "finished" in self.result
