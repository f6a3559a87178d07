"""What client and supervisor say to one another: JSON, one message a line.

A request is answered once. The first request of a connection is its only one.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agent.errors import CodedError, TerminalError, TransientError
from providers.lab.errors import bad_request

Verb = Literal["status", "power-on", "power-off", "reset", "screenshot", "down"]
LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """``machine`` and ``file`` are empty where the verb needs none."""

    verb: Verb
    machine: str = ""
    file: str = ""


def encode_request(request: Request) -> bytes:
    """Return the line for a request."""
    message = {"verb": request.verb, "machine": request.machine, "file": request.file}
    return json.dumps(message).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request of a line; RW814 when it holds none."""
    message = _object(line)
    verb, machine, file = (message.get(key, "") for key in ("verb", "machine", "file"))
    if verb not in get_args(Verb) or not isinstance(machine, str) or not isinstance(file, str):
        raise bad_request(f"there is no request {line[:200]!r}")
    return Request(verb, machine, file)


def encode_answer(answer: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return the line for the answer to a request that was carried out."""
    return json.dumps({"answer": answer}).encode() + b"\n"


def encode_error(error: CodedError) -> bytes:
    """Return the line for a request that failed."""
    message = {
        "code": error.code,
        "cause": error.cause,
        "action": error.action,
        "transient": isinstance(error, TransientError),
    }
    return json.dumps({"error": message}).encode() + b"\n"


def decode_answer(line: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return the answer of a line, or raise the error that it holds; RW814 for neither."""
    message = _object(line)
    if "answer" in message:
        return message["answer"]
    error = message.get("error")
    if not isinstance(error, dict):
        raise bad_request(f"it answered {line[:200]!r}")
    kind = TransientError if error.get("transient") else TerminalError
    raise kind(*(str(error.get(key, "")) for key in ("code", "cause", "action")))


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{line[:200]!r} is not JSON") from error
    if not isinstance(message, dict):
        raise bad_request(f"{line[:200]!r} is no JSON object")
    return message
