"""Migrating documents: what does not change keeps every byte, and no comment goes."""

from typing import Any

import pytest

from reconciler.authoring.migrated import migrated
from reconciler.authoring.rewrite import AuthoringError
from specs.yaml import load_file

OLD = """\
# of the file
apiVersion: old   # beside
kind: Machine
metadata: {name: "007"}
spec:
    # of the field
    mac: '52:54:00:00:00:01'
    run: 007
    bmc: !secret bmc/a
    # the end
"""
NEW = """\
# of the file
apiVersion: new   # beside
kind: Machine
metadata: {name: "007"}
spec:
  # of the field
  macs: ['52:54:00:00:00:01']
  run: 007
  bmc: !secret bmc/a
  # the end
"""
CURRENT = "apiVersion:   new # as it is\nspec: {a:   1}\n"


def to_new(document: Any) -> list[str]:
    """Migrate as specs.migration does: in place, on ruamel.yaml's round trip."""
    if not isinstance(document, dict) or document.get("apiVersion") != "old":
        return []
    document["apiVersion"] = "new"
    spec = document["spec"]
    if "mac" not in spec:
        return ["apiVersion"]
    at = list(spec).index("mac")
    value = spec.pop("mac")
    spec.insert(at, "macs", flow([value]))
    return ["apiVersion", "mac -> macs"]


def flow(items: list[Any]) -> Any:
    from ruamel.yaml.comments import CommentedSeq  # noqa: PLC0415

    result = CommentedSeq(items)
    result.fa.set_flow_style()
    return result


def test_a_document_is_migrated_and_its_comments_quotes_and_tags_stay() -> None:
    content, changes = migrated("f.yaml", OLD.encode(), to_new)
    assert content.decode() == NEW
    assert changes == ("f.yaml:1: apiVersion", "f.yaml:1: mac -> macs")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_documents_around_it_keep_every_byte(end: str, mark: bytes) -> None:
    around = f"---   # head\n{CURRENT}---\n".replace("\n", end)
    text = around + OLD.replace("\n", end) + around + CURRENT.rstrip("\n")
    content, changes = migrated("f.yaml", mark + text.encode(), to_new)
    expected = around + NEW.replace("\n", end) + around + CURRENT.rstrip("\n")
    assert content == mark + expected.encode()
    assert [change.split(" ")[0] for change in changes] == ["f.yaml:5:", "f.yaml:5:"]


def test_nothing_to_do_is_the_same_bytes() -> None:
    assert migrated("f.yaml", CURRENT.encode(), to_new) == (CURRENT.encode(), ())
    assert migrated("f.yaml", b"", to_new) == (b"", ())
    assert migrated("f.yaml", b"# only a comment", to_new) == (b"# only a comment", ())


@pytest.mark.parametrize(
    "before", ["%YAML 1.2\n---\n", "# c\n\n---\n", "a: 1\n...\n---\n", "- 1\n---\n"]
)
def test_directives_markers_and_other_documents_are_passed_over(before: str) -> None:
    text = f"{before}apiVersion: old\nspec: {{}}\n"
    assert migrated("f.yaml", text.encode(), to_new)[0].decode() == text.replace("old", "new")


def refusal(text: str, migrate: Any) -> str:
    with pytest.raises(AuthoringError) as caught:
        migrated("f.yaml", text.encode(), migrate)
    return f"{caught.value.code} {caught.value.cause}"


def test_a_migration_that_would_lose_a_comment_is_refused() -> None:
    def drop(document: Any) -> list[str]:
        return ["dropped"] if document.pop("b", None) else []

    assert refusal("a: 1\nb: 2 # why\nc: 3\n", drop) == (
        "RW931 f.yaml:1: the document would lose the comment '# why', so it was left"
    )
    assert migrated("f.yaml", b"a: 1 # why\nb: 2\n", drop)[0] == b"a: 1 # why\n"


def test_a_migration_that_never_ends_is_refused() -> None:
    assert refusal("a: 1\n", lambda _: ["again"]) == (
        "RW931 f.yaml:1: the document would have to be migrated twice, so it was left"
    )


def test_a_broken_file_is_refused() -> None:
    assert refusal("a: [\n", to_new).startswith("RW930 f.yaml has 1 error(s)")


def test_what_is_written_can_be_read() -> None:
    content, _ = migrated("f.yaml", OLD.encode(), to_new)
    assert load_file("f.yaml", content).diagnostics == ()
