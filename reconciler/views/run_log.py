"""A text that a machine sent of a run, as lines for a terminal and as JSON data."""

from collections.abc import Iterator
from typing import Any

from reconciler.state.run_evidence import EvidenceFile
from reconciler.views.untrusted import for_terminal


def log_lines(text: str) -> Iterator[str]:
    """Yield the lines; whatever could steer a terminal is shown as codes."""
    for line in text.removesuffix("\n").split("\n"):
        yield for_terminal(line.removesuffix("\r").expandtabs())


def evidence_document(file: EvidenceFile) -> dict[str, Any]:
    """Return what is known of a text, without its content."""
    return {
        "file": file.name,
        "attempt": file.attempt,
        "bytes": file.size,
        "sha256": file.digest,
        "at": file.at.isoformat(),
    }


def log_document(machine: str, file: EvidenceFile, text: str) -> dict[str, Any]:
    """Return a text with all that is known of it."""
    return {
        "machine": machine,
        "operation": file.op_id,
        **evidence_document(file),
        "text": text,
    }
