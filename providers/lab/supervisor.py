"""The process that is a rack: it holds the namespace, runs the machines, obeys the socket.

Started by ``providers.lab.up`` inside a new network namespace. When it ends, by
whatever signal, the kernel kills its QEMUs and with the last of them takes the
namespace, the bridge and the ports away.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import structlog

from agent.errors import CodedError
from providers.lab import control, network
from providers.lab.accelerator import Accelerator, find_accelerator
from providers.lab.directory import LabDirectory, peer_process
from providers.lab.errors import bad_request, machine_unknown
from providers.lab.machine_power import MachinePower
from providers.lab.namespace import end_other_processes
from providers.lab.rack import Rack
from providers.lab.rack_file import load_rack
from providers.lab.status import RackStatus
from providers.lab.wake_listener import open_listener
from providers.power.wake_on_lan import parse_magic_packet

_LARGEST_FRAME = 65536
_log = structlog.get_logger()


class Supervisor:
    """A rack that is up."""

    def __init__(self, directory: LabDirectory, rack: Rack) -> None:
        self._directory = directory
        self._rack = rack
        self._accelerator = asyncio.create_task(asyncio.to_thread(find_accelerator))
        taps = network.tap_names(rack)
        self._machines = {
            machine.name: MachinePower(
                machine, directory.machine(machine.name), taps[machine.name], self._find_accelerator
            )
            for machine in rack.machines
        }
        self._names = {machine.mac: machine.name for machine in rack.machines}
        self._wakes: set[asyncio.Task[None]] = set()
        self._down = asyncio.Event()

    async def run(self, listener: socket.socket, wakes: socket.socket, ready: int) -> None:
        """Obey until asked to go down. ``ready`` is a descriptor that is told of the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._down.set)
        loop.add_reader(wakes, self._hear, wakes)
        server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=control.LINE_LIMIT
        )
        os.write(ready, control.encode_answer("ready"))
        os.close(ready)
        _log.info("up", machines=sorted(self._machines))
        async with server:
            await self._down.wait()
        loop.remove_reader(wakes)
        await self._stop_machines()
        _log.info("down")

    async def _find_accelerator(self) -> Accelerator:
        return await asyncio.shield(self._accelerator)

    def _hear(self, wakes: socket.socket) -> None:
        """Act on one frame that may hold a magic packet."""
        with contextlib.suppress(BlockingIOError):
            mac = parse_magic_packet(wakes.recv(_LARGEST_FRAME))
            if mac is None or (name := self._names.get(mac)) is None:
                return
            task = asyncio.create_task(self._wake(name))
            self._wakes.add(task)
            task.add_done_callback(self._wakes.discard)

    async def _wake(self, name: str) -> None:
        machine = self._machines[name]
        if machine.status().power == "on":
            return
        _log.info("woken", machine=name)
        try:
            await machine.power_on()
        except CodedError as error:
            _log.error("did not wake", machine=name, error=str(error))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            line = await reader.readline()
            if line:
                client = peer_process(writer.get_extra_info("socket"))
                writer.write(await self._answer(line, client))
                await writer.drain()
        except (OSError, ValueError) as error:
            _log.warning("a client broke off", error=str(error))
        finally:
            writer.close()

    async def _answer(self, line: bytes, client: int) -> bytes:
        try:
            request = control.decode_request(line)
            return control.encode_answer(await self._obey(request, client))
        except CodedError as error:
            return control.encode_error(error)
        except Exception:  # noqa: BLE001 - one bad request must not end all machines
            _log.exception("a request failed")
            return control.encode_error(bad_request("it ran into a fault of its own; see its log"))

    async def _obey(self, request: control.Request, client: int) -> object:
        if request.verb == "status":
            return self._status().as_json()
        if request.verb == "down":
            await self._stop_machines()
            end_other_processes(client)
            self._down.set()
            return None
        machine = self._machines.get(request.machine)
        if machine is None:
            raise machine_unknown(request.machine, self._machines)
        if request.verb == "power-on":
            await machine.power_on()
        elif request.verb == "power-off":
            await machine.power_off()
        elif request.verb == "reset":
            await machine.reset()
        else:
            await machine.screenshot(Path(request.file))
        return None

    def _status(self) -> RackStatus:
        probed = self._accelerator.done() and not self._accelerator.exception()
        return RackStatus(
            directory=str(self._directory.path),
            address=str(self._rack.bridge.address),
            accelerator=self._accelerator.result() if probed else "probing",
            machines=tuple(machine.status() for machine in self._machines.values()),
        )

    async def _stop_machines(self) -> None:
        await asyncio.gather(*(machine.power_off() for machine in self._machines.values()))


async def _supervise(directory: LabDirectory, ready: int) -> None:
    rack = load_rack(directory.rack_file)
    network.build_network(rack)
    with (
        network.hold_up(network.UPLINK),
        directory.listen() as listener,
        open_listener(network.BRIDGE) as wakes,
    ):
        await Supervisor(directory, rack).run(listener, wakes, ready)
    directory.control_socket.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Run a rack; return the exit status.

    The lock on the directory is held by an inherited descriptor, which is given
    away to no other process.
    """
    parser = argparse.ArgumentParser(prog="providers.lab.supervisor")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--lock", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    options = parser.parse_args(arguments)
    for descriptor in (options.lock, options.ready):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        asyncio.run(_supervise(LabDirectory.at(options.directory), options.ready))
    except CodedError as error:
        os.write(options.ready, control.encode_error(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
