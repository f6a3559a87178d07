"""git's output, whole, in pieces and broken; git's complaints in words of ours."""

import io
from datetime import UTC, datetime, timedelta, timezone
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import SourceError
from reconciler.git.command import (
    Entry,
    ObjectTooLargeError,
    fetch_error,
    parse_commit,
    parse_entries,
    parse_objects,
)

ID = "e359ef38361d0f0b1c8a8e4a4d6a1f0d2c3b4a59"
OTHER = "0123456789abcdef0123456789abcdef01234567"

LISTING = (
    f"100644 blob {ID}\tfleet.yaml\x00120000 blob {OTHER}\tracks/odd\nname\t7.yaml\x00"
    f"160000 commit {ID}\tvendor\0"
).encode()
ENTRIES = [
    Entry("100644", ID, "fleet.yaml"),
    Entry("120000", OTHER, "racks/odd\nname\t7.yaml"),
    Entry("160000", ID, "vendor"),
]


class TestEntries:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_a_listing_may_arrive_in_any_pieces(self, size: int) -> None:
        pieces = [LISTING[start : start + size] for start in range(0, len(LISTING), size)]
        assert list(parse_entries(pieces)) == ENTRIES

    def test_an_empty_tree_has_no_entries(self) -> None:
        assert list(parse_entries([])) == []

    def test_a_name_that_is_no_utf8_keeps_its_bytes(self) -> None:
        [entry] = parse_entries([f"100644 blob {ID}\t".encode() + b"\xff.yaml\0"])
        assert entry.path.encode(errors="surrogateescape") == b"\xff.yaml"

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\0",
            b"hello\0",
            b"100644 blob \tx\0",
            f"100644 blob {ID}\t\0".encode(),
            f"x100644 blob {ID}\tx\0".encode(),
        ],
    )
    def test_garbage_is_reported_as_gits(self, garbage: bytes) -> None:
        with pytest.raises(SourceError, match="RW717: git ls-tree failed: it printed") as caught:
            list(parse_entries([LISTING + garbage + LISTING]))
        assert f"it printed {garbage[:-1]!r}"[:40] in str(caught.value)

    def test_a_listing_that_breaks_off_is_no_shorter_listing(self) -> None:
        with pytest.raises(SourceError, match="its output ends in the middle of a line"):
            list(parse_entries([LISTING[:-3]]))

    def test_a_listing_that_is_too_long_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.git.command.MAX_ENTRIES", 10)
        with pytest.raises(SourceError, match="RW714: the tree has more than"):
            list(parse_entries([LISTING] * 4))


class TestObjects:
    def test_objects_come_in_the_order_of_the_output(self) -> None:
        stream = io.BytesIO(f"{ID} blob 5\na\nb\0c\n{OTHER} blob 0\n\n".encode())
        assert list(parse_objects(stream, 5)) == [(ID, b"a\nb\0c"), (OTHER, b"")]

    @pytest.mark.parametrize("size", [1, 7, 46, 47, 60, 1000])
    def test_objects_may_be_read_in_any_pieces(
        self, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.git.command._CHUNK", size)
        contents = [b"", b"\n", f"{ID} blob 5\n".encode(), b"x" * 150, b"", b"a\n" * 20]
        output = b"".join(b"%s blob %d\n%s\n" % (ID.encode(), len(c), c) for c in contents)
        assert list(parse_objects(io.BytesIO(output), 150)) == [(ID, each) for each in contents]
        with pytest.raises(SourceError, match="breaks off"):
            list(parse_objects(io.BytesIO(output[:-1]), 150))

    def test_a_large_object_is_named_before_it_is_read(self) -> None:
        stream = io.BytesIO(f"{ID} blob 6\n".encode())
        with pytest.raises(ObjectTooLargeError) as caught:
            list(parse_objects(stream, 5))
        assert (caught.value.id, caught.value.size) == (ID, 6)

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (f"{ID} missing\n", f"{ID} missing"),
            (f"{ID} blob 5\nabc", f"{ID} breaks off"),
            (f"{ID} blob 99999999999999999999\n", f"{ID} blob 99999999999999999999"),
            (f"{ID} blob -1\n", f"{ID} blob -1"),
            ("x" * 300, "x" * 200),
        ],
    )
    def test_what_is_no_object_is_reported_as_gits(self, output: str, said: str) -> None:
        with pytest.raises(SourceError) as caught:
            list(parse_objects(io.BytesIO(output.encode()), 10**30))
        assert caught.value.cause == f"git cat-file failed: {said}"
        assert caught.value.code == "RW717"


class TestCommit:
    def test_author_time_and_subject_are_the_commits(self) -> None:
        commit = parse_commit(
            ID,
            b"tree 0123\nparent 4567\n"
            b"author Jane van Doe <jane@example.org> 1793696520 -0330\n"
            b"committer Bot <bot@example.org> 1793700000 +0000\n"
            b"gpgsig -----BEGIN\n author Liar <l@example.org> 1 +0000\n"
            b"\nAdd rack 07\n\nauthor Nobody <n@example.org> 2 +0000\n",
        )
        zone = timezone(-timedelta(hours=3, minutes=30))
        assert commit.time == datetime(2026, 11, 3, 5, 32, tzinfo=zone)
        assert commit.time.utcoffset() == zone.utcoffset(None)
        assert (commit.id, commit.author, commit.subject) == (ID, "Jane van Doe", "Add rack 07")

    def test_another_encoding_is_understood(self) -> None:
        commit = parse_commit(
            ID, "author Jürgen <j@x> 0 +0000\nencoding ISO-8859-1\n\nGrün\n".encode("latin-1")
        )
        assert (commit.author, commit.subject) == ("Jürgen", "Grün")

    def test_a_commit_cannot_steer_the_terminal(self) -> None:
        commit = parse_commit(ID, b"author \x1b[2JEve <e@x> 0 +0000\n\n\x1b]0;gone\x07 \xff\n")
        assert commit.author == "\N{REPLACEMENT CHARACTER}[2JEve"
        assert not any(ord(each) < 32 for each in commit.subject)

    @given(
        encoding=st.one_of(
            st.sampled_from(sorted(set(aliases.values()))), st.text(max_size=9).map(str.strip)
        ),
        content=st.binary(max_size=40),
        seconds=st.integers(0, 10**11 - 1),
    )
    def test_any_bytes_in_any_encoding_and_time_can_be_read(
        self, encoding: str, content: bytes, seconds: int
    ) -> None:
        line = encoding.replace("\n", "").encode("utf-8", "replace")
        head = b"author %b <e@x> %d +1459\nencoding %b" % (
            content.replace(b"\n", b""),
            seconds,
            line,
        )
        commit = parse_commit(ID, head + b"\n\n" + content)
        assert commit.subject.isprintable()
        assert commit.time.isoformat()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n\n",
            b"author\n\n",
            b"author <> 1 +0000 +0000\n\n",
            b"author A <a@x> 999999999999999 +0000\n\n",
            b"encoding no-such\nauthor \xff <a@x>\n\n\xff",
        ],
    )
    def test_a_malformed_commit_has_empty_facts(self, content: bytes) -> None:
        commit = parse_commit(ID, content)
        assert (commit.id, commit.author) == (ID, "")
        assert commit.time == datetime(1970, 1, 1, tzinfo=UTC)

    def test_an_absurd_offset_is_brought_into_range(self) -> None:
        assert parse_commit(ID, b"author A <a@x> 0 +9999\n\n").time.timestamp() == 0


class TestFetchErrors:
    @pytest.mark.parametrize(
        ("complaint", "code", "said", "action"),
        [
            (
                "fatal: couldn't find remote ref HEAD\n",
                "RW712",
                "couldn't find remote ref HEAD",
                "Push a first commit, or name a branch with --ref",
            ),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled\n",
                "RW717",
                "could not read Username for 'https://x': terminal prompts disabled",
                "Set up a credential helper or an SSH key for the user that fetches",
            ),
            (
                (
                    "git@x: Permission denied (publickey).\r\nfatal: Could not read from remote"
                    " repository.\n\nPlease make sure you have the correct access rights\n"
                ),
                "RW717",
                (
                    "git@x: Permission denied (publickey); Could not read from remote repository;"
                    " Please make sure you have the correct access rights"
                ),
                "Give the user that fetches a key that may read the repository",
            ),
            (
                "fatal: '/srv/none' does not appear to be a git repository\n",
                "RW717",
                "'/srv/none' does not appear to be a git repository",
                "See whether the address is right and reachable with: git ls-remote https://x/f",
            ),
            (
                "",
                "RW717",
                "git gave no reason",
                "See whether the address is right and reachable with: git ls-remote https://x/f",
            ),
        ],
        ids=["no commit", "no user", "no key", "no repository", "nothing"],
    )
    def test_a_complaint_says_what_to_do(
        self, complaint: str, code: str, said: str, action: str
    ) -> None:
        assert str(fetch_error("https://x/f", complaint)) == (
            f"{code}: https://x/f cannot be fetched: {said}. {action}."
        )

    def test_a_host_cannot_steer_the_terminal(self) -> None:
        error = fetch_error("https://git.example/fleet", "remote: \x1b[2J\x07gone\n")
        assert "\x1b" not in str(error)
