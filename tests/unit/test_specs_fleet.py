"""What documents mean together."""

import pytest

from reconciler.state.operation import INSPECTION
from specs.compile.fleet import CompileResult, compile_fleet
from specs.desired_state import is_desired_state
from specs.fleet import FleetSettings

HEAD = "apiVersion: rackwright/v1alpha1\n"
NETWORK = f"""{HEAD}kind: Network
metadata: {{name: lab}}
spec:
  subnet: 10.77.0.0/24
  gateway: 10.77.0.254
  domain: lab.example.net
  dhcp: {{mode: server, range: 10.77.0.100-10.77.0.199}}
"""
GROUP = f"{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{network: lab}}\n"
IMAGE = f"{HEAD}kind: Image\nmetadata: {{name: golden}}\n"
SCENARIO = f"""{HEAD}kind: Scenario
metadata: {{name: clone}}
spec:
  steps: [{{inspectDisks: {{}}}}, {{restore: {{image: golden}}}}]
"""


def machine(name: str, number: int, more: str = "") -> str:
    return (
        f"{HEAD}kind: Machine\nmetadata: {{name: {name}}}\nspec:\n  group: lab\n"
        f'  hardware: {{macs: ["52:54:00:00:00:{number:02x}"]}}\n{more}'
    )


BASE = {
    "network.yaml": NETWORK,
    "group.yaml": GROUP,
    "image.yaml": IMAGE,
    "scenario.yaml": SCENARIO,
}


def compiled(**files: str) -> CompileResult:
    """Compile the base with more files, each named by its keyword."""
    texts = BASE | {f"{name}.yaml": text for name, text in files.items()}
    return compile_fleet({name: text.encode() for name, text in texts.items()}, "rev")


def problems_of(**files: str) -> list[str]:
    return [str(problem) for problem in compiled(**files).diagnostics]


def test_the_base_of_these_tests_has_no_problem() -> None:
    assert problems_of() == []


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("a.yaml", True),
        ("deep/folder/a.yml", True),
        ("README.md", False),
        ("a.yaml.orig", False),
        ("a.YAML", False),
        ("yaml", False),
        (".github/workflows/ci.yaml", False),
        (".gitlab-ci.yml", False),
        ("fleet/.hidden/a.yaml", False),
    ],
)
def test_desired_state_is_yaml_outside_hidden_places(file: str, read: bool) -> None:  # noqa: FBT001
    assert is_desired_state(file) is read
    result = compile_fleet({file: b"not: ours\n"}, "rev")
    assert bool(result.diagnostics) is read


def test_an_empty_repository_is_a_fleet_with_default_settings() -> None:
    fleet = compile_fleet({}, "rev").fleet
    assert fleet is not None
    assert fleet.revision == "rev"
    assert fleet.machines == {}
    assert fleet.settings == FleetSettings(observation_max_age_seconds=3600)


def test_two_documents_of_one_name_are_refused_naming_both() -> None:
    assert problems_of(other=GROUP) == [
        (
            'other.yaml:3:18: RW140 Group "lab" is already defined at group.yaml:3:18\n'
            "    hint: merge the two or rename one"
        )
    ]


def test_two_fleet_documents_are_refused_whatever_their_names() -> None:
    one = f"{HEAD}kind: Fleet\nmetadata: {{name: a}}\n"
    two = f"{HEAD}kind: Fleet\nmetadata: {{name: b}}\n"
    assert problems_of(one=one, two=two) == [
        (
            "two.yaml:3:18: RW140 a second Fleet document, the first is at one.yaml:3:18\n"
            "    hint: merge the two"
        )
    ]


def test_one_name_in_two_kinds_is_fine() -> None:
    assert problems_of(image2=IMAGE.replace("golden", "lab")) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            machine("a", 1).replace("group: lab", "group: lba"),
            'x.yaml:5:10: RW141 spec.group: no Group is named "lba"\n    hint: did you mean "lab"?',
        ),
        (
            machine("a", 1, "  network: tokyo\n"),
            (
                'x.yaml:7:12: RW141 spec.network: no Network is named "tokyo"\n'
                "    hint: known are: lab"
            ),
        ),
        (
            machine("a", 1, "  assign: [{scenario: clnoe, run: 1}]\n"),
            (
                'x.yaml:7:23: RW141 spec.assign[0].scenario: no Scenario is named "clnoe"\n'
                '    hint: did you mean "clone"?'
            ),
        ),
        (
            GROUP.replace("name: lab", "name: lab/row1").replace("network: lab", "network: lap"),
            (
                'x.yaml:4:17: RW141 spec.network: no Network is named "lap"\n'
                '    hint: did you mean "lab"?'
            ),
        ),
        (
            SCENARIO.replace("clone", "other").replace("image: golden", "image: golde"),
            (
                'x.yaml:5:49: RW141 spec.steps[1].restore.image: no Image is named "golde"\n'
                '    hint: did you mean "golden"?'
            ),
        ),
    ],
)
def test_names_that_no_document_has_are_refused(text: str, problem: str) -> None:
    assert problems_of(x=text) == [problem]


def test_a_parent_of_a_written_group_exists_without_being_written() -> None:
    deep = GROUP.replace("name: lab", "name: tokyo/row2/rack07")
    inside = machine("a", 1, "  network: lab\n").replace("group: lab", "group: tokyo/row2")
    result = compiled(deep=deep, inside=inside)
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    assert result.fleet.groups == ("lab", "tokyo", "tokyo/row2", "tokyo/row2/rack07")
    assert result.fleet.machines["a"].groups == ("tokyo", "tokyo/row2")


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (
            machine("a", 1),
            machine("b", 1),
            (
                "b.yaml:6:21: RW142 spec.hardware.macs[0]: the MAC address 52:54:00:00:00:01 "
                'is already used by machine "a" at a.yaml:6:21\n'
                "    hint: each machine has its own MAC address"
            ),
        ),
        (
            machine("a", 1).replace('"]', '", 52-54-00-00-00-FF]'),
            machine("b", 2).replace('"]', '", "52:54:00:00:00:ff"]'),
            (
                "b.yaml:6:42: RW142 spec.hardware.macs[1]: the MAC address 52:54:00:00:00:ff "
                'is already used by machine "a" at a.yaml:6:42\n'
                "    hint: each machine has its own MAC address"
            ),
        ),
        (
            machine("a", 1).replace("]}", "], uuid: 4C4C4544-0042-3510-8052-B4C04F4E4A32}"),
            machine("b", 2).replace("]}", "], uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32}"),
            (
                "b.yaml:6:49: RW142 spec.hardware.uuid: the UUID "
                '4c4c4544-0042-3510-8052-b4c04f4e4a32 is already used by machine "a" at '
                "a.yaml:6:49\n"
                "    hint: each machine has its own UUID"
            ),
        ),
        (
            machine("a", 1),
            machine("b", 2, "  identity: {hostname: A}\n"),
            (
                "b.yaml:7:24: RW142 spec.identity.hostname: the host name a is already used by "
                'machine "a" at a.yaml:3:18\n'
                "    hint: each machine has its own host name"
            ),
        ),
        (
            machine("a", 1, "  identity: {addresses: [10.77.0.11/24]}\n"),
            machine("b", 2, "  identity: {addresses: [10.77.0.12/24, 10.77.0.11/24]}\n"),
            (
                "b.yaml:7:41: RW142 spec.identity.addresses[1]: the address 10.77.0.11 is "
                'already used by machine "a" at a.yaml:7:26\n'
                "    hint: each machine has its own address"
            ),
        ),
    ],
)
def test_what_must_be_unique_is_refused_naming_both_places(
    first: str, second: str, problem: str
) -> None:
    assert problems_of(a=first, b=second) == [problem]


def test_one_machine_cannot_have_an_address_twice() -> None:
    twice = machine("a", 1).replace('"]', '", "52-54-00-00-00-01"]')
    assert problems_of(a=twice) == [
        (
            "a.yaml:6:42: RW142 spec.hardware.macs[1]: the MAC address 52:54:00:00:00:01 is "
            "already used by this machine at a.yaml:6:21\n"
            "    hint: each machine has its own MAC address"
        )
    ]


def test_a_scenario_cannot_have_the_name_of_the_planners_own_inspections() -> None:
    scenario = SCENARIO.replace("name: clone", f"name: {INSPECTION}")
    assert problems_of(scenario=scenario) == [
        (
            "scenario.yaml:3:18: RW158 metadata.name: inspection is what Rackwright calls the "
            "inspections that it plans by itself\n"
            "    hint: give the scenario another name, for example inspect-disks"
        )
    ]
    assert problems_of(scenario=scenario.replace(INSPECTION, f"site/{INSPECTION}")) == []


def formerly(name: str, number: int, *identities: str) -> str:
    named = ", ".join(f'"{identity}"' for identity in identities)
    return machine(name, number).replace(
        '"]}', f'"], uuid: 4c4c4544-0042-3510-8052-00000000000{number}, formerly: [{named}]}}'
    )


ONCE = "    hint: the history of hardware goes on in one machine: name it in one of the two places"


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (
            formerly("a", 1, "mac:52:54:00:00:00:09"),
            formerly("b", 2, "mac:52-54-00-00-00-09"),
            (
                "b.yaml:6:98: RW142 spec.hardware.formerly[0]: the MAC address 52:54:00:00:00:09 "
                'is already a former one of machine "a" at a.yaml:6:98\n' + ONCE
            ),
        ),
        (
            machine("a", 1),
            formerly("b", 2, "mac:52:54:00:00:00:01"),
            (
                "b.yaml:6:98: RW142 spec.hardware.formerly[0]: the MAC address 52:54:00:00:00:01 "
                'is already used by machine "a" at a.yaml:6:21\n' + ONCE
            ),
        ),
        (
            formerly("a", 1, "uuid:4C4C4544-0042-3510-8052-000000000002"),
            formerly("b", 2, "mac:52:54:00:00:00:09"),
            (
                "b.yaml:6:49: RW142 spec.hardware.uuid: the UUID "
                "4c4c4544-0042-3510-8052-000000000002 is already a former one of machine "
                '"a" at a.yaml:6:98\n' + ONCE
            ),
        ),
        (
            formerly("a", 1, "uuid:4C4C4544-0042-3510-8052-00000000000A"),
            formerly("b", 2, "uuid:4c4c4544-0042-3510-8052-00000000000a") + "  netwrok: lab\n",
            (
                "b.yaml:6:98: RW142 spec.hardware.formerly[0]: the UUID "
                "4c4c4544-0042-3510-8052-00000000000a is already a former one of machine "
                '"a" at a.yaml:6:98\n' + ONCE
            ),
        ),
    ],
    ids=["former twice", "former and present", "present and former", "with another mistake"],
)
def test_the_history_of_hardware_goes_on_in_one_machine_only(
    first: str, second: str, problem: str
) -> None:
    assert [each for each in problems_of(a=first, b=second) if "RW124" not in each] == [problem]


def test_formerly_without_effect_is_a_warning() -> None:
    own = formerly(
        "a",
        1,
        "mac:52:54:00:00:00:01",
        "uuid:4C4C4544-0042-3510-8052-000000000001",
        "mac:52:54:00:00:00:09",
        "mac:52-54-00-00-00-09",
    )
    remove = "    hint: remove it: only what the machine no longer has needs to be named"
    result = compiled(a=own)
    assert [str(problem) for problem in result.diagnostics] == [
        (
            "a.yaml:6:98: RW148 warning: spec.hardware.formerly[0]: has no effect, this machine "
            f"already has the MAC address 52:54:00:00:00:01 at a.yaml:6:21\n{remove}"
        ),
        (
            "a.yaml:6:123: RW148 warning: spec.hardware.formerly[1]: has no effect, this machine "
            "already has the UUID 4c4c4544-0042-3510-8052-000000000001 at "
            f"a.yaml:6:49\n{remove}"
        ),
        (
            "a.yaml:6:193: RW148 warning: spec.hardware.formerly[3]: has no effect, this machine "
            f"already has the MAC address 52:54:00:00:00:09 at a.yaml:6:168\n{remove}"
        ),
    ]
    assert result.fleet is not None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("10.78.0.11/24", "is not in 10.77.0.0/24, the subnet of network lab"),
        (
            "10.77.0.11/16",
            "has another prefix length than 10.77.0.0/24, the subnet of network lab",
        ),
        ("10.77.0.0/24", "is the subnet's own or its broadcast address in network lab"),
        ("10.77.0.255/24", "is the subnet's own or its broadcast address in network lab"),
        ("10.77.0.254/24", "is the gateway of network lab"),
    ],
)
def test_an_address_must_fit_the_machines_network(address: str, problem: str) -> None:
    text = machine("a", 1, f"  identity: {{addresses: [{address}]}}\n")
    assert problems_of(a=text) == [
        (
            f"a.yaml:7:26: RW144 spec.identity.addresses[0]: {address} {problem}\n"
            "    hint: network lab is defined at network.yaml:3:18"
        )
    ]


def test_a_fixed_address_in_the_dhcp_range_is_a_warning() -> None:
    result = compiled(a=machine("a", 1, "  identity: {addresses: [10.77.0.100/24]}\n"))
    assert [str(problem) for problem in result.diagnostics] == [
        (
            "a.yaml:7:26: RW149 warning: spec.identity.addresses[0]: 10.77.0.100 is inside the "
            "DHCP range of network lab\n"
            "    hint: another machine could be leased the address; move it out of the range"
        )
    ]
    assert result.fleet is not None


def test_a_fixed_address_in_a_range_that_is_not_leased_is_fine() -> None:
    proxy = NETWORK.replace("mode: server", "mode: proxy")
    found = problems_of(
        network=proxy, a=machine("a", 1, "  identity: {addresses: [10.77.0.100/24]}\n")
    )
    assert [line.split(" ")[1] for line in found] == ["RW148"]


def test_a_machine_must_be_in_a_network() -> None:
    lonely = GROUP.replace("name: lab", "name: other").replace("{network: lab}", "{}")
    text = machine("a", 1).replace("group: lab", "group: other")
    assert problems_of(a=text, other=lonely) == [
        (
            "a.yaml:3:18: RW145 machine a is in no network\n"
            "    hint: set spec.network here, or on group other or one above it"
        )
    ]


@pytest.mark.parametrize(
    ("subnet", "overlaps"),
    [
        ("10.77.0.0/16", True),
        ("10.77.0.128/25", True),
        ("10.77.0.0/24", True),
        ("10.77.1.0/24", False),
    ],
)
def test_networks_must_not_overlap(subnet: str, overlaps: bool) -> None:  # noqa: FBT001
    other = f"{HEAD}kind: Network\nmetadata: {{name: other}}\nspec:\n  subnet: {subnet}\n"
    expected = [
        (
            f"other.yaml:5:11: RW143 spec.subnet: {subnet} overlaps 10.77.0.0/24 of network lab "
            "at network.yaml:5:11\n"
            "    hint: an address belongs to one network only"
        )
    ]
    assert problems_of(other=other) == (expected if overlaps else [])


def test_each_of_several_overlapping_networks_is_refused_once() -> None:
    texts = {
        f"n{number}": f"{HEAD}kind: Network\nmetadata: {{name: n{number}}}\n"
        f"spec: {{subnet: 10.0.{number}.0/{prefix}}}\n"
        for number, prefix in ((0, 16), (1, 24), (2, 24))
    }
    assert [line.split(" overlaps")[0] for line in problems_of(**texts)] == [
        "n1.yaml:4:16: RW143 spec.subnet: 10.0.1.0/24",
        "n2.yaml:4:16: RW143 spec.subnet: 10.0.2.0/24",
    ]


@pytest.mark.parametrize(
    ("steps", "second", "first"),
    [
        (
            "[{backup: {image: golden}}, {restore: {image: golden}}]",
            "x.yaml:5:56: RW146 spec.steps[1].restore.image",
            "x.yaml:5:28",
        ),
        (
            "[{restore: {image: golden}}, {inspectDisks: {}}, {backup: {image: golden}}]",
            "x.yaml:5:76: RW146 spec.steps[2].backup.image",
            "x.yaml:5:29",
        ),
    ],
)
def test_a_scenario_cannot_back_up_what_it_restores(steps: str, second: str, first: str) -> None:
    text = f"{HEAD}kind: Scenario\nmetadata: {{name: x}}\nspec:\n  steps: {steps}\n"
    assert problems_of(x=text) == [
        (
            f"{second}: golden is backed up and restored by one scenario, first at {first}\n"
            "    hint: use two scenarios, or two images"
        )
    ]


def test_one_list_cannot_assign_a_scenario_twice() -> None:
    text = machine("a", 1, "  assign:\n    - {scenario: clone, run: 1}\n") + (
        "    - {scenario: clone, run: 2}\n"
    )
    assert problems_of(a=text) == [
        (
            "a.yaml:9:18: RW147 spec.assign[1].scenario: clone is already assigned at "
            "a.yaml:8:18\n"
            "    hint: keep one of the two; to run it again, change its run token"
        )
    ]


@pytest.mark.parametrize(
    "broken",
    [
        NETWORK.replace("subnet: 10.77.0.0/24", "subnet: 10.77.0.0"),
        NETWORK.replace("subnet", "subent"),
        NETWORK.replace("kind: Network", "kind: Netwrok"),
        NETWORK.replace("v1alpha1", "v2"),
        NETWORK.replace("apiVersion: rackwright/v1alpha1\n", ""),
        NETWORK.replace("spec:\n", "spec: [\n"),
        NETWORK.replace("spec:\n", "spec:\n\t\n"),
        NETWORK.replace("spec:\n", "spec: \x00\n"),
    ],
)
def test_a_broken_document_causes_no_problems_elsewhere(broken: str) -> None:
    text = machine("a", 1, "  identity: {addresses: [10.77.0.11/24]}\n  network: lab\n")
    found = problems_of(network=broken, a=text)
    assert len(found) == 1
    assert found[0].startswith("network.yaml:")


@pytest.mark.parametrize(
    "broken",
    [
        GROUP.replace("network: lab", "netwrok: lab"),
        GROUP.replace("network: lab", "network: [lab]"),
        GROUP.replace("network: lab", "network:"),
        GROUP.replace("{network: lab}", "[]"),
        GROUP.replace("{network: lab}", "{network: lab"),
        GROUP.replace("kind: Group", "kind: Gruop"),
        GROUP.replace("v1alpha1", "v2"),
    ],
)
def test_a_broken_group_does_not_make_its_machines_look_wrong(broken: str) -> None:
    text = machine("a", 1, "  identity: {addresses: [10.77.0.11/24]}\n")
    below = GROUP.replace("name: lab", "name: lab/row1").replace("{network: lab}", "{}")
    deeper = machine("b", 2).replace("group: lab", "group: lab/row1")
    found = problems_of(group=broken, a=text, b=deeper, below=below)
    assert len(found) == 1
    assert found[0].startswith("group.yaml:")


def test_a_machine_with_a_problem_is_still_compared_with_others() -> None:
    broken = machine("b", 1, "  identity: {addresses: [10.99.0.1/24]}\n  protcet: true\n")
    found = problems_of(a=machine("a", 1), b=broken)
    assert [line.split(" ")[1] for line in found] == ["RW142", "RW144", "RW124"]


def test_a_broken_machine_is_compared_in_normal_form() -> None:
    first = machine("a", 0xAB)
    second = machine("b", 0).replace("52:54:00:00:00:00", "52-54-00-00-00-AB")
    found = problems_of(a=first, b=second + "  protcet: true\n")
    assert [line.split(" ")[1] for line in found] == ["RW142", "RW124"]


def test_an_impossible_name_is_no_suggestion() -> None:
    broken = NETWORK.replace("name: lab", "name: Lab A").replace("10.77.0.", "10.78.0.")
    found = problems_of(b=broken, a=machine("a", 1, "  network: lax-a\n"))
    assert found[0] == (
        'a.yaml:7:12: RW141 spec.network: no Network is named "lax-a"\n    hint: known are: lab'
    )


def test_an_unknown_group_is_not_also_a_missing_network() -> None:
    found = problems_of(a=machine("a", 1).replace("group: lab", "group: nowhere"))
    assert [line.split(" ")[1] for line in found] == ["RW141"]


TEN_MISTAKES = {
    "fleet.yaml": f"{HEAD}kind: Fleet\nmetadata: {{name: f}}\nspec: {{budget: {{}}}}\n",
    "groups.yaml": (
        f"{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{network: lab}}\n"
        f"---\n{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{protect: true}}\n"
    ),
    "images.yaml": IMAGE + "\tdescription: x\n",
    "machines.yaml": "---\n".join(
        [
            machine("a", 1, "  identity: {addresses: [10.78.0.11/24]}\n"),
            machine("b", 1),
            machine("c", 3).replace('"52:54:00:00:00:03"', "525400000003"),
            machine("d", 4, "  power: {driver: redfsh}\n"),
            machine("e", 5, "  assign: [{scenario: cloen, run: 1}]\n"),
        ]
    ),
    "network.yaml": NETWORK,
    "scenario.yaml": SCENARIO.replace("restore:", "restor:"),
    "schedules.yaml": f"{HEAD}kind: Schedule\nmetadata: {{name: nightly}}\n",
}


def test_ten_mistakes_in_one_repository_are_reported_at_once() -> None:
    result = compile_fleet({name: text.encode() for name, text in TEN_MISTAKES.items()}, "rev")
    assert result.fleet is None
    assert "\n".join(str(problem) for problem in result.diagnostics) == (
        'fleet.yaml:4:8: RW124 spec: unknown field "budget"\n'
        '    hint: did you mean "budgets"?\n'
        'groups.yaml:8:18: RW140 Group "lab" is already defined at groups.yaml:3:18\n'
        "    hint: merge the two or rename one\n"
        "images.yaml:4:1: RW102 a tab where YAML wants spaces\n"
        "    hint: indent with spaces\n"
        "machines.yaml:7:26: RW144 spec.identity.addresses[0]: 10.78.0.11/24 is not in "
        "10.77.0.0/24, the subnet of network lab\n"
        "    hint: network lab is defined at network.yaml:3:18\n"
        "machines.yaml:14:21: RW142 spec.hardware.macs[0]: the MAC address 52:54:00:00:00:01 is "
        'already used by machine "a" at machines.yaml:6:21\n'
        "    hint: each machine has its own MAC address\n"
        "machines.yaml:21:21: RW127 spec.hardware.macs[0]: must be text, not the number "
        "525400000003\n"
        '    hint: write "52:54:00:00:00:03", with colons and in quotes\n'
        "machines.yaml:29:19: RW128 spec.power.driver: must be one of wake-on-lan, manual, "
        'redfish, ipmi, webhook, not "redfsh"\n'
        '    hint: did you mean "redfish"?\n'
        'machines.yaml:37:23: RW141 spec.assign[0].scenario: no Scenario is named "cloen"\n'
        '    hint: did you mean "clone"?\n'
        'scenario.yaml:5:32: RW124 spec.steps[1]: unknown field "restor"\n'
        '    hint: did you mean "restore"?\n'
        'schedules.yaml:1:1: RW125 "spec" is missing\n'
        "    hint: add spec: {select: {groups: [tokyo]}, action: {scenario: nightly-backup}, "
        "when: {cron: 30 2 * * sat, timeZone: Asia/Tokyo}}"
    )


def test_problems_do_not_depend_on_the_order_of_files() -> None:
    files = {name: text.encode() for name, text in TEN_MISTAKES.items()}
    backwards = dict(reversed(files.items()))
    assert compile_fleet(files, "r").diagnostics == compile_fleet(backwards, "r").diagnostics
