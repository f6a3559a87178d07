"""The shapes that documents were met in."""

from collections import Counter

from specs.yaml.document import Document
from specs.yaml.section import Section
from specs.yaml.separation import document_text
from specs.yaml.shape import Cut, Shape, UnlikeError, cut

_MOST = 1000
_WORTH_LEARNING = 8
"""Documents of a shape below which it takes longer to learn than they do to read."""


class Shapes:
    """The shapes that were met, each learned when it was met often enough."""

    def __init__(self) -> None:
        self._met: Counter[Cut] = Counter()
        self._known: dict[Cut, Shape | None] = {}
        self._last: Shape | None = None

    def read(self, section: Section, begin: int, line: int) -> tuple[Document, int, int] | None:
        """Return what ``Shape.read`` does, by the document's shape; None where it has none."""
        found = None if self._last is None else self._last.read(section, begin, line)
        if found is not None or not self._known:
            return found
        pieces = cut(document_text(section.text, begin))
        shape = None if pieces is None else self._known.get(pieces)
        if shape is None:
            return None
        self._last = shape
        return shape.read(section, begin, line)

    def learn(self, text: str) -> None:
        """Take notice of a sound document that was of no known shape."""
        if len(self._known) == _MOST:
            return
        pieces = cut(text)
        if pieces is None or pieces in self._known:
            return
        if len(self._met) == _MOST:
            self._met.clear()
        self._met[pieces] += 1
        if self._met[pieces] < _WORTH_LEARNING:
            return
        try:
            self._known[pieces] = Shape(pieces)
        except UnlikeError:
            self._known[pieces] = None
