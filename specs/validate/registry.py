"""All documents of a revision, by kind and name."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.quote import quoted
from specs.validate.resource import Resource
from specs.yaml.section import ANY_NAME

ONLY_ONE = frozenset({"Fleet"})
"""Kinds of which a repository has at most one document."""
_MOST_SEARCHED = 2**20
"""Characters that are searched for names. The words of a longer text could fill the memory;
it may define any name."""
_END = r"(?:[a-z0-9]|\{machine\})"
_WORD = re.compile(rf"{_END}(?:(?:[._/-]|{_END})*{_END})?")
"""Whatever can be a name."""


class Registry:
    """Finds documents, and knows which names are not to be called unknown.

    Of two documents with one name, the first in the order of files counts; the
    other is reported. ``unreadable`` are texts that may define any name.
    """

    def __init__(
        self, resources: Sequence[Resource], unreadable: Sequence[str], diagnostics: Diagnostics
    ) -> None:
        self._by_kind: dict[str, dict[str, Resource]] = {}
        self._of_unknown_kind: set[str] = set()
        self._unreadable = unreadable
        for resource in resources:
            self._add(resource, diagnostics)

    def of_kind(self, kind: str) -> Mapping[str, Resource]:
        """Return the documents of a kind by name, in the order of names."""
        return dict(sorted(self._by_kind.get(kind, {}).items()))

    def may_define(self, kind: str, name: str) -> bool:
        """Return whether a document defines ``name``, or may once its own problem is solved.

        That is so for a document of an unknown kind, and for a name that stands in a
        text that could not be parsed.
        """
        return (
            name in self._by_kind.get(kind, ())
            or name in self._of_unknown_kind
            or self._is_unsearchable
            or name in self._unreadable_words
        )

    @cached_property
    def _is_unsearchable(self) -> bool:
        return ANY_NAME in self._unreadable or sum(map(len, self._unreadable)) > _MOST_SEARCHED

    @cached_property
    def _unreadable_words(self) -> frozenset[str]:
        return frozenset(word for text in self._unreadable for word in _WORD.findall(text))

    def _add(self, resource: Resource, diagnostics: Diagnostics) -> None:
        if not resource.name:
            return
        if not resource.kind:
            self._of_unknown_kind.add(resource.name)
            return
        known = self._by_kind.setdefault(resource.kind, {})
        if resource.kind in ONLY_ONE and known:
            self._report(resource, next(iter(known.values())), diagnostics)
        elif resource.name in known:
            self._report(resource, known[resource.name], diagnostics)
        else:
            known[resource.name] = resource

    @staticmethod
    def _report(second: Resource, first: Resource, diagnostics: Diagnostics) -> None:
        if second.kind in ONLY_ONE:
            message = f"a second {second.kind} document, the first is at {first.position}"
            hint = "merge the two"
        else:
            name = f"{second.kind} {quoted(second.name)}"
            message = f"{name} is already defined at {first.position}"
            hint = "merge the two or rename one"
        diagnostics.error(second.position, Code.DUPLICATE_DOCUMENT, message, hint)
