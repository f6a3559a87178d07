"""Files that a machine shall have."""

from attrs import field, frozen, validators

_MOST = 0o7777


@frozen
class PlacedFile:
    """A file or an empty folder, where it goes, and whose it is.

    ``mode`` is its permissions as a number. ``owner`` is empty for the agent's user, ``group`` for
    the owner's. A folder has neither digest nor size. Of a file of Windows ``mode`` is 0 where
    nobody named one.
    """

    target: str = field(validator=validators.matches_re(r"^(?:/|[A-Za-z]:[\\/])[^\x00]*\Z"))
    kind: str = field(validator=validators.in_(("file", "folder")))
    mode: int = field(validator=validators.and_(validators.ge(0), validators.le(_MOST)))
    owner: str = ""
    group: str = ""
    sha256: str = field(default="", validator=validators.matches_re(r"^([0-9a-f]{64})?\Z"))
    size: int = field(default=0, validator=validators.ge(0))
    """Bytes."""


def is_of_windows(target: str) -> bool:
    """Return whether an absolute path is one of Windows: it begins with a drive, and no slash."""
    return not target.startswith("/")


@frozen
class SourcePath:
    """A file or folder of the repository, before the server has read it.

    ``mode`` is empty where the repository's own permissions hold.
    """

    source: str
    target: str
    owner: str
    group: str
    mode: str
