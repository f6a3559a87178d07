"""One machine's power button: starting, stopping and watching its QEMU."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from providers.lab import firmware, qemu
from providers.lab.accelerator import Accelerator
from providers.lab.directory import MachineFiles
from providers.lab.errors import machine_disobeyed, program_missing
from providers.lab.qmp import QmpClient, QmpError
from providers.lab.rack import Machine
from providers.lab.status import MachineStatus

_QUIT_SECONDS = 5.0
_log = structlog.get_logger()


class _Running:
    """A QEMU that answers, and since when."""

    def __init__(self, process: asyncio.subprocess.Process, monitor: QmpClient) -> None:
        self.process = process
        self.monitor = monitor
        self.since = time.monotonic()


class MachinePower:
    """A machine of the rack. Off in the beginning; requests are carried out one at a time."""

    def __init__(
        self,
        machine: Machine,
        files: MachineFiles,
        tap: str,
        accelerator: Callable[[], Awaitable[Accelerator]],
    ) -> None:
        self._machine = machine
        self._files = files
        self._tap = tap
        self._accelerator = accelerator
        self._running: _Running | None = None
        self._watch: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._note = ""

    def status(self) -> MachineStatus:
        """Return what the machine does now."""
        running = self._running
        return MachineStatus(
            name=self._machine.name,
            firmware=self._machine.firmware,
            power="on" if running else "off",
            mac=self._machine.mac,
            disk=str(self._files.disk),
            disk_serial=self._machine.disk.serial,
            uptime_seconds=round(time.monotonic() - running.since, 1) if running else None,
            note=self._note,
        )

    async def power_on(self) -> None:
        """Start the machine; nothing happens when it runs. RW801, RW802, RW813."""
        async with self._turn:
            if self._running is None:
                self._note = ""
                self._running = await self._start()
                self._watch = asyncio.create_task(self._wait_for_end(self._running))
                _log.info("powered on", machine=self._machine.name)

    async def power_off(self) -> None:
        """Cut the power; nothing happens when it is off."""
        async with self._turn:
            if (running := self._running) is None or self._watch is None:
                return
            self._running = None  # what ends now ends as asked
            with contextlib.suppress(QmpError):
                await running.monitor.execute("quit")
            try:
                async with asyncio.timeout(_QUIT_SECONDS):
                    await asyncio.shield(self._watch)
            except TimeoutError:
                running.process.kill()
                await self._watch
            _log.info("powered off", machine=self._machine.name)

    async def reset(self) -> None:
        """Press reset. RW813 when the machine is off."""
        await self._ask("reset", "system_reset")

    async def screenshot(self, file: Path) -> None:
        """Write what the screen shows to a PNG. RW813 when the machine is off."""
        await self._ask("screenshot", "screendump", filename=str(file), format="png")

    async def _ask(self, request: str, command: str, **arguments: str) -> None:
        async with self._turn:
            if self._running is None:
                raise machine_disobeyed(self._machine.name, request, "it is off")
            try:
                await self._running.monitor.execute(command, **arguments)
            except QmpError as error:
                raise machine_disobeyed(self._machine.name, request, str(error)) from error

    async def _start(self) -> _Running:
        flash = firmware.flash_images(self._machine.firmware)
        if flash is not None:
            firmware.create_variables(flash, self._files.variables)
        self._rotate_console()
        accelerator = await self._accelerator()
        ours, theirs = socket.socketpair()
        place = qemu.Place(accelerator, self._tap, theirs.fileno())
        argv = qemu.arguments(self._machine, self._files, flash, place)
        with theirs, self._files.qemu_log.open("wb") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                )
            except FileNotFoundError as error:
                ours.close()
                raise program_missing(argv[0], "util-linux") from error
        try:
            monitor = await QmpClient.connect(ours)
        except QmpError as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            words = self._last_words() or str(error)
            raise machine_disobeyed(self._machine.name, "power on", words) from error
        return _Running(process, monitor)

    def _rotate_console(self) -> None:
        if self._files.console.exists():
            self._files.console.replace(self._files.previous_console)
        self._files.console.touch()

    async def _wait_for_end(self, running: _Running) -> None:
        status = await running.process.wait()
        running.monitor.close()
        if self._running is running:
            self._running = None
            words = f": {self._last_words()}" if status else ""
            self._note = f"QEMU ended with status {status}{words}" if status else "it shut down"
            _log.info("went off", machine=self._machine.name, note=self._note)

    def _last_words(self) -> str:
        lines = self._files.qemu_log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
