"""Adding to a file such that every byte that was there stays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from reconciler.authoring.machine_row import (
    MachineRow,
    document_text,
    group_text,
    table_fields,
    table_line,
)
from reconciler.authoring.rewrite import (
    AuthoringError,
    as_bytes,
    meaning,
    read_text,
    refuse_other_meaning,
)
from specs.yaml import load_file


class _Place(NamedTuple):
    """Where new text goes, and what it is; ``text`` has LF at line ends."""

    begin: int
    text: str


def with_documents(
    file: str, data: bytes, rows: Sequence[MachineRow], groups: Sequence[str] = ()
) -> bytes:
    """Return the file with Group and Machine documents after all that it has.

    New lines end as the file's lines do. Raises as ``read_text``, and AuthoringError
    RW931 when a document that is there would be read differently.
    """
    text = read_text(file, data)
    separator = "---\n" if load_file(file, data).documents else ""
    end = "" if not text or text.endswith(("\n", "\r")) else "\n"
    added = "---\n".join((*map(group_text, groups), *map(document_text, rows)))
    new = _inserted(data, text, _Place(len(text), end + separator + added))
    expected = meaning(file, data) + meaning(file, added.encode())
    refuse_other_meaning(file, new, expected)
    return new


def with_table_rows(file: str, data: bytes, rows: Sequence[MachineRow]) -> bytes:
    """Return the file with more rows at the end of its MachineTable's ``rows``.

    They are written as the last row is: on one line, or a field on each. Raises as
    ``with_documents``, and AuthoringError RW940 when the file does not have exactly
    one MachineTable, or one whose rows cannot be added to.
    """
    text = read_text(file, data)
    documents = list(YAML(typ="safe").compose_all(text))
    tables = [
        index
        for index, node in enumerate(documents)
        if isinstance(kind := _value(node, "kind"), ScalarNode) and kind.value == "MachineTable"
    ]
    if len(tables) != 1:
        raise AuthoringError(
            "RW940",
            f"{file} has {len(tables)} MachineTable documents, so it is not clear where to add",
            "Name a file with exactly one",
        )
    spec = _value(documents[tables[0]], "spec")
    new = _inserted(data, text, _place_of_rows(file, text, spec, rows))
    expected = meaning(file, data)
    expected[tables[0]] = _with_rows(expected[tables[0]], rows)
    refuse_other_meaning(file, new, expected)
    return new


def _place_of_rows(file: str, text: str, spec: Node | None, rows: Sequence[MachineRow]) -> _Place:
    listed = _value(spec, "rows")
    if isinstance(listed, SequenceNode):
        if listed.flow_style:
            return _in_brackets(listed, rows)
        return _below(text, listed, _list_items(listed, rows))
    has_csv = _value(spec, "csv") is not None
    if listed is not None or has_csv or not isinstance(spec, MappingNode) or spec.flow_style:
        raise AuthoringError(
            "RW940",
            f"the MachineTable in {file} "
            + ("has its rows in a CSV file" if has_csv else "has no list of rows"),
            "Add them there" if has_csv else "Write rows: [] below its spec",
        )
    indent = " " * int(spec.start_mark.column)
    items = "".join(f"{indent}  - {table_line(row)}\n" for row in rows)
    return _below(text, spec, f"{indent}rows:\n{items}")


def _in_brackets(listed: SequenceNode, rows: Sequence[MachineRow]) -> _Place:
    new = ", ".join(map(table_line, rows))
    if listed.value:
        return _Place(listed.value[-1].end_mark.index, f", {new}")
    return _Place(listed.start_mark.index + 1, new)


def _list_items(listed: SequenceNode, rows: Sequence[MachineRow]) -> str:
    indent = " " * int(listed.start_mark.column)
    last = listed.value[-1]
    if isinstance(last, MappingNode) and not last.flow_style:
        inner = " " * int(last.start_mark.column)
        first = indent + "-" + " " * (len(inner) - len(indent) - 1)
        return "".join(
            (first if number == 0 else inner) + f"{key}: {value}\n"
            for row in rows
            for number, (key, value) in enumerate(table_fields(row))
        )
    return "".join(f"{indent}- {table_line(row)}\n" for row in rows)


def _below(text: str, node: Node, new: str) -> _Place:
    """Return the place on the line after a node's last character."""
    end = _end(node)
    if end and text[end - 1] in "\r\n":  # after a literal text
        return _Place(end, new)
    line_end = min((i for i in (text.find("\n", end), text.find("\r", end)) if i >= 0), default=-1)
    if line_end < 0:
        return _Place(len(text), "\n" + new)
    return _Place(line_end + (2 if text[line_end : line_end + 2] == "\r\n" else 1), new)


def _end(node: Node) -> int:
    """Return the index after the last character of a node.

    libyaml ends a collection in block style where the next token begins, which may be
    many comments later; its last scalar ends where it ends.
    """
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _inserted(data: bytes, text: str, place: _Place) -> bytes:
    line_end = "\r\n" if "\r\n" in text else "\n"
    new = place.text.replace("\n", line_end)
    return as_bytes(text[: place.begin] + new + text[place.begin :], data)


def _value(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _with_rows(document: Any, rows: Sequence[MachineRow]) -> Any:  # noqa: ANN401 - of any type
    """Return what a MachineTable says once it has the rows too."""
    text = "".join(f"- {table_line(row)}\n" for row in rows)
    spec = document["spec"]
    return {**document, "spec": {**spec, "rows": spec.get("rows", []) + _meaning_of(text)}}


def _meaning_of(text: str) -> Any:  # noqa: ANN401 - document values are of any type
    return meaning("new", text.encode())[0]
