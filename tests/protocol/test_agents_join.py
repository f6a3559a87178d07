"""A system that was installed by hand: the real agent joins, is adopted, and gets work."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from json import loads
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from builders.world import a_machine

from agent.clock import Clock
from agent.config import AgentConfig, load_config, save_config
from agent.errors import TerminalError
from agent.inspection.host_paths import HostPaths
from agent.service import RunningSystem, run_service
from providers.netboot.decision import BootRequest
from reconciler.loop.power_requests import PowerRequest
from specs.compile.fleet import compile_fleet
from tests.protocol.test_agent_programs import RecordedPower
from tests.protocol.test_agent_reports import NODE, OTHER, Server, now, serving
from tests.unit.agent_sysfs import add_interface, write_tree

pytestmark = pytest.mark.timeout(120)

THIRD = a_machine(3)
MAC, UUID = "52:54:00:aa:00:07", "4c4c4544-0042-3510-8052-b4c04f4e4a32"
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: lab}
---
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: makers}
spec: {match: {vendors: ["Nobody*"]}, group: lab/makers}
"""


class StopsError(BaseException):
    """What ends an agent that would go on for ever."""


class Host:
    """A machine with a system that was installed by hand, and the real agent in it."""

    def __init__(self, folder: Path, server: Server, token: str, mac: str, uuid: str) -> None:
        self.power = RecordedPower()
        self.refusal = ""
        self._stops = threading.Event()
        self.paths = HostPaths(folder / "sys", folder / "proc", folder / "dev", folder / "root")
        add_interface(self.paths.sysfs, "ens3", {"address": mac, "device/vendor": "0x1af4"})
        write_tree(
            folder,
            {
                "sys/class/dmi/id/product_uuid": uuid,
                "sys/class/dmi/id/product_serial": "5CG8243XYZ",
                "sys/class/dmi/id/sys_vendor": "Dell Inc.",
                "sys/class/dmi/id/product_name": "PowerEdge R650",
                "proc/sys/kernel/hostname": "web-7.example.net",
                "root/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12"',
                "root/etc/machine-id": "7" * 32,
            },
        )
        self.config = folder / "agent.json"
        save_config(self.config, AgentConfig(server.url, server.pin, token, "", ""))
        self._state = folder / "state"
        self.start()

    def start(self) -> None:
        self._stops.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        system = RunningSystem(self.paths, self.power, Clock(self._monotonic, self._pause))
        try:
            run_service(self.config, self._state, system)
        except TerminalError as error:
            self.refusal = error.cause
        except StopsError:
            return

    def _monotonic(self) -> float:
        if self._stops.is_set():
            raise StopsError
        return monotonic()

    def _pause(self, seconds: float) -> None:
        if self._stops.wait(min(seconds, 0.05)):
            raise StopsError

    async def ends(self) -> None:
        await asyncio.to_thread(self._thread.join, 30)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self._stops.set()


class Room:
    """A server, its repository and the command line beside it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.fleet = folder / "fleet"
        self.fleet.mkdir()
        (self.fleet / "fleet.yaml").write_text(FLEET, "utf-8")
        self.folder = folder
        self.hosts: list[Host] = []

    async def run(self, *arguments: str, expect: int = 0) -> str:
        options = ("--repo", str(self.fleet), "--state", str(self.server.directory))
        command = [sys.executable, "-m", "reconciler.cli", *arguments, *options]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == expect, done.stderr
        return str(done.stdout)

    async def token(self, *terms: str) -> Any:
        port = self.server.url.rpartition(":")[2]
        new = ("agent", "token", "new", "--https-port", port, "--format", "json")
        made = loads(await self.run(*new, *terms))
        assert (made["server"], made["pin"]) == (self.server.url, self.server.pin)
        return made

    def host(self, token: str, mac: str = MAC, uuid: str = UUID) -> Host:
        folder = self.folder / f"host-{len(self.hosts)}"
        self.hosts.append(Host(folder, self.server, token, mac, uuid))
        return self.hosts[-1]

    async def until(self, condition: Callable[[], object]) -> None:
        end = monotonic() + 20
        while not condition():
            assert monotonic() < end, "it did not happen"
            await asyncio.sleep(0.05)

    def agents(self) -> list[str]:
        """Return the host names that are known of machines of no document."""
        return [each.hostname for each in self.server.plane.discovered.all()]


@pytest.fixture(autouse=True)
def brief_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.session.POLL_WAIT_SECONDS", 1)


@asynccontextmanager
async def a_room(folder: Path) -> AsyncIterator[Room]:
    (folder / "state").mkdir()
    async with serving(folder / "state", NODE, OTHER) as server:
        room = Room(server, folder)
        try:
            yield room
        finally:
            for host in room.hosts:
                host.stop()
    for host in room.hosts:
        await host.ends()


async def test_a_system_installed_by_hand_joins_is_adopted_and_gets_work(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        plane = room.server.plane
        made = await room.token("--group", "lab", "--reason", "web-7 by hand")
        asked = BootRequest("proxy-dhcp", MAC, "", 7, "10.20.7.1", "x", "10.20.7.1")
        plane.reconciler.boots.record(asked, now(), known=False)
        plane.reconciler.boots.write_all()
        host = room.host(made["token"])
        name = f"discovered:uuid:{min(UUID, '44454c4c-4200-1035-8052-b4c04f4e4a32')}"
        await room.until(lambda: room.agents() == ["web-7.example.net"])
        await room.until(lambda: load_config(host.config).machine == name)
        assert load_config(host.config).token == ""

        listed = loads(await room.run("status", "--format", "json", expect=0))
        (known,) = listed["discovered"]
        assert (known["macs"], known["uuid"], known["relay"]) == ([MAC], UUID, "10.20.7.1")
        assert known["askedForBoot"]
        agent = known["agent"]
        assert (agent["serial"], agent["product"]) == ("5CG8243XYZ", "PowerEdge R650")
        assert (agent["os"], agent["token"]) == ("Debian GNU/Linux 12", made["id"])
        assert plane.grants.last_enrolled(name) is not None
        said = await room.run("status")
        assert f"  {MAC}  web-7.example.net, Dell Inc. PowerEdge R650" in said.replace("\n", " ")
        said = await room.run("adopt")
        assert f"  belongs in group lab by token {made['id']}\n" in said

        said = await room.run("adopt", "web-7.example.net")
        assert f"adopted: web-7 ({MAC}), group lab -> machines.yaml\n" in said
        assert f"  by token {made['id']}, by which its agent joined\n" in said
        text = (room.fleet / "machines.yaml").read_text("utf-8")
        assert "addresses" not in text
        files = {each.name: each.read_bytes() for each in room.fleet.iterdir()}
        fleet = compile_fleet(files, "r").fleet
        assert fleet is not None
        assert host.power.calls == []
        room.server.use(NODE, OTHER, fleet.machines["web-7"])
        host.stop()
        await host.ends()
        plane.power_requests.put("web-7", PowerRequest("now", "reboot", lambda: True, now()))
        host.start()
        await host.ends()  # it was asked to restart
        assert host.power.calls == ["reboot"]
        seen = room.server.observed().machines["web-7"]
        assert seen.installed is not None
        assert seen.installed.report.hardware.serial == "5CG8243XYZ"
        machine = plane.machine_of_agent(name)
        assert machine is not None
        assert machine.name == "web-7"
        assert (await room.run("adopt")) == (
            "No unknown machine asked for a boot, and none has an agent.\n"
        )


async def test_hardware_of_a_document_joins_as_that_machine_and_a_used_token_ends(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as room:
        room.server.use(NODE, OTHER, THIRD)
        made = await room.token()
        host = room.host(made["token"], THIRD.macs[0], "")
        await room.until(lambda: room.server.observed().machines[THIRD.name].installed)
        await room.until(lambda: load_config(host.config).machine == THIRD.name)
        late = room.host(made["token"])
        await late.ends()
        assert f"RW511 token {made['id']} had 1 use, and none is left" in late.refusal
        (listed,) = loads(await room.run("agent", "token", "ls", "--all", "--format", "json"))[
            "tokens"
        ]
        assert [each["machine"] for each in listed["joined"]] == [THIRD.name]
        assert listed["joined"][0]["source"] == "127.0.0.1"
        kept = room.server.directory.glob("rackwright.db*")
        assert not any(made["token"].encode() in each.read_bytes() for each in kept)


async def test_hardware_of_two_machines_and_a_revoked_token_are_refused(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        made = await room.token("--uses", "5")
        both = room.host(made["token"], OTHER.macs[0], NODE.uuid)
        await both.ends()
        assert f"uuid:{NODE.uuid} is node-01's, mac:{OTHER.macs[0]} is node-02's" in both.refusal
        assert both.refusal.startswith("the server refused POST /v1/enroll")
        assert load_config(both.config).token == made["token"]
        await room.run("agent", "token", "revoke", made["id"], "--reason", "mailed around")
        revoked = room.host(made["token"])
        await revoked.ends()
        assert f"RW510 token {made['id']} was revoked by" in revoked.refusal
        assert room.agents() == []
