"""Where the values of one document are written.

Made only when a message or an origin asks for a place: the document's text is parsed
once more, this time into nodes with marks. It is known by then that its nesting is
bounded and its aliases resolve.
"""

from collections.abc import Iterator
from typing import Protocol

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from specs.diagnostics.path import Path


class Mark(Protocol):
    """A place in the document's text; line and column count from 0."""

    line: int
    column: int


class _Composer(CParser):  # type: ignore[misc] # the extension module has no types
    """libyaml's composer, without the resolution of tags that it would do in Python."""

    def descend_resolver(self, parent: object, index: object) -> None:
        """Follow nothing: tags do not depend on the path here."""

    def ascend_resolver(self) -> None:
        """Likewise."""

    def resolve(self, _kind: object, _value: object, _implicit: object) -> None:
        """Give no tag: the outline is about places."""


class NodePositions:
    """The nodes of one document."""

    def __init__(self, text: str) -> None:
        composer = _Composer(text)
        self._root: Node | None = composer.get_node() if composer.check_node() else None
        composer.dispose()

    def value(self, path: Path) -> Mark | None:
        """Return where the value at ``path`` begins, or the nearest one that encloses it."""
        return _mark(self._nearest(path)[1])

    def key(self, path: Path) -> Mark | None:
        """Return where the key of ``path`` begins; for a list's item, where the item does."""
        return _mark(self._nearest(path)[0])

    def written(self, path: Path) -> str | None:
        """Return the text of the scalar at ``path`` as it was written, without quotes."""
        _, node, is_there = self._nearest(path)
        return str(node.value) if is_there and isinstance(node, ScalarNode) else None

    def _nearest(self, path: Path) -> tuple[Node | None, Node | None, bool]:
        """Return key and value at ``path``, or of what encloses it, and whether it is there."""
        key = value = self._root
        for part in path:
            child = _child(value, part)
            if child is None:
                return key, value, False
            key, value = child
        return key, value, True


def _mark(node: Node | None) -> Mark | None:
    mark: Mark | None = None if node is None else node.start_mark
    return mark


def _child(node: Node | None, part: str | int) -> tuple[Node, Node] | None:
    """Return the key and the value of one part; an item is its own key."""
    if isinstance(node, SequenceNode) and isinstance(part, int):
        if part < len(node.value):
            return node.value[part], node.value[part]
    elif isinstance(node, MappingNode):
        for mapping in _with_merged(node):
            for key, value in mapping.value:
                if isinstance(key, ScalarNode) and key.value == part:
                    return key, value
    return None


def _with_merged(node: MappingNode) -> Iterator[MappingNode]:
    """Yield the mapping and what it merges, the strongest first."""
    yield node
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == "<<" and not key.style:
            sources = value.value if isinstance(value, SequenceNode) else [value]
            for source in sources:
                if isinstance(source, MappingNode):
                    yield from _with_merged(source)
