"""DeploymentManager's registration files, by the examples of its Operation Guide 2.2.2."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.authoring.conversions import prefix_length
from reconciler.authoring.dpm import read_addresses, read_names
from reconciler.authoring.dpm_documents import Converted, dpm_documents
from reconciler.authoring.imported_names import ImportedNames
from reconciler.authoring.layout import laid_out
from reconciler.authoring.machine_row import MachineRow, machine_row
from specs.compile.fleet import compile_fleet
from specs.enrollment import DiscoveredMachine, enrollment
from specs.yaml import load_file

NAMES = "/Group1;ComputerA\n/Group2/Subgroup21;ComputerB;192.168.1.1;255.255.0.0\n"
ADDRESSES = """\
/Group1;192.168.1.1
/Group2;192.168.0.0;255.255.0.0
/Group3/Subgroup31;172.16.0.0;255.240.0.0;172.16.1.1;255.240.0.0
"""


def made(
    names: str = "", addresses: str = "", machines: tuple[MachineRow, ...] = (), network: str = ""
) -> Converted:
    met = ImportedNames()
    by_name, errors = read_names("n.ini", names, met)
    by_address, more = read_addresses("a.ini", addresses, met)
    result = dpm_documents(by_name, by_address, machines, network, met.ids())
    return result._replace(errors=(*errors, *more, *result.errors))


def data(result: Converted, file: str) -> list[object]:
    loaded = load_file(file, result.files[file].encode())
    assert loaded.diagnostics == ()
    return [document.data for document in loaded.documents]


def specs(result: Converted, file: str) -> dict[str, object]:
    documents = data(result, file)
    return {each["metadata"]["name"]: each.get("spec") for each in documents}  # type: ignore[attr-defined, index]


def test_the_examples_of_the_guide_become_rules_groups_and_networks() -> None:
    result = made(NAMES, ADDRESSES)
    assert result.errors == ()
    assert specs(result, "enrollment.yaml") == {
        "dpm-names-1-group1": {
            "order": 100,
            "match": {"names": ("computera",)},
            "group": "group1",
        },
        "dpm-names-2-group2.subgroup21": {
            "order": 100,
            "match": {"names": ("computerb",)},
            "group": "group2/subgroup21",
        },
        "dpm-addresses-1-group1": {
            "order": 1001,
            "match": {"addresses": ("192.168.1.1",)},
            "group": "group1",
        },
        "dpm-addresses-2-group2": {
            "order": 1002,
            "match": {"addresses": ("192.168.0.1-192.168.255.254",)},
            "group": "group2",
        },
        "dpm-addresses-3-group3.subgroup31": {
            "order": 1003,
            "match": {"addresses": ("172.16.0.1-172.31.255.254",)},
            "group": "group3/subgroup31",
        },
    }
    assert specs(result, "groups.yaml") == {
        "group1": None,
        "group2": None,
        "group2/subgroup21": {"network": "net-192-168-0-0-16"},
        "group3/subgroup31": {"network": "net-172-16-0-0-12"},
    }
    assert specs(result, "networks.yaml") == {
        "net-172-16-0-0-12": {"subnet": "172.16.0.0/12", "gateway": "172.16.1.1"},
        "net-192-168-0-0-16": {"subnet": "192.168.0.0/16", "gateway": "192.168.1.1"},
    }


def test_a_name_is_asked_before_every_address() -> None:
    rules = specs(made(NAMES, ADDRESSES), "enrollment.yaml")
    orders = {name: rule["order"] for name, rule in rules.items()}  # type: ignore[index]
    names = [order for name, order in orders.items() if "names" in name]
    addresses = [order for name, order in orders.items() if "addresses" in name]
    assert max(names) < min(addresses)
    assert addresses == sorted(set(addresses))


def test_all_documents_compile_have_the_layout_and_place_machines_as_the_files_do() -> None:
    machines = (machine_row(name="m", macs=("02:00:00:00:00:01",), group="group2/subgroup21"),)
    result = made(NAMES, ADDRESSES, machines, network="server")
    for text in result.files.values():
        assert laid_out(text) == text
    files = {path: text.encode() for path, text in result.files.items()}
    files["server.yaml"] = b"""\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: server}
spec: {subnet: 10.0.0.0/8}
"""
    compiled = compile_fleet(files, "r")
    assert [str(problem) for problem in compiled.diagnostics] == []
    assert compiled.fleet is not None
    assert compiled.fleet.machines["m"].network == "net-192-168-0-0-16"
    rules = compiled.fleet.enrollment_rules
    assert [(each.order, each.group) for each in rules] == [
        (100, "group1"),
        (100, "group2/subgroup21"),
        (1001, "group1"),
        (1002, "group2"),
        (1003, "group3/subgroup31"),
    ]
    by_name = enrollment(DiscoveredMachine(name="ComputerA"), rules)
    assert by_name.rule is not None
    assert by_name.rule.group == "group1"
    address = IPv4Address("172.31.255.254")
    by_address = enrollment(DiscoveredMachine(addresses=(address,)), rules)
    assert by_address.rule is not None
    assert by_address.rule.group == "group3/subgroup31"


def test_groups_in_the_subnet_of_the_server_get_its_network_or_a_note() -> None:
    assert made(NAMES).notes == (
        (
            "in the server's own subnet, so without a network until you set one "
            "(or use --network): group1"
        ),
    )
    result = made(NAMES, network="rack")
    assert result.notes == ()
    assert specs(result, "groups.yaml")["group1"] == {"network": "rack"}


def test_a_gateway_without_a_mask_is_the_subnet_of_the_server() -> None:
    result = made("/a;x;10.0.0.1;\n/b;y;;255.0.0.0\n")
    assert result.errors == ()
    assert specs(result, "groups.yaml") == {"a": None, "b": None}


def test_addresses_that_two_groups_share_are_noted() -> None:
    result = made(addresses="/a;10.0.0.0;255.0.0.0\n/b;10.1.0.5\n/a;10.2.0.0\n", network="n")
    assert result.notes == (
        (
            "a.ini:2: shares addresses with a.ini:1, whose rule is asked first; "
            "change order where the other shall win"
        ),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/a", "no machine name after the group"),
        (";x", "no group at the beginning"),
        ("/a//b;x", "'/a//b' has an empty part; write a path as a/b"),
        ("/a;x*", "'x*' would mean many machines; a name has neither * nor ?"),
        ("/a;x;10.0.0;255.0.0.0", "'10.0.0' is not an IPv4 address"),
        ("/a;x;10.0.0.1;255.0.255.0", "'255.0.255.0' is not a subnet mask"),
        (
            "/a;x;10.0.0.0;255.0.0.0",
            ("the gateway 10.0.0.0 is the own or broadcast address of 10.0.0.0/8"),
        ),
        ("/a;x;;;more", "5 fields, at most 4 are known"),
        ("/a;\x07", "characters that cannot be shown"),
        (
            "/" + "a/" * 21 + ";x",
            "RW128 metadata.name: the name has 21 levels, at most 20 are allowed (shorten it)",
        ),
    ],
)
def test_a_line_that_says_nothing_usable_is_told(line: str, said: str) -> None:
    assert made(f"/ok;ok\n\n{line}\n").errors == (f"n.ini:3: {said}",)


def test_all_contradictions_are_told_at_once() -> None:
    result = made(
        "/a;x;10.0.0.1;255.0.0.0\n/b;X\n/c;x\n/a;y;10.0.0.2;255.0.0.0\n/d;w;10.1.0.1;255.255.0.0\n"
    )
    assert result.errors == (
        (
            "n.ini:4: group a has gateway 10.0.0.2 in 10.0.0.0/8, but 10.0.0.1 in 10.0.0.0/8 "
            "at n.ini:1"
        ),
        (
            "n.ini:5: gateway 10.1.0.1 in 10.1.0.0/16 overlaps with gateway 10.0.0.1 in 10.0.0.0/8 "
            "at n.ini:1, so they cannot be two networks"
        ),
        "n.ini:2: machine X belongs to b, but to a at n.ini:1",
        "n.ini:3: machine x belongs to c, but to a at n.ini:1",
    )


def test_names_in_any_script_stay_in_rules_and_groups_keep_theirs_beside_an_id() -> None:
    result = made("/東京/棟A;計算０１\n/東京/棟A;PC_2\n/東京/棟a;y\n", network="n")
    assert result.errors == ()
    assert [each["metadata"] for each in data(result, "groups.yaml")] == [  # type: ignore[index]
        {"name": "g-130016b259/a-3e6ecde0a2", "displayName": "東京/棟a"},
        {"name": "g-130016b259/a-bb4b50a7d9", "displayName": "東京/棟A"},
    ]
    rules = specs(result, "enrollment.yaml")
    assert [rule["match"]["names"] for rule in rules.values()] == [  # type: ignore[index]
        ("計算０１", "PC_2"),
        ("y",),
    ]
    files = {path: text.encode() for path, text in result.files.items()}
    files["n.yaml"] = (
        b"apiVersion: rackwright/v1alpha1\nkind: Network\nmetadata: {name: n}\n"
        b"spec: {subnet: 10.0.0.0/8}\n"
    )
    compiled = compile_fleet(files, "r").fleet
    assert compiled is not None
    for name in ("計算０１", "pc_2", "PC_2"):
        assert enrollment(DiscoveredMachine(name=name), compiled.enrollment_rules).rule is not None


def test_many_names_of_a_group_are_spread_over_rules() -> None:
    result = made("".join(f"/a;n{number}\n" for number in range(1001)), network="n")
    rules = specs(result, "enrollment.yaml")
    assert [len(rule["match"]["names"]) for rule in rules.values()] == [1000, 1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("mask", "length"),
    [("255.255.240.0", 20), ("0.0.0.0", 0), ("255.255.255.255", 32)],  # noqa: S104
)
def test_a_mask_is_a_prefix_length(mask: str, length: int) -> None:
    assert prefix_length(mask) == length


@pytest.mark.parametrize("mask", ["0.0.0.255", "255.0.255.0", "24", "", "255.255.255"])
def test_what_is_no_mask_is_refused(mask: str) -> None:
    with pytest.raises(ValueError, match="is not a subnet mask"):
        prefix_length(mask)


@given(st.text(max_size=80), st.text(alphabet="/abA;.0125\n", max_size=80))
@settings(deadline=None, max_examples=100)
def test_any_text_is_documents_or_errors(names: str, addresses: str) -> None:
    result = made(names, addresses)
    for error in result.errors:
        assert error.startswith(("n.ini:", "a.ini:"))
    for file in result.files:
        data(result, file)
