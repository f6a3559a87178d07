"""How politely installed systems are shut down: the constants of this version, in one place. Pure.

They are no settings of documents yet.
"""

from attrs import evolve

from agent.wire.power import PowerPolicy

POLITE = PowerPolicy(grace=300, countdown=30, postponable=4 * 3600, at_end="force")
"""Of restarts for approved work, and of what schedules switch off or restart.

Five minutes to save one's work; half a minute of last warning; a person may put it off for up to
four hours, if the boot grants of the work and the schedule's window last so long; then it is
forced, because somebody approved it.
"""
_MARGIN = 60
"""Seconds between the end of all waiting and the moment until which the machine has to be down."""


def within(policy: PowerPolicy, seconds: float) -> PowerPolicy:
    """Return the policy cut down so that all is over a minute before so many seconds are."""
    left = max(0, int(seconds) - _MARGIN)
    countdown = min(policy.countdown, left // 2)
    most = left - countdown
    return evolve(
        policy,
        grace=min(policy.grace, most),
        countdown=countdown,
        postponable=min(policy.postponable, most),
    )
