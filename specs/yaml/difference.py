"""What changed in files, document by document."""

from collections.abc import Iterable, Mapping

from specs.yaml.load import WORTH_LEARNING, LoadedFile, load_chunks, load_file, load_files
from specs.yaml.section import Section
from specs.yaml.separation import separated

Files = Mapping[str, bytes]
_Content = tuple[Section, ...] | bytes | None
"""Some documents of a file, or all of it, or that there is none."""


def changed_files(before: Files, after: Files) -> tuple[Iterable[LoadedFile], Iterable[LoadedFile]]:
    """Return what files had and what they have, without documents that stayed where they were.

    A document that moved to another line is another one: places within it are others.
    """
    names = sorted({*before, *after})
    changed = [(name, *_changed(name, before.get(name), after.get(name))) for name in names]
    if sum(_size(was) + _size(becomes) for _, was, becomes in changed) >= WORTH_LEARNING:
        return load_files(sorted(before.items())), load_files(sorted(after.items()))
    return (
        [_loaded(name, was) for name, was, _ in changed if was is not None],
        [_loaded(name, becomes) for name, _, becomes in changed if becomes is not None],
    )


def _changed(file: str, before: bytes | None, after: bytes | None) -> tuple[_Content, _Content]:
    """Return the documents of each content that the other has not in that place."""
    if before is None or after is None:
        return before, after
    old, new = separated(file, before), separated(file, after)
    if old is None or new is None:
        return before, after  # it takes a parser to tell
    shared = {*old} & {*new}
    return (
        tuple(each for each in old if each not in shared),
        tuple(each for each in new if each not in shared),
    )


def _size(content: _Content) -> int:
    if content is None:
        return 0
    return sum(len(each.text) for each in content) if isinstance(content, tuple) else len(content)


def _loaded(file: str, content: tuple[Section, ...] | bytes) -> LoadedFile:
    return load_chunks(content) if isinstance(content, tuple) else load_file(file, content)
