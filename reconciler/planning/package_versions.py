"""Which of two versions is newer, by the rules of the system that has them. Pure.

Debian's rules are those of deb-version(7), by python-debian; RPM's those of rpm-version(7).
Programs of Windows have no rules: they are compared as RPM compares.
"""

import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne

from debian.debian_support import NativeVersion

_PIECE = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")
OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "<=": le,
    ">=": ge,
    "==": eq,
    "!=": ne,
    "<": lt,
    ">": gt,
    "=": eq,
}
"""By how they are written, those that begin with another one first."""


def compare(kind: str, one: str, other: str) -> int:
    """Return a number below, equal to or above 0. ``kind`` is ``deb``, ``rpm`` or another.

    ValueError where ``other``, which a person wrote, is no version of that kind. One that is
    installed may be whatever a package called itself.
    """
    return _compare_deb(one, other) if kind == "deb" else compare_rpm(one, other)


def _compare_deb(one: str, other: str) -> int:
    wanted = NativeVersion(other)
    try:
        found = NativeVersion(one)
    except ValueError:
        return compare_rpm(one, other)
    return (found > wanted) - (found < wanted)


def compare_rpm(one: str, other: str) -> int:
    """Compare ``EPOCH:VERSION-RELEASE``; a release that one of both lacks is not compared."""
    first, second = _parts(one), _parts(other)
    found = (first[0] > second[0]) - (first[0] < second[0]) or rpmvercmp(first[1], second[1])
    if found or not first[2] or not second[2]:
        return found
    return rpmvercmp(first[2], second[2])


def _parts(text: str) -> tuple[int, str, str]:
    epoch, colon, rest = text.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", text
    version, _, release = rest.rpartition("-")
    return int(epoch), version or release, release if version else ""


def rpmvercmp(one: str, other: str) -> int:
    """Compare two versions or two releases, as rpm does (rpm-version(7), "Comparing versions").

    Pieces of digits and of letters are compared one after the other, whatever parts them: a
    number is newer than letters, ``~`` older than an end, ``^`` newer than one but older than
    more.
    """
    first, second = _PIECE.findall(one), _PIECE.findall(other)
    for left, right in zip(first, second, strict=False):
        for mark in ("~", "^"):
            if (left == mark) != (right == mark):
                return -1 if left == mark else 1
        if left == right:
            continue
        if left[0].isdigit() and right[0].isdigit():
            if int(left) != int(right):
                return 1 if int(left) > int(right) else -1
        elif left[0].isdigit() or right[0].isdigit():
            return 1 if left[0].isdigit() else -1
        else:
            return 1 if left > right else -1
    if len(first) == len(second):
        return 0
    is_left = len(first) > len(second)
    rest = (first if is_left else second)[min(len(first), len(second))]
    is_newer = is_left if rest != "~" else not is_left
    return 1 if is_newer else -1
