from ipaddress import IPv4Interface

import pytest

from agent.commands.ip import parse_links
from agent.errors import CodedError
from providers.lab import network, nft, tc
from providers.lab.network import tap_names
from providers.lab.rack_file import parse_rack

SWITCH = "stp_state 0 forward_delay 0 mcast_snooping 0"
ADDRESS = IPv4Interface("10.77.0.1/24")


def test_the_bridge_gets_a_port_for_each_machine_and_one_that_keeps_it_up():
    assert network.batch(ADDRESS, ["tap0"]).splitlines() == [
        "link set lo up",
        f"link add rack0 address 02:00:0a:4d:00:01 type bridge {SWITCH}",
        "address add 10.77.0.1/24 broadcast + dev rack0",
        "link set rack0 up",
        "route add 224.0.0.0/4 dev rack0",
        "route add 255.255.255.255/32 dev rack0",
        "tuntap add dev uplink0 mode tap",
        "link set dev uplink0 addrgenmode none",
        "link set uplink0 master rack0 up",
        "tuntap add dev tap0 mode tap",
        "link set dev tap0 addrgenmode none",
        "link set tap0 master rack0 up",
    ]


def test_names_of_ports_fit_the_kernel_however_long_the_machines_are():
    machine = (
        '{{name: {0}, firmware: bios, mac: "52:54:00:77:00:{1}", disk: {{size: 1GiB, serial: S{1}}}'
        ", uuid: 77000000-0000-4000-8000-0000000000{1}}}"
    )
    machines = ", ".join(machine.format(name * 60, f"{i:02}") for i, name in enumerate("ab", 10))
    rack = parse_rack(f"machines: [{machines}]".encode(), "rack.yaml")
    assert tap_names(rack) == {"a" * 60: "tap0", "b" * 60: "tap1"}


# What ip of iproute2 6.1 prints in a new namespace, and on a host.
@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("[{}]\n", []),
        ("", []),
        (
            '[{"ifindex":1,"ifname":"lo","flags":["UP"]},{},{"ifindex":3,"ifname":"eth0"}]\n',
            ["lo", "eth0"],
        ),
    ],
)
def test_interfaces_that_are_up_are_seen(output, names):
    assert parse_links(output.encode()) == names


def test_no_bridge_is_ever_built_where_a_network_is_in_use(monkeypatch):
    asked = []

    def run(argv, **_):
        asked.append(argv)
        return '[{"ifname": "lo"}, {"ifname": "eth0"}]'

    monkeypatch.setattr(network, "run", run)
    with pytest.raises(CodedError) as caught:
        network.build_bridge(ADDRESS, ["tap0"])
    assert asked == [["ip", "-json", "link", "show", "up"]]
    assert str(caught.value) == (
        "RW815: a rack would be made in a network that is in use (lo, eth0). "
        "Start racks with rackwright lab, which makes a network namespace for each."
    )


def test_a_share_of_frames_is_lost_in_both_directions():
    rules = nft.ruleset({"tap0": 10, "tap2": 5})
    assert [line.strip() for line in rules.splitlines() if "drop" in line] == [
        'iifname "tap0" numgen random mod 1000 < 10 drop',
        'iifname "tap2" numgen random mod 1000 < 5 drop',
        'oifname "tap0" numgen random mod 1000 < 10 drop',
        'oifname "tap2" numgen random mod 1000 < 5 drop',
    ]
    assert rules.index("hook prerouting") < rules.index("iifname")
    assert rules.index("hook postrouting") < rules.index("oifname")


@pytest.mark.parametrize(
    ("rate", "burst"), [(1_000_000_000, 500_000), (10_000_000, 5000), (64_000, 3028)]
)
def test_a_slow_cable_lets_at_least_two_frames_through_at_once(rate, burst):
    assert tc.batch({"tap1": rate}) == (
        f"qdisc add dev tap1 root tbf rate {rate}bit burst {burst} latency 50ms\n"
    )
