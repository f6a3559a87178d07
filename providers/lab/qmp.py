"""QMP: asking a running QEMU (docs/interop/qmp-spec.rst of QEMU)."""

import asyncio
import json
import socket
from typing import Any

_LINE_LIMIT = 1 << 20
_GREETING_SECONDS = 30.0
_ANSWER_SECONDS = 30.0


class QmpError(Exception):
    """QEMU refused a command, or went away."""


class QmpClient:
    """A connection to one QEMU. One command is under way at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, connection: socket.socket) -> "QmpClient":
        """Return a client that has been greeted; QmpError when QEMU ends first."""
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LINE_LIMIT)
        client = cls(reader, writer)
        try:
            await client._negotiate()
        except QmpError:
            client.close()
            raise
        return client

    async def _negotiate(self) -> None:
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                await self._next()
        except OSError as error:
            raise QmpError(f"QEMU did not greet: {_reason(error)}") from error
        await self.execute("qmp_capabilities")

    async def execute(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it answers; QmpError when it is refused."""
        request = {"execute": command, "arguments": arguments}
        async with self._turn:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    self._writer.write(json.dumps(request).encode() + b"\n")
                    await self._writer.drain()
                    return await self._answer()
            except OSError as error:
                raise QmpError(f"QEMU did not answer: {_reason(error)}") from error

    async def _answer(self) -> Any:  # noqa: ANN401 - JSON
        message = await self._next()
        if "error" in message:
            raise QmpError(message["error"].get("desc", "it gave no reason"))
        return message.get("return")

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def _next(self) -> dict[str, Any]:
        """Return the next message that is no event."""
        while True:
            line = await self._reader.readline()
            if not line:
                raise QmpError("QEMU closed its monitor")
            message = json.loads(line)
            if not isinstance(message, dict):
                raise QmpError("QEMU sent something that is no QMP message")
            if "event" not in message:
                return message


def _reason(error: OSError) -> str:
    return "it takes too long" if isinstance(error, TimeoutError) else str(error)
