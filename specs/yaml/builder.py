"""From a parser's events to plain data, one document at a time.

Events are read instead of libyaml's node trees, because composing those recurses
in C and a file of 30,000 brackets ends the process; here depth is bounded. Nothing
is kept of a value's place: ``specs.yaml.node_positions`` finds it again when a message
needs it.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import MOST_PER_DOCUMENT, Diagnostics
from specs.diagnostics.hints import NO_TEMPLATES
from specs.diagnostics.quote import quoted
from specs.types.secret import TAG_HINT, SecretReference
from specs.yaml.errors import unreadable_at
from specs.yaml.scalars import Plain, is_mac_of_digits, resolve
from specs.yaml.section import MARKER, Section

if TYPE_CHECKING:
    from specs.diagnostics.path import Path

MAX_DEPTH = 100
FREE_EXPANSION = 1000
"""Values that aliases may add to any document; to longer ones, one more per character."""

_TEXT_TAG = "tag:yaml.org,2002:str"
_PLAIN_TAGS = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", _TEXT_TAG})
_SECRET_TAG = "!secret"  # noqa: S105 - the tag's name, no secret
_SECRET_FORM = "write !secret and a name such as bmc/rack07"  # noqa: S105 - likewise
_NO_NAME = "wants a name"
_NO_KEY = -1
"""Stands in a path for a key that was refused: no path that is asked for has it."""
_FIRST_KEYS = frozenset({"apiVersion", "kind"})
"""What a document begins with: a second one means that the line before it is missing."""


class _Unfinished:
    """Stands for an anchored value while it is being built."""


class Invalid:
    """Stands for a value that was reported and cannot be used."""


_UNFINISHED = _Unfinished()
INVALID = Invalid()
_Value = Plain | Invalid
_Merge = list[dict[str, Plain]]
_Extent = tuple[int, int]
Place = tuple[int, int]
"""Line and column within the section, from 0."""


class Builder:
    """Builds the value of one document.

    ``next_event`` returns the parser's next event; the document begins at the index
    ``begin`` of the section's text. After ``build``, ``has_invalid`` says whether the value
    holds null or ``INVALID`` somewhere, and ``items`` has the place of every mapping that
    is written as an item of a list, by its path: these are what origins name, and 40,000
    of them must not cost a second parse each.
    """

    def __init__(
        self,
        next_event: Callable[[], Event],
        section: Section,
        begin: int,
        diagnostics: Diagnostics,
    ) -> None:
        self._next = next_event
        self._section = section
        self._begin = begin
        self._diagnostics = diagnostics
        self._anchors: dict[str, _Value | _Unfinished] = {}
        self._extents: dict[int, _Extent] = {}
        self._expanded = 0
        self._depth = 0
        self._reported = 0
        self.has_invalid = False
        self._path: list[str | int] = []
        self.items: dict[Path, Place] = {}

    def build(self, event: Event) -> _Value:
        """Return the value that begins with ``event``.

        UnreadableDocumentError when aliases or nesting make it unusable; what
        concerns one value only is reported and the value is ``INVALID``.
        """
        if type(event) is ScalarEvent:
            return self._scalar(event)
        if type(event) is MappingStartEvent:
            return self._collection(event, self._mapping)
        if type(event) is SequenceStartEvent:
            return self._collection(event, self._sequence)
        return self._alias(event)

    def _collection(
        self,
        start: MappingStartEvent | SequenceStartEvent,
        build: Callable[[], _Value],
    ) -> _Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._give_up_at_depth(start)
        if start.anchor is not None:
            self._define(start, _UNFINISHED)
        value: _Value = build()
        self._depth -= 1
        if start.ctag is not None and start.ctag not in _PLAIN_TAGS:
            value = self._unknown_tag(start)
        if start.anchor is not None:
            self._anchors[start.anchor] = value
        return value

    def _mapping(self) -> dict[str, Plain] | Invalid:
        result: dict[str, Plain] = {}
        written: list[Event] = []  # of the keys of result, in the same order
        merged: _Merge = []
        merge: Event | None = None
        refused = False
        next_event = self._next
        while True:
            event = next_event()
            if type(event) is MappingEndEvent:
                break
            key = self._key(event)
            event_of_value = next_event()
            if type(event_of_value) is ScalarEvent:
                value = self._scalar(event_of_value)
            else:
                self._path.append(_NO_KEY if key is None else key)
                value = self.build(event_of_value)
                self._path.pop()
            if key is None:
                refused = True
            elif key == "<<" and type(event) is ScalarEvent and not event.style:
                if merge is not None:
                    self._duplicate(event, key, merge)
                merge = merge or event
                self._merge(event_of_value, value, merged)
            elif key in result:
                self._duplicate(event, key, written[list(result).index(key)])
            else:
                result[key] = value  # type: ignore[assignment] # INVALID is replaced before use
                written.append(event)
        for source in merged:
            for key, inherited in source.items():
                result.setdefault(key, inherited)
        # Where nothing but what was refused stood, such as {{ name }}, nothing is known.
        return self._invalid() if refused and not result else result

    def _sequence(self) -> tuple[Plain, ...]:
        result: list[Plain] = []
        next_event = self._next
        while True:
            event = next_event()
            if type(event) is SequenceEndEvent:
                return tuple(result)
            if type(event) is ScalarEvent:
                value = self._scalar(event)
            else:
                self._path.append(len(result))
                if type(event) is MappingStartEvent:
                    # The first: of a key that is written twice, the second value is dropped.
                    mark = event.start_mark
                    self.items.setdefault(tuple(self._path), (mark.line, mark.column))
                value = self.build(event)
                self._path.pop()
            result.append(value)  # type: ignore[arg-type] # INVALID is replaced before use

    def _scalar(self, event: ScalarEvent) -> _Value:
        value: _Value = event.value
        if event.ctag is not None:
            value = self._tagged(event)
        elif not event.style:
            value = resolve(event.value)
            if value is None:
                value = self._no_value(event)
            elif value is event.value and value[0].isdigit() and is_mac_of_digits(value):
                self._warn_of_mac(event)
        if event.anchor is not None:
            self._define(event, value)
        return value

    def _no_value(self, event: ScalarEvent) -> Invalid | None:
        self.has_invalid = True
        if event.anchor is None:
            return None
        self._report(
            event,
            Code.ALIAS,
            f"&{event.anchor} stands before no value",
            "write the value behind it; put text that begins with & in quotes",
        )
        return INVALID

    def _tagged(self, event: ScalarEvent) -> _Value:
        if event.ctag == _SECRET_TAG:
            if SecretReference.is_name(event.value):
                return SecretReference(event.value)
            what = f"{quoted(event.value)} does not name a secret" if event.value else _NO_NAME
            self._report(event, Code.UNKNOWN_TAG, f"!secret {what}", _SECRET_FORM)
            return self._invalid()
        if event.ctag in _PLAIN_TAGS:
            return str(event.value)
        return self._unknown_tag(event)

    def _unknown_tag(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> Invalid:
        if event.ctag == _SECRET_TAG:
            message, hint = f"!secret {_NO_NAME}", _SECRET_FORM
        else:
            tag = str(event.ctag).replace("tag:yaml.org,2002:", "!!", 1)
            message, hint = f"unknown tag {quoted(tag)}", TAG_HINT
        self._report(event, Code.UNKNOWN_TAG, message, hint)
        return self._invalid()

    def _invalid(self) -> Invalid:
        self.has_invalid = True
        return INVALID

    def _key(self, event: Event) -> str | None:
        key = self._scalar(event) if type(event) is ScalarEvent else self.build(event)
        if type(key) is str:
            return key
        if key is not INVALID:
            self._report(event, Code.KEY_NOT_TEXT, *_refused_key(key, event))
        return None

    def _merge(self, event: Event, value: _Value, merged: _Merge) -> None:
        sources = value if isinstance(value, tuple) else (value,)
        for source in sources:
            if isinstance(source, dict):
                merged.append(source)
            elif source is not INVALID:
                self._report(
                    event,
                    Code.MERGE_KEY,
                    "<< wants a mapping or a list of mappings",
                    "write <<: *name, where &name stands at a mapping",
                )

    def _alias(self, event: Event) -> _Value:
        if not isinstance(event, AliasEvent):  # pragma: no cover - libyaml's grammar
            raise TypeError(event)
        if event.anchor not in self._anchors:
            self._give_up(
                event,
                Code.ALIAS,
                f"no anchor &{event.anchor} before this alias",
                "an anchor stands above its uses, in the same document; text that begins with * "
                "goes into quotes",
            )
        value = self._anchors[event.anchor]
        if isinstance(value, _Unfinished):
            self._give_up(
                event,
                Code.ALIAS,
                f"*{event.anchor} is used inside what it stands for",
                "write the inner value out",
            )
        size, height = self._extent(value)
        if self._depth + height > MAX_DEPTH:
            self._give_up_at_depth(event)
        self._expanded += size
        if self._expanded > FREE_EXPANSION + self._length:
            self._give_up(
                event,
                Code.ALIAS_EXPANSION,
                "the aliases of this document expand to too many values",
                "write the values out, or put what is common into a Group",
            )
        return value

    def _extent(self, value: object) -> _Extent:
        """Return how many values there are in ``value``, and how deep, each alias in full."""
        if not isinstance(value, dict | tuple):
            return 1, 0
        known = self._extents.get(id(value))
        if known is None:
            parts = value.values() if isinstance(value, dict) else value
            extents = [self._extent(part) for part in parts]
            size = 1 + sum(size for size, _ in extents)
            height = 1 + max((height for _, height in extents), default=0)
            known = self._extents[id(value)] = size, height
        return known

    @cached_property
    def _length(self) -> int:
        """The number of characters of the document."""
        following = MARKER.search(self._section.text, self._begin + 1)
        end = following.start() if following else len(self._section.text)
        return end - self._begin

    def _define(self, event: NodeEvent, value: _Value | _Unfinished) -> None:
        if event.anchor in self._anchors:
            self._give_up(
                event,
                Code.ALIAS,
                f"the anchor &{event.anchor} is defined twice in this document",
                "rename one of the two",
            )
        self._anchors[event.anchor] = value

    def _duplicate(self, event: Event, key: str, first: Event) -> None:
        line = self._section.position(first.start_mark.line, 0).line
        message = f"the key {quoted(key)} is written twice, first in line {line}"
        if self._depth == 1 and key in _FIRST_KEYS:
            hint = "put a line of --- between two documents, or keep one of the two lines"
            self._give_up(event, Code.DUPLICATE_KEY, message, hint)
        hint = "write <<: [*one, *two]" if key == "<<" else "keep one of the two lines"
        self._report(event, Code.DUPLICATE_KEY, message, hint)

    def _warn_of_mac(self, event: ScalarEvent) -> None:
        self._diagnostics.warning(
            self._section.position(event.start_mark.line, event.start_mark.column),
            Code.UNQUOTED_MAC,
            f"{event.value} is a MAC address here, but a number to tools that follow YAML 1.1",
            f'put it in quotes: "{event.value}"',
        )

    def _report(self, event: Event, code: Code, message: str, hint: str) -> None:
        mark = event.start_mark
        self._reported += 1
        if self._reported > MOST_PER_DOCUMENT:
            self._give_up(
                event,
                Code.TOO_MANY_PROBLEMS,
                f"more than {MOST_PER_DOCUMENT} problems in this document; the rest is not read",
                "solve the first ones",
            )
        self._diagnostics.error(self._section.position(mark.line, mark.column), code, message, hint)

    def _give_up_at_depth(self, event: Event) -> NoReturn:
        self._give_up(
            event,
            Code.TOO_DEEP,
            f"nested more than {MAX_DEPTH} levels deep",
            "look for brackets that are opened and never closed",
        )

    def _give_up(self, event: Event, code: Code, message: str, hint: str) -> NoReturn:
        mark = event.start_mark
        raise unreadable_at(self._section, mark.line, mark.column, mark.index, code, message, hint)


def _refused_key(key: _Value, event: Event) -> tuple[str, str]:
    """Return message and hint for a key that is not text."""
    if isinstance(key, dict):
        return "a mapping as a key", NO_TEMPLATES
    if isinstance(key, tuple):
        return "a list as a key", "put the key in quotes"
    if isinstance(key, SecretReference):
        return "a secret as a key", "keys are shown to people; write the key itself"
    if type(event) is ScalarEvent and event.value:
        return f"the key {quoted(event.value)} is not text", "put the key in quotes"
    return "an empty key", "write the key, or remove the line"
