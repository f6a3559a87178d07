"""Scenarios that come with Rackwright, as documents to keep in a repository and to edit."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import NamedTuple

from reconciler.authoring.layout import comments
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.starter_fleet import modeline
from specs.desired_state import is_desired_state, is_table
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.validate.document import define
from specs.yaml import load_file

_FOLDER = files("reconciler.authoring") / "scenarios"
_PLACE = "scenarios"
_SUFFIX = ".yaml"


class ShippedScenario(NamedTuple):
    """One file of documents."""

    name: str
    text: str

    @property
    def path(self) -> str:
        """Return where it goes in a repository."""
        return f"{_PLACE}/{self.name}{_SUFFIX}"

    @property
    def purpose(self) -> str:
        """Return what it is for: the first sentence of its comment."""
        said = []
        for comment in comments(self.text):
            said.append(comment.removeprefix("#").strip())
            if not said[-1] or said[-1].endswith("."):
                break
        return " ".join(filter(None, said)).partition(". ")[0].rstrip(".")


def names() -> tuple[str, ...]:
    """Return the names of all that are shipped."""
    found = (entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(_SUFFIX))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


def shipped(name: str) -> ShippedScenario:
    """Return one; AuthoringError RW970 for a name that none has."""
    known = names()
    if name not in known:
        nearest = NearestNames().find(name, known)
        guess = f"; did you mean {nearest}?" if nearest else ""
        raise AuthoringError(
            "RW970",
            f"no scenario {name!r} is shipped{guess}",
            f"Name one of these: {', '.join(known)}; `rackwright init --with` says what they do",
        )
    return ShippedScenario(name, (_FOLDER / f"{name}{_SUFFIX}").read_text("utf-8"))


def new_files(
    wanted: Iterable[ShippedScenario], present: Mapping[str, bytes], *, has_schema: bool
) -> Mapping[str, str]:
    """Return the files to write, by path; ``present`` are those of the repository.

    ``has_schema`` says whether the schema lies there for editors. AuthoringError RW971 where
    a document of the repository has one of the names already.
    """
    found = {each.path: (modeline(each.path) if has_schema else "") + each.text for each in wanted}
    known = _documents(present)
    taken = [
        f"{kind} {name} at {known[kind, name]}"
        for kind, name in _documents({path: text.encode() for path, text in found.items()})
        if (kind, name) in known
    ]
    if taken:
        raise AuthoringError(
            "RW971",
            f"the repository has already: {', '.join(taken)}",
            "Give that document another name, or go without the shipped one; nothing was written",
        )
    return found


def _documents(texts: Mapping[str, bytes]) -> Mapping[tuple[str, str], str]:
    """Return where each document of some files stands, by kind and name."""
    diagnostics, nearest = Diagnostics(), NearestNames()
    return {
        (resource.kind, resource.name): str(resource.position)
        for path, content in texts.items()
        if is_desired_state(path) and not is_table(path)
        for document in load_file(path, content).documents
        if (resource := define(document, diagnostics, nearest)).name
    }
