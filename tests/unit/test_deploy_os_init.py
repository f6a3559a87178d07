"""The functions of init, run by the host's shell over made-up /proc and /sys trees."""

import subprocess
from pathlib import Path

import pytest

from providers.deploy_os.recipe import find_recipe

INIT = find_recipe() / "root" / "init"
ROOT = find_recipe() / "root"


class Machine:
    """A machine as its kernel shows it."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.sys = folder / "sys"
        self.proc.mkdir()
        (self.sys / "class" / "net").mkdir(parents=True)
        (self.proc / "uptime").write_text("12.34 20.00\n")
        self.boot("")

    def boot(self, command_line: str) -> None:
        (self.proc / "cmdline").write_text(f"{command_line}\n")

    def card(self, name: str, mac: str, *, carrier: str = "1", hardware: bool = True) -> None:
        folder = self.sys / "class" / "net" / name
        folder.mkdir()
        (folder / "address").write_text(f"{mac}\n")
        (folder / "carrier").write_text(f"{carrier}\n")
        if hardware:
            (folder / "device").mkdir()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", f'. "{INIT}"\n{script}'],
            env={"PROC": str(self.proc), "SYS": str(self.sys), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def says(self, script: str) -> str:
        done = self.run(script)
        assert done.stderr == ""
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_line_starts_with_the_seconds_since_the_kernel_started(machine: Machine) -> None:
    assert machine.says("say network: up") == "[   12.34] deploy-os: network: up\n"


def test_the_last_of_equal_arguments_counts_and_patterns_are_not_expanded(
    machine: Machine,
) -> None:
    machine.boot("a=1 glob=/* a=two=2 quiet")

    assert machine.says("argument a") == "two=2"
    assert machine.says("argument glob") == "/*"
    assert machine.says("argument missing") == ""


def test_only_a_whole_word_offers_a_shell(machine: Machine) -> None:
    question = "if has_word rackwright.shell; then echo yes; else echo no; fi"

    machine.boot("quiet rackwright.shell")
    assert machine.says(question) == "yes\n"
    machine.boot("rackwright.shell=0 xrackwright.shell rackwright.shells")
    assert machine.says(question) == "no\n"


@pytest.mark.parametrize(
    "bootif", ["01-52-54-00-AB-CD-02", "01-52:54:00:ab:cd:02", "52:54:00:ab:cd:02"]
)
def test_the_card_that_booted_is_found_in_every_spelling(machine: Machine, bootif: str) -> None:
    machine.boot(f"quiet BOOTIF={bootif}")
    machine.card("eth0", "52:54:00:ab:cd:01")
    machine.card("eth1", "52:54:00:ab:cd:02", carrier="0")

    assert machine.says("candidates") == "eth1"


def test_a_card_that_did_not_boot_is_never_used_instead(machine: Machine) -> None:
    machine.boot("BOOTIF=01-52-54-00-ab-cd-09")
    machine.card("eth0", "52:54:00:ab:cd:01")

    assert machine.says("candidates") == ""
    assert machine.says('complain_about_link ""') == (
        "[   12.34] deploy-os: network: no card has the MAC 52:54:00:ab:cd:09 that this machine "
        "booted from; seen: eth0=52:54:00:ab:cd:01 \n"
    )


def test_without_a_boot_mac_every_hardware_card_may_be_used(machine: Machine) -> None:
    machine.card("eth0", "52:54:00:ab:cd:01", carrier="0")
    machine.card("eth1", "52:54:00:ab:cd:02")
    machine.card("lo", "00:00:00:00:00:00", hardware=False)

    assert machine.says("candidates") == "eth0\neth1\n"
    assert machine.says("card_with_carrier $(candidates)") == "eth1"


def test_a_card_whose_network_gave_no_address_comes_after_the_others(machine: Machine) -> None:
    machine.card("eth0", "52:54:00:ab:cd:01")
    machine.card("eth1", "52:54:00:ab:cd:02")
    choose = "ip() { :; }; wait_for_link; echo $card"

    assert machine.says(f"failed=; {choose}") == "eth0\n"
    assert machine.says(f"failed=eth0; {choose}") == "eth1\n"
    assert machine.says(f"failed='eth0 eth1'; {choose}") == "eth0\n"


def test_a_missing_link_is_reported_with_card_and_mac(machine: Machine) -> None:
    machine.card("eth0", "52:54:00:ab:cd:01", carrier="0")

    assert machine.says("complain_about_link eth0") == (
        "[   12.34] deploy-os: network: no carrier on eth0 (52:54:00:ab:cd:01): check the cable "
        "and the switch port\n"
    )


def test_a_machine_without_cards_is_told_about_drivers(machine: Machine) -> None:
    assert "no network card found" in machine.says('complain_about_link ""')


@pytest.mark.parametrize(
    ("now", "epoch", "line", "expected"),
    [
        (1000, 5000, "", "5000"),
        (6000, 5000, "", ""),
        (6000, 5000, "rackwright.time=9000", "9000"),
        (9000, 5000, "rackwright.time=6000", "6000"),
        (9030, 5000, "rackwright.time=9000", ""),
        (6000, 5000, "rackwright.time=soon", ""),
        (1000, 5000, "rackwright.time=", "5000"),
    ],
)
def test_the_clock_follows_the_server_or_at_least_the_build(
    machine: Machine, now: int, epoch: int, line: str, expected: str
) -> None:
    machine.boot(line)
    date = f"""
    date() {{
        case "$*" in
            +%s) echo {now} ;;
            "-u -s @"*) echo "${{3#@}}" >&3 ;;
            *) echo then ;;
        esac
    }}
    EPOCH={epoch}
    """

    said = machine.says(f"exec 3>&1\n{date}\nset_clock >/dev/null")

    assert said.strip() == expected


def test_static_nodes_are_made_only_for_plain_misc_devices(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "modules.devname").write_text(
        "# Device nodes to trigger on-demand module loading.\n"
        "rwtest rwtest-no-such/control c10:236\n"
        "evil ../../etc/x c10:1\n"
        "disk rwdisk b7:0\n"
    )

    said = machine.says(
        f'mknod() {{ echo mknod "$@"; }}; mkdir() {{ echo mkdir "$@"; }}\n'
        f'make_static_nodes <"{tmp_path}/modules.devname"'
    )

    assert said == (
        "mkdir -p /dev/rwtest-no-such\nmknod -m 600 /dev/rwtest-no-such/control c 10 236\n"
    )


def dhcp(event: str, lease: dict[str, str]) -> list[str]:
    """What the DHCP script does with the network, as the ip commands that it runs."""
    script = (ROOT / "usr/lib/rackwright/dhcp-event").read_text()
    addresses = f"2: eth0    inet {lease.get('ip')}/24 brd\\n2: eth0    inet 10.9.9.9/24 brd\\n"
    fakes = f"""
    ip() {{
        case "$*" in *" show "*) printf '{addresses}' ;; *) echo "ip $*" >&3 ;; esac
    }}
    mv() {{ cat "$1" >&3; }}
    """
    script = script.replace("/etc/resolv.conf.new", "$PLACE")
    done = subprocess.run(
        ["sh", "-c", f"exec 3>&1; set -- {event}\n{fakes}{script}"],
        env={"PATH": "/usr/bin:/bin", "interface": "eth0", **lease},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_lease_sets_address_route_and_resolver(tmp_path: Path) -> None:
    said = dhcp(
        "bound",
        {
            "PLACE": str(tmp_path / "resolv.conf"),
            "ip": "10.20.7.13",
            "mask": "24",
            "router": "10.20.7.1 10.20.7.2",
            "dns": "10.20.0.53",
            "domain": "lab.example",
            "mtu": "9000",
        },
    )

    assert said == [
        "ip link set dev eth0 mtu 9000",
        "ip -4 address replace 10.20.7.13/24 dev eth0",
        "ip -4 address del 10.9.9.9/24 dev eth0",
        "ip route replace default via 10.20.7.1 dev eth0 onlink",
        "search lab.example",
        "nameserver 10.20.0.53",
    ]


def test_classless_routes_replace_the_router(tmp_path: Path) -> None:
    said = dhcp(
        "renew",
        {
            "PLACE": str(tmp_path / "resolv.conf"),
            "ip": "10.20.7.13",
            "mask": "24",
            "router": "10.20.7.1",
            "staticroutes": "10.0.0.0/8 10.20.7.9 192.168.0.0/16 0.0.0.0",
        },
    )

    assert said == [
        "ip -4 address replace 10.20.7.13/24 dev eth0",
        "ip -4 address del 10.9.9.9/24 dev eth0",
        "ip route replace 10.0.0.0/8 via 10.20.7.9 dev eth0 onlink",
        "ip route replace 192.168.0.0/16 dev eth0",
    ]


def test_only_a_lost_lease_flushes_the_address() -> None:
    assert dhcp("deconfig", {}) == [
        "ip -4 address flush dev eth0",
        "ip link set dev eth0 up",
    ]
    assert dhcp("leasefail", {}) == []
