"""Asking a selector whether it means a machine."""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from specs.fleet import CompiledSelector
from specs.types.pattern import is_pattern, matcher


class Selection:
    """A selector, ready to be asked about many machines, one at a time.

    ``groups`` are all groups of the fleet: the answer about one machine depends on
    nothing but the machine, the selector and them.
    """

    def __init__(self, selector: CompiledSelector, groups: Iterable[str]) -> None:
        self._names = _Texts(selector.machines) if selector.machines else None
        self._groups = _with_all_below(selector.groups, groups) if selector.groups else None
        self._labels = tuple((key, frozenset(values)) for key, values in selector.labels.items())

    def matches(self, name: str, group: str, labels: Mapping[str, str]) -> bool:
        """Return whether the machine of this name, group and labels is meant."""
        if self._groups is not None and group not in self._groups:
            return False
        for key, values in self._labels:
            if labels.get(key) not in values:
                return False
        return self._names is None or self._names.match(name)


class _Texts:
    """Texts and patterns, of which one must match."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._every = every = tuple(patterns)
        self._exact = frozenset(text for text in every if not is_pattern(text))
        self._patterns: tuple[Callable[[str], object], ...] = tuple(
            matcher(text) for text in every if is_pattern(text)
        )

    def __reduce__(self) -> tuple[type["_Texts"], tuple[tuple[str, ...]]]:
        return _Texts, (self._every,)

    def match(self, text: str) -> bool:
        return text in self._exact or any(pattern(text) for pattern in self._patterns)


def _with_all_below(patterns: Iterable[str], groups: Iterable[str]) -> frozenset[str]:
    """Return the groups that match, or that lie below one that does."""
    texts = _Texts(patterns)
    found: set[str] = set()
    for group in sorted(groups):
        if any(level in found or texts.match(level) for level in _levels(group)):
            found.add(group)
    return frozenset(found)


def _levels(group: str) -> Iterable[str]:
    """Return the group's ancestors and itself, the nearest last."""
    return accumulate(group.split("/"), lambda outer, part: f"{outer}/{part}")
