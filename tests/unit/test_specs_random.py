"""Whatever is in a repository, compiling it ends in a fleet or in problems."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from specs.compile import CompileResult, compile_fleet
from specs.kinds import KINDS
from specs.reference import example_document
from specs.source import load_file
from specs.source.plain import Plain

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"
DOCUMENTS = [
    document.data
    for file in sorted(EXAMPLE.glob("*.yaml"))
    for document in load_file(file.name, file.read_bytes()).documents
] + [example_document(kind) for kind in KINDS if kind != "Fleet"]
PIECES = [
    *("---\n", "...\n", "&a ", "*a", "<<: ", "!secret ", "!!str ", "? ", ": ", "- ", "[", "]"),
    *("{", "}", "'", '"', "|\n", ">\n", "#", "%YAML 1.2\n", "\t", "\r\n", "\r", "\n", "  ", "\0"),
    *("\ufeff", "\u2028", "\x85", "null", "~", "true", "1e9", "<<<<<<< \n", ">>>>>>>\n", "\\", "@"),
    *("kind: ", "Machine", "spec:", "macs", "52:54:00:77:00:11", "lab", "10.77.0.0/24", "1h", "😀"),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(["lab", "golden", "10.77.0.11/24", "52:54:00:77:00:11", "1h", "unicast"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(["name", "group", "macs", "image", "disk", "mode", "scenario"]),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def check(result: CompileResult) -> None:
    """Assert what holds of every result."""
    errors = [problem for problem in result.problems if problem.severity == "error"]
    assert (result.fleet is None) == bool(errors)
    assert list(result.problems) == sorted(result.problems, key=lambda each: each.sort_key)
    for problem in result.problems:
        assert problem.position.line >= 1
        assert problem.position.column >= 1
        assert str(problem).startswith(f"{problem.position}: RW1")
        assert problem.message.isprintable()
        assert problem.hint.isprintable()
    if result.fleet is not None:
        for machine in result.fleet.machines.values():
            assert len(dict(machine.origins)) >= 2


@given(st.lists(st.binary(max_size=200), max_size=3))
@settings(deadline=None, max_examples=100)
def test_random_bytes_end_in_problems(contents: list[bytes]) -> None:
    check(compile_fleet({f"{index}.yaml": data for index, data in enumerate(contents)}, "r"))


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(deadline=None, max_examples=100)
def test_random_yaml_syntax_ends_in_problems(pieces: list[str]) -> None:
    check(compile_fleet({"f.yaml": "".join(pieces).encode()}, "r"))


def paths_of(value: Plain, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    parts: list[tuple[str | int, Plain]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, tuple):
        parts = list(enumerate(value))
    return [path, *(found for key, part in parts for found in paths_of(part, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    key, *rest = path
    if isinstance(value, dict):
        return {**value, key: replaced(value[key], tuple(rest), new)}
    parts = list(value)
    parts[key] = replaced(parts[key], tuple(rest), new)
    return parts


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_sound_repository_with_random_values_in_it_ends_in_problems(data: st.DataObject) -> None:
    documents: list[Any] = list(DOCUMENTS)
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        which = data.draw(st.integers(min_value=0, max_value=len(documents) - 1))
        path = data.draw(st.sampled_from(paths_of(DOCUMENTS[which])))
        try:
            documents[which] = replaced(documents[which], path, data.draw(values))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier replacement removed the place
    text = "\n---\n".join(json.dumps(document) for document in documents)
    check(compile_fleet({"f.yaml": text.encode()}, "r"))


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_sound_file_with_random_damage_ends_in_problems(data: st.DataObject) -> None:
    files = {file.name: file.read_bytes() for file in sorted(EXAMPLE.glob("*.yaml"))}
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    begin = data.draw(st.integers(min_value=0, max_value=len(content)))
    end = min(len(content), begin + data.draw(st.integers(min_value=0, max_value=20)))
    content[begin:end] = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from(PIECES).map(str.encode))
    )
    files[name] = bytes(content)
    check(compile_fleet(files, "r"))
