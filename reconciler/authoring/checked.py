"""Whether new documents are sound, told in terms of the rows that they were made from."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from specs.compile.uniqueness import check_uniqueness
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.validate.document import define
from specs.validate.registry import Registry
from specs.yaml import load_file


def diagnostics_of_rows(
    file: str, documents: Sequence[str], lines: Sequence[int]
) -> list[tuple[int, str]]:
    """Return what is wrong with documents as lines and messages with their code.

    ``lines`` are the lines in ``file`` that the documents were made from.
    """
    if not documents:
        return []
    diagnostics = Diagnostics()
    nearest = NearestNames()
    loaded = load_file(file, "---\n".join(documents).encode())
    diagnostics.extend(loaded.diagnostics)
    resources = [define(document, diagnostics, nearest) for document in loaded.documents]
    registry = Registry(resources, loaded.unreadable, diagnostics)
    check_uniqueness(registry.of_kind("Machine").values(), diagnostics)
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
        for problem in diagnostics.in_order()
    ]
