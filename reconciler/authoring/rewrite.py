"""Changing the text of a file without changing what it says."""

from collections.abc import Callable
from typing import Any

from reconciler.errors import ReconcilerError
from specs.diagnostics.diagnostic import Diagnostic
from specs.yaml import LoadedFile, load_file

_UTF8_MARK = b"\xef\xbb\xbf"


class AuthoringError(ReconcilerError):
    """What was asked would lose or change something; no file was written. RW930 to RW949."""


class UnreadableFileError(AuthoringError):
    """The file has problems of its own (RW930); ``diagnostics`` says which."""

    def __init__(self, file: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(
            "RW930",
            f"{file} has {len(diagnostics)} error(s) and was left as it is",
            "Correct them first",
        )
        self.diagnostics = diagnostics


def read_text(file: str, data: bytes) -> str:
    """Return the text of a file that can be read without errors, without its byte order mark.

    Raises ``UnreadableFileError`` (RW930), also for a text whose lines an editor and
    YAML would count differently.
    """
    _loaded(file, data)
    return data.removeprefix(_UTF8_MARK).decode("utf-8")


def as_bytes(text: str, data: bytes) -> bytes:
    """Return a text as a file's new content: with a byte order mark where ``data`` has one."""
    return (_UTF8_MARK if data.startswith(_UTF8_MARK) else b"") + text.encode()


def rewritten(file: str, data: bytes, edit: Callable[[str], str]) -> bytes:
    """Return the file as ``edit`` writes its text, once it is sure that it says the same.

    Raises as ``read_text``, and AuthoringError RW931 when the new text would be read
    as anything else than the old one.
    """
    new = edit(read_text(file, data)).encode()
    if new != data:
        refuse_other_meaning(file, new, meaning(file, data))
    return new


def refuse_other_meaning(file: str, new: bytes, expected: list[Any]) -> None:
    """Raise AuthoringError RW931 when a new content is not read as ``expected``."""
    try:
        same = meaning(file, new) == expected
    except UnreadableFileError:
        same = False
    if not same:
        raise AuthoringError(
            "RW931",
            f"{file} would say something else afterwards, so it was left as it is",
            "This is a defect of Rackwright: report it with the file",
        )


def meaning(file: str, data: bytes) -> list[Any]:
    """Return what a file's documents say, to be compared.

    Scalars come with their types (1 is not true). Raises UnreadableFileError (RW930).
    """
    return [_typed(document.data) for document in _loaded(file, data).documents]


def _loaded(file: str, data: bytes) -> LoadedFile:
    loaded = load_file(file, data)
    errors = tuple(problem for problem in loaded.diagnostics if problem.severity == "error")
    if errors:
        raise UnreadableFileError(file, errors)
    return loaded


def _typed(value: object) -> Any:  # noqa: ANN401 - document values are of any type
    if isinstance(value, dict):
        return {key: _typed(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_typed(part) for part in value]
    return type(value), value
