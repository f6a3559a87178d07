"""Whatever is in a repository, compiling it ends in a fleet or in problems that can be shown."""

import io
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.kinds_reference import example_document
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from reconciler.views.diagnostic_list import plain, print_problems, problems_document
from specs.compile.fleet import CompileResult, compile_fleet
from specs.diagnostics.codes import Code
from specs.diagnostics.position import Position
from specs.kinds import KINDS
from specs.yaml import load_file
from tests.broken.case import BASE

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"
FILES = {file.name: file.read_bytes() for file in sorted(EXAMPLE.glob("*.yaml"))}
DOCUMENTS = [
    document.data
    for files in (FILES, BASE)
    for name, content in files.items()
    for document in load_file(name, content).documents
] + [example_document(kind) for kind in KINDS if kind != "Fleet"]
PIECES = [
    *("---\n", "...\n", "&a ", "*a", "<<: ", "!secret ", "!!str ", "? ", ": ", "- ", "[", "]"),
    *("{", "}", "'", '"', "|\n", ">\n", "#", "%YAML 1.2\n", "\t", "\r\n", "\r", "\n", "  ", "\0"),
    *("\ufeff", "\u2028", "\x85", "null", "~", "true", "1e9", "<<<<<<< \n", ">>>>>>>\n", "\\", "@"),
    *("=======\n", "{{ a }}", "{% b %}", "\u00a0", "\u3000", "\u202e", "“", "----\n", "-", "a:b"),
    *("kind: ", "Machine", "spec:", "macs", "52:54:00:77:00:11", "lab", "10.77.0.0/24", "1h", "😀"),
    *("apiVersion: rackwright/v1alpha1\n", "kind: Image\n", "metadata: {name: a}\n", "é"),
]
NOTHING = Console(file=io.StringIO(), force_terminal=True, width=60)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(
        [
            *("lab", "golden", "10.77.0.11/24", "52:54:00:77:00:11", "1h", "unicast", "1h 30min"),
            *("{{ name }}", "[a]", "{a}", "a: b", "010", "10.77.0.1", "::1", "-", "/", "a" * 300),
        ]
    ),
)
keys = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *("name", "group", "macs", "image", "disk", "mode", "scenario", "apiVersion", "kind"),
            *("spec", "metadata", "password", "parent", "<<", "serial", "domain", "Name", "labels"),
        ]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


def check(files: dict[str, bytes]) -> None:
    """Assert what holds of every repository."""
    result = compile_fleet(files, "r")
    errors = [problem for problem in result.diagnostics if problem.severity == "error"]
    assert (result.fleet is None) == bool(errors)
    assert list(result.diagnostics) == sorted(result.diagnostics, key=lambda each: each.sort_key)
    for problem in result.diagnostics:
        assert problem.code in set(Code)
        assert str(problem).startswith(f"{problem.position}: RW1")
        assert problem.message.isprintable()
        assert problem.hint.isprintable()
        assert_is_inside(files, problem.position)
    if result.fleet is not None:
        for machine in result.fleet.machines.values():
            assert len(dict(machine.origins)) >= 2
    check_rendering(result)
    order = list(files)
    random.Random(len(order)).shuffle(order)  # noqa: S311 - any other order will do
    again = compile_fleet({name: files[name] for name in order}, "r")
    assert again.diagnostics == result.diagnostics
    assert (again.fleet is None) == (result.fleet is None)


def assert_is_inside(files: dict[str, bytes], position: Position) -> None:
    lines = files[position.file].decode("utf-8", "replace").split("\n")
    assert 1 <= position.line <= len(lines)
    assert 1 <= position.column <= len(lines[position.line - 1]) + 1


def check_rendering(result: CompileResult) -> None:
    text = plain(result.diagnostics)
    assert all(line.isprintable() for line in text.split("\n"))
    print_problems(NOTHING, result.diagnostics)
    document = json.dumps(problems_document(result.diagnostics, "r"))
    assert len(json.loads(document)["problems"]) == len(result.diagnostics)


@given(st.lists(st.binary(max_size=200), max_size=3))
@settings(deadline=None, max_examples=100)
def test_random_bytes_end_in_problems(contents: list[bytes]) -> None:
    check({f"{index}.yaml": data for index, data in enumerate(contents)})


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(deadline=None, max_examples=100)
def test_random_yaml_syntax_ends_in_problems(pieces: list[str]) -> None:
    check({"f.yaml": "".join(pieces).encode()})


@dataclass
class Mapping:
    """A mapping whose keys may stand in it twice."""

    pairs: list[tuple[Any, Any]]


def mutable(value: Any) -> Any:
    if isinstance(value, dict):
        return Mapping([(key, mutable(part)) for key, part in value.items()])
    if isinstance(value, tuple | list):
        return [mutable(part) for part in value]
    return value


def containers(value: Any) -> list[Any]:
    """Return all mappings and lists that are not empty."""
    parts = [part for _, part in value.pairs] if isinstance(value, Mapping) else value
    if not isinstance(parts, list):
        return []
    inner = [found for part in parts for found in containers(part)]
    return [value, *inner] if parts else inner


def mutate(data: st.DataObject, document: Any) -> None:
    """Change one thing: delete, duplicate, rename, replace, wrap, or empty a value."""
    holders = containers(document)
    if not holders:
        return
    holder = data.draw(st.sampled_from(holders))
    parts = holder.pairs if isinstance(holder, Mapping) else holder
    index = data.draw(st.integers(0, len(parts) - 1))
    key, value = parts[index] if isinstance(holder, Mapping) else (None, parts[index])
    action = data.draw(st.sampled_from(["delete", "twice", "rename", "replace", "list", "text"]))
    if action == "delete":
        del parts[index]
        return
    if action == "twice":
        parts.insert(data.draw(st.integers(0, len(parts))), parts[index])
        return
    if action == "rename" and isinstance(holder, Mapping):
        key = data.draw(
            st.one_of(keys, st.just(str(key)[:-1]), st.just(str(key).upper()), st.integers())
        )
    elif action == "replace":
        value = mutable(data.draw(values))
    elif action == "list":
        value = [value] if not isinstance(value, list) else Mapping([("a", value)])
    else:
        value = written(value)
    parts[index] = (key, value) if isinstance(holder, Mapping) else value


def written(value: Any) -> str:
    """Return the value as flow YAML; secrets as their tag."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{written(key)}: {written(part)}" for key, part in value.pairs) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def as_block(document: Any) -> str:
    """Return the document with its outermost two levels in block style."""
    if not isinstance(document, Mapping):
        return written(document)
    lines = []
    for key, value in document.pairs:
        if isinstance(value, Mapping) and value.pairs:
            lines.append(f"{written(key)}:")
            lines += [f"  {written(inner)}: {written(part)}" for inner, part in value.pairs]
        else:
            lines.append(f"{written(key)}: {written(value)}")
    return "\n".join(lines)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_sound_documents_with_random_changes_end_in_problems(data: st.DataObject) -> None:
    documents: list[Any] = [mutable(document) for document in DOCUMENTS]
    for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
        mutate(data, data.draw(st.sampled_from(documents)))
    cut = data.draw(st.integers(0, len(documents)))
    style = data.draw(st.sampled_from([written, as_block]))
    check(
        {
            "a.yaml": "\n---\n".join(map(style, documents[:cut])).encode(),
            "b/c.yml": "\n---\n".join(map(style, documents[cut:])).encode(),
        }
    )


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_sound_file_with_random_damage_ends_in_problems(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name])
    begin = data.draw(st.integers(min_value=0, max_value=len(content)))
    end = min(len(content), begin + data.draw(st.integers(min_value=0, max_value=20)))
    content[begin:end] = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from(PIECES).map(str.encode))
    )
    check({**FILES, name: bytes(content)})
