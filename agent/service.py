"""The agent as a service of an installed system: reports it and waits for work."""

import logging
from pathlib import Path

from attrs import evolve, field, frozen

from agent.clock import Clock
from agent.config import AgentConfig, load_config, save_config
from agent.credentials import Credentials, CredentialStore
from agent.enroll import Invitation, enroll
from agent.inspection.host_paths import HostPaths
from agent.installed import InstalledOperation
from agent.journal import Journal
from agent.machine import LocalMachine
from agent.power import Power, SystemPower
from agent.retry import RetryPolicy
from agent.session import Session, SessionOptions, SessionResources
from agent.transport import KnownAuthority, Transport

_log = logging.getLogger(__name__)
_ENVIRONMENT = "installed"
_FOR_DAYS = RetryPolicy(first=2.0, cap=300.0)


@frozen
class RunningSystem:
    """The installed system that the agent serves; the defaults are the one that it runs in."""

    paths: HostPaths = field(factory=HostPaths)
    power: Power = field(factory=SystemPower)
    clock: Clock = field(factory=Clock)


def run_service(config_path: Path, state: Path, system: RunningSystem | None = None) -> None:
    """Enroll at the first start, then report and work until the system stops.

    A server that is away is waited for, however long. TerminalError where the
    configuration cannot be used or the server refuses the enrollment.
    """
    config = load_config(config_path)
    system = system or RunningSystem()
    clock = system.clock
    credentials = credentials_for(
        config, config_path, CredentialStore(state), LocalMachine(_ENVIRONMENT, system.paths), clock
    )
    operation = InstalledOperation(config_path, load_config(config_path))
    machine = LocalMachine(_ENVIRONMENT, system.paths, operation=operation)
    transport = Transport(config.server, KnownAuthority(credentials.authority), credentials)
    resources = SessionResources(
        transport=transport,
        machine=machine,
        power=system.power,
        journal=Journal(state / "operation.json"),
        clock=clock,
    )
    options = SessionOptions(_ENVIRONMENT, credentials.machine, outlives_refusal=True)
    try:
        Session(options, resources).run()
    finally:
        transport.close()


def credentials_for(
    config: AgentConfig,
    config_path: Path,
    store: CredentialStore,
    machine: LocalMachine,
    clock: Clock,
) -> Credentials:
    """Return the agent's credentials, enrolling once; afterwards the token is nowhere on disk."""
    invitation = Invitation(config.server, config.pin, config.token, _ENVIRONMENT)
    credentials = enroll(invitation, store, machine.hardware(), _FOR_DAYS, clock)
    if config.token:
        save_config(config_path, evolve(config, token="", machine=credentials.machine))
    return credentials
