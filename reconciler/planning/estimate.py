"""How long work may take: a guess from stated constants, always shown as one."""

from dataclasses import dataclass
from math import ceil

from specs.compiled import FleetSettings

BYTES_PER_SECOND = 100_000_000
"""What one Gigabit link of the server carries, shared by all machines at work."""
BOOT_SECONDS = 180
"""Two starts of a server with its firmware's self-test, once into RAM and once from disk."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Budget:
    """How many machines may be in destructive work at one moment, and begin it in an hour."""

    at_once: int
    per_hour: int


def budget_of(settings: FleetSettings) -> Budget:
    """Return the fleet's limit on destructive work."""
    return Budget(settings.max_destructive_at_once, settings.max_destructive_per_hour)


def restore_seconds(used_bytes: int) -> int:
    """Return the estimate for one machine that has the link to itself."""
    return BOOT_SECONDS + ceil(used_bytes / BYTES_PER_SECOND)


def waves(machines: int, budget: Budget) -> int:
    """Return how many times a full set of machines goes to work."""
    return ceil(machines / min(budget.at_once, budget.per_hour))


def total_seconds(machines: int, bytes_to_move: int, budget: Budget) -> int:
    """Return the estimate for all machines under the budget; 0 for none.

    The link is shared, so bytes add up; booting is done by a whole wave at a time;
    and the last hour's share cannot begin before the hours before it are over.
    """
    if not machines:
        return 0
    at_work = waves(machines, budget) * BOOT_SECONDS + ceil(bytes_to_move / BYTES_PER_SECOND)
    waiting = (ceil(machines / budget.per_hour) - 1) * _HOUR
    return max(at_work, waiting + BOOT_SECONDS)
