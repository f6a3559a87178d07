"""Machine tables: rows that are machines exactly as Machine documents would be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.compile.fleet import CompileResult, compile_fleet
from specs.desired_state import is_desired_state
from specs.diagnostics.position import Position
from specs.fleet import CompiledFleet, CompiledMachine, Origin

HEAD = "apiVersion: rackwright/v1alpha1\n"
BASE = {
    "network.yaml": f"{HEAD}kind: Network\nmetadata: {{name: n}}\nspec: {{subnet: 10.0.0.0/24}}\n",
    "group.yaml": f"{HEAD}kind: Group\nmetadata: {{name: lab}}\nspec: {{network: n}}\n",
}
TABLE = f"{HEAD}kind: MachineTable\nmetadata: {{name: t}}\nspec:\n"
MISSING = 'm.csv:1:1: RW154 the column "{0}" is missing\n    hint: add it to this line: {0}'
KNOWN = (
    "known are: addresses, displayName, domain, drift, formerly, group, hostname, macs, name, "
    "network, power, protect, serial, uuid and label.KEY"
)
DEFAULTS = "  defaults: {group: lab}\n"
ROW = '    - {name: a, macs: ["52:54:00:00:00:01"]}\n'


def compiled(table: str, **files: str | bytes) -> CompileResult:
    """Compile a table; a keyword ``x_csv`` is the file ``x.csv`` beside it."""
    contents = {f"{name}".replace("_", "."): content for name, content in files.items()}
    texts: dict[str, str | bytes] = {**BASE, "t.yaml": TABLE + table, **contents}
    return compile_fleet(
        {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()},
        "rev",
    )


def problems_of(table: str, **files: str | bytes) -> list[str]:
    return [str(problem) for problem in compiled(table, **files).diagnostics]


def fleet_of(table: str, **files: str | bytes) -> CompiledFleet:
    result = compiled(table, **files)
    assert [str(problem) for problem in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def without_places(machine: CompiledMachine) -> tuple[object, ...]:
    return (
        machine.digest,
        machine.labels,
        machine.addresses,
        machine.groups,
        machine.power_driver,
        set(machine.origins),
    )


DOCUMENT = f"""{HEAD}kind: Machine
metadata: {{name: a, labels: {{role: compute, rack: "7"}}}}
spec:
  group: lab
  hardware:
    macs: ["52:54:00:00:00:01", "52:54:00:00:00:02"]
    uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32
    serial: S1
    formerly: ["mac:52:54:00:00:00:09"]
  identity: {{hostname: alpha, domain: example.net, addresses: [10.0.0.7/24]}}
  network: n
  power: {{driver: wake-on-lan}}
  protect: true
"""
AS_ROW = """  rows:
    - name: a
      macs: ["52:54:00:00:00:01", "52:54:00:00:00:02"]
      uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32
      serial: S1
      formerly: ["mac:52:54:00:00:00:09"]
      hostname: alpha
      domain: example.net
      addresses: [10.0.0.7/24]
      group: lab
      network: n
      power: {driver: wake-on-lan}
      protect: true
      labels: {role: compute, rack: 7}
"""
AS_CSV = (
    "name,macs,uuid,serial,formerly,hostname,domain,addresses,group,network,power,protect,"
    "label.role,label.rack\n"
    "a,52:54:00:00:00:01 52:54:00:00:00:02,4c4c4544-0042-3510-8052-b4c04f4e4a32,S1,"
    "mac:52:54:00:00:00:09,alpha,example.net,10.0.0.7/24,lab,n,wake-on-lan,true,compute,7\n"
)


def test_a_machine_is_the_same_as_document_as_row_and_as_csv() -> None:
    files = {name: text.encode() for name, text in (BASE | {"m.yaml": DOCUMENT}).items()}
    fleet = compile_fleet(files, "rev").fleet
    assert fleet is not None
    expected = without_places(fleet.machines["a"])
    assert without_places(fleet_of(AS_ROW).machines["a"]) == expected
    assert without_places(fleet_of("  csv: m.csv\n", m_csv=AS_CSV).machines["a"]) == expected


def test_defaults_hold_where_a_row_says_nothing_and_labels_are_merged() -> None:
    table = (
        "  defaults: {group: lab, power: {driver: wake-on-lan}, labels: {site: x, role: store}}\n"
        "  rows:\n"
        '    - {name: a, macs: ["52:54:00:00:00:01"], labels: {role: compute}}\n'
        '    - {name: b, macs: ["52:54:00:00:00:02"], power: {driver: manual}}\n'
    )
    machines = fleet_of(table).machines
    assert machines["a"].labels == {"role": "compute", "site": "x"}
    assert machines["b"].labels == {"role": "store", "site": "x"}
    assert [machines[name].power_driver for name in "ab"] == ["wake-on-lan", "manual"]


def test_every_value_of_a_row_knows_where_it_was_written() -> None:
    table = (
        "  defaults: {group: lab, labels: {site: x}}\n"
        "  rows:\n"
        "    - name: a\n"
        '      macs: ["52:54:00:00:00:01"]\n'
        "      labels: {role: compute}\n"
    )
    origins = fleet_of(table).machines["a"].origins
    assert {name: (each.position.line, each.position.column) for name, each in origins.items()} == {
        "group": (5, 21),
        "hardware.macs": (8, 13),
        "labels.role": (9, 22),
        "labels.site": (5, 41),
        "network": (4, 17),
    }
    assert origins["network"] == Origin(Position("group.yaml", 4, 17), ("lab",))


def test_every_cell_knows_its_line_and_column() -> None:
    csv = 'name,"label.role",macs,addresses\n\n\na,"x",52:54:00:00:00:01,10.0.0.1/24\n'
    origins = fleet_of(DEFAULTS + "  csv: m.csv\n", m_csv=csv).machines["a"].origins
    assert origins["labels.role"].position == Position("m.csv", 4, 3)
    assert origins["hardware.macs"].position == Position("m.csv", 4, 7)
    assert origins["identity.addresses"].position == Position("m.csv", 4, 25)
    assert origins["group"].position == Position("t.yaml", 5, 21)


@pytest.mark.parametrize(
    "csv",
    [
        "name,macs\na,52:54:00:00:00:01\n",
        "name,macs\na,52:54:00:00:00:01",
        "\ufeffname,macs\r\na,52:54:00:00:00:01\r\n",
        "name,macs\r\ra,52:54:00:00:00:01\r",
        "\n\nname,macs\n\n,\n  ,  \na,52:54:00:00:00:01\n\n",
        '"name" ,macs\n "a","52:54:00:00:00:01"\n'.replace('"name" ', '"name"').replace(
            ' "a"', '"a"'
        ),
        'macs,name\n"52:54:00:00:00:01\n",a\n',
        "name , macs\n a , 52-54-00-00-00-01 \n",
        "name,macs,serial,label.x\na,52:54:00:00:00:01,,\n",
        "name,macs,,\na,52:54:00:00:00:01,,\n,,,\n",
        "name,macs\na,52:54:00:00:00:01,,\n",
    ],
)
def test_csv_is_read_as_spreadsheets_write_it(csv: str) -> None:
    machine = fleet_of(DEFAULTS + "  csv: m.csv\n", m_csv=csv).machines["a"]
    assert machine.macs == ("52:54:00:00:00:01",)
    assert machine.serial == ""
    assert machine.labels == {}


@pytest.mark.parametrize(("written", "meant"), [("true", True), ("TRUE", True), ("FALSE", False)])
def test_booleans_are_read_as_people_and_as_spreadsheets_write_them(
    written: str, *, meant: bool
) -> None:
    csv = f"name,macs,protect\na,52:54:00:00:00:01,{written}\n"
    assert fleet_of(DEFAULTS + "  csv: m.csv\n", m_csv=csv).machines["a"].protect is meant


def test_an_empty_cell_at_the_end_of_the_file_has_a_place() -> None:
    assert problems_of(DEFAULTS + "  csv: m.csv\n", m_csv="name,macs\nab,") == [
        (
            "m.csv:2:4: RW125 macs: the cell is empty\n"
            "    hint: every machine has one; for example 52:54:00:12:34:56"
        )
    ]


def test_a_csv_file_lies_beside_its_table_or_anywhere_else_in_the_repository() -> None:
    for place, name in [("site/t.yaml", "../all/m.csv"), ("site/t.yaml", "../all/../all/m.csv")]:
        texts = BASE | {
            place: f"{TABLE}{DEFAULTS}  csv: {name}\n",
            "all/m.csv": "name,macs\na,52:54:00:00:00:01\n",
        }
        result = compile_fleet({file: text.encode() for file, text in texts.items()}, "rev")
        assert result.fleet is not None
        assert list(result.fleet.machines) == ["a"]


def test_a_csv_file_that_no_table_names_is_ignored() -> None:
    assert is_desired_state("a/m.csv")
    assert not is_desired_state(".hidden/m.csv")
    table = DEFAULTS + "  rows:\n" + ROW
    assert list(fleet_of(table, other_csv=b"\xff;;;").machines) == ["a"]


@pytest.mark.parametrize(
    ("csv", "diagnostics"),
    [
        (
            "",
            [
                (
                    "m.csv:1:1: RW154 the file is empty\n"
                    "    hint: its first line names the columns, for example name,macs,group"
                )
            ],
        ),
        (
            "name,mac,name\n",
            [
                'm.csv:1:6: RW154 unknown column "mac"\n    hint: did you mean "macs"?',
                (
                    'm.csv:1:10: RW154 the column "name" is there twice, first at m.csv:1:1\n'
                    "    hint: remove one of the two"
                ),
            ],
        ),
        (
            "name;macs\n",
            [
                (
                    'm.csv:1:1: RW154 unknown column "name;macs"\n'
                    "    hint: separate the columns by commas"
                ),
            ],
        ),
        (
            "name,macs,,labels,colour\n",
            [
                (
                    "m.csv:1:11: RW154 a column without a name\n"
                    "    hint: remove it, or name it in this line"
                ),
                (
                    'm.csv:1:12: RW154 unknown column "labels"\n'
                    "    hint: write one column for each label: label.role"
                ),
                (f'm.csv:1:19: RW154 unknown column "colour"\n    hint: {KNOWN}'),
            ],
        ),
        (
            "name,macs\na\nb,52:54:00:00:00:01,x\n",
            [
                (
                    f"m.csv:{line}:1: RW155 the row has {found} cells, the header has 2\n"
                    "    hint: leave a cell empty where nothing is to be said; separate the "
                    "items of a list by spaces; put a cell with a comma in quotes"
                )
                for line, found in [(2, 1), (3, 3)]
            ],
        ),
        (
            'name,macs\na,"52:54\n\n',
            [
                (
                    "m.csv:2:1: RW155 a quote begins a cell of this line and never ends\n"
                    "    hint: a cell in quotes ends with a quote; a quote within it is written "
                    'twice: ""'
                )
            ],
        ),
        (
            (
                "name,macs,protect,power,addresses\n"
                "A,52:54:00:00:00:0x,yes,wol,10.0.0.7/24 10.0.0.8\n"
                ",52:54:00:00:00:01,,,\n"
                "c,,,,\n"
            ),
            [
                ('m.csv:2:1: RW128 name: "A" is not a machine name\n    hint: write a'),
                (
                    'm.csv:2:3: RW128 macs[0]: "52:54:00:00:00:0x" is not a MAC address\n'
                    '    hint: for example "52:54:00:12:34:56"'
                ),
                (
                    'm.csv:2:21: RW127 protect: must be true or false, not the text "yes"\n'
                    "    hint: write true; yes, no, on and off are text"
                ),
                (
                    "m.csv:2:25: RW128 power.driver: must be one of wake-on-lan, manual, redfish, "
                    'ipmi, webhook, not "wol"\n'
                    '    hint: did you mean "wake-on-lan"?'
                ),
                (
                    'm.csv:2:29: RW128 addresses[1]: "10.0.0.8" is not an IPv4 address with its '
                    "prefix length\n"
                    "    hint: add the prefix length, for example 10.0.0.8/24"
                ),
                (
                    "m.csv:3:1: RW125 name: the cell is empty\n"
                    "    hint: every machine has one; for example node-0713"
                ),
                (
                    "m.csv:4:3: RW125 macs: the cell is empty\n"
                    "    hint: every machine has one; for example 52:54:00:12:34:56"
                ),
            ],
        ),
        (
            "name,macs,network\na,52:54:00:00:00:01,m\n",
            [('m.csv:2:21: RW141 network: no Network is named "m"\n    hint: did you mean "n"?')],
        ),
        (
            "name,macs,addresses\na,52:54:00:00:00:01,10.1.0.1/24\nb,52:54:00:00:00:01,\n",
            [
                (
                    "m.csv:2:21: RW144 addresses[0]: 10.1.0.1/24 is not in 10.0.0.0/24, the subnet "
                    "of network n\n"
                    "    hint: network n is defined at network.yaml:3:18"
                ),
                (
                    "m.csv:3:3: RW142 macs[0]: the MAC address 52:54:00:00:00:01 is already used "
                    'by machine "a" at m.csv:2:3\n'
                    "    hint: each machine has its own MAC address"
                ),
            ],
        ),
    ],
)
def test_all_mistakes_in_a_csv_file_are_reported_with_their_places(
    csv: str, diagnostics: list[str]
) -> None:
    assert problems_of(DEFAULTS + "  csv: m.csv\n", m_csv=csv) == diagnostics


def test_a_group_comes_from_a_column_or_the_defaults() -> None:
    assert problems_of("  csv: m.csv\n", m_csv="name,macs\na,52:54:00:00:00:01\n") == [
        (
            'm.csv:1:1: RW154 the column "group" is missing\n'
            "    hint: add it to this line: group, or set spec.defaults.group in the table"
        )
    ]


def test_a_csv_file_that_is_not_utf_8_is_refused_at_the_byte() -> None:
    found = problems_of(DEFAULTS + "  csv: m.csv\n", m_csv=b"name,macs\na\xfcb,1\n")
    assert found == [
        (
            "m.csv:2:2: RW153 the byte 0xfc is not UTF-8\n"
            "    hint: save the file as UTF-8; spreadsheets call it CSV UTF-8"
        )
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "n.csv",
            ('t.yaml:6:8: RW153 spec.csv: "n.csv" does not exist\n    hint: did you mean "m.csv"?'),
        ),
        (
            "../m.csv",
            (
                't.yaml:6:8: RW153 spec.csv: "../m.csv" is outside the repository\n'
                "    hint: the path is relative to t.yaml and ends in .csv"
            ),
        ),
        (
            "/m.csv",
            (
                't.yaml:6:8: RW128 spec.csv: "/m.csv" is not a place in the repository\n'
                "    hint: a path beside this file, with / between its parts"
            ),
        ),
    ],
)
def test_a_csv_file_is_in_the_repository(name: str, problem: str) -> None:
    found = problems_of(f"{DEFAULTS}  csv: {name}\n", m_csv="name,macs\n")
    assert found == [problem]


def test_two_tables_of_one_csv_file_are_refused_naming_both() -> None:
    again = f"{TABLE.replace('name: t', 'name: u')}{DEFAULTS}  csv: m.csv\n"
    found = problems_of(
        f"{DEFAULTS}  csv: m.csv\n", m_csv="name,macs\na,52:54:00:00:00:01\n", u_yaml=again
    )
    assert found == [
        (
            'u.yaml:6:8: RW153 spec.csv: "m.csv" is already a table\'s at t.yaml:6:8\n'
            "    hint: its machines would exist twice; remove one of the two"
        )
    ]


def test_a_machine_in_two_places_is_refused_naming_both() -> None:
    found = problems_of(
        f"{DEFAULTS}  csv: m.csv\n  rows:\n{ROW}", m_csv="name,macs\na,52:54:00:00:00:02\n"
    )
    assert found == [
        (
            'm.csv:2:1: RW140 Machine "a" is already defined at t.yaml:8:14\n'
            "    hint: merge the two or rename one"
        )
    ]


@pytest.mark.parametrize(
    ("rows", "diagnostics"),
    [
        (
            '    - {nam: a, macs: ["52:54:00:00:00:01"], group: lab}\n',
            [
                (
                    't.yaml:6:8: RW124 spec.rows[0]: unknown field "nam"\n'
                    '    hint: did you mean "name"?'
                )
            ],
        ),
        (
            '    - {name: a, macs: ["52:54:00:00:00:01"]}\n',
            [
                (
                    't.yaml:6:7: RW125 spec.rows[0]: "group" is missing\n'
                    "    hint: add group: tokyo/row2/rack07 (The group that it belongs to)"
                )
            ],
        ),
        (
            "    - a\n    - [b]\n",
            [
                (
                    't.yaml:6:7: RW127 spec.rows[0]: must be a mapping, not the text "a"\n'
                    '    hint: for example {name: node-0713, macs: ["52:54:00:12:34:56"]}'
                ),
                (
                    "t.yaml:7:7: RW127 spec.rows[1]: must be a mapping, not a list\n"
                    "    hint: one value is wanted here"
                ),
            ],
        ),
        (
            '    - {name: a, group: lab, macs: ["52:54:00:00:00:01"], serial: }\n',
            [
                (
                    "t.yaml:6:58: RW126 spec.rows[0].serial: there is no value\n"
                    "    hint: give it a value or remove the line; an empty list is [], an empty "
                    "mapping {}"
                )
            ],
        ),
        (
            '    - {name: a, group: lba, macs: ["52:54:00:00:00:01"], labels: {"a b": c}}\n',
            [
                (
                    't.yaml:6:24: RW141 spec.rows[0].group: no Group is named "lba"\n'
                    '    hint: did you mean "lab"?'
                ),
                (
                    't.yaml:6:74: RW128 spec.rows[0].labels["a b"]: "a b" is not a label\'s name\n'
                    '    hint: up to 63 letters, digits, ".", "_", "/" and "-", with a letter or '
                    "digit at both ends"
                ),
            ],
        ),
    ],
)
def test_rows_of_yaml_are_checked_like_documents(rows: str, diagnostics: list[str]) -> None:
    assert problems_of("  rows:\n" + rows) == diagnostics


def test_a_mistake_in_the_defaults_is_reported_once_and_not_at_every_row() -> None:
    rows = "  rows:\n" + ROW + ROW.replace("name: a", "name: b").replace(":01", ":02")
    assert problems_of("  defaults: {group: Lab}\n" + rows) == [
        ('t.yaml:5:21: RW128 spec.defaults.group: "Lab" is not a name\n    hint: write lab')
    ]
    assert problems_of("  defaults: {group: lba}\n" + rows) == [
        (
            't.yaml:5:21: RW141 spec.defaults.group: no Group is named "lba"\n'
            '    hint: did you mean "lab"?'
        )
    ]


def test_a_sound_row_counts_beside_a_broken_one() -> None:
    rows = ROW + '    - {name: b, macs: ["52:54:00:00:00:01"], uuid: x}\n'
    codes = [line.split(" ")[1] for line in problems_of(DEFAULTS + "  rows:\n" + rows)]
    assert codes == ["RW142", "RW128"]


@given(st.binary(max_size=200) | st.text(alphabet='name,macs"\n\r ;a1:\ufeff', max_size=80))
def test_whatever_is_in_a_csv_file_ends_in_a_fleet_or_in_problems(csv: bytes | str) -> None:
    result = compiled(DEFAULTS + "  csv: m.csv\n", m_csv=csv)
    errors = [problem for problem in result.diagnostics if problem.severity == "error"]
    assert (result.fleet is None) == bool(errors)
    for problem in result.diagnostics:
        assert problem.position.line >= 1
        assert problem.position.column >= 1
