"""The agent as a service of an installed system: reports it and waits for work."""

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from attrs import evolve, field, frozen

from agent.clock import Clock, local_time
from agent.commands.windows.host import ThisWindows
from agent.config import AgentConfig, load_config, save_config
from agent.credentials import Credentials, CredentialStore
from agent.duties import Duty
from agent.enroll import Invitation, enroll
from agent.exchange import ExchangeFile
from agent.fetched_files import FetchedFiles
from agent.inspection.host_paths import HostPaths
from agent.installed import InstalledOperation
from agent.inventory.collector import Collector
from agent.inventory.duty import InventoryChannel, InventoryDuty
from agent.inventory.kept_inventory import KeptInventory
from agent.inventory.linux import LinuxCollector
from agent.journal import Journal
from agent.machine import LocalMachine
from agent.membership import InstalledMembership
from agent.packages.linux import LinuxSystem
from agent.power import Power, SystemPower
from agent.readmission import Readmission
from agent.renewal import Renewal
from agent.retry import RetryPolicy
from agent.session import Session, SessionOptions, SessionResources
from agent.shutdown.pending import PoliteWays
from agent.steps.packages import Software
from agent.steps.run import StepRunner, run_step
from agent.transport import KnownAuthority, Transport
from agent.updates.channel import UpdateChannel
from agent.updates.kept import KeptUpdates
from agent.updates.updater import UpdateResources, Updates
from agent.upgrade.confirmation import Confirmation
from agent.windows.inventory import WindowsCollector
from agent.windows.machine import WindowsMachine
from agent.windows.power import WindowsPower
from agent.windows.system import WindowsSystem

_log = logging.getLogger(__name__)
_ENVIRONMENT = "installed"
_FOR_DAYS = RetryPolicy(first=2.0, cap=300.0)


@frozen
class RunningSystem:
    """The installed system that the agent serves; the defaults are the one that it runs in."""

    paths: HostPaths = field(factory=HostPaths)
    power: Power = field(factory=SystemPower)
    clock: Clock = field(factory=Clock)
    do_step: StepRunner = run_step
    polite: PoliteWays | None = field(factory=PoliteWays)
    software: Software = LinuxSystem
    """What updates are installed on; steps have their own."""
    wall: Callable[[], datetime] = local_time

    def machine(self, operation: InstalledOperation | None = None) -> LocalMachine:
        """Return the machine that it runs on."""
        return LocalMachine(_ENVIRONMENT, self.paths, operation=operation)

    def collector(self) -> Collector | None:
        """Return what takes its inventory; None where nothing does."""
        return LinuxCollector(self.paths)


@frozen
class RunningWindows(RunningSystem):
    """The Windows that the agent runs in; ``state`` is its folder.

    Nobody is asked before it is restarted or switched off.
    """

    state: Path = field(kw_only=True)
    power: Power = field(kw_only=True)
    software: Software = field(kw_only=True)
    do_step: StepRunner = field(kw_only=True)
    polite: PoliteWays | None = None

    @power.default
    def _power(self) -> Power:
        return WindowsPower(ThisWindows(self.state))

    @software.default
    def _software(self) -> Software:
        windows = ThisWindows(self.state)
        return lambda runs, _: WindowsSystem(windows, runs)

    @do_step.default
    def _do_step(self) -> StepRunner:
        return partial(run_step, software=self.software)

    def machine(self, operation: InstalledOperation | None = None) -> LocalMachine:
        """Return the machine that it runs on."""
        windows = ThisWindows(self.state)
        return WindowsMachine(_ENVIRONMENT, self.paths, operation=operation, windows=windows)

    def collector(self) -> Collector | None:
        """Return what takes its inventory."""
        return WindowsCollector(ThisWindows(self.state))


def run_service(config_path: Path, state: Path, system: RunningSystem | None = None) -> None:
    """Enroll at the first start, then report and work until the system stops.

    A server that is away is waited for, however long. TerminalError where the
    configuration cannot be used or the server refuses the enrollment.
    """
    config = load_config(config_path)
    system = system or _this_system(state)
    clock = system.clock
    store = CredentialStore(state)
    credentials = credentials_for(config, config_path, store, system.machine(), clock)
    machine = system.machine(InstalledOperation(config_path, load_config(config_path)))
    transport = Transport(config.server, KnownAuthority(credentials.authority), credentials)
    renewal = Renewal(transport, store, credentials, clock)
    readmission = Readmission(transport, store, renewal, machine.hardware, clock)
    resources = SessionResources(
        transport=transport,
        machine=machine,
        power=system.power,
        journal=Journal(state / "operation.json"),
        clock=clock,
        do_step=system.do_step,
        files=FetchedFiles(transport, state, clock),
        polite=system.polite,
        duties=(Confirmation(state), *_inventory(system, state, transport), renewal),
        updates=_updates(system, state, transport),
        membership=InstalledMembership(ExchangeFile(state / "exchange"), renewal, readmission),
    )
    options = SessionOptions(_ENVIRONMENT, credentials.machine, outlives_refusal=True)
    try:
        Session(options, resources).run()
    finally:
        transport.close()


def _inventory(system: RunningSystem, state: Path, transport: Transport) -> Iterator[Duty]:
    collector = system.collector()
    if collector is not None:
        kept, channel = KeptInventory(state / "inventory"), InventoryChannel(transport)
        yield InventoryDuty(collector, kept, channel, system.clock)


def _updates(system: RunningSystem, state: Path, transport: Transport) -> Updates:
    return Updates(
        UpdateResources(
            channel=UpdateChannel(transport),
            kept=KeptUpdates(state / "updates.json"),
            files=FetchedFiles(transport, state, system.clock, "updates"),
            state=state,
            software=system.software,
            power=system.power,
            clock=system.clock,
            wall=system.wall,
            polite=system.polite,
        )
    )


def _this_system(state: Path) -> RunningSystem:
    if sys.platform == "win32":
        state.mkdir(parents=True, exist_ok=True)
        return RunningWindows(state=state)
    return RunningSystem()


def credentials_for(
    config: AgentConfig,
    config_path: Path,
    store: CredentialStore,
    machine: LocalMachine,
    clock: Clock,
) -> Credentials:
    """Return the agent's credentials, enrolling once; afterwards the token is nowhere on disk."""
    invitation = Invitation(config.server, config.pin, config.token, _ENVIRONMENT)
    system = machine.system([]) if config.token else None
    credentials = enroll(invitation, store, machine.hardware(), _FOR_DAYS, clock, system)
    if config.token:
        save_config(config_path, evolve(config, token="", machine=credentials.machine))
    return credentials
