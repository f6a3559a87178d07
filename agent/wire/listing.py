"""What is in a folder of a machine, as its agent says it.

Names are bytes on Linux, in no encoding that anybody promises: they come as hexadecimal digits.
"""

from attrs import field, frozen, validators

MOST_ENTRIES = 10_000
MOST_LISTING = 32 << 20
"""Bytes of a listing as JSON."""
MOST_TARGET = 512
"""Bytes of a link's target that are told; of a longer one its beginning."""
KINDS = ("file", "folder", "link", "pipe", "socket", "block", "character", "other")
_hexadecimal = validators.matches_re(r"^([0-9a-f]{2})*\Z")


@frozen
class ListedEntry:
    """One name in a folder, itself and not what it leads to.

    ``mode`` has the permissions as a number, ``owner`` and ``group`` are names, or numbers where
    the system has no name. ``modified`` is in seconds since 1970.
    """

    name: str = field(validator=_hexadecimal)
    kind: str = field(validator=validators.in_(KINDS))
    mode: int
    owner: str
    group: str
    size: int
    modified: int
    target: str = field(default="", validator=_hexadecimal)
    """Of a link: where it leads."""

    @property
    def name_bytes(self) -> bytes:
        """Return the name."""
        return bytes.fromhex(self.name)

    @property
    def target_bytes(self) -> bytes:
        """Return where a link leads."""
        return bytes.fromhex(self.target)


@frozen
class Listing:
    """A folder's entries by name, or the one entry of what is no folder.

    ``total`` is how many there are: of very many, only the first are told.
    """

    entries: tuple[ListedEntry, ...] = field(validator=validators.max_len(MOST_ENTRIES))
    total: int
    is_folder: bool
