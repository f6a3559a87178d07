"""Why packets were not answered: silence that nobody can explain costs people days."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

import structlog

from providers.netboot.log_rate import LogRate

_TIMELINE_INTERVAL = 60.0

log = structlog.get_logger(__name__)


class Silence(StrEnum):
    """The reasons."""

    MALFORMED = "it is malformed"
    NO_REQUEST = "it is a server's message"
    NO_NETWORK = "its network is none of the fleet's"
    DHCP_OFF = "DHCP is off for its network"
    NO_PROXY = "its network is not served beside another DHCP server"
    NO_ADDRESS = "no address is free"
    NAMES_NO_ADDRESS = "it asks for no address"
    NO_RECORD = "there is no record of the client, which asks for its former address"
    OTHER_SERVER = "the client took the offer of another DHCP server"
    SITE_SERVER = "it is for the site's own DHCP server"
    LOCAL_DISK = "the client goes on to its disk by itself"
    FAILED = "answering it failed"
    TOO_MANY = "too many transfers wait already"


class Unanswered:
    """Counts packets that were not answered, and logs one line per reason and interval."""

    def __init__(self) -> None:
        self._counts: Counter[Silence] = Counter()
        self._lines = LogRate()
        self._timeline = LogRate(interval=_TIMELINE_INTERVAL)

    @property
    def counts(self) -> Mapping[Silence, int]:
        """Return how many packets were not answered since the start, by reason."""
        return self._counts

    def count(self, silence: Silence, protocol: str, source: str, **details: object) -> None:
        """Count one packet; ``details`` are for its line in the log."""
        self._counts[silence] += 1
        kept = self._lines.admit(silence)
        if kept is not None:
            log.info(
                "packet not answered",
                protocol=protocol,
                reason=str(silence),
                source=source,
                not_logged=kept,
                **details,
            )

    def is_news(self, silence: Silence, mac: str) -> bool:
        """Return whether the boot timeline of a machine is to be told again."""
        return self._timeline.admit((silence, mac)) is not None
