"""The rack's network: one bridge, one port for each machine."""

from providers.lab import bridge, nft, tc
from providers.lab.rack import Rack


def tap_names(rack: Rack) -> dict[str, str]:
    """Return machine name → port; ports are numbered, as a name may be longer than 15 bytes."""
    return {machine.name: f"tap{index}" for index, machine in enumerate(rack.machines)}


def build_network(rack: Rack) -> None:
    """Make the network in this process's namespace, which has to be a new one."""
    taps = tap_names(rack)
    links = [(taps[machine.name], machine.link) for machine in rack.machines]
    bridge.build_bridge(rack.bridge.address, list(taps.values()))
    nft.lose_frames({tap: link.loss for tap, link in links if link.loss is not None})
    tc.limit_rates({tap: link.rate.bits_per_second for tap, link in links if link.rate is not None})
