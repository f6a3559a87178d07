"""What each error code means, from the file ``codes.toml`` of each package.

The files are data, since a package may not import another one for an explanation, and
since nobody but ``rackwright explain`` reads them.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from reconciler.authoring.rewrite import AuthoringError
from specs.diagnostics.nearest import NearestNames

PACKAGES = ("specs", "agent", "providers", "reconciler")
PAGE = "docs/reference/codes.md"


class CodeExplanation(NamedTuple):
    """One entry: what it is called, how it comes about, what to do."""

    code: str
    title: str
    cause: str
    action: str


def code_explanations() -> Mapping[str, CodeExplanation]:
    """Return every code with its explanation, in the order of the numbers."""
    found = {
        code: CodeExplanation(code, **entry)
        for package in PACKAGES
        for code, entry in tomllib.loads(
            files(package).joinpath("codes.toml").read_text("utf-8")
        ).items()
    }
    return dict(sorted(found.items()))


def explain_code(text: str) -> CodeExplanation:
    """Return the entry for a code in either case; AuthoringError RW935 with the nearest if none."""
    code = text.upper()
    explanations = code_explanations()
    if code in explanations:
        return explanations[code]
    if not code.startswith("RW"):
        raise AuthoringError(
            "RW935",
            f"{text!r} is neither a machine nor a code",
            f"Write machine/{text} for a machine, or a code such as RW141",
        )
    nearest = NearestNames().find(code, explanations)
    raise AuthoringError(
        "RW935",
        f"there is no code {code!r}",
        f"Did you mean {nearest} ({explanations[nearest].title})?"
        if nearest
        else f"{PAGE} lists all of them",
    )
