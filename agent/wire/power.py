"""How an installed system's agent goes about a shutdown or a restart."""

from attrs import field, frozen, validators

AT_THE_END = ("force", "give-up")
_not_negative = validators.ge(0)


@frozen
class PowerPolicy:
    """What is waited for before a system is shut down, and for how long; all in seconds.

    By default for nothing: the system is shut down at once, whoever works there. That suits
    scripts that looked by themselves.
    """

    grace: int = field(default=0, validator=_not_negative)
    """How long persons, inhibitors and updates are waited for."""
    countdown: int = field(default=0, validator=_not_negative)
    """How long before it happens those who are still there are told."""
    postponable: int = field(default=0, validator=_not_negative)
    """From the beginning on until when a person may put it off; 0: nobody may."""
    at_end: str = field(default="force", validator=validators.in_(AT_THE_END))
    """What is done when the time is over and something still is in the way."""

    @property
    def is_immediate(self) -> bool:
        """Return whether nothing is waited for."""
        return not (self.grace or self.countdown or self.postponable) and self.at_end == "force"

    @property
    def longest(self) -> int:
        """Return after how many seconds all is over at the latest."""
        return max(self.grace, self.postponable) + self.countdown
