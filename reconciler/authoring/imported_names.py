"""Names from elsewhere, and the ids that Rackwright gives them.

An id depends on its name alone. Only where two names would get one id does it depend on the
other: then one of them is numbered, and which one does not depend on the order of the rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from reconciler.authoring.conversions import stable_id
from reconciler.authoring.ids_file import IdsFile
from specs.types.name import MAX_SEGMENT

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ids:
    """The id of each name, and what people should know of it."""

    machines: Mapping[str, str]
    groups: Mapping[str, str]
    """By the path as it was given, without the first slash."""
    numbered: frozenset[str]
    """The ids of machines that another name wanted, too."""
    lines: tuple[str, ...]
    """What was converted, in the order in which it was met."""

    def converted(self) -> Iterator[tuple[str, str]]:
        """Yield each name that has another id, as a file of ids writes it, with that id."""
        for given, made in self.machines.items():
            if made != given and not given.startswith("/"):
                yield given, made
        for given, made in self.groups.items():
            if made != given:
                yield f"/{given}", made


class ImportedNames:
    """The names of one file, or of several that belong together.

    ``place`` is ``FILE:LINE`` throughout; a name has the one where it was met first.
    """

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], str] = {}

    def machine(self, place: str, given: str) -> None:
        """Add a machine's name."""
        self._met.setdefault(("machine", given), place)

    def group(self, place: str, given: str) -> None:
        """Add a group's path, with or without a slash before it.

        Raises ValueError for one with an empty part.
        """
        bare = given.strip("/")
        if not all(bare.split("/")):
            raise ValueError(f"{given!r} has an empty part; write a path as a/b")
        self._met.setdefault(("group", bare), place)

    def ids(self, asked_for: IdsFile | None = None) -> Ids:
        """Return the ids of all names; ``asked_for`` are those that a person chose."""
        chosen = asked_for or IdsFile("", {}, {})
        machines, rivals = _numbered(
            {given: stable_id(given, "machine") for given in self._of_kind("machine")},
            chosen.machines,
        )
        paths, path_rivals = _paths(
            {tuple(given.split("/")) for given in self._of_kind("group")}, chosen.groups
        )
        groups = {given: paths[tuple(given.split("/"))] for given in self._of_kind("group")}
        lines = []
        for (kind, given), place in self._met.items():
            made = machines[given] if kind == "machine" else groups[given]
            rival = (rivals if kind == "machine" else path_rivals).get(given)
            if made != given:
                because = f" (another is {rival!r})" if rival else ""
                lines.append(f"{place}: {kind} {given!r} -> {made}{because}")
        return Ids(machines, groups, frozenset(machines[given] for given in rivals), tuple(lines))

    def unused(self, asked_for: IdsFile) -> Iterator[str]:
        """Yield a line for each id that was chosen for a name which is not there."""
        paths = set(self._of_kind("group"))
        above = {path[: slash.start()] for path in paths for slash in re.finditer("/", path)}
        for kind, ids, met in (
            ("machine", asked_for.machines, set(self._of_kind("machine"))),
            ("group", asked_for.groups, paths | above),
        ):
            for given in ids:
                if given not in met:
                    yield f"{asked_for.file}: no {kind} {given!r} is imported, so its id is unused"

    def _of_kind(self, kind: str) -> list[str]:
        return [given for each, given in self._met if each == kind]


def _numbered(
    wanted: Mapping[str, str], chosen: Mapping[str, str], taken: Iterable[str] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Return an id for each name, and of each that is numbered the name that has its id.

    A name that is an id keeps it; of the others, the first in the order of their letters does.
    """
    ids = {given: chosen[given] for given in wanted if given in chosen}
    owners = {made: given for given, made in ids.items()} | dict.fromkeys(taken, "")
    rivals: dict[str, str] = {}
    rest = sorted(wanted.keys() - ids.keys(), key=lambda given: (given != wanted[given], given))
    for given in rest:
        owner = owners.setdefault(wanted[given], given)
        if owner == given:
            ids[given] = wanted[given]
        else:
            rivals[given] = owner
    last: dict[str, int] = {}
    for given in rivals:
        last[wanted[given]] = number = _next(wanted[given], owners, last.get(wanted[given], 1))
        ids[given] = made = _with_number(wanted[given], number)
        owners[made] = given
    return {given: ids[given] for given in wanted}, rivals


def _next(wanted: str, taken: Mapping[str, str], last: int) -> int:
    """Return the first number after ``last`` with which an id is not taken."""
    return next(number for number in count(last + 1) if _with_number(wanted, number) not in taken)


def _with_number(wanted: str, number: int) -> str:
    above, slash, name = wanted.rpartition("/")
    suffix = f"-{number}"
    return f"{above}{slash}{name[: MAX_SEGMENT - len(suffix)].rstrip('._-')}{suffix}"


def _paths(
    paths: Iterable[_Path], chosen: Mapping[str, str]
) -> tuple[dict[_Path, str], dict[str, str]]:
    """Return the id of each path and of all above them, and what is numbered by its path.

    Each part is converted by itself, so a group is below the group that it was below.
    """
    all_paths = {path[:length] for path in paths for length in range(1, len(path) + 1)}
    ids: dict[str, str] = {}
    rivals: dict[str, str] = {}
    for depth in sorted({len(path) for path in all_paths}):
        wanted: dict[str, str] = {}
        for path in sorted(path for path in all_paths if len(path) == depth):
            above = f"{ids['/'.join(path[:-1])]}/" if depth > 1 else ""
            wanted["/".join(path)] = above + stable_id(path[-1], "group")
        others = {made for given, made in chosen.items() if given not in wanted}
        made_here, more = _numbered(wanted, chosen, {*ids.values(), *others})
        ids |= made_here
        rivals |= more
    return {path: ids["/".join(path)] for path in all_paths}, rivals
