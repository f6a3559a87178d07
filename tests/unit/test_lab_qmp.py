import asyncio
import json
import socket

import pytest

from providers.lab.qmp import QmpClient, QmpError

GREETING = b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n'


class Qemu:
    """The other end of a monitor: greets, negotiates, powers down, refuses."""

    def __init__(self, greeting=GREETING):
        self.commands = []
        self._greeting = greeting

    async def serve(self, connection):
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        writer.write(self._greeting)
        while self._greeting and (line := await reader.readline()):
            request = json.loads(line)
            self.commands.append(request)
            if request["execute"] == "quit":
                break
            writer.write(b'{"event": "RESUME", "timestamp": {"seconds": 1}}\r\n')
            if request["execute"] == "screendump":
                writer.write(b'{"error": {"class": "GenericError", "desc": "no such file"}}\r\n')
            else:
                writer.write(b'{"return": {"status": "running"}}\r\n')
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def monitor():
    qemu = Qemu()
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(qemu.serve(theirs))
    client = await QmpClient.connect(ours)
    yield qemu, client
    client.close()
    await serving


async def test_commands_come_after_the_negotiation(monitor):
    qemu, client = monitor
    assert await client.execute("query-status") == {"status": "running"}
    assert [command["execute"] for command in qemu.commands] == ["qmp_capabilities", "query-status"]


async def test_arguments_are_passed_on(monitor):
    qemu, client = monitor
    await client.execute("set_link", name="net0", up=False)
    assert qemu.commands[-1]["arguments"] == {"name": "net0", "up": False}


async def test_two_questions_at_once_get_their_own_answers(monitor):
    _, client = monitor
    asked = (client.execute("query-status"), client.execute("screendump"))
    first, second = await asyncio.gather(*asked, return_exceptions=True)
    assert first == {"status": "running"}
    assert isinstance(second, QmpError)


async def test_a_refusal_has_its_reason(monitor):
    _, client = monitor
    with pytest.raises(QmpError, match=r"^no such file$"):
        await client.execute("screendump", filename="/nowhere/x.png", format="png")
    assert await client.execute("query-status") == {"status": "running"}


async def test_a_qemu_that_ends_says_so(monitor):
    _, client = monitor
    with pytest.raises(QmpError, match="QEMU closed its monitor"):
        await client.execute("quit")


async def test_a_qemu_that_ends_before_it_greets_says_so():
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(Qemu(greeting=b"").serve(theirs))
    with pytest.raises(QmpError, match="QEMU closed its monitor"):
        await QmpClient.connect(ours)
    await serving
