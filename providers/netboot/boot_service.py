"""Where DHCP, TFTP and HTTP ask the control plane what a machine boots.

No other module of network boot calls the ``BootAuthority``, so no route can go
round it, and its failure is the local disk everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from typing import Literal

import structlog

from agent.errors import CodedError
from providers.netboot.boot_files import BootFiles
from providers.netboot.boot_policy import BootSite
from providers.netboot.boot_script import (
    GRUB_ASK_AGAIN,
    GRUB_LOCAL_DISK,
    GRUB_START_OVER,
    IPXE_LOCAL_DISK,
    grub_script,
    ipxe_ask_again,
    ipxe_script,
    kernel_command_line,
)
from providers.netboot.client_check import check_client
from providers.netboot.decision import (
    AskAgain,
    BootAnswer,
    BootAuthority,
    BootRequest,
    DeployOS,
    LocalDisk,
    Route,
)
from providers.netboot.lease_table import LeaseTable
from providers.netboot.log_rate import FailureLog
from providers.netboot.served_fleet import ServedFleet

Loader = Literal["ipxe", "grub"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BootService:
    """Asks, notes, and writes boot scripts. Used in the event loop's thread only."""

    authority: BootAuthority
    leases: LeaseTable
    files: BootFiles
    site: BootSite
    fleet: Callable[[], ServedFleet]
    now: Callable[[], datetime]
    _failures: FailureLog = field(default_factory=FailureLog)

    def decide(self, request: BootRequest) -> BootAnswer:
        """Return what the control plane answers; the local disk if it fails."""
        try:
            answer = self.authority.decide(request)
        except Exception as error:  # noqa: BLE001 - contained
            self._failures.report(
                "boot decision failed", error, mac=request.mac, route=request.route
            )
            return LocalDisk("the control plane failed to decide")
        if isinstance(answer, DeployOS):
            said, tell = f"Deploy-OS for {answer.grant.operation}", log.info
        elif isinstance(answer, AskAgain):
            said, tell = f"asks again: {answer.reason}", log.info
        else:
            said, tell = f"local disk: {answer.reason}", log.debug
        tell(
            "boot decision",
            mac=request.mac,
            route=request.route,
            source=request.source,
            detail=request.detail,
            answer=said,
        )
        return answer

    def note(self, request: BootRequest) -> None:
        """Hand the request to the boot timeline; a failure there stops no machine."""
        log.debug(
            "boot note",
            mac=request.mac,
            route=request.route,
            source=request.source,
            detail=request.detail,
        )
        try:
            self.authority.note(request)
        except Exception as error:  # noqa: BLE001 - contained
            self._failures.report("boot note failed", error, mac=request.mac, route=request.route)

    def note_transfer(self, route: Route, source: str, detail: str) -> None:
        """Note something about a file transfer under the MAC that leases ``source``."""
        lease = self.leases.of_address(IPv4Address(source))
        mac = lease.mac if lease is not None and lease.is_held(self.now()) else ""
        self.note(BootRequest(route, mac, "", None, source, detail))

    def script(self, loader: Loader, mac: str, source: str) -> str:
        """Return the boot script for ``mac``, as asked for from ``source``.

        Every doubt, from the client's address to a damaged build, gives the
        script that goes on to the local disk, with the reason in the timeline.
        """
        route: Route = "http" if loader == "ipxe" else "tftp"
        client = check_client(mac, IPv4Address(source), self.fleet(), self.leases, self.now())
        detail = f"asks for its {loader} script ({client.label})"
        request = BootRequest(route, mac, "", None, source, detail)
        if client.refusal is not None:
            self._refuse(request, str(client.refusal))
        else:
            answer = self.decide(request)
            if isinstance(answer, DeployOS):
                text = self._deploy_os(loader, request, answer)
                if text is not None:
                    return text
            elif isinstance(answer, AskAgain):
                return GRUB_ASK_AGAIN if loader == "grub" else ipxe_ask_again(self.site.http, mac)
        return _local_disk(loader, sent_by_us=client.sent_by_us)

    def _deploy_os(self, loader: Loader, request: BootRequest, answer: DeployOS) -> str | None:
        """Return the script that starts the Deploy-OS, None if there can be none."""
        try:
            # What can fail without the credentials comes first: minting one kills its
            # forerunner, which another script may carry.
            extra = self.files.kernel_arguments()
            credentials = self.authority.credentials(answer.grant, request.source)
            if credentials is None:
                self._refuse(request, "the grant is gone since the decision")
                return None
            command_line = kernel_command_line(credentials, request.mac, extra)
            if loader == "grub":
                return grub_script(command_line)
            return ipxe_script(command_line, self.site.http)
        except CodedError as error:
            self._refuse(request, str(error))
        except Exception as error:  # noqa: BLE001 - contained
            self._failures.report(
                "boot credentials failed", error, mac=request.mac, route=request.route
            )
        return None

    def _refuse(self, request: BootRequest, why: str) -> None:
        log.warning("boot script refused", mac=request.mac, source=request.source, reason=why)
        refused = f"{request.detail}: local disk, {why}"
        self.note(
            BootRequest(request.route, request.mac, request.uuid, None, request.source, refused)
        )


def _local_disk(loader: Loader, *, sent_by_us: bool) -> str:
    if loader == "ipxe":
        return IPXE_LOCAL_DISK
    return GRUB_START_OVER if sent_by_us else GRUB_LOCAL_DISK
