"""How soon machines want a package."""

from typing import Literal

Urgency = Literal["low", "normal", "high", "highest"]
UrgencyBound = Literal[Urgency, "never"]
"""The least urgency that counts; ``never``: none does."""
_ORDER: tuple[UrgencyBound, ...] = ("low", "normal", "high", "highest", "never")


def is_as_urgent(urgency: Urgency, bound: UrgencyBound) -> bool:
    """Return whether packages of an urgency count where a bound is said."""
    return _ORDER.index(urgency) >= _ORDER.index(bound)
