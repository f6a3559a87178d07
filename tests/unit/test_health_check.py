"""One look at a machine's health: real programs and real addresses, however they behave."""

import asyncio
import socket
from pathlib import Path
from time import monotonic

import pytest
from aiohttp import web

from reconciler.loop.rollouts import Look
from reconciler.server import health_check
from reconciler.server.health_check import HealthChecker
from specs.fleet import HealthCheck

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Return what looks at a machine by a program of this text, and returns the problem."""
    folder = tmp_path / "health-checks"
    folder.mkdir()
    monkeypatch.setattr(health_check, "SECONDS", 5.0)

    async def run(text, *arguments):
        path = folder / "check"
        path.write_text(text, "utf-8")
        path.chmod(0o755)
        return await look(tmp_path, command=("check", *arguments))

    return run


def look(state, **check):
    wanted = Look("1" * 32, "node-01", "web-01", "10.77.0.11", HealthCheck(**check))
    return HealthChecker(state).problem(wanted)


async def test_a_program_that_ends_with_0_is_good_and_gets_the_machines_words(ask, tmp_path):
    told = tmp_path / "told"
    text = f'#!/bin/sh\necho "$RACKWRIGHT_MACHINE $RACKWRIGHT_HOSTNAME $1 $HOME" > {told}\n'
    assert await ask(text, "{address}:80") == ""
    assert told.read_text("utf-8") == "node-01 web-01 10.77.0.11:80 \n"


async def test_the_last_line_of_a_program_that_is_not_good_is_the_reason(ask):
    text = "#!/bin/sh\necho one\necho 'no answer from the database' >&2\nexit 3\n"
    assert await ask(text) == "check ended with status 3: no answer from the database"


@pytest.mark.parametrize("how", ["setsid sleep 55 &", "sleep 55 &"])
async def test_what_a_program_leaves_behind_is_not_waited_for(ask, how):
    began = monotonic()
    assert await ask(f"#!/bin/sh\n{how}\nexit 0\n") == ""
    assert monotonic() - began < 4


def is_there(process):
    """Return whether a process is there that has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_program_that_does_not_end_is_ended_with_what_it_began(ask, tmp_path):
    text = f"#!/bin/sh\nsleep 55 &\necho $! > {tmp_path}/child\nsleep 55\n"
    assert await ask(text) == "check did not end within 5 s"
    child = int((tmp_path / "child").read_text())
    async with asyncio.timeout(10):
        while is_there(child):  # noqa: ASYNC110 - the kernel tells nobody else
            await asyncio.sleep(0.01)


async def test_many_programs_that_hang_hold_nobody_up(ask, tmp_path):
    assert await ask('#!/bin/sh\ntest -z "$1" || sleep 55\n') == ""
    began = monotonic()
    looks = (look(tmp_path, command=("check", "hang")) for _ in range(20))
    problems = await asyncio.gather(*looks)
    assert set(problems) == {"check did not end within 5 s"}
    assert monotonic() - began < 20


async def test_however_much_a_program_says_the_end_is_kept_and_shortened(ask):
    text = "#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' x\nexit 1\n"
    problem = await ask(text)
    assert problem.startswith("check ended with status 1: xxx")
    assert len(problem) < 300


async def test_bytes_that_are_no_text_are_shown_as_such(ask):
    problem = await ask("#!/bin/sh\nprintf '\\377\\376 broken'\nexit 1\n")
    assert problem == "check ended with status 1: \ufffd\ufffd broken"


async def test_what_is_no_program_is_said(ask, tmp_path):
    assert (await ask("\x00\x01")).startswith("check cannot be started: ")
    (tmp_path / "health-checks/check").chmod(0o644)
    path = tmp_path / "health-checks/check"
    assert await look(tmp_path, command=("check",)) == f"{path} is not executable"
    path.unlink()
    assert await look(tmp_path, command=("check",)) == f"there is no program {path}"
    path.mkdir()
    assert await look(tmp_path, command=("check",)) == f"there is no program {path}"


@pytest.fixture
async def site():
    """Return the address of a server: /STATUS answers with that, /hang never."""
    done = asyncio.Event()

    async def answer(request):
        if request.path == "/hang":
            await done.wait()
        status = int(request.match_info["status"])
        return web.Response(status=status, headers={"Location": "/200"})

    application = web.Application()
    application.add_routes([web.get("/{status:[0-9]+}", answer), web.get("/hang", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    host, port = server._server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    done.set()
    await runner.cleanup()


async def test_an_answer_of_200_to_299_is_good_and_a_redirect_is_none(tmp_path, site):
    found = {
        status: await look(tmp_path, url=f"{site}/{status}") for status in (200, 204, 301, 503)
    }
    assert found == {
        200: "",
        204: "",
        301: f"{site}/301 answered 301",
        503: f"{site}/503 answered 503",
    }


async def test_an_address_that_does_not_answer_is_said_in_a_line(tmp_path, site, monkeypatch):
    monkeypatch.setattr(health_check, "SECONDS", 1.0)
    assert await look(tmp_path, url=f"{site}/hang") == f"{site}/hang gave no answer within 1 s"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    said = f"http://127.0.0.1:{port}/ cannot be reached: Connection refused"
    assert await look(tmp_path, url=f"http://127.0.0.1:{port}/") == said


async def test_a_machine_without_an_address_cannot_be_asked(tmp_path):
    wanted = Look("1" * 32, "node-01", "node-01", "", HealthCheck(url="http://{address}/"))
    assert await HealthChecker(tmp_path).problem(wanted) == "no address of it is known"
