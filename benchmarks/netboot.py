"""DHCP offers and TFTP transfers beside dnsmasq and tftpd-hpa, in one run.

    make bench NAME=netboot           # as root, about four minutes
    make bench NAME=netboot ARGUMENTS="--runs 1 --seconds 2"

Server and client are two network namespaces with a cable between them. The DHCP client is a
relay with several machines in flight; leases and reservations are real (SQLite, 40,000
machines). It prints tables and writes benchmarks/out/netboot.json. Every figure is the median
of its runs, with the smallest and the largest; the servers take turns. tftpd-hpa is used if
it is installed, or named with --tftpd.
"""

import asyncio
import json
import logging
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep

import click
import structlog
from rich.console import Console
from rich.table import Table

from providers.netboot.decision import BootAnswer, BootRequest, EnrollmentCredentials, Grant, decide
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import Reservations
from providers.netboot.server import NetbootConfiguration, NetbootServer
from reconciler.state.database import open_database
from reconciler.state.leases import StoredLeases
from specs.diagnostics.position import Position
from specs.fleet import CompiledNetwork
from specs.types.address_range import AddressRange

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks/out/netboot.json"
SUBNET = IPv4Network("10.64.0.0/12")
SERVER, RELAY = SUBNET[1], SUBNET[2]
FIRST, LAST = IPv4Address("10.66.0.0"), IPv4Address("10.69.255.255")
RESERVED = IPv4Address("10.72.0.0")
LEASES, MACHINES = 15_000, 40_000
IN_FLIGHT = 32
FILE_BYTES = 16_000_000
TRANSFERS = 50
_WHOLE = 100
_SHORTEST, _CLASSIC_BLOCK = 240, 512
_MAGIC = bytes.fromhex("63825363")
_DISCOVER = bytes((53, 1, 1, 55, 4, 1, 3, 6, 51, 60, 9)) + b"PXEClient" + bytes((93, 2, 0, 7, 255))
console = Console()


def machine_mac(number: int) -> str:
    """Return the MAC of a machine of the fleet."""
    return f"52:54:01:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def leased_mac(number: int) -> str:
    """Return the MAC of a machine that holds a lease."""
    return f"52:54:02:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


# --- our server, run as a process of its own -------------------------------------------


class LocalDiskAuthority:
    """The production decision without any grant; it records nothing."""

    def decide(self, request: BootRequest) -> BootAnswer:
        """Return the local disk."""
        return decide(request, (), datetime.now(UTC))

    def credentials(self, grant: Grant) -> EnrollmentCredentials | None:
        """Return nothing."""
        del grant

    def note(self, request: BootRequest) -> None:
        """Record nothing."""


def serve(folder: Path, leases: int, machines: int) -> None:
    """Serve until killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    store = StoredLeases(open_database(folder / f"state-{leases}.db"))
    network = CompiledNetwork(
        name="rack",
        subnet=SUBNET,
        gateway=SERVER,
        nameservers=(SERVER,),
        domain="rack.example",
        dhcp_mode="server",
        dhcp_range=AddressRange(FIRST, LAST),
        lease_seconds=3600,
        position=Position("net.yaml", 1, 1),
    )
    reserved = Reservations((machine_mac(n), RESERVED + n) for n in range(machines))
    configuration = NetbootConfiguration(
        interface="bench0",
        address=SERVER,
        networks=lambda: (network,),
        reservations=lambda: reserved,
        boot_files=folder / "boot",
        http=f"http://{SERVER}:8080",
    )

    async def main() -> None:
        server = NetbootServer(configuration, LocalDiskAuthority(), store)
        await server.start()
        print("ready", flush=True)
        await server.watch()

    asyncio.run(main())


def write_leases(folder: Path) -> None:
    """Make our stores: an empty one, and one with leases that have months to go."""
    for count in (0, LEASES):
        database = open_database(folder / f"state-{count}.db")
        now = datetime.now(UTC)
        rows = [
            Lease("rack", FIRST + n, leased_mac(n), "bound", now + timedelta(days=300))
            for n in range(count)
        ]
        if rows:
            StoredLeases(database).put(rows[0])
            with database.writing() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO lease (network, address, mac, state, expires) "
                    "SELECT ?, ?, ?, ?, expires FROM lease LIMIT 1",
                    [("rack", str(row.address), row.mac, row.state) for row in rows[1:]],
                )
        database.close()


# --- the world around the servers ------------------------------------------------------


def quietly(*command: str) -> bytes:
    """Return what a command prints. Raises CalledProcessError if it fails."""
    return subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout


@contextmanager
def cable() -> Iterator[tuple[list[str], list[str]]]:
    """Yield the command prefixes of the server's namespace and the client's."""
    names = [f"rwbench{os.getpid()}{end}" for end in "sc"]
    prefixes = [["ip", "netns", "exec", name] for name in names]
    try:
        for name in names:
            quietly("ip", "netns", "add", name)
            quietly("ip", "-n", name, "link", "set", "lo", "up")
        link = ("link", "add", "bench0", "type", "veth", "peer", "bench0", "netns", names[1])
        quietly("ip", "-n", names[0], *link)
        for name, address in zip(names, (SERVER, RELAY), strict=True):
            quietly("ip", "-n", name, "address", "add", f"{address}/12", "dev", "bench0")
            quietly("ip", "-n", name, "link", "set", "bench0", "up")
        yield prefixes[0], prefixes[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@contextmanager
def running(
    command: list[str], ready: Callable[[subprocess.Popen[bytes]], object]
) -> Iterator[int]:
    """Run a server; yield its process id."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    ) as process:
        try:
            ready(process)
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
            yield process.pid
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def ours(prefix: list[str], folder: Path, leases: int, machines: int) -> list[str]:
    """Return the command of our server."""
    me = [sys.executable, str(Path(__file__))]
    return [*prefix, *me, "--serve", str(folder), str(leases), str(machines)]


def dnsmasq(prefix: list[str], folder: Path) -> list[str]:
    """Return the peer without leases or hosts: with 40,000 of them it takes minutes to start."""
    used = folder / "dnsmasq.leases"
    used.unlink(missing_ok=True)
    settings = (
        "--conf-file=/dev/null --keep-in-foreground --port=0 --interface=bench0 --no-ping "
        "--quiet-dhcp "
        f"--user=root --dhcp-lease-max=1000000 --dhcp-range={FIRST},{LAST},{SUBNET.netmask},3600 "
        f"--dhcp-leasefile={used} --enable-tftp --tftp-root={folder / 'boot'} --tftp-max=1000"
    )
    return [*prefix, "dnsmasq", *settings.split()]


def a_moment(process: subprocess.Popen[bytes]) -> None:
    """Wait for a server that does not say when it is ready."""
    del process
    sleep(1.5)


def first_line(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first line of a server."""
    if process.stdout is not None:
        process.stdout.readline()


# --- the clients ------------------------------------------------------------------------


def discover(number: int, mac: str) -> bytes:
    """Return a DISCOVER of x64 UEFI as a relay passes it on."""
    head = struct.pack("!BBBBIHH", 1, 1, 6, 1, number, 0, 0)
    addresses = bytes(12) + RELAY.packed
    return (head + addresses + bytes.fromhex(mac.replace(":", ""))).ljust(236, b"\0") + (
        _MAGIC + _DISCOVER
    )


def offers(kind: str, seconds: float) -> float:
    """Return the offers per second that a relay sees with ``IN_FLIGHT`` machines waiting."""
    start = int.from_bytes(os.urandom(2))

    def packet(number: int) -> bytes:
        if kind == "fleet":
            return discover(number, machine_mac(number % MACHINES))
        unknown = f"52:54:{16 + (number >> 16):02x}:{start % 256:02x}:"
        return discover(number, f"{unknown}{number >> 8 & 255:02x}:{number & 255:02x}")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((str(RELAY), 67))
        sock.settimeout(1)
        target = (str(SERVER), 67)
        sent = answered = 0
        for _ in range(IN_FLIGHT):
            sock.sendto(packet(sent), target)
            sent += 1
        began = perf_counter()
        while perf_counter() - began < seconds:
            try:
                reply = sock.recv(2000)
            except TimeoutError:
                reply = b""
            if len(reply) > _SHORTEST and reply[16:20] != bytes(4):
                answered += 1
            sock.sendto(packet(sent), target)
            sent += 1
        return answered / (perf_counter() - began)


def memory_growth(pid: int, storm: Callable[[], object]) -> float:
    """Return by how many MiB a process grows while ``storm`` blows."""

    def resident() -> float:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    before = resident()
    storm()
    return resident() - before


def fetch(prefix: list[str], block: int, transfers: int) -> float:
    """Return the MB per second that curl gets, several of them together."""
    options = ["--tftp-blksize", str(block)] if block != _CLASSIC_BLOCK else ["--tftp-no-options"]
    command = [*prefix, "curl", "--silent", "--fail", "--output", "/dev/null", *options]
    name = "large" if transfers == 1 else "small"
    began = perf_counter()
    clients = [subprocess.Popen([*command, f"tftp://{SERVER}/{name}"]) for _ in range(transfers)]
    if any(client.wait() for client in clients):
        raise SystemExit("a TFTP transfer failed")
    size = FILE_BYTES if transfers == 1 else FILE_BYTES // 8
    return size * transfers / (perf_counter() - began) / 1e6


# --- the whole ---------------------------------------------------------------------------

Figures = dict[str, list[float]]


def measure_offers(server: list[str], client: list[str], folder: Path, seconds: float) -> Figures:
    """Return offers per second, ours and the peer's."""
    me = [*client, sys.executable, str(Path(__file__)), "--offers"]

    def rate(kind: str) -> float:
        return float(quietly(*me, kind, str(seconds)))

    with running(dnsmasq(server, folder), a_moment):
        peer = rate("unknown")
    found: Figures = {}
    with running(ours(server, folder, 0, 0), first_line) as pid:
        unknown = rate("unknown")
        found["unknown machines"] = [unknown, peer]
        storm = [*me, "unknown", str(100_000 / unknown)]
        grown = memory_growth(pid, lambda: quietly(*storm))
    with running(ours(server, folder, LEASES, MACHINES), first_line):
        size = f"{LEASES:,} leases, {MACHINES:,} machines"
        found[f"unknown machines, {size}"] = [rate("unknown"), peer]
        found[f"machines of the fleet, {size}"] = [rate("fleet"), peer]
    console.print(f"{grown:.1f} MiB more after 100,000 requests of unknown machines")
    return found


def measure_tftp(server: list[str], client: list[str], folder: Path, tftpd: str | None) -> Figures:
    """Return MB per second, ours and the peers'."""
    commands = {"rackwright": (ours(server, folder, 0, 0), first_line)}
    commands["dnsmasq"] = (dnsmasq(server, folder), a_moment)
    if tftpd:
        listening = [tftpd, "--foreground", "--address", f"{SERVER}:69", "--secure"]
        commands["tftpd-hpa"] = ([*server, *listening, str(folder / "boot")], a_moment)
    found: Figures = {}
    for command, ready in commands.values():
        with running(command, ready):
            for block, transfers in ((_CLASSIC_BLOCK, 1), (1468, 1), (1468, TRANSFERS)):
                name = f"{transfers} at once, blocks of {block} bytes"
                found.setdefault(name, []).append(fetch(client, block, transfers))
    return found


def shown(values: list[float]) -> str:
    """Return the median with the smallest and the largest."""
    digits = 0 if median(values) >= _WHOLE else 1
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(title: str, names: list[str], rounds: list[Figures]) -> Table:
    """Return the figures with their ratios to the peers."""
    result = Table("what", *names, *(f": {name}" for name in names[1:]), title=title)
    for what in rounds[0]:
        columns = list(zip(*(figures[what] for figures in rounds), strict=True))
        ratios = [
            [mine / other for mine, other in zip(columns[0], column, strict=True)]
            for column in columns[1:]
        ]
        texts = [shown(list(column)) for column in columns]
        texts += [f"{median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in ratios]
        result.add_row(what, *texts)
    return result


@click.command()
@click.option("--runs", default=3, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each rate of offers.")
@click.option("--tftpd", default=None, help="tftpd-hpa's in.tftpd, if it is not on PATH.")
@click.option("--serve", "served", nargs=3, hidden=True)
@click.option("--offers", "offers_of", nargs=2, hidden=True)
def main(
    runs: int,
    seconds: float,
    tftpd: str | None,
    served: tuple[str, str, str] | None,
    offers_of: tuple[str, str] | None,
) -> None:
    """Measure network boot beside its peers."""
    if served:
        serve(Path(served[0]), int(served[1]), int(served[2]))
        return
    if offers_of:
        print(offers(offers_of[0], float(offers_of[1])))
        return
    tftpd = tftpd or shutil.which("in.tftpd")
    began = monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        (folder / "boot").mkdir()
        (folder / "boot/large").write_bytes(os.urandom(FILE_BYTES))
        (folder / "boot/small").write_bytes(os.urandom(FILE_BYTES // 8))
        write_leases(folder)
        server, client = stack.enter_context(cable())
        dhcp = [measure_offers(server, client, folder, seconds) for _ in range(runs)]
        tftp = [measure_tftp(server, client, folder, tftpd) for _ in range(runs)]
    console.print(table("DHCP, offers per second", ["rackwright", "dnsmasq"], dhcp))
    peers = ["rackwright", "dnsmasq", *(["tftpd-hpa"] if tftpd else [])]
    console.print(table("TFTP, MB per second", peers, tftp))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(
        json.dumps({"seconds": monotonic() - began, "dhcp": dhcp, "tftp": tftp}, indent=1)
    )


if __name__ == "__main__":
    main()
