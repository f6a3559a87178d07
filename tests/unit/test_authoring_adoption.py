"""Discovered machines become documents; every byte that was there stays."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic

import pytest
from builders.world import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.netboot.decision import BootRequest
from reconciler.authoring.adoption import (
    Placement,
    adopted,
    new_groups,
    placements,
    reported,
    wanted,
)
from reconciler.authoring.insertion import with_documents, with_table_rows
from reconciler.authoring.machine_row import MachineRow, machine_row
from reconciler.authoring.rewrite import AuthoringError
from reconciler.state.boots import Boots
from reconciler.state.database import open_database
from reconciler.state.discovered import DiscoveredAgent, DiscoveredMachine, discovered
from reconciler.state.observed import Sighting
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet
from specs.types.hardware_uuid import both_orders
from specs.yaml import load_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"
FILES = {file.name: file.read_bytes() for file in EXAMPLE.glob("*.yaml")}
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4a32"
KNOWN_UUID = "77000000-0000-4000-8000-000000000011"
A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
NEW = machine_row(name="new-1", macs=(A,), group="lab", uuid=UUID)
SECOND = machine_row(name="new-2", macs=(B,), group="lab", labels={"role": "no"})
TABLE = """\
# before
apiVersion: rackwright/v1alpha1
kind: MachineTable
metadata: {name: rack}
spec:
  defaults: {group: lab}   # kept
"""


def fleet() -> CompiledFleet:
    result = compile_fleet(FILES, "r")
    assert result.fleet is not None
    return result.fleet


def data_of(content: bytes) -> list[object]:
    loaded = load_file("f.yaml", content)
    assert not [str(problem) for problem in loaded.diagnostics if problem.severity == "error"]
    return [document.data for document in loaded.documents]


def seen(mac: str, uuid: str = "", minutes: int = 0) -> Sighting:
    return Sighting(mac, uuid, "0.0.0.0", NOW + timedelta(minutes=minutes))  # noqa: S104 - no bind


def refusal(code: str, *arguments: object, act: object = adopted) -> str:
    with pytest.raises(AuthoringError) as caught:
        act(*arguments)  # type: ignore[operator] # one of the functions under test
    assert caught.value.code == code
    return f"{caught.value.cause}. {caught.value.action}"


def test_the_newest_boot_request_of_each_unknown_mac_is_found(tmp_path: Path) -> None:
    database = open_database(tmp_path / "state.db")
    boots = Boots(database)
    for mac, uuid, arch, minute in [
        (A, UUID, 7, 0),
        (B, "", 7, 1),
        (A, "", 7, 2),
        (C, "", 7, 3),
        ("02:00:00:00:00:0d", "", None, 4),
    ]:
        request = BootRequest("dhcp", mac, uuid, arch, "10.0.0.9", "x")
        boots.record(request, NOW + timedelta(minutes=minute), known=False)
    boots.write()
    assert boots.sightings([C]) == (
        Sighting(A, UUID, "10.0.0.9", NOW + timedelta(minutes=2)),
        Sighting(B, "", "10.0.0.9", NOW + timedelta(minutes=1)),
    )
    database.close()


def test_macs_that_came_with_one_uuid_are_one_machine_and_placeholders_are_none() -> None:
    placeholder = "03000200-0400-0500-0006-000700080009"
    assert discovered(
        [seen(A, UUID), seen(B, UUID.upper(), 5), seen(C, placeholder, 1), seen("x", placeholder)]
    ) == (
        DiscoveredMachine((B, A), UUID, "0.0.0.0", NOW + timedelta(minutes=5)),  # noqa: S104
        DiscoveredMachine((C,), "", "0.0.0.0", NOW + timedelta(minutes=1)),  # noqa: S104
        DiscoveredMachine(("x",), "", "0.0.0.0", NOW),  # noqa: S104
    )


@pytest.mark.parametrize(
    "text",
    [A, A.upper(), "02-00-00-00-00-0A", "02000000000a", f"mac:{A}", UUID, f"uuid:{UUID.upper()}"],
)
def test_a_machine_is_named_by_mac_or_uuid_in_any_form(text: str) -> None:
    machines = discovered([seen(A, UUID), seen(B)])
    assert [each.macs for each in wanted(machines, [text, text])] == [(A,)]


def test_a_machine_that_was_not_seen_is_refused() -> None:
    assert refusal("RW939", discovered([seen(A)]), [B], act=wanted) == (
        f"no unknown machine {B} asked for a boot or has an agent. "
        "`rackwright adopt` without a name lists those that are known"
    )


LAB = Placement("lab", "", "--group")
RULES = b"""\
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: named}
spec: {order: 1, match: {names: [node-07]}, group: lab}
---
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: range}
spec: {order: 2, match: {addresses: [10.77.0.0/24]}, group: lab}
---
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: vendor}
spec: {order: 3, match: {macs: ["02:00:00:00:00:0b"]}, group: lab/new/rack, network: lab}
"""


def ruled() -> CompiledFleet:
    result = compile_fleet({**FILES, "rules.yaml": RULES}, "r")
    assert result.fleet is not None
    return result.fleet


def asked_from(mac: str, source: str) -> DiscoveredMachine:
    return DiscoveredMachine((mac,), "", source, NOW)


def test_a_machine_gets_a_name_of_its_mac_and_its_place() -> None:
    machines = discovered([seen(A, UUID)])
    assert adopted(machines, [LAB], fleet(), "") == (
        machine_row(name="node-02000000000a", macs=(A,), group="lab", uuid=UUID),
    )
    place = Placement("lab", "other", "rule x")
    assert adopted(machines, [place], fleet(), "node-02") == (
        machine_row(name="node-02", macs=(A,), group="lab", uuid=UUID, network="other"),
    )


def test_what_cannot_be_adopted_is_refused_with_what_to_do() -> None:
    two = discovered([seen(A), seen(B)])
    assert refusal("RW939", two, [LAB, LAB], fleet(), "x") == (
        "--name x would name 2 machines. Adopt one machine at a time, or leave --name out"
    )
    assert refusal("RW939", discovered([seen(A, KNOWN_UUID)]), [LAB], fleet(), "") == (
        f"{A} is a NIC of node-01, which has the same UUID. "
        "Add it to hardware.macs at machines.yaml:30:11"
    )


def test_the_first_rule_that_matches_places_a_machine_and_says_so() -> None:
    machines = [asked_from(A, "10.77.0.9"), asked_from(B, "0.0.0.0")]  # noqa: S104 - no bind
    placed = placements(machines, ruled(), "")
    assert placed == (
        Placement(
            "lab",
            "",
            "rule range (rules.yaml:8:18): address 10.77.0.9 is within 10.77.0.0-10.77.0.255",
        ),
        Placement(
            "lab/new/rack",
            "lab",
            f'rule vendor (rules.yaml:13:18): MAC address "{B}" fits "{B}"',
        ),
    )
    assert new_groups(placed, ruled()) == ("lab/new/rack",)


def test_every_rule_that_was_asked_says_why_not() -> None:
    assert str(reported(asked_from(B, "fe80::1"), ruled())).splitlines() == [
        "1 named (rules.yaml:3:18) does not match: its name is not known",
        "2 range (rules.yaml:8:18) does not match: its address is not known",
        f'3 vendor (rules.yaml:13:18) fires: MAC address "{B}" fits "{B}"',
    ]


def test_a_group_that_is_given_goes_before_all_rules() -> None:
    machines = [asked_from(A, "10.77.0.9"), asked_from(C, "10.9.9.9")]
    assert placements(machines, ruled(), "lab") == (LAB, LAB)
    assert new_groups([LAB, LAB], ruled()) == ()
    assert refusal("RW939", machines, ruled(), "lba", act=placements) == (
        "there is no group lba. Did you mean lab?"
    )
    assert refusal("RW939", machines, ruled(), "zzzzzzzz", act=placements) == (
        "there is no group zzzzzzzz. Name a group of the repository with --group"
    )


def test_machines_that_no_rule_matches_are_refused_together() -> None:
    strangers = [asked_from(f"02:00:00:00:01:0{number}", "10.9.9.9") for number in range(5)]
    assert refusal("RW939", [asked_from(B, ""), *strangers], ruled(), "", act=placements) == (
        "no group is known for 02:00:00:00:01:00, 02:00:00:00:01:01, 02:00:00:00:01:02 and 2 more: "
        "no enrollment rule matches. "
        "Name a group with --group; `rackwright adopt --explain` says why no rule matches"
    )
    assert refusal("RW939", strangers[:1], fleet(), "", act=placements) == (
        "no group is known for 02:00:00:00:01:00: the repository has no enrollment rules. "
        "Name a group of the repository with --group"
    )


def test_a_new_group_stands_before_its_machines() -> None:
    row = machine_row(name="new-1", macs=(A,), group="lab/new", network="lab")
    content = with_documents("new.yaml", b"", [row], ["lab/new"])
    assert content.startswith(
        b"apiVersion: rackwright/v1alpha1\nkind: Group\nmetadata:\n  name: lab/new\n---\n"
    )
    result = compile_fleet({**FILES, "new.yaml": content}, "r")
    assert result.fleet is not None
    assert result.fleet.machines["new-1"].groups == ("lab", "lab/new")


def test_a_document_is_appended_and_the_fleet_has_the_machine() -> None:
    content = with_documents("machines.yaml", FILES["machines.yaml"], [NEW, SECOND])
    assert content.startswith(FILES["machines.yaml"])
    result = compile_fleet({**FILES, "machines.yaml": content}, "r")
    assert result.fleet is not None
    assert list(result.fleet.machines) == ["golden", "new-1", "new-2", "node-01"]
    assert result.fleet.machines["new-1"].uuid == UUID
    assert result.fleet.machines["new-2"].labels == {"role": "no", "site": "lab"}


def test_line_ends_and_the_byte_order_mark_are_those_of_the_file() -> None:
    old = b"\xef\xbb\xbfa: 1\r\n# last"
    new = with_documents("f.yaml", old, [machine_row(name="x", macs=(A,), group="lab")])
    assert new == old + (
        b"\r\n---\r\napiVersion: rackwright/v1alpha1\r\nkind: Machine\r\nmetadata:\r\n  name: x\r\n"
        b'spec:\r\n  group: lab\r\n  hardware:\r\n    macs: ["02:00:00:00:00:0a"]\r\n'
    )


def test_a_new_file_and_a_file_of_comments_need_no_separator() -> None:
    assert with_documents("f.yaml", b"", [NEW]).startswith(b"apiVersion:")
    assert with_documents("f.yaml", b"# mine", [NEW]).startswith(b"# mine\napiVersion:")


def test_a_last_text_that_a_line_end_would_change_is_left_alone() -> None:
    old = b"a: |\n  no line end"
    assert refusal("RW931", "f.yaml", old, [NEW], act=with_documents).startswith(
        "f.yaml would say something else afterwards, so it was left as it is"
    )


PARTS = st.sampled_from(
    [
        *("a: 1\n", "b: [1,  2]   # c\n", "# comment\n", "\n", "  \n", "c:\n    - 1\n", "d: 'x'\n"),
        *("---\n", "...\n", "e: |\n  x\n\n", "f: |+\n  x\n\n", 'g: "é"\r\n', "h: 1", "i: &a x\n"),
    ]
)


@given(st.lists(PARTS, max_size=8), st.booleans())
@settings(deadline=None, max_examples=100)
def test_whatever_a_file_has_stays_byte_for_byte(parts: list[str], mark: bool) -> None:  # noqa: FBT001
    old = (b"\xef\xbb\xbf" if mark else b"") + "".join(parts).encode()
    try:
        new = with_documents("f.yaml", old, [NEW])
    except AuthoringError as error:
        assert error.code in {"RW930", "RW931"}  # noqa: PT017 - both outcomes are fine
        return
    assert new.startswith(old)
    assert data_of(new) == [*data_of(old), NEW.data()]


FLOW = f'{{name: new-1, macs: ["{A}"], uuid: {UUID}, group: lab}}'
BLOCK_ROWS = f"""\
  rows:
    # the first
    - {{name: a, macs: ["{C}"]}} # beside
  # after the rows
# the end"""


@pytest.mark.parametrize(
    ("rows", "before", "added"),
    [
        (BLOCK_ROWS, "# beside\n", f"    - {FLOW}\n"),
        (f'  rows: [{{name: a, macs: ["{C}"]}} , ] # x\n', f'["{C}"]}}', f", {FLOW}"),
        ("  rows: [] # none yet\n", "rows: [", FLOW),
        ("", "# kept\n", f"  rows:\n    - {FLOW}\n"),
        (f'  rows:\n    - {{name: a, macs: ["{C}"]}}', f'["{C}"]}}', f"\n    - {FLOW}\n"),
        (
            f'  rows:\n  -   name: a\n      macs:\n      - "{C}" # of a\n\n  # end\n',
            "# of a\n",
            f'  -   name: new-1\n      macs: ["{A}"]\n      uuid: {UUID}\n      group: lab\n',
        ),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_added_at_the_end_of_a_table(rows: str, before: str, added: str, end: str) -> None:
    other = "---\napiVersion: rackwright/v1alpha1\nkind: Group\nmetadata: {name: lab}\n"
    tail = "" if rows and not rows.endswith("\n") else other
    old = TABLE + rows + tail
    expected = old.replace(before, before + added, 1)
    new = with_table_rows("t.yaml", old.replace("\n", end).encode(), [NEW])
    assert new.decode() == expected.replace("\n", end)


def test_rows_that_are_added_compile_to_the_machines_that_documents_would_make() -> None:
    row = MachineRow(
        {
            **NEW.values,
            "formerly": (f"mac:{C}",),
            "network": "lab",
            "hostname": "h",
            "protect": True,
        }
    )
    table = f'{TABLE}  rows: [{{name: a, macs: ["{C[:-1]}d"]}}]\n'.encode()
    by_table = compile_fleet(
        {**FILES, "t.yaml": with_table_rows("t.yaml", table, [row, SECOND])}, "r"
    )
    by_documents = compile_fleet(
        {**FILES, "m.yaml": with_documents("m.yaml", b"", [row, SECOND])}, "r"
    )
    assert [str(problem) for problem in by_table.diagnostics] == []
    assert by_table.fleet is not None
    assert by_documents.fleet is not None
    assert list(by_table.fleet.machines) == ["a", "golden", "new-1", "new-2", "node-01"]
    for name in ("new-1", "new-2"):
        one, other = by_table.fleet.machines[name], by_documents.fleet.machines[name]
        assert one.digest == other.digest
        assert one.formerly == other.formerly


def test_a_file_without_one_table_of_rows_is_refused() -> None:
    for content, said in [
        (
            b"a: 1\n",
            (
                "f.yaml has 0 MachineTable documents, so it is not clear where to add. "
                "Name a file with exactly one"
            ),
        ),
        (
            f"{TABLE}---\n{TABLE}".encode(),
            (
                "f.yaml has 2 MachineTable documents, so it is not "
                "clear where to add. Name a file with exactly one"
            ),
        ),
        (
            f"{TABLE}  csv: m.csv\n".encode(),
            "the MachineTable in f.yaml has its rows in a CSV file. Add them there",
        ),
        (
            b"kind: MachineTable\nspec: {}\n",
            "the MachineTable in f.yaml has no list of rows. Write rows: [] below its spec",
        ),
        (
            b"kind: MachineTable\nspec: {rows: 1}\n",
            "the MachineTable in f.yaml has no list of rows. Write rows: [] below its spec",
        ),
    ]:
        assert refusal("RW940", "f.yaml", content, [NEW], act=with_table_rows) == said


ROW_TEXTS = st.sampled_from(
    [
        f'{{name: a, macs: ["{C}"]}}\n',
        f'{{name: a, macs: ["{C}"]}}   # beside\n',
        f"name: a\n      macs: ['{C}']\n",
        f'name: a\n      macs:\n      - "{C}"   # x\n',
        f'name: a\n      # inside\n      macs: [\n        "{C}",\n      ]\n',
        f'name: >-\n        a\n      macs: ["{C}"]\n',
        f'macs: ["{C}"]\n      name: |-\n        a\n\n',
    ]
)


@given(
    st.lists(ROW_TEXTS, min_size=1, max_size=4),
    st.sampled_from(
        ["", "\n", "    # deep\n", "  # end\n# end\n", "---\na: 1\n", "  csv: x.csv\n"]
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_whatever_a_table_has_stays_byte_for_byte(
    texts: list[str],
    tail: str,
    cut: bool,  # noqa: FBT001
) -> None:
    text = TABLE + "  rows:\n" + "".join(f"    - {row}" for row in texts) + tail
    old = (text.rstrip("\n") if cut else text).encode()
    new = with_table_rows("t.yaml", old, [NEW, SECOND])
    differing = (at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    same = next(differing, len(old))
    assert any(new.endswith(old[cut_at:]) for cut_at in range(same, -1, -1)), "old bytes are gone"
    before, after = data_of(old), data_of(new)
    assert after[1:] == before[1:]
    rows = after[0]["spec"]["rows"]  # type: ignore[index] # a table
    assert rows[: len(texts)] == before[0]["spec"]["rows"]  # type: ignore[index] # a table
    assert [row["name"] for row in rows[len(texts) :]] == ["new-1", "new-2"]


# --- what agents tell ------------------------------------------------------------------


def an_agent(mac: str = A, uuid: str = "", minutes: int = 0, **told: object) -> DiscoveredAgent:
    at = NOW + timedelta(minutes=minutes)
    identities = (*(f"uuid:{each}" for each in both_orders(uuid)), f"mac:{mac}")
    values = {"identities": identities, "hostname": "web-7.example.net", **told}
    return DiscoveredAgent(f"discovered:{identities[0]}", NOW, at, **values)  # type: ignore[arg-type]


SWAPPED = both_orders(UUID)[1]


@pytest.mark.parametrize(
    ("sighting", "agent"),
    [
        (seen(A), an_agent(A)),
        (seen(A, UUID), an_agent(A)),
        (seen(A), an_agent(A, UUID)),
        (seen(A, UUID), an_agent(B, UUID)),
        (seen(A, SWAPPED.upper()), an_agent(B, UUID)),
    ],
)
def test_an_agent_and_a_boot_request_of_one_hardware_are_one_machine(
    sighting: Sighting, agent: DiscoveredAgent
) -> None:
    (machine,) = discovered([sighting], [agent])
    assert machine.macs[0] == A  # the NIC that boots
    assert machine.agent == agent
    assert machine.booted


def test_a_nic_on_another_board_is_another_machine() -> None:
    agent = an_agent(A, KNOWN_UUID)
    found = discovered([seen(A, UUID)], [agent])
    assert {(each.uuid, each.agent) for each in found} == {(UUID, None), (KNOWN_UUID, agent)}


def test_a_machine_that_never_boots_over_the_network_is_discovered_by_its_agent() -> None:
    (machine,) = discovered([], [an_agent(B, addresses=("10.77.0.9/24", "fd00::9/64"))])
    assert (machine.macs, machine.booted) == ((B,), False)
    assert machine.addresses == (IPv4Address("10.77.0.9"),)


def test_one_hardware_under_two_names_is_shown_once_as_it_was_heard_last() -> None:
    old, new = an_agent(A), an_agent(A, UUID, minutes=5)
    (machine,) = discovered([], [old, new])
    assert machine.agent == new


def test_machines_that_share_a_card_but_no_board_are_two() -> None:
    dock = "02:00:00:00:00:0d"
    agents = [
        an_agent(dock, UUID, hostname="one"),
        an_agent(dock, KNOWN_UUID, hostname="two", minutes=1),
    ]
    found = discovered([seen(dock, UUID)], agents)
    assert [(each.agent and each.agent.hostname, each.booted) for each in found] == [
        ("two", False),
        ("one", True),
    ]


def test_thousands_of_discovered_machines_are_one_list_within_a_moment() -> None:
    macs = [f"02:00:00:01:{number // 256:02x}:{number % 256:02x}" for number in range(10_000)]
    agents = [an_agent(mac) for mac in macs]
    begin = monotonic()
    found = discovered([seen(mac) for mac in macs[:1000]], agents)
    assert monotonic() - begin < 5
    assert len(found) == len(macs)
    assert sum(each.booted for each in found) == 1000


ALL_RULES = """\
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: r}
spec: {match: %s, group: lab}
"""


@pytest.mark.parametrize(
    ("match", "fires"),
    [
        ("{names: ['web-7*']}", 'name "web-7.example.net" fits "web-7*"'),
        ("{serials: [5cg8*]}", 'serial number "5CG8243" fits "5cg8*"'),
        ("{vendors: [dell*]}", 'vendor "Dell Inc." fits "dell*"'),
        ("{addresses: [10.77.0.0/24]}", "address 10.77.0.9 is within 10.77.0.0-10.77.0.255"),
        ("{relays: [10.20.7.1]}", "relay 10.20.7.1 is within 10.20.7.1"),
    ],
)
def test_what_agents_and_relays_tell_decides_by_rules(match: str, fires: str) -> None:
    files = {**FILES, "rules.yaml": (ALL_RULES % match).encode()}
    ruled_by = compile_fleet(files, "r").fleet
    assert ruled_by is not None
    agent = an_agent(
        serial="5CG8243", vendor="Dell Inc.", addresses=("10.77.0.9/24",), group="from/token"
    )
    sighting = Sighting(A, "", "", NOW, "10.20.7.1")
    (machine,) = discovered([sighting], [agent])
    assert str(reported(machine, ruled_by)).endswith(f"fires: {fires}")
    (place,) = placements([machine], ruled_by, "")
    assert place.group == "lab"  # the rule before the token
    (bare,) = discovered([seen(B)])
    assert reported(bare, ruled_by).rule is None


def test_a_group_is_the_given_one_then_a_rules_then_the_tokens() -> None:
    agent = an_agent(B, group="from/token", token_id="3f9c21ab")  # noqa: S106 - an id
    machines = discovered([], [agent])
    (place,) = placements(machines, fleet(), "")
    assert place == Placement("from/token", "", "token 3f9c21ab, by which its agent joined")
    assert new_groups([place], fleet()) == ("from/token",)
    assert [each.group for each in placements(machines, ruled(), "")] == ["lab/new/rack"]
    assert [each.group for each in placements(machines, ruled(), "lab")] == ["lab"]


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("web-7", "web-7"),
        ("WEB-7.example.net", "web-7"),
        ("localhost", f"node-{A.replace(':', '')}"),
        ("web_7", f"node-{A.replace(':', '')}"),
        ("", f"node-{A.replace(':', '')}"),
        ("node-01", f"node-{A.replace(':', '')}"),
    ],
)
def test_a_machine_is_called_as_its_host_where_that_is_free(hostname: str, name: str) -> None:
    known = fleet()
    taken = replace(
        known, machines={**known.machines, "node-01": next(iter(known.machines.values()))}
    )
    machines = discovered([], [an_agent(hostname=hostname, addresses=("10.77.0.9/24",))])
    (row,) = adopted(machines, [LAB], taken, "")
    assert row.name == name
    assert "addresses" not in row.values


def test_of_two_hosts_with_one_name_the_second_gets_another() -> None:
    machines = discovered([], [an_agent(A), an_agent(B, minutes=1)])
    rows = adopted(machines, [LAB, LAB], fleet(), "")
    assert [each.name for each in rows] == ["web-7", f"node-{A.replace(':', '')}"]
    assert [each.macs for each in wanted(machines, [B])] == [(B,)]
    refusal("RW939", machines, ["web-7.example.net"], act=wanted)
    assert [each.macs for each in wanted(machines[:1], ["web-7.example.net"])] == [(B,)]


def test_the_relay_is_kept_with_the_request_that_tells_it(tmp_path: Path) -> None:
    database = open_database(tmp_path / "state.db")
    boots = Boots(database)
    relayed = BootRequest("proxy-dhcp", A, "", 7, "10.20.7.1", "x", "10.20.7.1")
    unicast = BootRequest("proxy-dhcp", A, "", 7, "10.20.7.33", "x", None)
    for minute, request in enumerate((relayed, unicast)):
        boots.record(request, NOW + timedelta(minutes=minute), known=False)
    boots.write()
    (sighting,) = boots.sightings(())
    assert (sighting.relay, sighting.source) == ("10.20.7.1", "10.20.7.33")
    moved = BootRequest("dhcp", A, "", 7, "0.0.0.0", "x", "")  # noqa: S104 - no bind
    boots.record(moved, NOW + timedelta(minutes=2), known=False)
    boots.write()
    assert [each.relay for each in boots.sightings(())] == [""]
    boots.record(replace(relayed, mac=B), NOW, known=False)
    boots.write()
    assert {(each.mac, each.source) for each in boots.sightings((A,))} == {(B, "")}
    database.close()
