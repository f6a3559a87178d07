"""Many installed agents that only report and ask for work: what they cost the server.

    make bench NAME=agents                                   # as root: 9,000 agents, some minutes
    make bench NAME=agents ARGUMENTS="--agents 40000"

runs the whole service, with its listeners, in a network namespace of its own on the state of
``generated_state``. The agents are TLS connections of another process that send what agents of
installed systems send, as often: a report, two looks for work that wait 25 seconds each, and so
on. The server's processor time and memory are printed, once while all connect and once while
they only report, and written to benchmarks/out/agents.json. Figures are of one run.
How many agents there can be is a matter of open files: the server needs two for each.
"""

import asyncio
import gc
import json
import os
import platform
import resource
import ssl
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import click
import structlog
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from generated_state import NOW, fill, generated, generated_machine
from server import SERVER, MeasuredService, enter_own_network, measured_fleet, resident_mib

from agent.session import POLL_WAIT_SECONDS, REPORT_SECONDS
from agent.wire.codec import encode
from reconciler.server.service import ServiceSettings
from reconciler.state.database import open_database

OUT = Path(__file__).parents[1] / "benchmarks/out/agents.json"
PORT = 8443
_CONNECTING = 100
"""Agents that shake hands at once."""


class Agent:
    """One installed agent, without a system: its reports are made up."""

    def __init__(self, number: int, trust: Path) -> None:
        self._machine = generated_machine(number)
        self._context = ssl.create_default_context(cafile=str(trust / "ca.crt"))
        self._context.load_cert_chain(trust / f"{self._machine.name}.crt", trust / "agent.key")
        report = generated(self._machine).installed
        # Its agent was told that the operation is verified, and says so ever since.
        system = evolve(report.installed, finished=NOW.isoformat())
        self._report = evolve(report, installed=system)
        self._address = str(self._machine.addresses[0].ip), 0

    async def connect(self, turn: asyncio.Semaphore) -> None:
        """Shake hands and report once."""
        async with turn:
            self._reader, self._writer = await asyncio.open_connection(
                str(SERVER), PORT, ssl=self._context, limit=1 << 14, local_addr=self._address
            )
            del self._context
            await self.report()

    async def work(self, random: Random) -> None:
        """Report and wait for work as ``agent.session`` does, for ever."""
        now = asyncio.get_running_loop().time
        reported = now() - random.random() * REPORT_SECONDS
        await self._look(int(random.random() * POLL_WAIT_SECONDS))
        while True:
            if now() >= reported + REPORT_SECONDS - POLL_WAIT_SECONDS:
                await self.report()
                reported = now()
            await self._look(POLL_WAIT_SECONDS)

    async def _look(self, wait: int) -> None:
        await self._send(f"GET /v1/work?wait={wait} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    async def report(self) -> None:
        """Say how the machine is: the uptime is another each time."""
        self._report = evolve(self._report, uptime=self._report.uptime + int(REPORT_SECONDS))
        body = encode(self._report)
        head = f"POST /v1/report HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        await self._send(head.encode() + body)

    async def _send(self, request: bytes) -> None:
        self._writer.write(request)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except EOFError as error:
            raise SystemExit(f"the server hung up on {request[:40]!r}") from error
        status = int(head.split(b" ", 2)[1])
        if status not in {200, 204}:
            raise SystemExit(f"the server answers {head.decode()}")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self._reader.readexactly(int(line.partition(b":")[2]))


async def act(agents: Sequence[Agent], seconds: float) -> None:
    """Connect all agents, then have them report; say on standard output how far it is."""
    turn = asyncio.Semaphore(_CONNECTING)
    random = Random(1)  # noqa: S311 - spreads them out, alike in each run
    work = []

    async def begin(agent: Agent) -> None:
        await agent.connect(turn)
        work.append(asyncio.create_task(agent.work(random)))

    await asyncio.gather(*(begin(each) for each in agents))
    gc.freeze()
    print("connected", flush=True)
    await asyncio.wait(work, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in work:
        if each.done():
            each.result()
    os._exit(0)


def certify(service: MeasuredService, count: int, trust: Path) -> None:
    """Write a certificate of each machine's installed agent; all have one key."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    (trust / "ca.crt").write_text(service.authority.authority_pem)
    (trust / "agent.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    now = datetime.now(UTC)
    for number in range(count):
        name = generated_machine(number).name
        signed = service.authority.sign_agent(pem, name, "installed", now, number + 1)
        (trust / f"{name}.crt").write_text(signed)


async def measure(machines: int, agents: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Return the figures of one run."""
    fleet = measured_fleet(machines, 1)
    database = open_database(folder / "rackwright.db")
    fill(database, fleet, datetime.now(UTC))
    (folder / "boot").mkdir()
    trust = folder / "agents"
    trust.mkdir(mode=0o700)
    settings = ServiceSettings(folder, folder / "boot", unattended=True)
    service = MeasuredService(settings, fleet, database, lambda: datetime.now(UTC))
    async with service:
        await service.rest()
        figures: dict[str, Any] = {"machines": machines, "agents": agents}
        certify(service, agents, trust)
        figures["MiB before"] = resident_mib()
        command = [sys.executable, __file__, "--client", str(trust), "--agents", str(agents)]
        client = await asyncio.create_subprocess_exec(
            *command, "--seconds", str(seconds), stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None  # noqa: S101 - it is piped
        began, cpu = perf_counter(), process_time()
        await client.stdout.readline()
        took = perf_counter() - began
        figures["connecting, processor ms each"] = (process_time() - cpu) / agents * 1000
        figures["connected in s"] = took
        await asyncio.sleep(min(10.0, seconds / 10))
        began, cpu = perf_counter(), process_time()
        await asyncio.sleep(seconds * 0.8)
        share = (process_time() - cpu) / (perf_counter() - began)
        figures["processor, of one core"] = share
        figures["processor ms for each agent and minute"] = share * 60_000 / agents
        figures["MiB"] = resident_mib()
        figures["KiB for each agent"] = (figures["MiB"] - figures["MiB before"]) * 1024 / agents
        if await client.wait():
            raise SystemExit("the agents' process failed")
    database.close()
    return figures


@click.command()
@click.option("--machines", default=40_000, show_default=True)
@click.option("--agents", default=9_000, show_default=True)
@click.option("--seconds", default=120.0, show_default=True)
@click.option("--client", type=click.Path(path_type=Path), hidden=True)
def main(machines: int, agents: int, seconds: float, client: Path | None) -> None:
    """Measure, print the figures and write benchmarks/out/agents.json."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if client is not None:
        asyncio.run(act([Agent(number, client) for number in range(agents)], seconds))
        return
    enter_own_network()
    for arguments in (
        ("link", "set", "lo", "up"),
        ("route", "add", "local", "10.0.0.0/8", "dev", "lo"),  # any agent's address is ours
    ):
        subprocess.run(["ip", *arguments], check=True)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with TemporaryDirectory() as folder:
        figures = asyncio.run(measure(machines, min(agents, machines), seconds, Path(folder)))
    figures |= {"load average": os.getloadavg(), "python": platform.python_version()}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        text = f"{value:,.2f}" if isinstance(value, float) else str(value)
        click.echo(f"{name:<40} {text}")


if __name__ == "__main__":
    main()
