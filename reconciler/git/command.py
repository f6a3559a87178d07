"""The git command: its arguments and its output.

A repository is a stranger's, so that only commands that show or verify stored objects
are run here; see ``reconciler.git.program`` for how.

The repository is named by ``--git-dir``: a ``GIT_DIR`` that a calling hook left in
the environment must not change what is read, and reading a repository of another
user (a server's, a CI job's) is safe for the reason above.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import starmap
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple

from reconciler.errors import SourceError
from reconciler.git import program
from reconciler.git.program import FETCHING, OVERRIDES, READING
from reconciler.git.tree import MAX_ENTRIES, Algorithm, Commit, too_many_entries
from specs.desired_state import SUFFIXES

LINK: Final = "120000"
SUBMODULE: Final = "160000"
INDIRECT: Final = frozenset({LINK, SUBMODULE})

_NAMESPACES = ("refs/heads", "refs/tags", "refs/remotes")
_FETCH_OPTIONS = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head")
_LINES_ONLY = (
    "--unified=0",
    "--full-index",
    "--text",  # whatever an attribute says of the file
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--find-renames",
    "-l400",
)
_DESIRED = tuple(f":(icase)*{suffix}" for suffix in sorted(SUFFIXES))
_ACCEPTED: Final = "refs/rackwright/accepted"
_FETCH_SECONDS = 1800
_VERIFY_SECONDS = 60
_CHUNK = 1 << 16
_match_header = re.compile(rb"([0-9a-f]{40,64}) [a-z]+ ([0-9]{1,18})\n").match
_find_entries = re.compile(r"(?<![^\0])([0-7]{6}) [a-z]+ ([0-9a-f]{40,64})\t([^\0]+)\0").findall
_match_entry = re.compile(r"[0-7]{6} [a-z]+ [0-9a-f]{40,64}\t.+", re.DOTALL).fullmatch
_match_index = re.compile(rb"index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})(?: [0-7]{6})?\n").match
_match_hunk = re.compile(rb"@@ -([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@").match
_LONGEST_HEADER = 200
_MOST_LINES = 6
_LEFT_OUT: Final = "S"
"""What ``git ls-files -t`` says of a file that is not in the working tree on purpose."""
_LOGIN = re.compile(r"(?<![\w+.-])(\w[\w+.-]*://)[^/?#\s]*@")


class Entry(NamedTuple):
    """One line of ``git ls-tree``: no folder, since folders are walked. ``path`` as Git has it."""

    mode: str
    id: str
    path: str


class Change(NamedTuple):
    """One file that two trees do not share alike; an id is empty where a tree lacks the file."""

    mode: str
    """What it became, or was where it is gone; of a link that became a file, that of the link."""
    before: str
    after: str
    path: str

    @property
    def is_indirect(self) -> bool:
        """Whether it is or was a link or a submodule: what it means stands elsewhere."""
        return self.mode in INDIRECT


class Hunk(NamedTuple):
    """Lines that one version of a file has in the place of lines of another, counted from 1.

    Where a number is 0, the other side's lines follow the line that is named.
    """

    before: int
    removed: int
    after: int
    added: int


class BlobChange(NamedTuple):
    """The lines in which two versions of a file differ; an id is empty where there is none."""

    before: str
    after: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class GitCommand:
    """git on the repository whose ``.git`` (or bare) directory is ``git_dir``.

    Every method raises ``SourceError``: RW710 when git is not installed, RW717 when
    git fails.
    """

    git_dir: Path

    def commit_id(self, ref: str) -> str | None:
        """Return the commit that ``ref`` names, None when it names none."""
        return self._named(f"{ref}^{{commit}}") if can_be_ref(ref) else None

    def is_known(self, ref: str) -> bool:
        """Tell whether ``ref`` names anything, be it no commit or an object that is gone."""
        return can_be_ref(ref) and self._named(ref) is not None

    def names(self) -> tuple[str, ...]:
        """Return the short names of branches, tags and remote branches."""
        output = self._checked(["for-each-ref", "--format=%(refname:short)", *_NAMESPACES])
        return tuple(output.split("\n")) if output else ()

    def refs_named(self, name: str) -> tuple[str, ...]:
        """Return the full names of the branch, tag and remote branch with this short name."""
        refs = [f"{namespace}/{name}" for namespace in _NAMESPACES]
        output = self._checked(["for-each-ref", "--format=%(refname)", *refs])
        return tuple(each for each in output.split("\n") if each in refs)

    def tree_id(self, commit: str, folder: str) -> str | None:
        """Return the id of ``folder`` in ``commit``, None when it has no such folder."""
        # With the slash, no file is found. ^{tree} would be taken as a part of the path.
        return self._named(f"{commit}:{folder}/")

    def changes(self, before: str, after: str) -> Iterator[Change]:
        """Yield every file that two trees do not share alike, whatever its kind."""
        arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", before, after]
        with self._streamed(arguments) as stream:
            yield from parse_changes(stream.read())

    def line_changes(self, before: str, after: str) -> Iterator[BlobChange]:
        """Yield the lines in which files differ that can hold desired state.

        A file that was moved is compared with what it was, where the two are alike.
        """
        arguments = ["diff-tree", "-r", "-p", *_LINES_ONLY, before, after, "--", *_DESIRED]
        with self._streamed(arguments) as stream:
            yield from parse_line_changes(stream)

    def entries(self, commit: str, folder: str) -> Iterator[Entry]:
        """Return every file below ``folder`` (empty: the top), with paths from there on.

        Nothing where the commit does not have that folder.
        """
        tree = self.tree_id(commit, folder) if folder else commit
        if tree is None:
            return
        arguments = ["ls-tree", "-r", "-z", "--full-tree", tree]
        with self._streamed(arguments) as stream:
            yield from parse_entries(iter(lambda: stream.read(_CHUNK), b""))

    def objects(self, ids: Iterable[str], largest: int) -> Iterator[tuple[str, bytes]]:
        """Return the objects in the order of ``ids``, None of more than ``largest`` bytes.

        Raises ``ObjectTooLargeError`` at the first larger one.
        """
        with os.fdopen(os.memfd_create("wanted"), "w+b") as wanted:
            wanted.write("\n".join([*ids, ""]).encode())
            wanted.seek(0)
            with self._streamed(["cat-file", "--batch"], wanted) as stream:
                yield from parse_objects(stream, largest)

    def ignores(self, worktree: Path, folder: str) -> bool:
        """Tell whether Git ignores ``folder``, so that what is in it is none of Git's."""
        arguments = ["check-ignore", "--quiet", "--", folder]
        return bool(folder) and self._run(arguments, worktree)[0] == 0

    def worktree_files(self, worktree: Path, folder: str) -> dict[str, str]:
        """Return the files below ``folder`` that are tracked, or new and not ignored.

        Paths begin at ``folder``. Tracked files may be gone, and a folder that is
        itself a repository is named with a slash at its end. Of files that a sparse checkout
        leaves out the blob is given (git-sparse-checkout(1)); of all others nothing.
        """
        listing = ["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"]
        output = self._checked([*listing, "--", folder or "."], worktree=worktree)
        prefix = f"{folder}/" if folder else ""
        found = [each.partition(" ")[::2] for each in output.split("\0") if each]
        files = {path.removeprefix(prefix): "" for _, path in found}
        if any(tag == _LEFT_OUT for tag, _ in found):
            left_out = {path for tag, path in found if tag == _LEFT_OUT}
            output = self._checked(["ls-files", "-z", "-s", "--", folder or "."], worktree=worktree)
            for line in output.split("\0"):
                mode_id_stage, _, path = line.partition("\t")
                if path in left_out:
                    files[path.removeprefix(prefix)] = mode_id_stage.split(" ")[1]
        return files

    def cleaned_ids(self, worktree: Path, paths: Sequence[str]) -> tuple[str, ...]:
        """Return the ids that files of the working tree would be committed with.

        Line ends and encodings are converted as gitattributes(5) says it; programs that are
        configured as filters are not run. Nothing where git cannot tell.
        """
        _, names, _ = self._run(["config", "--name-only", "--get-regexp", r"^filter\."])
        off = [part for name in names.split("\n") if name for part in ("-c", f"{name}=")]
        with os.fdopen(os.memfd_create("paths"), "w+b") as asked:
            asked.write("\n".join([*paths, ""]).encode())
            asked.seek(0)
            command = [*self._command(worktree), *off, "hash-object", "--stdin-paths"]
            with program.stream(command, asked) as (output, end):
                found = tuple(output.read().decode().split())
                status, _ = end()
        return found if status == 0 and len(found) == len(paths) else ()

    def descent(self, older: str, newer: str) -> tuple[str, ...]:
        """Return how ``newer`` descends from ``older``: the commits between and itself.

        Oldest first, and each the first parent's line of the next: of what was merged
        only the merge. Empty when ``newer`` does not descend from ``older``.
        """
        between = f"{older}..{newer}"
        descendants = set(self._checked(["rev-list", "--ancestry-path", between, "--"]).split())
        if newer not in descendants:
            return ()
        line = self._checked(["rev-list", "--reverse", "--first-parent", between, "--"]).split()
        return tuple(commit for commit in line if commit in descendants)

    def commits_between(self, older: str, newer: str) -> tuple[str, ...]:
        """Return the commits that ``newer`` has and ``older`` lacks, merged ones too."""
        return tuple(self._checked(["rev-list", f"{older}..{newer}", "--"]).split())

    def tags(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield names and ids of the annotated tags whose names begin with ``prefix``."""
        form = "--format=%(objecttype) %(objectname) %(refname:strip=2)"
        for line in self._checked(["for-each-ref", form, f"refs/tags/{prefix}"]).splitlines():
            kind, object_id, name = line.split(" ", 2)
            if kind == "tag":
                yield name, object_id

    def verify(
        self,
        kind: Literal["commit", "tag"],
        object_id: str,
        configuration: Iterable[str],
        environment: Mapping[str, str],
    ) -> tuple[int, str]:
        """Return git's exit status and what the verifying program said of the signature.

        Only ``configuration`` (``name=value``) and the repository's own are in force,
        not the user's and not the computer's.
        """
        settings = [part for each in configuration for part in ("-c", each)]
        return program.run_for(
            _VERIFY_SECONDS,
            [*self._command(), *settings, f"verify-{kind}", "--raw", object_id],
            {
                **READING,
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_NOSYSTEM": "1",
                **environment,
            },
        )

    def keep(self, commit: str) -> None:
        """Keep ``commit`` from being collected as garbage; for a repository of our own."""
        self._checked(["update-ref", _ACCEPTED, commit])

    def initialise(self, algorithm: Algorithm) -> None:
        """Make ``git_dir`` an empty bare repository; an existing one stays as it is."""
        options = ["--quiet", "--bare", "--template=", f"--object-format={algorithm}"]
        self._checked(["init", *options, str(self.git_dir)])

    def fetch(self, url: str, refspecs: Iterable[str]) -> None:
        """Make the local refs of ``refspecs`` what they are at ``url``, removing others.

        Raises ``SourceError`` as ``fetch_error`` explains it.
        """
        status, stderr = program.run_for(
            _FETCH_SECONDS,
            [*self._command(), "fetch", *_FETCH_OPTIONS, "--", url, *refspecs],
            FETCHING,
        )
        if status != 0:
            raise fetch_error(url, stderr)

    def _named(self, name: str) -> str | None:
        """Return the id of what a name leads to (git-rev-parse(1)), None where it leads nowhere."""
        status, output, _ = self._run(
            ["rev-parse", "--verify", "--quiet", "--end-of-options", name]
        )
        return output.strip() if status == 0 else None

    def _checked(self, arguments: list[str], worktree: Path | None = None) -> str:
        status, output, stderr = self._run(arguments, worktree)
        if status != 0:
            raise _failed(arguments[0], stderr)
        return output

    def _run(self, arguments: list[str], worktree: Path | None = None) -> tuple[int, str, str]:
        return program.run([*self._command(worktree), *arguments])

    @contextmanager
    def _streamed(
        self, arguments: list[str], standard_input: IO[bytes] | None = None
    ) -> Iterator[IO[bytes]]:
        command = [*self._command(), *arguments]
        with program.stream(command, standard_input) as (output, end):
            yield output
            status, stderr = end()
            if status != 0:
                raise _failed(arguments[0], stderr)

    def _command(self, worktree: Path | None = None) -> list[str]:
        # In the working tree, since git takes paths from where it was started.
        place = [] if worktree is None else ["-C", str(worktree), f"--work-tree={worktree}"]
        return [*place, f"--git-dir={self.git_dir}", *OVERRIDES]


class ObjectTooLargeError(Exception):
    """``id`` has ``size`` bytes, more than the caller takes."""

    def __init__(self, object_id: str, size: int) -> None:
        super().__init__(f"{object_id} has {size} bytes")
        self.id = object_id
        self.size = size


def can_be_ref(ref: str) -> bool:
    """Tell whether git may be given ``ref``: ``-a`` would be an option, ``^a`` all but ``a``."""
    return bool(ref) and not ref.startswith(("-", "^")) and ref.isprintable()


def parse_entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Return the entries of ``git ls-tree -r -z`` output that arrives in pieces.

    Raises ``SourceError`` RW714 after ``MAX_ENTRIES``, RW717 when it is no such output.
    """
    count, rest = 0, b""
    for chunk in chunks:
        whole, end, rest = (rest + chunk).rpartition(b"\0")
        lines = (whole + end).decode(errors="surrogateescape")
        number = lines.count("\0")
        count += number
        if count > MAX_ENTRIES:
            raise too_many_entries()
        found = _find_entries(lines)
        if len(found) != number:
            raise _failed("ls-tree", f"it printed {_first_odd(lines)[:80]!r}")
        yield from starmap(Entry, found)
    if rest:
        raise _failed("ls-tree", "its output ends in the middle of a line")


def _first_odd(lines: str) -> bytes:
    """Return the first of the lines that is no entry."""
    odd = next(line for line in lines[:-1].split("\0") if not _match_entry(line))
    return odd.encode(errors="surrogateescape")


def parse_changes(output: bytes) -> Iterator[Change]:
    """Return the changes in ``git diff-tree -r -z --raw --no-abbrev`` output (git-diff(1)).

    Raises ``SourceError`` RW717 when it is no such output.
    """
    if not output:
        return
    *parts, last = output.split(b"\0")
    if last or len(parts) % 2:
        raise _failed("diff-tree", "its output breaks off")
    for line, path in zip(parts[::2], parts[1::2], strict=True):
        match = re.fullmatch(
            rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [A-Z]", line
        )
        if match is None:
            raise _failed("diff-tree", f"it printed {line[:80]!r}")
        old_mode, new_mode, before, after = (part.decode() for part in match.groups())
        is_gone = not after.strip("0")
        yield Change(
            mode=old_mode if is_gone or old_mode in INDIRECT else new_mode,
            before=before if before.strip("0") else "",
            after="" if is_gone else after,
            path=path.decode(errors="surrogateescape"),
        )


def parse_line_changes(lines: Iterable[bytes]) -> Iterator[BlobChange]:
    """Return the changes in ``git diff-tree -p --unified=0 --full-index`` output (git-diff(1)).

    Files are known by their blobs. Lines of the files themselves begin with ``+``, ``-`` or a
    backslash, so that none of them looks like a heading.
    """
    blobs: tuple[str, str] | None = None
    hunks: list[Hunk] = []
    for line in lines:
        if (match := _match_hunk(line)) and blobs is not None:
            before, removed, after, added = match.groups(b"1")
            hunks.append(Hunk(int(before), int(removed), int(after), int(added)))
        elif match := _match_index(line):
            if blobs is not None:
                yield BlobChange(*blobs, tuple(hunks))
            old, new = (part.decode() for part in match.groups())
            blobs, hunks = (old if old.strip("0") else "", new if new.strip("0") else ""), []
    if blobs is not None:
        yield BlobChange(*blobs, tuple(hunks))


def parse_objects(stream: IO[bytes], largest: int) -> Iterator[tuple[str, bytes]]:
    """Return id and content of each object in ``git cat-file --batch`` output.

    Raises ``ObjectTooLargeError`` before reading an object of more than ``largest``
    bytes, ``SourceError`` RW717 when one is missing or the output breaks off.
    """
    # Read in large pieces, since most objects are far smaller than one.
    held, begin = b"", 0
    while True:
        header = _match_header(held, begin)
        if header is None:
            held, begin = _with_header(stream, held[begin:]), 0
            if not held:
                return
            continue
        object_id, size = header[1].decode(), int(header[2])
        if size > largest:
            raise ObjectTooLargeError(object_id, size)
        content, begin = header.end(), header.end() + size + 1
        if begin > len(held):
            held = held[content:] + stream.read(begin - len(held))
            content, begin = 0, size + 1
            if begin > len(held):
                raise _failed("cat-file", f"{object_id} breaks off")
        yield object_id, held[content : begin - 1]


def _with_header(stream: IO[bytes], held: bytes) -> bytes:
    """Return what is held and more of the output, beginning with a header; nothing at its end."""
    more = stream.read(_CHUNK)
    while more and b"\n" not in held + more and len(held) + len(more) < _LONGEST_HEADER:
        held, more = held + more, stream.read(_CHUNK)
    held += more
    if held and not _match_header(held):
        line, end, _ = held.partition(b"\n")
        said = (line + end)[:_LONGEST_HEADER]
        raise _failed("cat-file", said.decode(errors="replace").strip())
    return held


def parse_commit(object_id: str, content: bytes) -> Commit:
    """Return the commit in ``git cat-file commit`` form; what is malformed in it is left empty.

    The author's line is ``author Name <mail> seconds +hhmm`` (git-commit-tree(1)).
    """
    head, _, message = content.partition(b"\n\n")
    fields = dict(line.partition(b" ")[::2] for line in head.split(b"\n"))
    encoding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")
    author = re.fullmatch(
        rb"(.*?) ?<[^>]*> ([0-9]{1,11}) ([+-])([0-9]{2})([0-9]{2})", fields.get(b"author", b"")
    )
    name, seconds, sign, hours, minutes = author.groups() if author else (b"", *[b"0"] * 4)
    offset = timedelta(hours=int(hours), minutes=int(minutes)) % timedelta(days=1)
    return Commit(
        object_id,
        _text(name, encoding),
        _time(int(seconds), timezone(-offset if sign == b"-" else offset)),
        _text(message.lstrip(b"\n").partition(b"\n")[0], encoding),
        tree=_tree(content),
    )


def _text(content: bytes, encoding: str) -> str:
    """Return what a commit says, for people; of an encoding of no use, as UTF-8.

    Anybody who may push names the encoding, and Python's codecs are more than those of text.
    """
    try:
        text = content.decode(encoding, "replace")
    except (LookupError, UnicodeError, ValueError):
        text = content.decode("utf-8", "replace")
    return _printable(text)


def _time(seconds: int, zone: timezone) -> datetime:
    """Return a commit's time; the nearest that a calendar has where it is beyond that."""
    try:
        return datetime.fromtimestamp(seconds, zone)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC, microsecond=0)


def _tree(content: bytes) -> str:
    """Return the tree that Git reads: a commit begins with it, and a second one is a forgery."""
    match = re.match(rb"tree ([0-9a-f]{40,64})\n", content)
    return match[1].decode() if match else ""


_EXPLANATIONS = (
    ("couldn't find remote ref HEAD", "RW712", "Push a first commit, or name a branch with --ref"),
    ("dubious ownership", "RW717", "Run the `git config` line above as the user that fetches"),
    ("transport '", "RW718", "Use https, ssh or a local path"),
    (
        "could not read Username",
        "RW717",
        "Set up a credential helper or an SSH key for the user that fetches",
    ),
    (
        "Permission denied",
        "RW717",
        "Give the user that fetches a key that may read the repository",
    ),
    ("Host key verification failed", "RW717", "Add the host's key to known_hosts"),
    ("Timeout: ", "RW717", "See whether the repository's host is reachable and how large it is"),
)


def without_login(text: str) -> str:
    """Return a location, or words with URLs in them, as they may be shown and kept.

    What stands before @ may be a token.
    """
    return _LOGIN.sub(r"\1", text)


def fetch_error(url: str, stderr: str) -> SourceError:
    """Return what git's words about a fetch from ``url`` means for people."""
    url = without_login(url)
    lines = [_said(line) for line in stderr.splitlines() if line.strip()]
    said = "; ".join(lines[:_MOST_LINES])
    usual = ("RW717", f"See whether the address is right and reachable with: git ls-remote {url}")
    code, action = next((rest for sign, *rest in _EXPLANATIONS if sign in stderr), usual)
    return SourceError(code, f"{url} cannot be fetched: {said or 'git gave no reason'}", action)


def _failed(command: str, stderr: str) -> SourceError:
    return SourceError(
        "RW717",
        f"git {command} failed: {_said(stderr) or 'it gave no reason'}",
        "See what `git fsck` says about the repository",
    )


def _said(stderr: str) -> str:
    return _printable(without_login(" ".join(stderr.split()))).removeprefix("fatal: ").rstrip(".")


def _printable(text: str) -> str:
    """Return ``text`` without characters by which a stranger could steer a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
