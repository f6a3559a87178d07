"""The agent in the Deploy-OS: enrolls with the boot token, works, ends with the machine."""

import logging
from pathlib import Path

from attrs import field, frozen

from agent.bootline import DEFAULT_IDLE_SECONDS, BootLine, parse_boot_line
from agent.clock import Clock
from agent.console import ConsoleKeys
from agent.credentials import CredentialStore
from agent.departure import Keys
from agent.enroll import Invitation, enroll
from agent.errors import CodedError
from agent.evidence import EvidenceSources
from agent.inspection.host_paths import HostPaths
from agent.inspection.records import KernelRecords, MachineRecords
from agent.journal import Journal
from agent.log import LogMemory
from agent.machine import LocalMachine
from agent.power import KernelPower, Power
from agent.retry import RetryPolicy
from agent.session import Session, SessionOptions, SessionResources
from agent.steps.run import StepRunner, run_step
from agent.transport import PinnedServer, Transport

_log = logging.getLogger(__name__)
_ENVIRONMENT = "deploy-os"
_REMINDER_SECONDS = 60.0


@frozen
class RamSystem:
    """What the agent acts on; the defaults are the machine that it runs on."""

    paths: HostPaths = field(factory=HostPaths)
    power: Power = field(factory=KernelPower)
    clock: Clock = field(factory=Clock)
    do_step: StepRunner = run_step
    records: MachineRecords = field(factory=KernelRecords)
    log: LogMemory = field(factory=LogMemory)
    keys: Keys = field(factory=lambda: ConsoleKeys(HostPaths()))


def run_deploy_os(command_line: Path, state: Path, system: RamSystem | None = None) -> None:
    """Work until the machine restarts or switches off.

    ``command_line`` is ``/proc/cmdline``; ``state`` has to be on tmpfs, or the key would
    outlive the session. Init starts an agent that ends again, so whatever makes work
    impossible (a refusal above all, whose repetition would only raise alarms) stays on
    the screen for the idle time, and then the machine is switched off.
    """
    system = system or RamSystem()
    idle = float(DEFAULT_IDLE_SECONDS)
    try:
        boot = parse_boot_line(command_line.read_text("utf-8", errors="replace"))
        idle = float(boot.idle)
        with system.log.attached():
            _work(boot, state, system)
    except CodedError as error:
        give_up(error, idle, system.clock, system.power)


def _work(boot: BootLine, state: Path, system: RamSystem) -> None:
    """Enroll and run the session.

    The server stays pinned by its certificate's fingerprint: unlike a certificate's
    dates that does not depend on the machine's clock.
    """
    clock = system.clock
    machine = LocalMachine(_ENVIRONMENT, system.paths, boot_mac=boot.boot_mac)
    invitation = Invitation(boot.server, boot.pin, boot.token, _ENVIRONMENT)
    policy = RetryPolicy(first=1.0, cap=15.0, limit=float(boot.idle))
    hardware = machine.hardware()
    credentials = enroll(invitation, CredentialStore(state), hardware, policy, clock)
    _log.info("this machine is %s, its server %s", credentials.machine, boot.server)
    transport = Transport(boot.server, PinnedServer(boot.pin), credentials)
    resources = SessionResources(
        transport=transport,
        machine=machine,
        power=system.power,
        journal=Journal(state / "operation.json"),
        clock=clock,
        do_step=system.do_step,
        evidence=EvidenceSources(system.records, system.log, (boot.token, boot.pin)),
        keys=system.keys,
    )
    options = SessionOptions(_ENVIRONMENT, credentials.machine, idle=float(boot.idle))
    try:
        Session(options, resources).run()
    finally:
        transport.close()


def give_up(error: CodedError, seconds: float, clock: Clock, power: Power) -> None:
    """Show the error once a minute for that long, then switch the machine off."""
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        _log.error("STOPPED %s Switching off in %.0f s.", error, left)
        clock.pause(min(left, _REMINDER_SECONDS))
    power.poweroff()
