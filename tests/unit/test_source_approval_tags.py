"""Tags that approve and commits that have authors, as Git keeps them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.git.approval_tags import parse_tag
from reconciler.git.authors import emails_of
from reconciler.git.signature import tag_signature_kind

COMMIT = "c" * 40
NAME = "approve/0123456789ab"
TAG = f"""\
object {COMMIT}
type commit
tag {NAME}
tagger Bob <bob@example.org> 1793696520 +0900

go
""".encode()


def test_a_tag_says_what_it_approves_and_when() -> None:
    tag = parse_tag("a" * 40, NAME, TAG)
    assert tag is not None
    assert (tag.digest, tag.commit) == ("0123456789ab", COMMIT)
    assert tag.at == datetime(2026, 11, 3, 9, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("approve/0123456789ac", TAG),
        ("approve/0123456789a", TAG.replace(b"789ab", b"789a")),
        ("approve/0123456789AB", TAG.replace(b"789ab", b"789AB")),
        ("v1", TAG.replace(NAME.encode(), b"v1")),
        (NAME, TAG.replace(b"type commit", b"type tree")),
        (NAME, TAG.replace(b"tagger", b"x tagger")),
        (NAME, b"x" + TAG),
    ],
    ids=[
        "another name",
        "too short",
        "upper case",
        "no approval",
        "a tree",
        "no tagger",
        "shifted",
    ],
)
def test_any_other_tag_approves_nothing(name: str, content: bytes) -> None:
    assert parse_tag("a" * 40, name, content) is None


@given(st.binary(max_size=200), st.integers(0, len(TAG)), st.text(max_size=30))
def test_garbage_approves_nothing_or_is_a_tag_under_its_own_name(
    garbage: bytes, at: int, name: str
) -> None:
    for content in (garbage, TAG[:at] + garbage + TAG[at:]):
        for asked in (name, NAME):
            tag = parse_tag("a" * 40, asked, content)
            assert tag is None or f"tag {asked}\n".encode() in content
        tag_signature_kind(content)
        emails_of(content)


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        ("-----BEGIN SSH SIGNATURE-----", "ssh"),
        ("-----BEGIN PGP SIGNATURE-----", "gpg"),
        ("-----BEGIN SIGNED MESSAGE-----", "x509"),
        ("> -----BEGIN SSH SIGNATURE-----", ""),
    ],
)
def test_the_signature_of_a_tag_ends_it(begin: str, kind: str) -> None:
    assert tag_signature_kind(TAG + f"{begin}\nAAAA\n".encode()) == kind


def test_author_and_committer_are_known_by_address_whatever_its_case() -> None:
    commit = (
        b"tree t\nauthor Ada <Ada@Example.org> 1 +0000\n"
        b"committer Bob <bob@example.org> 2 +0000\n\nauthor X <x@example.org> 1 +0000\n"
    )
    assert emails_of(commit) == {"ada@example.org", "bob@example.org"}
