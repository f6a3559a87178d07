"""Whether new documents are sound, told in terms of the rows that they were made from."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from specs.define import define
from specs.library import Library
from specs.nearest import NearestNames
from specs.problems import Problems
from specs.source import load_file
from specs.uniqueness import check_uniqueness


def complaints(file: str, documents: Sequence[str], lines: Sequence[int]) -> list[tuple[int, str]]:
    """Return what is wrong with documents as lines and messages with their code.

    ``lines`` are the lines in ``file`` that the documents were made from.
    """
    if not documents:
        return []
    problems = Problems()
    nearest = NearestNames()
    loaded = load_file(file, "---\n".join(documents).encode())
    problems.extend(loaded.problems)
    definitions = [define(document, problems, nearest) for document in loaded.documents]
    library = Library(definitions, loaded.unreadable, problems)
    check_uniqueness(library.of_kind("Machine").values(), problems)
    starts = list(accumulate((text.count("\n") + 1 for text in documents), initial=1))

    def origin(line: int) -> int:
        return lines[min(bisect_right(starts, line), len(lines)) - 1]

    place = re.compile(re.escape(file) + r":(\d+):\d+")
    return [
        (
            origin(problem.position.line),
            f"{problem.code} "
            + place.sub(lambda match: f"{file}:{origin(int(match[1]))}", problem.message)
            + (f" ({problem.hint})" if problem.hint else ""),
        )
        for problem in problems.in_order()
    ]
