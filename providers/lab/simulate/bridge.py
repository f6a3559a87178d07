"""The rack's switch: a bridge with the server's address, and a port for each machine that is on."""

import os
from concurrent.futures import ThreadPoolExecutor

from providers.lab.network import (
    BRIDGE,
    UPLINK,
    bridge_mac,
    require_new_namespace,
    run_batch,
)
from providers.lab.simulate.machine_list import SERVER, MachineSettings
from providers.lab.simulate.nic import NIC

_BRIDGE_OPTIONS = "stp_state 0 forward_delay 0 mcast_snooping 0"


class Bridge:
    """Made in the network namespace of the thread that calls; it has to be a new one.

    Machines reach the server and not one another (isolated ports), so that a thousand
    do not hear each other's broadcasts. RW801, RW809, RW815.
    """

    def __init__(self) -> None:
        require_new_namespace()
        # Machines' threads leave this network; what is done to the switch is done from here.
        self._inside = ThreadPoolExecutor(1, thread_name_prefix="bridge")
        self._batch(
            "link set lo up",
            f"link add {BRIDGE} address {bridge_mac(SERVER)} type bridge {_BRIDGE_OPTIONS}",
            f"address add {SERVER} broadcast + dev {BRIDGE}",
            # A bridge without a port that is up drops what the host sends, magic packets too.
            f"link add {UPLINK} type veth peer name {UPLINK}-end",
            f"link set {UPLINK} addrgenmode none",
            f"link set {UPLINK}-end addrgenmode none",
            f"link set {UPLINK} master {BRIDGE} up",
            f"link set {UPLINK}-end up",
            f"link set {BRIDGE} up",
            f"route add 255.255.255.255/32 dev {BRIDGE}",
        )

    def plug(self, machine: MachineSettings, thread: int) -> None:
        """Make a machine's NIC in the network namespace of a thread of this process."""
        port = _port(machine)
        namespace = f"/proc/{os.getpid()}/task/{thread}/ns/net"
        known: tuple[str, ...] = ()
        if machine.address:
            address = machine.address.partition("/")[0]
            known = (f"neigh replace {address} lladdr {machine.mac} nud permanent dev {BRIDGE}",)
        self._batch(
            *known,
            f"link add {port} type veth peer name {NIC} address {machine.mac} netns {namespace}",
            f"link set {port} addrgenmode none",
            f"link set {port} master {BRIDGE} up",
            f"link set {port} type bridge_slave isolated on",
        )

    def unplug(self, machine: MachineSettings) -> None:
        """Take a machine's NIC away, with all its connections: nothing more comes from it."""
        self._batch(f"link delete {_port(machine)}")

    def connect(self, machine: MachineSettings, *, connected: bool) -> None:
        """Pull a machine's network cable, or put it in again."""
        self._batch(f"link set {_port(machine)} {'up' if connected else 'down'}")

    def _batch(self, *lines: str) -> None:
        self._inside.submit(run_batch, "\n".join(lines) + "\n").result()


def _port(machine: MachineSettings) -> str:
    return f"port{machine.index}"
