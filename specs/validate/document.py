"""From a document's plain data to the model of its kind."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic_core import ValidationError

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import MOST_PER_DOCUMENT, Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.path import Path, is_within
from specs.diagnostics.quote import quoted
from specs.kinds import API_VERSION, KINDS
from specs.validate.resource import Resource
from specs.yaml import Document
from specs.yaml.scalars import Plain

if TYPE_CHECKING:
    from specs.kinds.metadata import Document as Model

_OTHER_TOOLS = "files of other tools go into a folder whose name begins with a dot"
_REQUIRED = ("apiVersion", "kind", "metadata", "spec")


def define(document: Document, diagnostics: Diagnostics, nearest: NearestNames) -> Resource:
    """Return what a document declares; report everything that is wrong within it.

    Kind and name are empty where the document does not say them.
    """
    data = document.data
    kind = _text(data, "kind")
    name = _text(data, "metadata", "name")
    if not _is_addressed_here(document, diagnostics):
        return Resource(document, kind, name, None, ((),))
    model_type = KINDS.get(kind)
    if model_type is None:
        _report_kind(document, kind, diagnostics, nearest)
        return Resource(document, "", name, None, ((),))
    invalid = list(document.invalid)
    try:
        model: Model | None = model_type.model_validate(data)
    except ValidationError as error:
        model = None
        invalid += _report(document, model_type, error, diagnostics, nearest)
    if invalid:
        model = remainder(model_type, data, invalid)
    return Resource(document, kind, name, model, tuple(invalid))


def _report(
    document: Document,
    model_type: "type[Model]",
    error: ValidationError,
    diagnostics: Diagnostics,
    nearest: NearestNames,
) -> Iterator[Path]:
    """Report what was not reported while reading; yield the paths."""
    from specs.validate.model_errors import explain  # noqa: PLC0415 - slow to load, and mostly all is well

    errors = error.errors(include_url=False)
    first = errors[:MOST_PER_DOCUMENT]
    for diagnostic in explain(first, model_type, nearest, document.written):
        if not any(is_within(diagnostic.path, known) for known in document.invalid):
            place = document.key_position if diagnostic.at_key else document.position
            diagnostics.error(
                place(diagnostic.path), diagnostic.code, diagnostic.message, diagnostic.hint
            )
            yield diagnostic.path
            if diagnostic.meant is not None:
                yield diagnostic.meant
    if len(errors) > len(first):
        _report_more(document, len(errors) - len(first), diagnostics)
        yield ()


def _report_more(document: Document, number: int, diagnostics: Diagnostics) -> None:
    diagnostics.error(
        document.position(()),
        Code.TOO_MANY_PROBLEMS,
        f"{number:,} more problems in this document",
        "solve the first ones",
    )


def _text(data: Plain, *path: str) -> str:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, str) else ""


def _is_addressed_here(document: Document, diagnostics: Diagnostics) -> bool:
    """Return whether the document is one of ours, of a version that is read."""
    data = document.data
    if document.invalid and () in document.invalid:
        return False
    if isinstance(data, dict) and data.get("apiVersion") == API_VERSION:
        return True
    if not isinstance(data, dict) or not any(key in data for key in _REQUIRED):
        diagnostics.error(document.position(()), Code.NOT_A_DOCUMENT, *_no_document(data))
        return False
    version = data.get("apiVersion")
    if isinstance(version, str) and version != API_VERSION:
        is_ours = version.startswith(API_VERSION.partition("/")[0])
        diagnostics.error(
            document.position(("apiVersion",)),
            Code.API_VERSION,
            f"apiVersion {quoted(version)} is not read here",
            f"write apiVersion: {API_VERSION}" + ("" if is_ours else f"; {_OTHER_TOOLS}"),
        )
        return False
    return True


def _no_document(data: Plain) -> tuple[str, str]:
    """Return message and hint for data that is no document of desired state."""
    if isinstance(data, tuple):
        return (
            "a list where a document of desired state is wanted",
            "write the documents one after another, with lines of --- between them",
        )
    if not isinstance(data, dict):
        return (
            "no mapping of keys to values, which every document of desired state is",
            f"write key: value; {_OTHER_TOOLS}",
        )
    return (
        "not a document of desired state: apiVersion, kind, metadata and spec are missing",
        _OTHER_TOOLS,
    )


def _report_kind(
    document: Document, kind: str, diagnostics: Diagnostics, nearest: NearestNames
) -> None:
    if not isinstance(document.data, dict):  # pragma: no cover - addressed here
        return
    if "apiVersion" not in document.data:
        diagnostics.error(
            document.position(()),
            Code.MISSING_FIELD,
            '"apiVersion" is missing',
            f"add apiVersion: {API_VERSION}",
        )
    if any(is_within(("kind",), known) for known in document.invalid):
        return
    position = document.position(("kind",))
    known = ", ".join(KINDS)
    if "kind" not in document.data:
        diagnostics.error(
            position, Code.MISSING_FIELD, '"kind" is missing', f"add kind: one of {known}"
        )
    elif not isinstance(document.data["kind"], str):
        diagnostics.error(position, Code.WRONG_TYPE, "kind: must be text", f"one of {known}")
    else:
        meant = nearest.find(kind, KINDS)
        hint = f"did you mean {meant}?" if meant else f"known are: {known}"
        diagnostics.error(position, Code.UNKNOWN_KIND, f"unknown kind {quoted(kind)}", hint)


def remainder(model_type: "type[Model]", data: Plain, invalid: Iterable[Path]) -> "Model | None":
    """Return the model without the values that were reported, or None when too little is left."""
    for path in invalid:
        data = _without(data, path)
    if isinstance(data, dict):
        data = {"apiVersion": API_VERSION, **data}
    try:
        return model_type.model_validate(data)
    except ValidationError:
        return None


def _without(data: Plain, path: Path) -> Plain:
    """Return ``data`` without the field at ``path``; a list goes as a whole, lest items move."""
    if not isinstance(data, dict) or not path or path[0] not in data:
        return data
    key = str(path[0])
    rest = {name: value for name, value in data.items() if name != key}
    if len(path) > 1 and isinstance(path[1], str):
        rest[key] = _without(data[key], path[1:])
    return rest
