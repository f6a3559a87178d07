"""What each kind of document accepts, and what it says when it does not."""

import pytest
from pydantic import Field, ValidationError

from specs.compile.fleet import compile_fleet
from specs.diagnostics.nearest import NearestNames
from specs.kinds import KINDS
from specs.kinds.record import Record
from specs.types.secret import SecretReference
from specs.validate.model_errors import explain

ONE_ACTION = (
    "write one list item per action: inspectDisks, backup, restore, install, packages, files, "
    "run, upgradeAgent, firmware or prepareMaster"
)
HEAD = "apiVersion: rackwright/v1alpha1\n"


def problems_of(text: str) -> list[str]:
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert (result.fleet is None) == any(each.severity == "error" for each in result.diagnostics)
    return [str(problem) for problem in result.diagnostics]


def document(kind: str, spec: str, name: str = "x") -> str:
    return f"{HEAD}kind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "- a\n",
            (
                "f.yaml:1:1: RW120 a list where a document of desired state is wanted\n"
                "    hint: write the documents one after another, with lines of --- between them"
            ),
        ),
        (
            "services: {}\n",
            (
                "f.yaml:1:1: RW120 not a document of desired state: apiVersion, kind, metadata "
                "and spec are missing\n"
                "    hint: files of other tools go into a folder whose name begins with a dot"
            ),
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\n",
            (
                'f.yaml:1:13: RW121 apiVersion "v1" is not read here\n'
                "    hint: write apiVersion: rackwright/v1alpha1; files of other tools go into a "
                "folder whose name begins with a dot"
            ),
        ),
        (
            f"{HEAD}kind: Machnie\n",
            'f.yaml:2:7: RW122 unknown kind "Machnie"\n    hint: did you mean Machine?',
        ),
        (
            f"{HEAD}kind: Pod\n",
            (f'f.yaml:2:7: RW122 unknown kind "Pod"\n    hint: known are: {", ".join(KINDS)}'),
        ),
        (
            f"{HEAD}metadata: {{name: x}}\n",
            (f'f.yaml:1:1: RW125 "kind" is missing\n    hint: add kind: one of {", ".join(KINDS)}'),
        ),
        (
            "kind: Image\nmetadata: {name: x}\n",
            (
                'f.yaml:1:1: RW125 "apiVersion" is missing\n'
                "    hint: add apiVersion: rackwright/v1alpha1"
            ),
        ),
        (
            f"{HEAD}kind: [Image]\nmetadata: {{name: x}}\n",
            (f"f.yaml:2:7: RW127 kind: must be text\n    hint: one of {', '.join(KINDS)}"),
        ),
        (
            f"{HEAD}kind: Image\nspec: {{}}\n",
            'f.yaml:1:1: RW125 "metadata" is missing\n    hint: add metadata: {name: ...}',
        ),
    ],
)
def test_what_is_no_supported_document_is_refused(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


def test_api_version_and_kind_can_both_be_wrong() -> None:
    assert problems_of("kind: Machin\nmetadata: {name: x}\n") == [
        (
            'f.yaml:1:1: RW125 "apiVersion" is missing\n'
            "    hint: add apiVersion: rackwright/v1alpha1"
        ),
        'f.yaml:1:7: RW122 unknown kind "Machin"\n    hint: did you mean Machine?',
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "diagnostics"),
    [
        (
            "Fleet",
            "  budgets: {destructive: {atOnce: 0, perHour: unlimited}}\n",
            [
                (
                    "f.yaml:5:35: RW128 spec.budgets.destructive.atOnce: must be at least 1, "
                    "not 0\n"
                    "    hint: Machines in destructive work at one moment. "
                    "Cannot be switched off."
                ),
                (
                    "f.yaml:5:47: RW127 spec.budgets.destructive.perHour: must be a whole "
                    'number, not the text "unlimited"\n'
                    "    hint: for example 10"
                ),
            ],
        ),
        (
            "Fleet",
            "  budgets: {destructive: {atOnce: 100000}}\n  observation: {maxAge: 4w}\n",
            [
                (
                    "f.yaml:5:35: RW128 spec.budgets.destructive.atOnce: must be at most 1000, "
                    "not 100000\n"
                    "    hint: Machines in destructive work at one moment. "
                    "Cannot be switched off."
                ),
                (
                    "f.yaml:6:25: RW128 spec.observation.maxAge: 4w is not between 1m and 1w\n"
                    "    hint: An observation older than this is UNKNOWN. Between 1m and 1w."
                ),
            ],
        ),
        (
            "Fleet",
            "  observation: {maxAge: 3600}\n",
            [
                (
                    "f.yaml:5:25: RW128 spec.observation.maxAge: the number 3600 has no unit\n"
                    "    hint: for example 10m; units are s, m, h, d, w"
                )
            ],
        ),
        (
            "Network",
            "  subnet: 10.77.0.1/24\n  dhcp: {mode: sever}\n",
            [
                (
                    'f.yaml:5:11: RW128 spec.subnet: "10.77.0.1/24" is an address, '
                    "not a subnet\n"
                    "    hint: write 10.77.0.0/24"
                ),
                (
                    "f.yaml:6:16: RW128 spec.dhcp.mode: must be one of server, proxy, off, "
                    'not "sever"\n'
                    '    hint: did you mean "server"?'
                ),
            ],
        ),
        (
            "Network",
            "  subnet: 10.77.0.0/24\n  nameservers: 10.0.0.1\n",
            [
                (
                    "f.yaml:6:16: RW127 spec.nameservers: must be a list, "
                    'not the text "10.0.0.1"\n'
                    '    hint: write ["10.0.0.1"]'
                )
            ],
        ),
        (
            "Network",
            "  subnet: 10.77.0.0/24\n  gateway: 10.78.0.1\n",
            [
                (
                    "f.yaml:6:12: RW144 spec.gateway: 10.78.0.1 is not the address of a host in "
                    "10.77.0.0/24\n"
                    "    hint: the gateway is a router inside the subnet"
                )
            ],
        ),
        (
            "Network",
            "  subnet: 10.77.0.0/24\n  dhcp: {mode: server}\n",
            [
                (
                    "f.yaml:6:3: RW150 spec.dhcp: mode server wants a range of addresses "
                    "to lease\n"
                    "    hint: add range: 10.77.0.128-10.77.0.192"
                )
            ],
        ),
        (
            "Network",
            ("  subnet: 10.77.0.0/24\n  dhcp: {mode: server, range: 10.77.0.200-10.77.1.10}\n"),
            [
                (
                    "f.yaml:6:31: RW150 spec.dhcp.range: 10.77.0.200-10.77.1.10 has an address "
                    "that no host in 10.77.0.0/24 may have\n"
                    "    hint: for example 10.77.0.128-10.77.0.192"
                )
            ],
        ),
        (
            "Network",
            (
                "  subnet: 10.77.0.0/24\n  gateway: 10.77.0.150\n"
                "  dhcp: {mode: server, range: 10.77.0.100-10.77.0.199}\n"
            ),
            [
                (
                    "f.yaml:7:31: RW150 spec.dhcp.range: 10.77.0.100-10.77.0.199 contains the "
                    "gateway 10.77.0.150\n"
                    "    hint: the gateway's address would be leased to a machine; leave it out"
                )
            ],
        ),
        (
            "Network",
            ("  subnet: 10.77.0.0/24\n  dhcp: {mode: proxy, range: 10.77.0.100-10.77.0.199}\n"),
            [
                (
                    "f.yaml:6:23: RW148 warning: spec.dhcp.range: has no effect in mode proxy\n"
                    "    hint: remove it, or set mode: server"
                )
            ],
        ),
        (
            "Group",
            "  protect: yes\n  identity: {hostname: a}\n",
            [
                (
                    "f.yaml:5:12: RW127 spec.protect: must be true or false, not the text "
                    '"yes"\n'
                    "    hint: write true; yes, no, on and off are text"
                ),
                (
                    'f.yaml:6:14: RW124 spec.identity: unknown field "hostname"\n'
                    "    hint: known here: domain"
                ),
            ],
        ),
        (
            "Group",
            "  labels: {rack 7: a, site: true, row: ''}\n",
            [
                (
                    'f.yaml:5:12: RW128 spec.labels["rack 7"]: "rack 7" is not a label\'s name\n'
                    '    hint: up to 63 letters, digits, ".", "_", "/" and "-", '
                    "with a letter or digit at both ends"
                ),
                (
                    "f.yaml:5:29: RW127 spec.labels.site: must be text, not true\n"
                    '    hint: put it in quotes: "true"'
                ),
                (
                    'f.yaml:5:40: RW128 spec.labels.row: "" is not a label\'s value\n'
                    '    hint: up to 63 letters, digits, ".", "_" and "-", '
                    "with a letter or digit at both ends"
                ),
            ],
        ),
        (
            "Machine",
            "  group: lab\n  hardware: {macs: []}\n",
            [
                (
                    'f.yaml:5:10: RW141 spec.group: no Group is named "lab"\n'
                    "    hint: add a Group document; there is none"
                ),
                (
                    "f.yaml:6:20: RW128 spec.hardware.macs: must not be empty\n"
                    "    hint: The addresses of its network cards, the one that it boots from "
                    "first."
                ),
            ],
        ),
        (
            "Scenario",
            "  steps:\n    - inspectDisks\n    - {}\n    - {inspectDisks: {}, restore: {}}\n",
            [
                (
                    "f.yaml:6:7: RW127 spec.steps[0]: must be a mapping, "
                    'not the text "inspectDisks"\n'
                    "    hint: write inspectDisks: {}"
                ),
                (
                    "f.yaml:7:7: RW131 spec.steps[1]: the step has no action\n"
                    f"    hint: {ONE_ACTION}"
                ),
                (
                    'f.yaml:8:26: RW125 spec.steps[2].restore: "image" is missing\n'
                    "    hint: add image: debian12-golden (The name of an Image document)"
                ),
            ],
        ),
        (
            "Scenario",
            "  steps:\n    - inspectDisks: {}\n      backup: {image: i}\n",
            [
                (
                    "f.yaml:6:7: RW131 spec.steps[0]: one step has 2 actions: "
                    "backup, inspectDisks\n"
                    f"    hint: {ONE_ACTION}"
                ),
            ],
        ),
        (
            "Scenario",
            ("  delivery: {mode: unicast, maxTargets: 20}\n  steps: [{inspectDisks: {}}]\n"),
            [
                (
                    "f.yaml:5:41: RW128 spec.delivery.maxTargets: belongs to multicast\n"
                    "    hint: remove it, or set mode: multicast"
                )
            ],
        ),
        (
            "Scenario",
            "  delivery: {mode: multicats}\n  steps: [{inspectDisks: {}}]\n",
            [
                (
                    "f.yaml:5:20: RW128 spec.delivery.mode: must be one of unicast, multicast, "
                    'not "multicats"\n'
                    '    hint: did you mean "multicast"?'
                )
            ],
        ),
        (
            "Image",
            "  descripton: x\n",
            [
                (
                    'f.yaml:5:3: RW124 spec: unknown field "descripton"\n'
                    '    hint: did you mean "description"?'
                )
            ],
        ),
    ],
)
def test_fields_are_checked(kind: str, spec: str, diagnostics: list[str]) -> None:
    assert problems_of(document(kind, spec)) == diagnostics


def test_a_misspelt_required_field_is_one_problem_not_two() -> None:
    text = document("Machine", "  grup: lab\n  hardware: {macs: ['52:54:00:00:00:01']}\n")
    assert problems_of(text) == [
        'f.yaml:5:3: RW124 spec: unknown field "grup"\n    hint: did you mean "group"?'
    ]


def test_a_list_is_not_called_too_short_because_its_items_are_wrong() -> None:
    text = document("Machine", "  hardware: {macs: [a]}\n  group: x\n")
    assert [line.split(" ")[1] for line in problems_of(text)] == ["RW128", "RW141"]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("525400770010", 'write "52:54:00:77:00:10", with colons and in quotes'),
        ("5254007700e1", 'write "52:54:00:77:00:e1", with colons and in quotes'),
        ("1234", 'put it in quotes: "1234"'),
    ],
)
def test_an_unquoted_mac_address_never_becomes_a_number_silently(written: str, hint: str) -> None:
    text = document("Machine", f"  group: lab\n  hardware:\n    macs: [{written}]\n")
    assert problems_of(text)[1:] == [
        (
            f"f.yaml:7:12: RW127 spec.hardware.macs[0]: must be text, not the number {written}\n"
            f"    hint: {hint}"
        )
    ]


def test_numbers_are_quoted_as_they_were_written() -> None:
    text = document("Group", "  assign: [{scenario: s, run: 1.10}]\n")
    assert problems_of(text)[1:] == [
        (
            "f.yaml:5:31: RW127 spec.assign[0].run: must be text, not the number 1.10\n"
            '    hint: put it in quotes: "1.10"'
        )
    ]


def test_a_secret_is_refused_where_a_value_is_shown() -> None:
    text = document("Image", "  description: !secret bmc/rack07\n")
    assert problems_of(text) == [
        (
            "f.yaml:5:16: RW129 spec.description: a secret is not allowed here\n"
            "    hint: this value is shown in plans and logs; write the value itself"
        )
    ]


class Keyed(Record):
    """A model with a field that takes a secret."""

    password: SecretReference = Field(description="The password.")


def test_a_secret_is_accepted_where_the_field_has_its_type() -> None:
    secret = SecretReference("bmc/rack07")
    assert Keyed.model_validate({"password": secret}).password == secret


def test_a_plain_value_is_refused_where_a_secret_is_wanted() -> None:
    with pytest.raises(ValidationError) as caught:
        Keyed.model_validate({"password": "hunter2"})
    (complaint,) = explain(caught.value.errors(), Keyed, NearestNames(), lambda _: "hunter2")
    assert (
        complaint.message
        == "password: must be a reference such as !secret bmc/rack07, not the value"
    )
    assert "hunter2" not in complaint.hint


def test_a_document_with_thousands_of_unknown_fields_shows_the_first_hundred() -> None:
    spec = "".join(f"  field{number}: 1\n" for number in range(5000))
    found = problems_of(document("Image", spec))
    assert len(found) == 101
    assert "f.yaml:1:1: RW132 4,900 more problems in this document\n" in found[0]
