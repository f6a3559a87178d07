"""The network files of a restored system, word for word."""

import pytest

from agent.errors import TerminalError
from agent.identity.linux.network.detect import (
    IFUPDOWN,
    NETPLAN,
    NETWORK_MANAGER,
    NETWORKD,
    NetworkStack,
)
from agent.identity.linux.network.render import render
from agent.identity.linux.network.replaced import connection_type
from agent.identity.machine_identity import MachineIdentity, checked_identity
from agent.wire.disk import DiskIdentity
from agent.wire.step import ApplyIdentity


def step(**changes: object) -> ApplyIdentity:
    values: dict[str, object] = {
        "disk": DiskIdentity("", "s", "", 1),
        "hostname": "node-0713",
        "mac": "52:54:00:12:34:56",
        "addresses": ("10.20.7.13/24",),
        "gateway": "10.20.7.1",
        "nameservers": ("10.20.0.53", "10.20.1.53"),
        "server": "https://10.77.0.1:8443",
        "pin": "ab" * 32,
        "agent_token": "t-2",
        "operation": "op-1",
    }
    return ApplyIdentity(**{**values, **changes})  # type: ignore[arg-type]


STATIC = checked_identity(step())
DHCP = checked_identity(step(addresses=(), gateway="", nameservers=()))
BOTH = checked_identity(
    step(addresses=("10.20.7.13/24", "fd00:7::13/64"), gateway="fd00:7::1", nameservers=())
)


def rendered(stack: NetworkStack, identity: MachineIdentity) -> dict[str, tuple[str, int]]:
    return {path: (file.content, file.mode) for path, file in render(stack, identity).items()}


def test_networkd_with_static_addresses() -> None:
    assert rendered(NetworkStack(NETWORKD), STATIC) == {
        "/etc/systemd/network/10-rackwright.network": (
            """\
[Match]
MACAddress=52:54:00:12:34:56
Type=ether

[Network]
Address=10.20.7.13/24
Gateway=10.20.7.1
DNS=10.20.0.53
DNS=10.20.1.53
""",
            0o644,
        )
    }


def test_networkd_with_dhcp_asks_by_its_mac() -> None:
    assert rendered(NetworkStack(NETWORKD), DHCP) == {
        "/etc/systemd/network/10-rackwright.network": (
            """\
[Match]
MACAddress=52:54:00:12:34:56
Type=ether

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
""",
            0o644,
        )
    }


def test_resolv_conf_is_written_where_nothing_else_writes_it() -> None:
    files = rendered(NetworkStack(NETWORKD, writes_resolv_conf=True), STATIC)
    assert files["/etc/resolv.conf"] == ("nameserver 10.20.0.53\nnameserver 10.20.1.53\n", 0o644)
    assert "/etc/resolv.conf" not in rendered(NetworkStack(NETWORKD), STATIC)
    assert "/etc/resolv.conf" not in rendered(NetworkStack(NETWORKD, writes_resolv_conf=True), DHCP)


def test_ifupdown_with_two_families() -> None:
    assert rendered(NetworkStack(IFUPDOWN), BOTH) == {
        "/etc/network/interfaces": (
            """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback
""",
            0o644,
        ),
        "/etc/network/interfaces.d/rackwright": (
            """\
auto mac/52:54:00:12:34:56=rackwright

iface rackwright inet static
    address 10.20.7.13/24

iface rackwright inet6 static
    address fd00:7::13/64
    gateway fd00:7::1
""",
            0o644,
        ),
        "/etc/systemd/system/networking.service.d/10-rackwright.conf": (
            "[Service]\nExecStartPre=-/bin/udevadm settle --timeout=60\n",
            0o644,
        ),
    }


def test_ifupdown_with_static_addresses_and_with_dhcp() -> None:
    path = "/etc/network/interfaces.d/rackwright"
    assert (
        rendered(NetworkStack(IFUPDOWN), STATIC)[path][0]
        == """\
auto mac/52:54:00:12:34:56=rackwright

iface rackwright inet static
    address 10.20.7.13/24
    gateway 10.20.7.1
    dns-nameservers 10.20.0.53 10.20.1.53
"""
    )
    assert (
        rendered(NetworkStack(IFUPDOWN), DHCP)[path][0]
        == """\
auto mac/52:54:00:12:34:56=rackwright

iface rackwright inet dhcp
"""
    )


def test_network_manager_with_static_addresses() -> None:
    assert rendered(NetworkStack(NETWORK_MANAGER), STATIC) == {
        "/etc/NetworkManager/system-connections/rackwright.nmconnection": (
            """\
[connection]
id=rackwright
uuid=0781aeaa-7aa0-5721-80c6-7cf6548c11da
type=ethernet
autoconnect-priority=100

[ethernet]
mac-address=52:54:00:12:34:56

[ipv4]
address1=10.20.7.13/24
gateway=10.20.7.1
dns=10.20.0.53;10.20.1.53;
method=manual

[ipv6]
method=auto
""",
            0o600,
        )
    }


def test_network_manager_with_dhcp_and_with_two_families() -> None:
    path = "/etc/NetworkManager/system-connections/rackwright.nmconnection"
    dhcp = rendered(NetworkStack(NETWORK_MANAGER), DHCP)[path][0]
    assert dhcp.endswith("[ipv4]\ndhcp-client-id=mac\nmethod=auto\n\n[ipv6]\nmethod=auto\n")
    both = rendered(NetworkStack(NETWORK_MANAGER), BOTH)[path][0]
    assert both.endswith(
        "[ipv4]\naddress1=10.20.7.13/24\nmethod=manual\n\n"
        "[ipv6]\naddress1=fd00:7::13/64\ngateway=fd00:7::1\nmethod=manual\n"
    )


def test_netplan_with_static_addresses_and_with_dhcp() -> None:
    path = "/etc/netplan/10-rackwright.yaml"
    assert rendered(NetworkStack(NETPLAN, renderer="networkd"), STATIC) == {
        path: (
            """\
network:
  version: 2
  renderer: networkd
  ethernets:
    rackwright:
      match:
        macaddress: "52:54:00:12:34:56"
      dhcp4: false
      addresses:
        - "10.20.7.13/24"
      routes:
        - to: default
          via: "10.20.7.1"
      nameservers:
        addresses:
          - "10.20.0.53"
          - "10.20.1.53"
""",
            0o600,
        )
    }
    assert (
        rendered(NetworkStack(NETPLAN, renderer="NetworkManager"), DHCP)[path][0]
        == """\
network:
  version: 2
  renderer: NetworkManager
  ethernets:
    rackwright:
      match:
        macaddress: "52:54:00:12:34:56"
      dhcp4: true
      dhcp-identifier: mac
"""
    )


NAMED = checked_identity(step(domain="Tokyo.example.net"))
NAMED_BY_DHCP = checked_identity(
    step(addresses=(), gateway="", nameservers=(), domain="tokyo.example.net")
)
ONLY_SIX = checked_identity(
    step(addresses=("fd00:7::13/64",), gateway="", nameservers=(), domain="tokyo.example.net")
)


@pytest.mark.parametrize(
    ("stack", "path", "with_servers", "with_dhcp"),
    [
        (
            NetworkStack(NETWORKD),
            "/etc/systemd/network/10-rackwright.network",
            "DNS=10.20.1.53\nDomains=tokyo.example.net\n",
            "DHCP=yes\nDomains=tokyo.example.net\n\n[DHCPv4]",
        ),
        (
            NetworkStack(NETPLAN, renderer="networkd"),
            "/etc/netplan/10-rackwright.yaml",
            '      nameservers:\n        search: ["tokyo.example.net"]\n        addresses:\n',
            '      nameservers:\n        search: ["tokyo.example.net"]\n',
        ),
        (
            NetworkStack(NETWORK_MANAGER),
            "/etc/NetworkManager/system-connections/rackwright.nmconnection",
            "dns=10.20.0.53;10.20.1.53;\ndns-search=tokyo.example.net;\nmethod=manual\n",
            "dns-search=tokyo.example.net;\ndhcp-client-id=mac\nmethod=auto\n",
        ),
        (
            NetworkStack(IFUPDOWN),
            "/etc/network/interfaces.d/rackwright",
            "    dns-nameservers 10.20.0.53 10.20.1.53\n    dns-search tokyo.example.net\n",
            "iface rackwright inet dhcp\n    dns-search tokyo.example.net\n",
        ),
    ],
)
def test_other_names_are_searched_by_the_domain(
    stack: NetworkStack, path: str, with_servers: str, with_dhcp: str
) -> None:
    assert with_servers in rendered(stack, NAMED)[path][0]
    assert with_dhcp in rendered(stack, NAMED_BY_DHCP)[path][0]


def test_a_domain_is_never_given_to_a_disabled_family() -> None:
    path = "/etc/NetworkManager/system-connections/rackwright.nmconnection"
    assert rendered(NetworkStack(NETWORK_MANAGER), ONLY_SIX)[path][0].endswith(
        "[ipv4]\nmethod=disabled\n\n"
        "[ipv6]\naddress1=fd00:7::13/64\ndns-search=tokyo.example.net;\nmethod=manual\n"
    )


def test_resolv_conf_has_the_domain_beside_the_name_servers() -> None:
    stack = NetworkStack(NETWORKD, writes_resolv_conf=True)
    assert rendered(stack, NAMED)["/etc/resolv.conf"][0] == (
        "search tokyo.example.net\nnameserver 10.20.0.53\nnameserver 10.20.1.53\n"
    )
    assert "/etc/resolv.conf" not in rendered(stack, NAMED_BY_DHCP)


def test_the_domain_completes_the_host_name() -> None:
    assert NAMED.full_name == "node-0713.tokyo.example.net"
    assert STATIC.full_name == "node-0713"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"domain": "a b"}, "domain 'a b' does not complete host name 'node-0713'"),
        ({"domain": "a\nDNS=x"}, "domain 'a\\nDNS=x' does not complete host name 'node-0713'"),
        ({"domain": ".".join(["a" * 62] * 4)}, "does not complete host name 'node-0713'"),
        ({"hostname": "a\nb"}, "hostname 'a\\nb' is not a host name of at most 64 characters"),
        ({"hostname": ""}, "hostname '' is not a host name of at most 64 characters"),
        ({"hostname": "-a"}, "hostname '-a' is not a host name of at most 64 characters"),
        ({"hostname": "a" * 65}, "is not a host name of at most 64 characters"),
        ({"hostname": ".".join(["a" * 30] * 3)}, "is not a host name of at most 64 characters"),
        ({"mac": "52:54:00"}, "mac '52:54:00' is not a MAC address"),
        ({"addresses": ("10.0.0.1",)}, "address '10.0.0.1' is not an address with prefix length"),
        ({"addresses": ("10.0.0.1/24\nX=",)}, "is not an address with prefix length"),
        ({"gateway": "gw"}, "gateway 'gw' is not an IP address"),
        ({"gateway": "fe80::1%eth0"}, "gateway 'fe80::1%eth0' has a zone"),
        ({"nameservers": ("10.0.0.1;x",)}, "nameserver '10.0.0.1;x' is not an IP address"),
    ],
)
def test_a_value_that_could_break_out_of_its_line_is_refused(
    changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(TerminalError) as caught:
        checked_identity(step(**changes))
    assert caught.value.code == "RW467"
    assert problem in caught.value.cause


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(TerminalError) as caught:
        checked_identity(step(hostname="_", mac="x", gateway="y"))
    assert caught.value.cause.count("; ") == 2


def test_mac_and_hostname_are_normalised() -> None:
    identity = checked_identity(step(mac="52-54-00-AB-CD-EF", hostname="Node-1.Example.ORG"))
    assert (identity.mac, identity.hostname) == ("52:54:00:ab:cd:ef", "node-1.example.org")


def test_the_type_of_a_network_manager_profile() -> None:
    assert connection_type("[connection]\nid=x\ntype=ethernet\n") == "ethernet"
    assert connection_type("[connection]\nid=100%\n") == ""
    assert connection_type("no section") == ""
