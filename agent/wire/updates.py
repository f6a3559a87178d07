"""What a machine installs by itself, and what it says of that.

``GET /v1/updates`` returns the orders, which an agent keeps and follows also without its server.
``POST /v1/updates`` says how far it is; sent again it changes nothing. ``POST /v1/updates/fetch``
asks whether it may fetch, ``POST /v1/updates/restart`` whether it may restart; both answer with a
``Permission``.

Times are seconds since 1970, times of the day minutes since midnight.
"""

import hashlib
from typing import Any

from attrs import field, frozen, validators

from agent.wire.codec import encode
from agent.wire.package import PackageResult, WantedPackage

PHASES = ("idle", "fetching", "waiting", "installing", "restart")
"""What an agent is at: nothing; looks what is missing and fetches it; waits until it may install;
installs; waits until it may restart."""
MOST_RESULTS = 1000
_short: Any = validators.max_len(255)
_most_text: Any = validators.max_len(4096)


@frozen
class UpdateWindow:
    """Hours in which installing may begin, as ``CompiledWindow`` has them: Monday is 0."""

    days: tuple[int, ...]
    begin: int
    end: int


@frozen
class Opening:
    """A stretch of time in which work may begin on the machine, whoever began it."""

    begin: int
    end: int


@frozen
class UpdateOrders:
    """What a machine installs by itself. Without a policy: nothing."""

    policy: str = ""
    packages: tuple[WantedPackage, ...] = ()
    """With all that they require."""
    missing: tuple[str, ...] = ()
    """Packages whose files the server has yet to fetch; they are not among ``packages``."""
    check_at: tuple[int, ...] = ()
    check_at_startup: bool = False
    notice: int = 0
    """When a person last asked for a check; 0: never."""
    urgent: tuple[str, ...] = ()
    """Digests of packages; where one is new, it is looked for at once."""
    when: str = "now"
    confirm: bool = False
    countdown: int = 0
    deadline: int = 0
    """Seconds for which people may put it off; 0: for ever."""
    windows: tuple[UpdateWindow, ...] = ()
    time_zone: str = ""
    """Of ``windows``; empty: the machine's own."""
    openings: tuple[Opening, ...] | None = None
    """When work may begin here, in the next days; None: at any time."""
    held: str = ""
    """Why nothing may begin now; empty where it may."""
    held_until: int = 0
    """Until when; 0: until other orders come."""
    max_rate: int = 0
    """Bytes a second; 0: no bound."""

    @property
    def digest(self) -> str:
        """Return what tells these orders from others."""
        return hashlib.sha256(encode(self)).hexdigest()[:32]


@frozen
class UpdateReport:
    """How far a machine is with what it installs by itself."""

    boot_id: str = field(validator=_short)
    policy: str = field(validator=_short)
    orders: str = field(validator=_short)
    """The digest of the orders that it follows."""
    phase: str = field(validator=validators.in_(PHASES))
    why: str = field(default="", validator=_most_text)
    """What it waits for, or why it could not go on; empty for nothing."""
    code: str = field(default="", validator=validators.max_len(5))
    since: int = 0
    """When the phase began."""
    run: str = field(default="", validator=_short)
    """Names the check that ``results`` are of."""
    checked: int = 0
    """When it last looked; 0: never."""
    next_check: int = 0
    """When it looks next; 0: when something happens."""
    results: tuple[PackageResult, ...] = field(
        default=(), validator=validators.max_len(MOST_RESULTS)
    )


@frozen
class RestartRequest:
    """Body of ``/v1/updates/restart``."""

    boot_id: str = field(validator=_short)


@frozen
class Permission:
    """Whether the machine may go on now; ``why`` not, for people."""

    granted: bool
    why: str = field(default="", validator=_most_text)
