"""Machines as CSV: whatever a fleet has comes back as it was."""
# ruff: noqa: RUF001 - full-width characters are what it is about

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.authoring.conversions import converted
from reconciler.authoring.layout import laid_out
from reconciler.authoring.machine_csv import as_table, csv_text, read_csv
from reconciler.authoring.machine_row import (
    MachineRow,
    documents_text,
    fleet_rows,
    machine_row,
    table_text,
)
from reconciler.authoring.rewrite import AuthoringError
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet, CompiledMachine
from specs.yaml import load_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"
AROUND = b"""\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: rack}
spec: {subnet: 10.0.0.0/16}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: other}
spec: {subnet: 10.1.0.0/16}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a}
spec:
  network: rack
  protect: true
  power: {driver: wake-on-lan}
  labels: {site: tokyo}
  assign: [{scenario: look, run: 1}]
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a/b}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look}
spec: {steps: [{inspectDisks: {}}]}
"""


def compiled(files: dict[str, bytes]) -> CompiledFleet:
    result = compile_fleet(files, "r")
    assert not [str(problem) for problem in result.diagnostics if problem.severity == "error"]
    assert result.fleet is not None
    return result.fleet


def machines(fleet: CompiledFleet) -> dict[str, tuple[Any, ...]]:
    """Return all that is said of the machines, without the places where it is written."""
    return {name: without_places(machine) for name, machine in fleet.machines.items()}


def without_places(machine: CompiledMachine) -> tuple[Any, ...]:
    return (
        machine.digest,
        machine.display_name,
        machine.macs,
        machine.labels,
        machine.formerly,
        machine.addresses,
        [(each.scenario, each.run) for each in machine.assignments],
        sorted(machine.origins),
    )


text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0xFFEE, exclude_categories=("C", "Z")),
    min_size=1,
    max_size=12,
)
serials = st.one_of(
    text, st.sampled_from(["=1+1", "+x", "-1", "@x", "'", "''", "'=x", "\uff1d1", '"', ",", ";"])
)


display_names = st.one_of(
    text,
    st.sampled_from(
        [
            "計算ノード 7",
            "東京\u3000ラック",
            "=1",
            "'",
            "👩\u200d🔧",
            "שרת 7",
            "a, b",
            "x\u00a0y",
        ]
    ),
)


@st.composite
def rows(draw: st.DrawFn) -> list[MachineRow]:
    count = draw(st.integers(min_value=1, max_value=6))
    made = []
    for index in range(count):
        network = draw(st.sampled_from(["", "rack", "other"]))
        made.append(
            machine_row(
                name=draw(st.sampled_from(["node", "no", "1e5", "a--b", "x"])) + f"-{index}",
                displayName=draw(st.one_of(st.just(""), display_names)),
                macs=tuple(f"02:00:00:00:{index:02x}:0{n}" for n in range(draw(st.integers(1, 3)))),
                group=draw(st.sampled_from(["a", "a/b"])),
                uuid=draw(st.sampled_from(["", f"4c4c4544-0042-3510-8052-b4c04f4e4a0{index}"])),
                serial=draw(st.one_of(st.just(""), serials)),
                formerly=draw(
                    st.sampled_from(
                        [
                            (),
                            (f"mac:06:00:00:00:00:0{index}",),
                            (
                                f"uuid:5c4c4544-0042-3510-8052-b4c04f4e4a0{index}",
                                f"mac:06:00:00:00:00:0{index}",
                            ),
                        ]
                    )
                ),
                hostname=draw(st.sampled_from(["", f"Host-{index}", f"00{index}"])),
                domain=draw(st.sampled_from(["", "example.net"])),
                addresses=(f"10.{int(network == 'other')}.0.{index + 1}/16",)
                if draw(st.booleans())
                else (),
                network=network,
                power=draw(st.sampled_from(["", "manual", "wake-on-lan"])),
                protect=draw(st.sampled_from([None, True, False])),
                labels=draw(
                    st.dictionaries(
                        st.sampled_from(["role", "a/b", "yes", "7"]),
                        st.sampled_from(["compute", "no", "007", "1"]),
                        max_size=3,
                    )
                ),
                assign=draw(st.sampled_from([None, (), (("look", "1"),), (("look", "a:b.c"),)])),
            )
        )
    return made


@given(rows())
@settings(deadline=None, max_examples=50)
def test_export_then_import_gives_the_same_machines(made: list[MachineRow]) -> None:
    documents = documents_text(read_csv("m.csv", csv_text(made)).rows)
    files = {"around.yaml": AROUND, "machines.yaml": documents.encode()}
    fleet = compiled(files)
    exported = fleet_rows(files, fleet)
    again = read_csv("m.csv", csv_text(exported))
    assert again.conversions == ()
    assert sorted(again.rows, key=lambda row: row.name) == sorted(made, key=lambda row: row.name)
    files["machines.yaml"] = documents_text(again.rows).encode()
    assert machines(compiled(files)) == machines(fleet)


DEFAULTS = """\
  defaults:
    group: a
    power: {driver: manual}
    protect: false
    labels: {rack: r7, role: other}
"""


@given(rows(), st.booleans())
@settings(deadline=None, max_examples=50)
def test_machines_of_tables_survive_export_and_import(
    made: list[MachineRow],
    has_defaults: bool,  # noqa: FBT001
) -> None:
    table = table_text("t", made)
    if has_defaults:
        table = table.replace("  rows:\n", f"{DEFAULTS}  rows:\n", 1)
    files = {"around.yaml": AROUND, "machines.yaml": table.encode()}
    fleet = compiled(files)
    again = read_csv("m.csv", csv_text(fleet_rows(files, fleet)))
    for text in (documents_text(again.rows), as_table("m.csv", "t", again)):
        files["machines.yaml"] = text.encode()
        assert machines(compiled(files)) == machines(fleet)


BMC = "{driver: redfish, address: 10.0.0.9, username: u, password: !secret bmc/x}"


@pytest.mark.parametrize("power", ["defaults: {power: %s}", "rows: [{power: %s, "])
def test_a_table_machine_that_a_row_cannot_say_is_refused(power: str) -> None:
    row = '{name: x, group: a, macs: ["02:00:00:00:00:01"]}'
    rows_text = f"rows: [{row}]" if power.startswith("defaults") else ""
    spec = power % BMC + ("" if rows_text else row[1:] + "]")
    table = table_text("t", []).replace("  rows:\n", f"  {spec}\n  {rows_text}\n")
    files = {"around.yaml": AROUND, "machines.yaml": table.encode()}
    with pytest.raises(AuthoringError) as caught:
        fleet_rows(files, compiled(files))
    assert str(caught.value) == (
        "RW938: a row of CSV cannot say all that the repository says of x. "
        "Keep these machines as they are: export would lose a part of them."
    )


def test_power_settings_of_a_group_stay_with_the_group() -> None:
    around = AROUND.replace(b"{driver: wake-on-lan}", BMC.encode())
    table = table_text("t", [machine_row(name="x", macs=("02:00:00:00:00:01",), group="a")])
    files = {"around.yaml": around, "machines.yaml": table.encode()}
    assert csv_text(fleet_rows(files, compiled(files))) == (
        "name,macs,group\nx,02:00:00:00:00:01,a\n"
    )


@given(rows())
@settings(deadline=None, max_examples=25)
def test_what_is_written_has_the_layout_and_is_plain_yaml(made: list[MachineRow]) -> None:
    documents = documents_text(read_csv("m.csv", csv_text(made)).rows)
    assert laid_out(documents) == documents
    found = load_file("m.yaml", documents.encode()).documents
    assert [document.data for document in found] == [row.data() for row in made]


@given(rows())
@settings(deadline=None, max_examples=25)
def test_no_cell_is_one_that_a_spreadsheet_calculates(made: list[MachineRow]) -> None:
    for cells in csv.reader(StringIO(csv_text(made))):
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\uff1d", "\t"))]


def test_the_example_fleet_survives_the_round_trip() -> None:
    files = {file.name: file.read_bytes() for file in EXAMPLE.glob("*.yaml")}
    fleet = compiled(files)
    text = csv_text(fleet_rows(files, fleet))
    assert text == (
        "name,macs,uuid,hostname,addresses,group,assign,label.role\n"
        "golden,52:54:00:77:00:10,77000000-0000-4000-8000-000000000010,,,lab,capture-golden=1,\n"
        "node-01,52:54:00:77:00:11,77000000-0000-4000-8000-000000000011,node-01,10.77.0.11/24,"
        "lab,clone-golden=1,compute\n"
    )
    files["machines.yaml"] = documents_text(read_csv("m.csv", text).rows).encode()
    assert machines(compiled(files)) == machines(fleet)


def errors_of(text: str, group: str = "") -> list[str]:
    with pytest.raises(AuthoringError) as caught:
        read_csv("m.csv", text, group)
    assert caught.value.code == "RW936"
    assert caught.value.action == "Correct them; nothing was written"
    return caught.value.cause.splitlines()


def test_all_bad_rows_are_told_at_once_with_their_lines() -> None:
    assert errors_of(
        "name,macs,group,protect,assign,uuid\n"
        "ok,02:00:00:00:00:01,a,,,\n"
        "\n"
        "bad mac,02:00:00:00:00:0g,a,,,\n"
        "twice,02:00:00:00:00:01,a,maybe,x,\n"
        'ok,02:00:00:00:00:02,,,,"12\n34"\n'
        "東京,02:00:00:00:00:03,a,,,,,x\n"
    ) == [
        "m.csv has 8 error(s)",
        (
            'm.csv:4: RW128 spec.hardware.macs[0]: "02:00:00:00:00:0g" is not a MAC address '
            '(for example "52:54:00:12:34:56", in quotes)'
        ),
        (
            "m.csv:5: RW142 spec.hardware.macs[0]: the MAC address 02:00:00:00:00:01 is "
            'already used by machine "ok" at m.csv:2 (each machine has its own MAC address)'
        ),
        "m.csv:5: assign: 'x' is not a list of scenario=run",
        "m.csv:5: protect: 'maybe' is neither true nor false",
        "m.csv:6: machine 'ok' is there already, in line 2",
        "m.csv:6: no group; fill the column group, or use --group",
        "m.csv:6: uuid: '12\\n34' has characters that cannot be shown",
        "m.csv:8: 8 cells, but the header has 6",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "m.csv:1: there is no header; the first line names the columns"),
        ("name,group\n", "m.csv:1: the column macs is missing"),
        ("name,macs,mac address\n", "m.csv:1: the column macs is there twice"),
        (
            "name,macs,netwrok\n",
            "m.csv:1: unknown column 'netwrok'; did you mean network?; labels are label.KEY",
        ),
        ('name,macs\n"a,b\n', "m.csv:2: this is not CSV: unexpected end of data"),
    ],
)
def test_a_header_or_file_that_cannot_be_read_is_told(text: str, error: str) -> None:
    assert errors_of(text, "a")[1:] == [error]


def test_a_table_compiles_to_the_machines_that_documents_would_make() -> None:
    found = read_csv(
        "m.csv",
        "name,macs,uuid,serial,formerly,hostname,domain,addresses,group,network,power,protect,"
        "label.role\n"
        "x,02:00:00:00:00:01,4c4c4544-0042-3510-8052-b4c04f4e4a32,=S,mac:06:00:00:00:00:01,H,"
        "example.net,10.1.0.7/16,a,other,manual,false,no\n"
        "y,02:00:00:00:00:02 02:00:00:00:00:03,,,,,,,a/b,,,,\n",
    )
    table = compiled({"a.yaml": AROUND, "t.yaml": as_table("m.csv", "t", found).encode()})
    documents = compiled({"a.yaml": AROUND, "m.yaml": documents_text(found.rows).encode()})
    assert list(table.machines) == ["x", "y"]
    assert machines(table) == machines(documents)


def test_former_hardware_is_read_in_any_form() -> None:
    found = read_csv(
        "m.csv",
        "name,macs,formerly\nx,02-00-00-00-00-01,"
        "mac:02-00-00-00-00-0A UUID:4C4C4544-0042-3510-8052-B4C04F4E4A32\n",
        "a",
    )
    assert found.rows[0].values["formerly"] == (
        "mac:02:00:00:00:00:0a",
        "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32",
    )
    assert errors_of("name,macs,group,formerly\nx,02:00:00:00:00:01,a,abc\n")[1:] == [
        (
            'm.csv:2: RW128 spec.hardware.formerly[0]: "abc" does not name hardware (for example '
            '"uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32" or "mac:52:54:00:12:34:56")'
        )
    ]


def test_headings_of_other_systems_are_understood_and_conversions_listed() -> None:
    found = read_csv(
        "m.csv",
        "Machine Name;MAC Address;IP Address;Subnet Mask;Machine Group\n"
        "PC_01;0200.0000.0001;10.0.0.1;255.255.0.0;/Site A/Row2\n"
        "Pc-02;02-00-00-00-00-02;;;/site.b\n",
    )
    assert found.rows == (
        machine_row(
            name="pc-01",
            displayName="PC_01",
            macs=("02:00:00:00:00:01",),
            group="site-a/row2",
            addresses=("10.0.0.1/16",),
        ),
        machine_row(
            name="pc-02",
            displayName="Pc-02",
            macs=("02:00:00:00:00:02",),
            group="site.b",
            hostname="Pc-02",
        ),
    )
    assert found.conversions == (
        "m.csv:2: machine 'PC_01' -> pc-01",
        "m.csv:2: group 'Site A/Row2' -> site-a/row2",
        "m.csv:3: machine 'Pc-02' -> pc-02",
    )


def test_of_names_with_one_id_one_is_numbered_whatever_the_order() -> None:
    rows = ["pc_1,02:00:00:00:00:02,row-1", "PC 1,02:00:00:00:00:01,Row 1"]
    for listed in (rows, rows[::-1]):
        found = read_csv("m.csv", "\n".join(["name,macs,group", *listed]))
        assert {(row.values["displayName"], row.name, row.group) for row in found.rows} == {
            ("PC 1", "pc-1", "row-1-2"),
            ("pc_1", "pc-1-2", "row-1"),
        }
    assert found.conversions == (
        "m.csv:2: machine 'PC 1' -> pc-1",
        "m.csv:2: group 'Row 1' -> row-1-2 (another is 'row-1')",
        "m.csv:3: machine 'pc_1' -> pc-1-2 (another is 'PC 1')",
    )


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("PC 01", "pc-01"),
        ("\uff30\uff23\uff10\uff11", "pc01"),
        ("Café", "cafe"),
        ("--x--", "x"),
        ("a" * 70, "a" * 63),
        ("東京", ""),
        ("東京1", "1"),
        ("Straße", "strasse"),
    ],
)
def test_a_name_is_converted_by_one_rule(given_name: str, name: str) -> None:
    assert converted(given_name) == name


SAVED = (
    "sep=;\n"
    "マシン名;ＭＡＣ アドレス;IPアドレス;サブネットマスク;グループ名;シリアル番号;;\n"
    '"計算\nノード";"02:00:00:00:00:01\n02-00-00-00-00-02";10.0.0.1;255.255.255.0;/東京;'
    '"=""0012""";;\n'
    ";;;;;;;\n"
    '"ＰＣ ""A""";"02:00:00:00:00:03; 02:00:00:00:00:04";;;a;' + "'0013\n"
)


def test_what_a_spreadsheet_saves_is_read_as_it_is_meant() -> None:
    found = read_csv("m.csv", SAVED)
    assert found.rows == (
        machine_row(
            name="m-80d695d77e",
            displayName="計算 ノード",
            macs=("02:00:00:00:00:01", "02:00:00:00:00:02"),
            group="g-130016b259",
            addresses=("10.0.0.1/24",),
            serial="0012",
        ),
        machine_row(
            name="pc-a",
            displayName='ＰＣ "A"',
            macs=("02:00:00:00:00:03", "02:00:00:00:00:04"),
            group="a",
            serial="0013",
        ),
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name,macs,group\na,{},g\n".replace("{}", mac),
            (
                f"m.csv:2: macs: {mac!r} is the number that a spreadsheet made of a MAC address, "
                "and digits are lost; format the column as text and enter the address again"
            ),
        )
        for mac in ("0.00E+00", "1.12233E+11", "12345678", "0E+00", "0")
    ]
    + [
        (
            f"name,macs,group,{column}\na,02:00:00:00:00:01,g,{cell}\n",
            (
                f"m.csv:2: {column}: {cell!r} looks like what a spreadsheet made of another text; "
                "format the column as text and enter it again, or write ' before it where it is "
                "right"
            ),
        )
        for column, cell in [
            ("serial", "1.23457E+11"),
            ("hostname", "2-Jan"),
            ("hostname", "Mar-26"),
            ("displayName", "1月2日"),
            ("label.rack", "####"),
            ("label.rack", "#NAME?"),
        ]
    ]
    + [
        (
            "name,macs,,group\na,02:00:00:00:00:01,x,g\n",
            "m.csv:2: 'x' stands in column 3, which has no heading",
        )
    ],
)
def test_what_a_spreadsheet_changed_is_named(text: str, said: str) -> None:
    assert errors_of(text)[1:] == [said]


def test_serial_numbers_that_seem_to_have_lost_zeros_are_named() -> None:
    head = "name,macs,group,serial\na,02:00:00:00:00:01,g,1234\n"
    assert read_csv("m.csv", f"{head}b,02:00:00:00:00:02,g,56\n").notes == (
        (
            "m.csv:3: the serial number 56 has 2 digits, others have 4: a spreadsheet may have "
            "taken zeros away from its beginning"
        ),
    )
    assert read_csv("m.csv", f"{head}b,02:00:00:00:00:02,g,0056\n").notes == ()
    assert read_csv("m.csv", f"{head}b,02:00:00:00:00:02,g,X6\n").notes == ()


@pytest.mark.parametrize("cell", ["007", "1E5", "1-2", "2026/11/29", "dec10", "123456789012345"])
def test_what_a_spreadsheet_would_change_is_written_as_text(cell: str) -> None:
    row = machine_row(name="a", macs=("02:00:00:00:00:01",), group="g", serial=cell)
    text = csv_text([row])
    assert text.endswith(f",'{cell},g\n")
    assert read_csv("m.csv", text).rows == (row,)


def test_a_table_has_the_rows_and_refuses_assign() -> None:
    found = read_csv(
        "m.csv", "name,macs,power,protect,label.role\nx,02:00:00:00:00:01,manual,TRUE,no\n", "a"
    )
    assert as_table("m.csv", "Rack 7", found) == (
        "apiVersion: rackwright/v1alpha1\n"
        "kind: MachineTable\n"
        "metadata:\n"
        "  name: rack-7\n"
        "spec:\n"
        "  rows:\n"
        '    - {name: x, macs: ["02:00:00:00:00:01"], group: a, power: {driver: manual}, '
        'protect: true, labels: {role: "no"}}\n'
    )
    found = read_csv("m.csv", "name,macs,assign\nx,02:00:00:00:00:01,look=1\n", "a")
    with pytest.raises(AuthoringError, match=r"m\.csv: x: a MachineTable has no assign"):
        as_table("m.csv", "t", found)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=50)
def test_any_text_is_machines_or_errors(text: str) -> None:
    for source in (
        text,
        "name,macs,group\n" + text,
        'name,macs,serial\nx,02:00:00:00:00:01,"' + text + '"',
    ):
        try:
            read_csv("m.csv", source)
        except AuthoringError as error:
            assert error.code == "RW936"  # noqa: PT017 - both outcomes are fine
