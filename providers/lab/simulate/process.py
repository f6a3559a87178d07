"""The process that has the machines: started by ``rack`` in a new user and network namespace.

It obeys one connection, a descriptor that it inherited, and ends when that is closed.
"""

import argparse
import logging
import os
import random
import resource
import selectors
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agent.errors import CodedError
from agent.log import LineFormatter
from providers.lab import control
from providers.lab.errors import bad_request, machine_unknown
from providers.lab.network import BRIDGE
from providers.lab.simulate.bridge import Bridge
from providers.lab.simulate.machine import SimulatedMachine
from providers.lab.simulate.machine_list import machines_of
from providers.lab.simulate.messages import Request, decode_request, states_to_json
from providers.lab.wake_listener import open_listener
from providers.power.wake_on_lan import parse_magic_packet

_LARGEST_FRAME = 65536
_STACK = 1 << 20
_FRAMES_AT_ONCE = 256
_log = logging.getLogger(__name__)


class _ThreadFormatter(LineFormatter):
    """The agents' lines, each with the machine whose it is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return f"{record.threadName:<12} {super().format(record)}"


class SimulatedMachines:
    """All machines of a rack, obeying requests and magic packets."""

    def __init__(self, machines: Mapping[str, SimulatedMachine]) -> None:
        self._machines = machines
        self._by_mac = {machine.settings.mac: machine for machine in machines.values()}

    def serve(self, connection: socket.socket, wakes: socket.socket) -> None:
        """Obey until the connection is closed."""
        with selectors.DefaultSelector() as selector, connection.makefile("rb") as requests:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(wakes, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if wakes in ready:
                    self._hear(wakes)
                if connection in ready:
                    line = requests.readline()  # one request at a time: nothing is left over
                    if not line:
                        return
                    connection.sendall(self._answer(line))

    def _hear(self, wakes: socket.socket) -> None:
        with suppress(BlockingIOError):
            for _ in range(_FRAMES_AT_ONCE):
                mac = parse_magic_packet(wakes.recv(_LARGEST_FRAME))
                machine = self._by_mac.get(mac or "")
                if machine is not None:
                    machine.power_on()

    def _answer(self, line: bytes) -> bytes:
        try:
            return control.encode_answer(self._obey(decode_request(line)))
        except CodedError as error:
            return control.encode_error(error)
        except Exception:  # noqa: BLE001 - one bad request must not end all machines
            _log.exception("a request failed")
            return control.encode_error(bad_request("it ran into a fault of its own; see its log"))

    def _obey(self, request: Request) -> object:
        if request.verb == "status":
            return states_to_json([machine.state() for machine in self._machines.values()])
        machine = self._machines.get(request.machine)
        if machine is None:
            raise machine_unknown(request.machine, self._machines)
        match request.verb:
            case "power-on":
                machine.power_on()
            case "power-off":
                machine.power_off()
            case "pull-cable" | "plug-cable":
                machine.connect(connected=request.verb == "plug-cable")
            case "faults":
                machine.set_faults(request.faults)
            case "press-key":
                machine.press_key(request.key)
        return None


def main(arguments: list[str]) -> None:
    """Run the machines; ends the process, with whatever still runs on them."""
    parser = argparse.ArgumentParser(prog="providers.lab.simulate.process")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--disk-size", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    options = parser.parse_args(arguments)
    connection = socket.socket(fileno=options.control)
    connection.set_inheritable(False)
    _log_to_stderr()
    threading.stack_size(_STACK)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        bridge = Bridge()
        source = random.SystemRandom()
        machines = {}
        for settings in machines_of(options.count, options.disk_size):
            folder = options.directory / "machines" / settings.name
            machine = SimulatedMachine(settings, folder, bridge, source)
            machine.prepare(options.seed)
            machines[settings.name] = machine
        with open_listener(BRIDGE) as wakes:
            connection.sendall(control.encode_answer("ready"))
            SimulatedMachines(machines).serve(connection, wakes)
    except CodedError as error:
        with suppress(OSError):
            connection.sendall(control.encode_error(error))
        os._exit(1)
    # Threads that wait for a server would keep the process; their machines have no power now.
    os._exit(0)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ThreadFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    main(sys.argv[1:])
