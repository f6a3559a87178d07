"""Guessing what a person meant to write."""

from collections.abc import Iterable


def distance(left: str, right: str, limit: int) -> int:
    """Return the optimal string alignment distance, or ``limit + 1`` when it is greater.

    Counts insertions, deletions, substitutions and swaps of neighbours.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1] if previous[-1] <= limit else limit + 1


class NearestNames:
    """Finds the known name that is closest to an unknown one.

    One instance serves one compilation and stops guessing after ``budget``
    comparisons: a repository that lost a file may have thousands of unknown names,
    and a guess for each would take minutes and help nobody.
    """

    def __init__(self, budget: int = 200_000) -> None:
        self._budget = budget

    def find(self, word: str, candidates: Iterable[str]) -> str | None:
        """Return the nearest of ``candidates``, or None when none is near: to nothing, none is."""
        if not word:
            return None
        folded = word.casefold()
        limit = max(1, min(3, len(word) // 3))
        best: tuple[int, str] | None = None
        for candidate in candidates:
            if abs(len(candidate) - len(word)) > limit:
                continue
            if self._budget <= 0:
                break
            self._budget -= 1
            found = (distance(folded, candidate.casefold(), limit), candidate)
            if found[0] <= limit and (best is None or found < best):
                best = found
        return best[1] if best else None
