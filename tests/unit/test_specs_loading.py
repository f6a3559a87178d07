"""From the bytes of a file to documents with positions."""

import pytest

from specs.diagnostics.codes import Code
from specs.types.secret import SecretReference
from specs.yaml import load_file
from specs.yaml.builder import MAX_DEPTH
from specs.yaml.section import MAX_FILE_BYTES

NO_TAG = "    hint: only !secret NAME exists here; put text that begins with ! in quotes"


def data_of(text: str | bytes) -> list[object]:
    loaded = load_file("f.yaml", text if isinstance(text, bytes) else text.encode())
    assert [str(problem) for problem in loaded.diagnostics] == []
    return [document.data for document in loaded.documents]


def problems_of(text: str | bytes) -> list[str]:
    loaded = load_file("f.yaml", text if isinstance(text, bytes) else text.encode())
    return [str(problem) for problem in loaded.diagnostics]


def test_a_file_holds_many_documents() -> None:
    assert data_of("a: 1\n---\nb: 2\n...\n---\nc: [x, {d: e}]\n") == [
        {"a": 1},
        {"b": 2},
        {"c": ("x", {"d": "e"})},
    ]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "\ufeff"])
def test_a_file_without_content_has_no_documents_and_no_problem(text: str) -> None:
    assert data_of(text) == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("NO", "NO"),
        ("7", 7),
        ("-7", -7),
        ("007", "007"),
        ("0o17", "0o17"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", ".5"),
        (".inf", ".inf"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("2026-11-01", "2026-11-01"),
        ("2026-11", "2026-11"),
        ("123456789012345678", 123456789012345678),
        ("1234567890123456789", "1234567890123456789"),
        ("9" * 5000, "9" * 5000),
        ("'7'", "7"),
        ('"true"', "true"),
        ("!!str 7", "7"),
        ("=", "="),
        ("5e:00", "5e:00"),
    ],
)
def test_unquoted_scalars_follow_the_documented_rules(written: str, value: object) -> None:
    (document,) = data_of(f"a: {written}\n")
    assert document == {"a": value}
    assert isinstance(document, dict)
    assert type(document["a"]) is type(value)


def test_block_scalars_are_text() -> None:
    assert data_of("a: |\n  7\nb: >-\n  true\n") == [{"a": "7\n", "b": "true"}]


def test_carriage_returns_are_line_ends() -> None:
    loaded = load_file("f.yaml", b"a: 1\r\n---\r\nb:\r\n  - x\r\n  - 'y\r\n    z'\r\n")
    assert [document.data for document in loaded.documents] == [{"a": 1}, {"b": ("x", "y z")}]
    assert str(loaded.documents[1].position(("b", 1))) == "f.yaml:5:5"


def test_a_byte_order_mark_is_ignored() -> None:
    loaded = load_file("f.yaml", b"\xef\xbb\xbfa: x\n")
    assert loaded.documents[0].data == {"a": "x"}
    assert str(loaded.documents[0].position(("a",))) == "f.yaml:1:4"


def test_every_value_and_key_has_a_position() -> None:
    text = (
        "# a comment\n"
        "a: 1\n"
        "---\n"
        "naïve: {b: [x, {c: 😀, d: e}]}\n"
        "list:\n"
        "  - first\n"
        "  - second: value\n"
        "    third: 3\n"
    )
    document = load_file("dir/f.yaml", text.encode()).documents[1]
    places = {
        (): (4, 1),
        ("naïve",): (4, 8),
        ("naïve", "b"): (4, 12),
        ("naïve", "b", 1, "d"): (4, 26),
        ("list",): (6, 3),
        ("list", 0): (6, 5),
        ("list", 1): (7, 5),
        ("list", 1, "third"): (8, 12),
    }
    for path, (line, column) in places.items():
        assert str(document.position(path)) == f"dir/f.yaml:{line}:{column}"
    assert str(document.key_position(("naïve", "b"))) == "dir/f.yaml:4:9"
    assert str(document.key_position(("list", 1, "third"))) == "dir/f.yaml:8:5"


def test_the_position_of_what_is_not_written_is_what_encloses_it() -> None:
    document = load_file("f.yaml", b"a:\n  b: {c: 1}\n").documents[0]
    assert str(document.position(("a", "b", "missing", 3))) == "f.yaml:2:6"
    assert str(document.key_position(("a", "b", "missing"))) == "f.yaml:2:3"


def test_positions_follow_aliases_and_merges_to_where_the_value_is_written() -> None:
    text = "base: &base\n  x: 1\n  y: 2\nuse:\n  <<: *base\n  y: 3\nsame: *base\n"
    document = load_file("f.yaml", text.encode()).documents[0]
    assert document.data == {
        "base": {"x": 1, "y": 2},
        "use": {"x": 1, "y": 3},
        "same": {"x": 1, "y": 2},
    }
    assert str(document.position(("use", "x"))) == "f.yaml:2:6"
    assert str(document.position(("use", "y"))) == "f.yaml:6:6"
    assert str(document.position(("same", "y"))) == "f.yaml:3:6"


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: {x: 4}}\n"
    (document,) = data_of(text)
    assert isinstance(document, dict)
    assert document["c"] == {"z": 3, "x": 1, "y": 2}
    assert document["d"] == {"x": 4}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert data_of("'<<': 1\n") == [{"<<": 1}]


def test_a_secret_is_a_reference() -> None:
    assert data_of("a: !secret bmc/rack07\n") == [{"a": SecretReference("bmc/rack07")}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 1\nb:\n  - x\n\tc: 2\n",
            "f.yaml:4:1: RW102 a tab where YAML wants spaces\n    hint: indent with spaces",
        ),
        (
            "a:\n  b: [1, 2\nc: 3\n",
            (
                "f.yaml:2:6: RW101 this [ is not closed before line 3\n"
                '    hint: add the "]", or a missing ","'
            ),
        ),
        (
            "a: {b: 1\n",
            'f.yaml:1:4: RW101 this { is not closed\n    hint: add the "}", or a missing ","',
        ),
        (
            "x: 1\na: 'b\n",
            "f.yaml:2:4: RW101 this quote is not closed\n    hint: add the closing quote",
        ),
        (
            "a: b: c\n",
            (
                'f.yaml:1:5: RW101 a ":" where no new key can begin\n'
                '    hint: put a value that contains ": " in quotes; otherwise align this line '
                "with its neighbours"
            ),
        ),
        (
            "macs: [52:54:00:12:34:56]\n",
            (
                'f.yaml:1:10: RW101 a ":" inside an unquoted value in [ ] or { }\n'
                '    hint: put the value in quotes: "52:54:00:12:34:56"'
            ),
        ),
        (
            "a: @b\n",
            'f.yaml:1:4: RW101 a value cannot begin with "@"\n    hint: put the value in quotes',
        ),
        (
            'a: "C:\\q"\n',
            (
                "f.yaml:1:7: RW101 an unknown escape after a backslash\n"
                "    hint: double the backslash, or use single quotes"
            ),
        ),
        (
            "a: 1\nb: 2\n- c\n",
            (
                "f.yaml:3:1: RW101 this line does not fit the mapping above\n"
                "    hint: align it with its neighbours; check for an unclosed quote above it"
            ),
        ),
        (
            "- a\nb: 1\n",
            (
                "f.yaml:2:1: RW101 this line does not belong to the list above\n"
                "    hint: align it with the list's dashes, or with the key that the list "
                "belongs to"
            ),
        ),
        (
            "a: - b\n",
            (
                'f.yaml:1:4: RW101 a "-" where no list can begin\n'
                "    hint: begin the list on the line below its key"
            ),
        ),
        (
            "domain: *.example.net\n",
            (
                "f.yaml:1:10: RW101 an & or * without a name\n"
                "    hint: put a value that begins with & or * in quotes"
            ),
        ),
        (
            "a: | text\n",
            (
                "f.yaml:1:6: RW101 text on the line of a | or >, or of a directive\n"
                "    hint: begin the text on the next line, indented; put text that begins with | "
                "or > in quotes"
            ),
        ),
        (
            "a: [,]\n",
            (
                "f.yaml:1:5: RW101 a value is missing here\n"
                '    hint: look for a "," or a bracket too many'
            ),
        ),
        (
            "a: !<x\n",
            f"f.yaml:1:7: RW109 an unknown tag\n{NO_TAG}",
        ),
        (
            "%YAML 3.0\n---\na: 1\n",
            (
                "f.yaml:1:1: RW101 a %YAML directive of another version\n"
                "    hint: remove the line, or write %YAML 1.2"
            ),
        ),
        (
            "a: 1\nb: 2\na: 3\n",
            (
                'f.yaml:3:1: RW108 the key "a" is written twice, first in line 1\n'
                "    hint: keep one of the two lines"
            ),
        ),
        (
            "a: {b: 1, 'b': 2}\n",
            (
                'f.yaml:1:11: RW108 the key "b" is written twice, first in line 1\n'
                "    hint: keep one of the two lines"
            ),
        ),
        (
            "a: !template x\n",
            f'f.yaml:1:4: RW109 unknown tag "!template"\n{NO_TAG}',
        ),
        (
            "a: !!python/name:os.system x\n",
            (f'f.yaml:1:4: RW109 unknown tag "!!python/name:os.system"\n{NO_TAG}'),
        ),
        (
            "a: !x!y z\n",
            f"f.yaml:1:4: RW109 an unknown tag\n{NO_TAG}",
        ),
        (
            "a: !secret ''\n",
            (
                "f.yaml:1:4: RW109 !secret wants a name\n"
                "    hint: write !secret and a name such as bmc/rack07"
            ),
        ),
        (
            "a: !secret [b]\n",
            (
                "f.yaml:1:4: RW109 !secret wants a name\n"
                "    hint: write !secret and a name such as bmc/rack07"
            ),
        ),
        (
            "a: *b\n",
            (
                "f.yaml:1:4: RW110 no anchor &b before this alias\n"
                "    hint: an anchor stands above its uses, in the same document; "
                "text that begins with * goes into quotes"
            ),
        ),
        (
            "a: &a\n  b: *a\n",
            (
                "f.yaml:2:6: RW110 *a is used inside what it stands for\n"
                "    hint: write the inner value out"
            ),
        ),
        (
            "a: &x 1\nb: &x 2\n",
            (
                "f.yaml:2:4: RW110 the anchor &x is defined twice in this document\n"
                "    hint: rename one of the two"
            ),
        ),
        (
            "name: {{ inventory_hostname }}\n",
            (
                "f.yaml:1:8: RW112 a mapping as a key\n"
                "    hint: text templates do not exist here; write the value itself"
            ),
        ),
        (
            "a:\n  8080: x\n",
            'f.yaml:2:3: RW112 the key "8080" is not text\n    hint: put the key in quotes',
        ),
        (
            "a:\n  <<: 7\n",
            (
                "f.yaml:2:7: RW113 << wants a mapping or a list of mappings\n"
                "    hint: write <<: *name, where &name stands at a mapping"
            ),
        ),
        (
            "a: {b: [x, ~]}\n",
            (
                "f.yaml:1:12: RW126 a.b[1]: there is no value\n"
                "    hint: give it a value or remove the line; an empty list is [], "
                "an empty mapping {}"
            ),
        ),
        (
            "a:\nb: 1\n",
            (
                "f.yaml:1:1: RW126 a: there is no value\n"
                "    hint: give it a value or remove the line; an empty list is [], "
                "an empty mapping {}"
            ),
        ),
        (
            "a: 1\n---\n# nothing\n---\nb: 1\n",
            (
                "f.yaml:2:1: RW107 warning: this document is empty\n"
                "    hint: remove the extra line of ---"
            ),
        ),
        (
            "macs:\n  - 52:54:00:12:34:56\n",
            (
                "f.yaml:2:5: RW115 warning: 52:54:00:12:34:56 is a MAC address here, but a number "
                "to tools that follow YAML 1.1\n"
                '    hint: put it in quotes: "52:54:00:12:34:56"'
            ),
        ),
    ],
)
def test_mistakes_are_placed_and_explained(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            "a: 1\nb: é\n".encode("latin-1"),
            "f.yaml:2:4: RW103 the byte 0xe9 is not UTF-8\n    hint: save the file as UTF-8",
        ),
        (
            "a: 東京\n".encode("shift_jis"),
            "f.yaml:1:4: RW103 the byte 0x93 is not UTF-8\n    hint: save the file as UTF-8",
        ),
        (
            "a: 1\n".encode("utf-16"),
            "f.yaml:1:1: RW103 the file is UTF-16, not UTF-8\n    hint: save the file as UTF-8",
        ),
        (
            b"a: 1\nb: x\0y\n",
            (
                "f.yaml:2:5: RW104 a NUL byte\n"
                "    hint: is this a text file? Remove the byte or the file"
            ),
        ),
        (
            b"a: \x1b[31m\n",
            'f.yaml:1:4: RW104 the character "\\u001b" is not allowed in YAML\n    hint: remove it',
        ),
        (
            b"a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> topic\n",
            (
                "f.yaml:2:1: RW105 an unresolved merge conflict\n"
                "    hint: resolve it and remove the lines that begin with <<<<<<<, ======= and "
                ">>>>>>>"
            ),
        ),
        (
            b"# " + b"x" * MAX_FILE_BYTES,
            (
                "f.yaml:1:1: RW106 the file has 16,777,218 bytes, at most 16,777,216 are read\n"
                "    hint: split it; documents may be spread over any number of files"
            ),
        ),
    ],
    ids=["latin-1", "shift-jis", "utf-16", "nul", "escape", "conflict", "size"],
)
def test_what_is_no_clean_text_is_placed_and_explained(data: bytes, problem: str) -> None:
    assert problems_of(data) == [problem]


@pytest.mark.parametrize(
    "broken",
    [
        "a: [1\n",
        'a: "x\n',
        "a: b: c\n",
        "\ta: 1\n",
        "a: *x\n",
        "a: &x [*x]\n",
        "a: \x01\n",
        "<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> topic\n",
        "[" * (MAX_DEPTH + 1) + "\n",
    ],
)
def test_a_broken_document_does_not_hide_its_neighbours(broken: str) -> None:
    text = f"first: 1\n---\n{broken}---\nthird: 3\n---\n{broken}---\nfifth: 5\n"
    loaded = load_file("f.yaml", text.encode())
    assert [document.data for document in loaded.documents] == [
        {"first": 1},
        {"third": 3},
        {"fifth": 5},
    ]
    assert len(loaded.diagnostics) == 2
    assert len(loaded.unreadable) == 2
    last = loaded.documents[-1]
    line = text.splitlines().index("fifth: 5") + 1
    assert str(last.position(("fifth",))) == f"f.yaml:{line}:8"


def test_a_conflict_across_documents_takes_only_those_it_touches() -> None:
    text = (
        "a: 1\n---\n<<<<<<< HEAD\nb: 2\n---\nc: 3\n=======\nb: 3\n---\nd: 4\n>>>>>>> topic\n"
        "---\ne: 5\n"
    )
    loaded = load_file("f.yaml", text.encode())
    assert [document.data for document in loaded.documents] == [{"a": 1}, {"e": 5}]
    assert [problem.code for problem in loaded.diagnostics] == [Code.CONFLICT_MARKER]


def test_an_alias_bomb_is_refused_without_being_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        uses = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{uses}]")
    (problem,) = problems_of("\n".join(lines) + "\n")
    assert problem == (
        "f.yaml:4:10: RW111 the aliases of this document expand to too many values\n"
        "    hint: write the values out, or put what is common into a Group"
    )


def test_a_bomb_of_merge_keys_is_refused_too() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(500))
    uses = "\n".join(f"u{number}: {{<<: *big}}" for number in range(50))
    (problem,) = problems_of(f"big: &big {{{keys}}}\n{uses}\n")
    assert "RW111 the aliases of this document expand to too many values" in problem


def test_ordinary_use_of_aliases_is_far_from_the_limit() -> None:
    items = "".join(f"  - {{name: n{number}, power: *power}}\n" for number in range(2000))
    (document,) = data_of(f"power: &power {{driver: manual}}\nmachines:\n{items}")
    assert isinstance(document, dict)
    assert len(document["machines"]) == 2000


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[?"])
def test_nesting_is_bounded_long_before_the_stack_is(opening: str) -> None:
    (problem,) = problems_of(opening * 50_000)
    assert " RW114 nested more than 100 levels deep\n" in problem


def test_nesting_through_aliases_is_bounded_too() -> None:
    levels = "".join(f"  - &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]\n" for n in range(1, 20))
    (problem,) = problems_of(f"list:\n  - &a0 [x]\n{levels}")
    assert problem.startswith("f.yaml:12:20: RW114 nested more than 100 levels deep\n")


def test_nesting_up_to_the_limit_is_read() -> None:
    assert len(data_of("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == 1


def test_a_document_full_of_mistakes_is_given_up() -> None:
    text = "".join("same: 1\n" for _ in range(500)) + "---\nok: 1\n"
    loaded = load_file("f.yaml", text.encode())
    assert len(loaded.diagnostics) == 101
    assert str(loaded.diagnostics[-1]) == (
        "f.yaml:102:1: RW132 more than 100 problems in this document; the rest is not read\n"
        "    hint: solve the first ones"
    )
    assert [document.data for document in loaded.documents] == [{"ok": 1}]
