"""Bringing documents to the apiVersion that is read here.

A conversion changes the data of a document in place, so that ruamel.yaml's round trip
keeps comments, quotes and the order of keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ruamel.yaml.comments import CommentedMap

from specs.kinds import API_VERSION


@dataclass(frozen=True, slots=True)
class Conversion:
    """The way from one apiVersion to the next.

    ``convert`` changes a document of the old version in place and returns one line per
    change; ``apiVersion`` itself is not its business.
    """

    to: str
    convert: Callable[[CommentedMap], list[str]]


CONVERSIONS: Mapping[str, Conversion] = MappingProxyType({})
"""By the version that a document has. There is one version so far, and no way to it."""


def migrate(
    document: Any,  # noqa: ANN401 - what the round trip gives for a document
    conversions: Mapping[str, Conversion] = CONVERSIONS,
    current: str = API_VERSION,
) -> list[str]:
    """Bring one document to the version ``current``; return what changed, one line each.

    Empty where nothing is to be done: the document is current already, is none of
    ours, or has a version from which no way leads to ``current``; ``compile_fleet``
    reports the last.
    """
    if not isinstance(document, CommentedMap):
        return []
    steps = _steps(document.get("apiVersion"), conversions, current)
    changes: list[str] = []
    for conversion in steps:
        before = document["apiVersion"]
        changes += conversion.convert(document)
        document["apiVersion"] = conversion.to
        changes.append(f"apiVersion: {before} -> {conversion.to}")
    return changes


def _steps(
    version: object, conversions: Mapping[str, Conversion], current: str
) -> list[Conversion]:
    """Return the conversions that lead to ``current``, or none where they do not."""
    steps: list[Conversion] = []
    while version != current:
        step = conversions.get(version) if isinstance(version, str) else None
        if step is None or step in steps:
            return []
        steps.append(step)
        version = step.to
    return steps
