"""Enrollment rules: what they may say, and which of them decides."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.compile.fleet import compile_fleet
from specs.enrollment import DiscoveredMachine, enrollment
from specs.fleet import CompiledEnrollmentRule

HEAD = "apiVersion: rackwright/v1alpha1\n"
BASE = (
    f"{HEAD}kind: Network\nmetadata: {{name: n}}\nspec: {{subnet: 10.0.0.0/8}}\n---\n"
    f"{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{network: n}}\n"
)
MACHINE = DiscoveredMachine(
    name="node-07",
    addresses=(IPv4Address("10.20.7.13"),),
    macs=("52:54:00:00:00:01", "00:50:56:aa:bb:cc"),
    uuid="4c4c4544-0042-3510-8052-b4c04f4e4a32",
    serial="5CG8243XYZ",
    vendor="Dell / EMC",
    relay=IPv4Address("10.20.7.1"),
)


def rule(match: str, more: str = "", name: str = "r") -> str:
    return (
        f"---\n{HEAD}kind: EnrollmentRule\nmetadata: {{name: {name}}}\n"
        f"spec:\n  match: {match}\n  group: lab\n{more}"
    )


def rules(*texts: str) -> tuple[CompiledEnrollmentRule, ...]:
    result = compile_fleet({"f.yaml": (BASE + "".join(texts)).encode()}, "rev")
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet.enrollment_rules


def problems_of(text: str) -> list[str]:
    return [
        str(each)
        for each in compile_fleet(
            {"b.yaml": BASE.encode(), "f.yaml": text.encode()}, "r"
        ).diagnostics
    ]


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ("{names: ['node-0?']}", 'name "node-07" fits "node-0?"'),
        ("{addresses: [10.20.7.13]}", "address 10.20.7.13 is within 10.20.7.13"),
        ("{addresses: [10.20.7.0/24]}", "address 10.20.7.13 is within 10.20.7.0-10.20.7.255"),
        (
            "{addresses: [10.9.9.9, 10.20.7.10-10.20.7.13]}",
            "address 10.20.7.13 is within 10.20.7.10-10.20.7.13",
        ),
        ("{macs: ['00-50-56-*']}", 'MAC address "00:50:56:aa:bb:cc" fits "00:50:56:*"'),
        ("{macs: ['*']}", 'MAC address "52:54:00:00:00:01" fits "*"'),
        (
            "{uuids: [4C4C4544-0042-3510-8052-B4C04F4E4A32]}",
            f'UUID "{MACHINE.uuid}" fits "{MACHINE.uuid}"',
        ),
        ("{serials: ['5cg8*']}", 'serial number "5CG8243XYZ" fits "5cg8*"'),
        ("{vendors: ['DELL*']}", 'vendor "Dell / EMC" fits "DELL*"'),
        ("{relays: [10.20.7.1]}", "relay 10.20.7.1 is within 10.20.7.1"),
        (
            "{vendors: ['dell*'], relays: [10.20.0.0/16]}",
            'vendor "Dell / EMC" fits "dell*", relay 10.20.7.1 is within 10.20.0.0-10.20.255.255',
        ),
    ],
)
def test_a_rule_fires_where_all_its_parts_fit(match: str, reason: str) -> None:
    report = enrollment(MACHINE, rules(rule(match)))
    assert report.rule is not None
    assert report.rule.group == "lab"
    assert str(report) == f"1000 r (f.yaml:13:18) fires: {reason}"


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ("{names: [node]}", 'name "node-07" does not fit "node"'),
        (
            "{names: [a, b, c, d, e]}",
            'name "node-07" does not fit "a", "b", "c" and 2 more',
        ),
        ("{addresses: [10.20.8.0/24]}", "address 10.20.7.13 does not fit 10.20.8.0-10.20.8.255"),
        (
            "{macs: ['52:54:01:*']}",
            'MAC address "52:54:00:00:00:01", "00:50:56:aa:bb:cc" does not fit "52:54:01:*"',
        ),
        (
            "{names: ['*'], vendors: [HP]}",
            'vendor "Dell / EMC" does not fit "HP"',
        ),
    ],
)
def test_a_rule_says_which_part_did_not_fit(match: str, reason: str) -> None:
    report = enrollment(MACHINE, rules(rule(match)))
    assert report.rule is None
    assert str(report) == f"1000 r (f.yaml:13:18) does not match: {reason}"


def test_what_is_not_known_of_a_machine_fits_nothing() -> None:
    every = rules(
        rule("{names: ['*']}", name="a"),
        rule("{addresses: [0.0.0.0/0]}", name="b"),
        rule("{serials: ['*']}", name="c"),
        rule("{relays: [0.0.0.0/0]}", name="d"),
    )
    report = enrollment(DiscoveredMachine(macs=("52:54:00:00:00:01",)), every)
    assert report.rule is None
    assert [each.reason for each in report.considered] == [
        "its name is not known",
        "its address is not known",
        "its serial number is not known",
        "its relay is not known",
    ]


def test_the_case_of_a_name_does_not_count() -> None:
    report = enrollment(DiscoveredMachine(name="ComputerA"), rules(rule("{names: ['computer?']}")))
    assert str(report) == '1000 r (f.yaml:13:18) fires: name "ComputerA" fits "computer?"'


def test_the_lowest_order_decides_and_names_decide_among_equals() -> None:
    every = rules(
        rule("{macs: ['*']}", "  order: 5\n", name="c"),
        rule("{macs: ['*']}", name="b"),
        rule("{macs: ['*']}", name="a"),
        rule("{names: [other]}", "  order: 5\n", name="b1"),
    )
    assert [each.name for each in every] == ["b1", "c", "a", "b"]
    report = enrollment(MACHINE, every)
    assert [(each.rule.name, each.fires) for each in report.considered] == [
        ("b1", False),
        ("c", True),
    ]


def test_without_rules_nothing_fires() -> None:
    report = enrollment(MACHINE, ())
    assert report.rule is None
    assert str(report) == "there are no enrollment rules"


def test_a_rule_carries_its_network_and_its_default_order() -> None:
    (found,) = rules(rule("{macs: ['*']}", "  network: n\n  afterDiscovery: power-off\n"))
    assert (found.network, found.order) == ("n", 1000)


def test_a_group_need_not_be_written_where_a_network_is_known() -> None:
    (found,) = rules(rule("{macs: ['*']}").replace("group: lab", "group: lab/new/rack"))
    assert found.group == "lab/new/rack"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            rule("{macs: ['*']}").replace("group: lab", "group: lap"),
            (
                'f.yaml:7:10: RW156 warning: spec.group: machines of group "lap" would be in no '
                "network\n"
                "    hint: set spec.network here, or on the group or one above it"
            ),
        ),
        (
            rule("{}"),
            (
                "f.yaml:6:10: RW151 spec.match: nothing is matched\n"
                '    hint: add a part; all machines are: macs: ["*"]'
            ),
        ),
        (
            rule("{macs: ['52:54']}"),
            (
                'f.yaml:6:18: RW128 spec.match.macs[0]: "52:54" is neither a MAC address nor a '
                "pattern\n"
                '    hint: for example "52:54:00:*" or "00-50-56-*", in quotes'
            ),
        ),
        (
            rule("{addresses: [10.0.0]}"),
            (
                'f.yaml:6:23: RW128 spec.match.addresses[0]: "10.0.0" is neither an IPv4 address '
                "nor a subnet nor a range\n"
                "    hint: for example 10.20.7.13, 10.20.7.0/24 or 10.20.9.10-10.20.9.40"
            ),
        ),
        (
            rule("{addresses: [10.0.0.1/24]}"),
            (
                'f.yaml:6:23: RW128 spec.match.addresses[0]: "10.0.0.1/24" is an address, not a '
                "subnet\n"
                "    hint: write 10.0.0.0/24"
            ),
        ),
        (
            rule("{macs: ['*']}", "  network: x\n"),
            (
                'f.yaml:8:12: RW141 spec.network: no Network is named "x"\n'
                '    hint: did you mean "n"?'
            ),
        ),
    ],
)
def test_malformed_rules_are_reported(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


PARTS = {
    "names": ("node-07", "db-1"),
    "addresses": ("10.20.7.13", "10.9.0.0/16"),
    "macs": ("00:50:56:*", "0a:*"),
    "uuids": (MACHINE.uuid, "5c4c4544-0042-3510-8052-b4c04f4e4a32"),
    "serials": ("5CG8*", "X*"),
    "vendors": ("dell*", "QEMU"),
    "relays": ("10.20.7.1", "10.20.7.2"),
}
"""Of each part, what fits the machine and what does not."""
FITS = st.dictionaries(st.sampled_from(sorted(PARTS)), st.booleans(), min_size=1)


@given(st.lists(st.tuples(st.integers(0, 3), FITS), max_size=6))
def test_the_first_rule_by_order_and_name_whose_parts_all_fit_decides(
    made: list[tuple[int, dict[str, bool]]],
) -> None:
    texts, fitting = [], []
    for number, (order, fits) in enumerate(made):
        name = f"r{len(made) - number}"
        match = ", ".join(f"{part}: ['{PARTS[part][not fit]}']" for part, fit in fits.items())
        texts.append(rule(f"{{{match}}}", f"  order: {order}\n", name))
        if all(fits.values()):
            fitting.append((order, name))
    report = enrollment(MACHINE, rules(*texts))
    assert (report.rule and report.rule.name) == (min(fitting)[1] if fitting else None)
    assert [each.fires for each in report.considered[:-1]].count(True) == 0
