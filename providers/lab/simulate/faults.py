"""What a simulated machine can be told to do wrong, and what people call it. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

SHARED_MACHINE_ID = "5a" * 16
SHARED_HOST_KEY = b"\x5a" * 32


@dataclass(frozen=True, slots=True)
class Faults:
    """All of them at once; the defaults are a machine in good order.

    Steps are named as in documents: ``restore``, ``backup``, ``applyIdentity``, ``inspectDisks``.
    """

    cut_power_before: str = ""
    """The power fails before this step has done anything, once; the machine is off then."""
    cut_power_in: str = ""
    """The power fails in the middle of this step, once; the machine is off then."""
    hang_in: str = ""
    """The agent says nothing more once this step has begun, until the power is cut."""
    fail_before: str = ""
    """The disk fails before this step has done anything, every time."""
    fail_in: str = ""
    """The disk fails in the middle of this step, every time."""
    stalls_in: str = ""
    """This step goes on for ever, and says so, until it is stopped."""
    unplug_in: str = ""
    """The network cable is pulled in the middle of this step, once."""
    lost_after: str = ""
    """Once this step was done, the next start gets no further than the firmware."""
    boots: bool = True
    """False: no start gets further than the firmware."""
    boots_network: bool = True
    """False: the boot order has the disk first."""
    start_seconds: float = 0.0
    """How long the firmware takes before its first DHCP packet."""
    late_seconds: float = 0.0
    """How long an installed system runs before its agent does."""
    machine_id: str = ""
    """What a clone gets as its machine-id; empty: one of its own."""
    shares_host_key: bool = False
    """True: a clone gets the SSH host key that all such clones have."""

    def with_faults_of(self, other: "Faults") -> "Faults":
        """Return these with those of another that are no defaults."""
        usual = asdict(Faults())
        return replace(
            self, **{name: value for name, value in asdict(other).items() if value != usual[name]}
        )


class FaultKind(NamedTuple):
    """What people call some faults."""

    faults: Faults
    meaning: str
    """As a clause about the machine."""
    timed: Literal["", "start_seconds", "late_seconds"] = ""
    """The field for which a duration may be given."""

    def lasting(self, seconds: float) -> Faults:
        """Return the faults with another duration."""
        if self.timed == "start_seconds":
            return replace(self.faults, start_seconds=seconds)
        return replace(self.faults, late_seconds=seconds)


KINDS: Mapping[str, FaultKind] = {
    "no-boot": FaultKind(Faults(boots=False), "gets no further than its firmware"),
    "disk-first": FaultKind(
        Faults(boots_network=False), "starts from its disk and never over the network"
    ),
    "slow-firmware": FaultKind(
        Faults(start_seconds=120), "asks for a boot two minutes after its start", "start_seconds"
    ),
    "power-before-write": FaultKind(
        Faults(cut_power_before="restore"), "loses power before the first write of a restore, once"
    ),
    "power-in-restore": FaultKind(
        Faults(cut_power_in="restore"), "loses power in the middle of a restore, once"
    ),
    "cable-in-restore": FaultKind(
        Faults(unplug_in="restore"),
        "loses the network in the middle of a restore, until its power is cut",
    ),
    "hang-in-restore": FaultKind(
        Faults(hang_in="restore"), "says nothing more once a restore has begun"
    ),
    "stall-in-restore": FaultKind(
        Faults(stalls_in="restore"), "never gets on with a restore, and says so"
    ),
    "disk-in-restore": FaultKind(
        Faults(fail_in="restore"), "has a disk that fails in the middle of each restore"
    ),
    "lost-after-restore": FaultKind(
        Faults(lost_after="restore"),
        "does not come back after a restore, until its power is cut",
    ),
    "late-report": FaultKind(
        Faults(late_seconds=1200), "reports twenty minutes after its start", "late_seconds"
    ),
    "same-machine-id": FaultKind(
        Faults(machine_id=SHARED_MACHINE_ID),
        "gets the machine-id that all clones with this fault have",
    ),
    "same-host-key": FaultKind(
        Faults(shares_host_key=True), "gets the SSH host key that all clones with this fault have"
    ),
}
"""The faults that the command line knows, by name."""
