"""Whether machines may ask before they restart by themselves."""

from pydantic import Field

from specs.kinds.record import Record


class RebootLock(Record):
    """The reboot semaphore: machines that update themselves ask it before they restart."""

    enabled: bool = Field(
        default=False,
        description="Whether the server answers FleetLock requests (Zincati and others). A machine "
        "that holds the lock counts as disruptive work in all budgets that concern it; outside its "
        "windows, under a Hold and in quarantine it does not get it.",
        examples=[True],
    )
    plain_http: bool = Field(
        default=False,
        description="Whether it answers on the port for boot files too, without TLS, for clients "
        "that do not know the server's certification authority.",
        examples=[True],
    )
