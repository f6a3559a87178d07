"""Which enrollment rule decides about a discovered machine, and why."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from specs.diagnostics.quote import quoted
from specs.fleet import CompiledEnrollmentRule
from specs.types.address_range import AddressRange
from specs.types.hardware_uuid import both_orders
from specs.types.pattern import free_matcher, matcher

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DiscoveredMachine:
    """What is known of a machine that is in no document. Empty means unknown.

    ``macs`` and ``uuid`` are lower case, MAC addresses with colons. ``relay`` is the DHCP
    relay that its request came through (``giaddr``).
    """

    name: str = ""
    addresses: tuple[IPv4Address, ...] = ()
    macs: tuple[str, ...] = ()
    uuid: str = ""
    serial: str = ""
    vendor: str = ""
    relay: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Consideration:
    """One rule that was asked, and its answer."""

    rule: CompiledEnrollmentRule
    fires: bool
    reason: str
    """Why, as a clause: ``its vendor is not known``."""

    def __str__(self) -> str:
        """Return one line for people."""
        answer = "fires" if self.fires else "does not match"
        return f"{self.rule.order} {self.rule.name} ({self.rule.position}) {answer}: {self.reason}"


@dataclass(frozen=True, slots=True)
class EnrollmentReport:
    """The rule that fires, or None, and every rule that was asked until then."""

    rule: CompiledEnrollmentRule | None
    considered: tuple[Consideration, ...]

    def __str__(self) -> str:
        """Return one line per rule."""
        return "\n".join(map(str, self.considered)) or "there are no enrollment rules"


def enrollment(
    machine: DiscoveredMachine, rules: Iterable[CompiledEnrollmentRule]
) -> EnrollmentReport:
    """Return which of the rules decides about the machine: the first that matches.

    ``rules`` are in the order in which they are asked, as a compiled fleet has them.
    """
    considered = []
    for rule in rules:
        answers = list(_answers(rule, machine))
        missed = next((reason for fits, reason in answers if not fits), None)
        if missed is None:
            reason = ", ".join(reason for _, reason in answers)
            considered.append(Consideration(rule, fires=True, reason=reason))
            return EnrollmentReport(rule, tuple(considered))
        considered.append(Consideration(rule, fires=False, reason=missed))
    return EnrollmentReport(None, tuple(considered))


_Answer = tuple[bool, str]


def _answers(rule: CompiledEnrollmentRule, machine: DiscoveredMachine) -> Iterator[_Answer]:
    """Yield for each part of the rule whether it fits, and why."""
    relays = () if machine.relay is None else (machine.relay,)
    if rule.names:
        yield _texts("name", rule.names, (machine.name,), free_matcher)
    if rule.addresses:
        yield _addresses("address", rule.addresses, machine.addresses)
    if rule.macs:
        yield _texts("MAC address", rule.macs, machine.macs)
    if rule.uuids:
        yield _texts("UUID", rule.uuids, both_orders(machine.uuid))
    if rule.serials:
        yield _texts("serial number", rule.serials, (machine.serial,), free_matcher)
    if rule.vendors:
        yield _texts("vendor", rule.vendors, (machine.vendor,), free_matcher)
    if rule.relays:
        yield _addresses("relay", rule.relays, relays)


def _texts(
    noun: str,
    patterns: tuple[str, ...],
    texts: tuple[str, ...],
    made: Callable[[str], Callable[[str], object]] = matcher,
) -> _Answer:
    known = tuple(filter(None, texts))
    for text in known:
        for pattern in patterns:
            if made(pattern)(text):
                return True, f"{noun} {quoted(text)} fits {quoted(pattern)}"
    return _missed(noun, tuple(map(quoted, known)), tuple(map(quoted, patterns)))


def _addresses(
    noun: str, spans: tuple[AddressRange, ...], addresses: tuple[IPv4Address, ...]
) -> _Answer:
    for address in addresses:
        for span in spans:
            if span.first <= address <= span.last:
                return True, f"{noun} {address} is within {span}"
    return _missed(noun, tuple(map(str, addresses)), tuple(map(str, spans)))


def _missed(noun: str, known: tuple[str, ...], wanted: tuple[str, ...]) -> _Answer:
    if not known:
        return False, f"its {noun} is not known"
    more = "" if len(wanted) <= _MOST_SHOWN else f" and {len(wanted) - _MOST_SHOWN:,} more"
    patterns = ", ".join(wanted[:_MOST_SHOWN]) + more
    return False, f"{noun} {', '.join(known[:_MOST_SHOWN])} does not fit {patterns}"
