"""What no two machines may share, as a set that tells at once whether something is taken."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from operator import eq

from reconciler.compiled.body_digest import body_digest


def named(texts: Iterable[str]) -> "array[int]":
    """Return the 64-bit names of claims, in their order; other machines have other ones.

    Two texts with one name are rarer than a broken memory cell, and do no harm: they look
    like a conflict, for which the whole fleet is compiled again.
    """
    return array("Q", b"".join([blake2b(each.encode(), digest_size=8).digest() for each in texts]))


@dataclass(frozen=True, slots=True)
class Claims:
    """A set of claims, in order."""

    ordered: "array[int]"

    @classmethod
    def of(cls, claims: Iterable[int]) -> "Claims | None":
        """Return the set; None when one claim is made twice.

        Fast where there are few runs of them that are in order, one after another.
        """
        ordered = sorted(claims)
        if any(map(eq, ordered, islice(ordered, 1, None))):
            return None
        return cls(array("Q", ordered))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Claims":
        """Return what ``to_bytes`` was made of."""
        ordered = array("Q")
        ordered.frombytes(data)
        return cls(ordered)

    @property
    def digest(self) -> str:
        """Return what changes with any claim."""
        return body_digest(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the set in this machine's byte order: it never leaves the machine."""
        return self.ordered.tobytes()

    def __contains__(self, each: int) -> bool:
        index = bisect_left(self.ordered, each)
        return index < len(self.ordered) and self.ordered[index] == each

    def replaced(self, gone: Iterable[int], new: Iterable[int]) -> "Claims | None":
        """Return the set without ``gone`` and with ``new``; None when one is made twice."""
        ordered = self.ordered[:]
        for each in gone:
            index = bisect_left(ordered, each)
            if index < len(ordered) and ordered[index] == each:
                del ordered[index]
        for each in new:
            index = bisect_left(ordered, each)
            if index < len(ordered) and ordered[index] == each:
                return None
            ordered.insert(index, each)
        return Claims(ordered)
