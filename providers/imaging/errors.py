"""Errors of the chunk store. Each class owns its code.

TransientError (agent.errors)
└── StoreAwayError       RW444  the store cannot be reached: it is not mounted, or does not answer
    └── OtherStoreError  RW445  another store lies in its place

TerminalError (agent.errors)
├── UnknownChunkError    RW430  the store has no such chunk
├── NoSpaceError         RW431  the store's disk is full, or will be
├── BadDigestError       RW432  the text is no digest
├── IncompleteImageError RW433  a manifest names chunks that the store lacks
├── UnknownImageError    RW434  no image has this name or digest
├── BadNameError         RW435  the text cannot be an image's name
├── AmbiguousImageError  RW437  several images have a digest that begins so
├── NoGenerationError    RW438  the name has fewer generations
├── PinnedImageError     RW439  a pinned image is to be taken away
├── UnreadableImageError RW440  a manifest cannot be read, so that nobody knows its chunks
├── DiskFileError        RW441  a disk's file cannot be imported
├── ExportError          RW442  an image cannot be exported
├── DamagedRecordError   RW443  a small file beside manifests and chunks is damaged
├── SignatureError       RW447  an image is not signed, or its signature does not fit
├── ShrinkError          RW448  an image cannot be made to fit a smaller disk
├── TooSmallError        RW449  nor one of the size that was asked for
├── DamagedImageError    RW446  an image has a damaged chunk
├── ImageMountError      RW450  an image cannot be shown as files there
└── NoSystemError        RW459  an image has no installed system that can be read

``agent.imaging.errors.CorruptChunkError`` (RW402) and ``ManifestError`` (RW401)
pass through the store as they are.
"""

from collections.abc import Sequence
from pathlib import Path

from agent.errors import TerminalError, TransientError


class UnknownChunkError(TerminalError):
    """The store has no such chunk."""

    def __init__(self, digest: str) -> None:
        super().__init__(
            "RW430", f"the store has no chunk {digest}", "Verify the image and take it again"
        )
        self.digest = digest


_NAMED = 5
ROOM = "room in the image store"
"""What is waited for where there is none."""


class NoSpaceError(TerminalError):
    """The store's disk has too little space left. Nothing was changed.

    ``wait`` is what whoever stores something waits for, as a clause.
    """

    def __init__(self, store: Path, needed: int, free: int, reserve: int) -> None:
        super().__init__(
            "RW431",
            f"the image store {store} needs {needed:,} bytes, {free:,} bytes are free "
            f"and {reserve:,} of them are kept in reserve",
            "Free space on the store's disk or move the store to a larger one",
        )
        self.wait = f"{ROOM} {store} ({free:,} bytes are free, {reserve:,} are kept in reserve)"


BACK = "the image store"
"""What is waited for where it is away."""


class StoreAwayError(TransientError):
    """The store cannot be reached. Nothing is known of what is in it, and nothing was changed.

    ``wait`` is what whoever needs it waits for, as a clause.
    """

    CODE = "RW444"
    ACTION = "Mount it again, or see why its disk or server does not answer"

    def __init__(self, store: Path, problem: str) -> None:
        super().__init__(
            self.CODE, f"the image store {store} cannot be used: {problem}", self.ACTION
        )
        self.problem = problem
        self.wait = f"{BACK} {store} ({problem})"


class OtherStoreError(StoreAwayError):
    """Another store, or an empty folder, lies where the store was."""

    CODE = "RW445"
    ACTION = (
        "Mount the right one. If this one is to be used from now on, say "
        "`rackwright image accept-store --reason TEXT`"
    )


class BadDigestError(TerminalError):
    """The text is no digest."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "RW432", f"{text[:80]!r} is no digest", "A digest is 64 lower-case hex digits"
        )


class IncompleteImageError(TerminalError):
    """A manifest names chunks that the store lacks. It is neither stored nor restored."""

    def __init__(self, digest: str, missing: Sequence[str], total: int) -> None:
        super().__init__(
            "RW433",
            f"image {digest} misses {len(missing):,} of its {total:,} different chunks, the first "
            f"is {missing[0]}",
            "Run the backup again; it sends only what is missing",
        )
        self.missing = tuple(missing)


class UnknownImageError(TerminalError):
    """No image has this name or digest. ``hint`` is what else may help, as a clause."""

    def __init__(self, text: str, hint: str = "") -> None:
        action = "List the images with `rackwright image ls`"
        super().__init__(
            "RW434",
            f"there is no image {text[:140] or repr(text)}",
            f"{hint}. {action}" if hint else action,
        )


class BadNameError(TerminalError):
    """The text cannot be an image's name."""

    def __init__(self, text: str, problem: str = "", action: str = "") -> None:
        why = f": {problem}" if problem else ""
        super().__init__(
            "RW435",
            f"{text[:140]!r} cannot be the name of an image{why}",
            action
            or "Use letters, digits, '.', '_' and '-', with '/' between parts; "
            "each part begins and ends with a letter or digit",
        )


class AmbiguousImageError(TerminalError):
    """Several images have a digest that begins so."""

    def __init__(self, text: str, found: Sequence[str]) -> None:
        named = ", ".join(f"{digest[:16]}…" for digest in found[:_NAMED])
        more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
        super().__init__(
            "RW437",
            f"{len(found):,} images have a digest that begins with {text}: {named}{more}",
            "Give more digits",
        )


class NoGenerationError(TerminalError):
    """The name has fewer generations."""

    def __init__(self, name: str, number: int, generations: int) -> None:
        oldest = f"{name}~{generations - 1}" if generations > 1 else name
        super().__init__(
            "RW438",
            f"there is no {name}~{number}: {name} has {generations:,} generation(s), the oldest is "
            f"{oldest}",
            f"See them with `rackwright image show {name}`",
        )


class PinnedImageError(TerminalError):
    """A pinned image is to be taken away. Nothing was changed."""

    def __init__(self, digest: str, by: str, since: str, reason: str) -> None:
        super().__init__(
            "RW439",
            f"image {digest[:12]} is pinned by {by} since {since}: {reason}",
            f"If it is not needed any more, `rackwright image unpin {digest[:12]}`",
        )


class DamagedRecordError(TerminalError):
    """A small file of the store cannot be read; what it was of is in its path."""

    def __init__(self, path: Path, problem: str = "is damaged") -> None:
        super().__init__(
            "RW443",
            f"the image store's file {path} {problem}",
            "Bring it back from a backup of the store; `rackwright explain RW443` says what else",
        )
        self.path = path


class UnreadableImageError(TerminalError):
    """A manifest cannot be read, so that nobody knows which chunks it needs."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(
            "RW440",
            f"the manifest of image {digest} cannot be read: {problem}",
            "No chunk was deleted. Bring the manifest back from a backup of the store, or remove "
            "the image with `rackwright image rm`",
        )


class DamagedImageError(TerminalError):
    """An image cannot be read, because a chunk of it is damaged. It was taken out of use.

    ``lines`` say which places of the disk are concerned, and ``unwritten`` why that could not be
    written down.
    """

    def __init__(self, digest: str, lines: Sequence[str], unwritten: str = "") -> None:
        also = f" (and that could not be written down: {unwritten})" if unwritten else ""
        super().__init__(
            "RW446",
            f"image {digest[:12]} is damaged: {lines[0]}{also}",
            f"See with `rackwright image verify {digest[:12]}` all that is; the next backup of "
            "what has the chunk sends it again",
        )
        self.lines = tuple(lines)


class DiskFileError(TerminalError):
    """A disk's file cannot be imported. Nothing was stored under a name."""

    def __init__(self, file: Path, problem: str, action: str) -> None:
        super().__init__("RW441", f"{file} cannot be imported: {problem}", action)


class ExportError(TerminalError):
    """An image cannot be exported. No file was left behind."""

    def __init__(self, target: Path, problem: str, action: str) -> None:
        super().__init__("RW442", f"{target} cannot be written: {problem}", action)


class ImageMountError(TerminalError):
    """An image cannot be shown as files in this directory."""

    def __init__(self, place: Path, problem: str, remedy: str = "") -> None:
        super().__init__(
            "RW450",
            f"the image cannot be mounted at {place}: {problem}",
            f"Run: {remedy}"
            if remedy
            else "Name an empty directory, and see that libfuse is there (package fuse3)",
        )


class NoSystemError(TerminalError):
    """An image has no installed system whose packages can be read."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            "RW459",
            f"the image's installed system cannot be read: {problem}",
            "Look at it with `rackwright image mount`",
        )


class SignatureError(TerminalError):
    """An image must not be restored for want of a good signature."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(
            "RW447",
            f"image {digest[:12]} must not be restored: {problem}",
            "Find out where it comes from; if it is right, say so on the server with "
            "`rackwright image sign`",
        )


class ShrinkError(TerminalError):
    """An image cannot be made to fit a smaller disk at all. Nothing was stored."""

    def __init__(self, problem: str, action: str) -> None:
        super().__init__("RW448", f"the image cannot be shrunk: {problem}", action)


class TooSmallError(TerminalError):
    """An image does not fit a disk of the size that was asked for. Sizes are bytes."""

    def __init__(self, wanted: int, smallest: int, why: str, hint: str) -> None:
        super().__init__(
            "RW449",
            f"the smaller disk has to have {smallest:,} bytes or more, {wanted:,} were asked for: "
            f"{why}",
            hint,
        )
