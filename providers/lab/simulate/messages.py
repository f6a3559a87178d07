"""What ``SimulatedRack`` and its process say to one another: JSON, one message a line.

Answers are those of ``providers.lab.control``.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from providers.lab.errors import bad_request
from providers.lab.simulate.faults import Faults
from providers.lab.simulate.machine_state import MachineState

Verb = Literal["status", "power-on", "power-off", "pull-cable", "plug-cable", "faults", "press-key"]


@dataclass(frozen=True, slots=True)
class Request:
    """``machine`` is empty for ``status``; ``faults`` and ``key`` are for their verbs."""

    verb: Verb
    machine: str = ""
    faults: Faults = field(default_factory=Faults)
    key: str = ""


def encode_request(request: Request) -> bytes:
    """Return the line for a request."""
    return json.dumps(asdict(request)).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request of a line; RW814 when it holds none."""
    try:
        message = json.loads(line)
        request = Request(
            message["verb"], message["machine"], Faults(**message["faults"]), str(message["key"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"{line[:200]!r} is no request: {error}") from error
    if request.verb not in get_args(Verb):
        raise bad_request(f"there is no request {request.verb!r}")
    return request


def states_to_json(states: list[MachineState]) -> Any:  # noqa: ANN401 - JSON
    """Return states as JSON values."""
    return [asdict(state) for state in states]


def states_from_json(values: Any) -> dict[str, MachineState]:  # noqa: ANN401 - JSON
    """Return states by machine, from JSON values."""
    states = (MachineState(each["name"], each["stage"], tuple(each["boots"])) for each in values)
    return {state.name: state for state in states}
