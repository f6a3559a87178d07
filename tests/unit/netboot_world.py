"""A small network for the tests of network boot: captured packets, and a recording authority."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from providers.netboot.decision import (
    AskAgain,
    BootAnswer,
    BootRequest,
    DeployOS,
    EnrollmentCredentials,
    Grant,
    decide,
)
from providers.netboot.dhcp_codec import decode
from providers.netboot.dhcp_message import DhcpMessage
from specs.diagnostics.position import Position
from specs.fleet import CompiledNetwork
from specs.types.address_range import AddressRange

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MAC = "52:54:00:12:34:56"
OTHER_MAC = "52:54:00:00:00:02"
SERVER = IPv4Address("10.77.0.1")
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4a32"

_MAGIC = "63825363"


def _captured(head: str, options: str) -> bytes:
    """Return a packet whose sname and file were zeros: head up to chaddr, then options."""
    return bytes.fromhex(head).ljust(236, b"\0") + bytes.fromhex(_MAGIC + options)


IPXE_BIOS_DISCOVER = _captured(
    "01010600554c611a00040000000000000000000000000000000000005254001234560000",
    "350101390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e4449"
    "3a3030323030314d04695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b10501"
    "1af41000eb030100001701012201011301011101012701011901012901011001022101011501011801011b"
    "01013d070152540012345661110044454c4c420010358052b4c04f4e4a32ff",
)
"""iPXE 1.0.0 in QEMU's virtio NIC under SeaBIOS, with ``-uuid`` set to ``UUID``."""

OVMF_DISCOVER = _captured(
    "01010600dcae32b300008000000000000000000000000000000000005254001234560000",
    "350101390205c037230102030405060c0d0f111216171c28292a2b3233363a3b3c42436180818283848586"
    "8761110044454c4c420010358052b4c04f4e4a325e030103005d0200073c20505845436c69656e743a4172"
    "63683a30303030373a554e44493a303033303030ff",
)
"""OVMF 2022.11's own PXE client, asking everyone."""

OVMF_ASKS_4011 = _captured(
    "01010600f1f9dfcf000000000a4d006f000000000000000000000000525400123456",
    "350103372301020304050"
    "60c0d0f111216171c28292a2b3233363a3b3c42436180818283848586"
    "87390205c03c20505845436c69656e743a417263683a30303030373a554e44493a3030333030305d020007"
    "5e0301030061110044454c4c420010358052b4c04f4e4a32ff",
)
"""The same, asking the ProxyDHCP server on port 4011; its address is 10.77.0.111."""

UDHCPC_DISCOVER = _captured(
    "01010600a600f9430000000000000000000000000000000000000000dea42babbf380000",
    "3501013902024037070103060c0f1c2a3c0c756468637020312e33352e303d0701dea42babbf38ff",
)
"""udhcpc 1.35 on an installed system."""

CAPTURES = (IPXE_BIOS_DISCOVER, OVMF_DISCOVER, OVMF_ASKS_4011, UDHCPC_DISCOVER)


def captured(packet: bytes) -> DhcpMessage:
    return decode(packet)


def network(
    mode: Literal["server", "proxy", "off"] = "server",
    *,
    name: str = "rack",
    subnet: str = "10.77.0.0/24",
    pool: tuple[str, str] | None = ("10.77.0.50", "10.77.0.59"),
) -> CompiledNetwork:
    net = IPv4Network(subnet)
    return CompiledNetwork(
        name=name,
        subnet=net,
        gateway=net[254],
        nameservers=(IPv4Address("192.0.2.53"),),
        domain="rack.example",
        dhcp_mode=mode,
        dhcp_range=None
        if pool is None
        else AddressRange(IPv4Address(pool[0]), IPv4Address(pool[1])),
        lease_seconds=3600,
        position=Position("net.yaml", 1, 1),
    )


def grant(mac: str = MAC, *, uuid: str = "", minutes: int = 5) -> Grant:
    return Grant("op-1", 1, "node-1", (mac,), uuid, NOW + timedelta(minutes=minutes))


CREDENTIALS = EnrollmentCredentials("https://10.77.0.1:8443", "ab" * 32, "t0ken-0123456789_AB")


@dataclass
class RecordingAuthority:
    """The production decision over a list of grants; remembers who asked what."""

    grants: list[Grant] = field(default_factory=list)
    now: datetime = NOW
    credentials_answer: EnrollmentCredentials | None = CREDENTIALS
    fails: bool = False
    decided: list[BootRequest] = field(default_factory=list)
    unproved: str = ""
    answers: list[BootAnswer] = field(default_factory=list)
    noted: list[BootRequest] = field(default_factory=list)
    credentials_minted: int = 0
    sent_to: list[str] = field(default_factory=list)

    def decide(self, request: BootRequest) -> BootAnswer:
        self.decided.append(request)
        if self.fails:
            raise RuntimeError("database is locked")
        answer: BootAnswer = decide(request, tuple(self.grants), self.now)
        if self.unproved:
            answer = AskAgain(self.unproved)
        self.answers.append(answer)
        return answer

    def credentials(self, grant: Grant, address: str) -> EnrollmentCredentials | None:
        assert grant in self.grants
        self.sent_to.append(address)
        self.credentials_minted += 1
        return self.credentials_answer

    def note(self, request: BootRequest) -> None:
        self.noted.append(request)
        if self.fails:
            raise RuntimeError("database is locked")

    @property
    def said_deploy(self) -> bool:
        """Return whether any answer so far let a machine boot the Deploy-OS."""
        return any(isinstance(answer, DeployOS) for answer in self.answers)
