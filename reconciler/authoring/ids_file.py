"""The file in which a person chooses the ids of imported names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.spreadsheet import NotCsvError, read, text_of, unguarded
from specs.types.name import is_label, is_segment

_COLUMNS = ["name", "id"]


@dataclass(frozen=True, slots=True)
class IdsFile:
    """The ids of machines by their names, and of groups by their paths without the first slash."""

    file: str
    machines: Mapping[str, str]
    groups: Mapping[str, str]


def read_ids(file: str, text: str) -> IdsFile:
    """Return what a CSV file with the columns ``name`` and ``id`` says.

    A name that begins with a slash is a group's path. Raises AuthoringError RW979, which lists
    everything that is wrong with line numbers.
    """
    ids: dict[str, dict[str, str]] = {"machine": {}, "group": {}}
    lines: dict[tuple[str, str, str], int] = {}
    errors: list[str] = []
    for line, row in _rows(file, text, errors):
        given, made, *more = [*row, ""]
        kind = "group" if given.startswith("/") else "machine"
        name = given.strip("/") if kind == "group" else given
        problem = _problem(kind, name, made, list(filter(None, more)))
        for column, value in zip(_COLUMNS, (name, made), strict=True):
            first = lines.setdefault((kind, column, value), line)
            if first != line:
                problem = problem or f"the {column} {value!r} is there already, in line {first}"
        if problem:
            errors.append(f"{file}:{line}: {problem}")
        ids[kind][name] = made
    if errors:
        listing = "\n".join(errors)
        raise AuthoringError(
            "RW979",
            f"{file} has {len(errors)} error(s)\n{listing}",
            "Correct them; nothing was written",
        )
    return IdsFile(file, ids["machine"], ids["group"])


def _rows(file: str, text: str, errors: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines and cells below the header; add to ``errors`` where there is none."""
    header: list[str] = []
    line = 1
    try:
        for line, cells in read(text):
            row = [unguarded(cell.strip()) for cell in cells]
            if header:
                yield line, row
                continue
            header = [cell.lower() for cell in row if cell]
            if header != _COLUMNS:
                break
    except NotCsvError as error:
        errors.append(f"{file}:{error.line}: {error}")
        return
    if header != _COLUMNS:
        errors.append(f"{file}:{line}: the first line names the columns: name,id")


def ids_text(ids: Mapping[str, str]) -> str:
    """Return the text of a file that chooses these ids."""
    return text_of([_COLUMNS, *([name, made] for name, made in ids.items())])


def _problem(kind: str, name: str, made: str, more: list[str]) -> str:
    if more:
        return f"{len(more) + len(_COLUMNS)} cells, but there are two columns"
    if not name or not made:
        return "a name or its id is missing"
    if kind == "group" and not all(map(is_segment, made.split("/"))):
        return f"{made!r} is no group's path, such as tokyo/row2"
    if kind == "machine" and not is_label(made):
        return f"{made!r} is no machine's id, such as node-07"
    return ""
