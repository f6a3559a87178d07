"""Whether a report can be of the machine that its certificate names."""

from dataclasses import replace

import pytest
from attrs import evolve
from builders.world import a_machine, a_report
from hypothesis import given
from hypothesis import strategies as st

from reconciler.server.reported_hardware import contradiction
from reconciler.state.hardware import FleetHardware

NODE = a_machine(1, macs=("52:54:00:77:00:01", "52:54:00:77:00:a1"))
OTHER = a_machine(2)
NO_UUID = a_machine(3, uuid="")
NEW_BOARD = a_machine(4, formerly=("uuid:04040404-0000-4000-8000-000000000004",))
LETTERS = a_machine(10)
MACHINES = (NODE, OTHER, NO_UUID, NEW_BOARD, LETTERS)
FLEET = FleetHardware(MACHINES)
UNKNOWN = "52:54:00:ff:ff:ff"
UNKNOWN_UUID = "ffff0000-0000-4000-8000-000000000001"


def hardware(uuid, *macs):
    return evolve(a_report(NODE).hardware, uuid=uuid, macs=macs)


@pytest.mark.parametrize(
    ("machine", "uuid", "macs"),
    [
        pytest.param(NODE, NODE.uuid, NODE.macs, id="as documented"),
        pytest.param(LETTERS, LETTERS.uuid.upper(), OTHER.macs, id="a UUID in capitals"),
        pytest.param(NODE, UNKNOWN_UUID, ("52:54:00:77:00:A1",), id="a MAC in capitals"),
        pytest.param(NODE, "", NODE.macs, id="no usable UUID"),
        pytest.param(NODE, "", NODE.macs[1:], id="one card was taken out"),
        pytest.param(NODE, NODE.uuid, (UNKNOWN,), id="all cards were replaced"),
        pytest.param(NODE, NODE.uuid, (*NODE.macs, UNKNOWN), id="a USB card was plugged in"),
        pytest.param(NODE, NODE.uuid, OTHER.macs, id="another machine's card was moved here"),
        pytest.param(NODE, UNKNOWN_UUID, NODE.macs, id="the board was replaced, not the cards"),
        pytest.param(NODE, "", (UNKNOWN,), id="nothing known, nothing against it"),
        pytest.param(NODE, "", (), id="no identity at all"),
        pytest.param(NO_UUID, "", NO_UUID.macs, id="no UUID in the document"),
        pytest.param(NO_UUID, UNKNOWN_UUID, (UNKNOWN,), id="its only card was a USB card"),
        pytest.param(NO_UUID, OTHER.uuid, NO_UUID.macs, id="two boards with one UUID"),
        pytest.param(NEW_BOARD, NEW_BOARD.formerly[0][5:], (UNKNOWN,), id="the former board"),
    ],
)
def test_a_report_is_kept_where_its_hardware_may_be_the_machines(machine, uuid, macs):
    assert contradiction(machine, FLEET, hardware(uuid, *macs)) == ""


@pytest.mark.parametrize(
    ("machine", "uuid", "macs", "reason"),
    [
        pytest.param(
            NODE, OTHER.uuid, OTHER.macs, f"uuid:{OTHER.uuid} is node-02's", id="another machine"
        ),
        pytest.param(
            NODE,
            UNKNOWN_UUID,
            OTHER.macs,
            f"mac:{OTHER.macs[0]} is node-02's",
            id="another machine with a new board",
        ),
        pytest.param(
            NO_UUID,
            LETTERS.uuid.upper(),
            (UNKNOWN,),
            f"uuid:{LETTERS.uuid} is node-10's",
            id="capitals",
        ),
        pytest.param(
            NODE,
            OTHER.uuid,
            NODE.macs,
            f"uuid:{OTHER.uuid} is node-02's",
            id="its card in another machine's board",
        ),
        pytest.param(
            NODE,
            "",
            (*OTHER.macs, *NO_UUID.macs),
            f"mac:{OTHER.macs[0]} is node-02's, mac:{NO_UUID.macs[0]} is node-03's",
            id="cards of two machines",
        ),
        pytest.param(
            NODE,
            "",
            NEW_BOARD.macs,
            f"mac:{NEW_BOARD.macs[0]} is node-04's",
            id="another without a usable UUID",
        ),
        pytest.param(
            NODE,
            NEW_BOARD.formerly[0][5:],
            (),
            f"{NEW_BOARD.formerly[0]} is node-04's",
            id="what another machine was",
        ),
        pytest.param(
            NODE,
            UNKNOWN_UUID,
            (UNKNOWN,),
            f"its UUID is not {NODE.uuid}, and its MACs are others too",
            id="hardware of nobody",
        ),
    ],
)
def test_a_report_of_other_hardware_is_contradicted(machine, uuid, macs, reason):
    assert contradiction(machine, FLEET, hardware(uuid, *macs)) == reason


def test_a_board_that_two_machines_claim_is_still_the_machines():
    claims = replace(NODE, formerly=(f"uuid:{OTHER.uuid}",))
    fleet = FleetHardware((claims, OTHER))
    assert contradiction(claims, fleet, hardware(OTHER.uuid, *NODE.macs)) == ""


def test_a_refusal_names_few_of_many_machines():
    many = [a_machine(number) for number in range(10, 20)]
    fleet = FleetHardware((NODE, *many))
    macs = [machine.macs[0] for machine in many]
    assert contradiction(NODE, fleet, hardware("", *macs)) == (
        "mac:52:54:00:77:00:0a is node-10's, mac:52:54:00:77:00:0b is node-11's, "
        "mac:52:54:00:77:00:0c is node-12's and 7 more"
    )


_UUIDS = ["", UNKNOWN_UUID, *(machine.uuid for machine in MACHINES if machine.uuid)]
_MACS = [UNKNOWN, *(mac for machine in MACHINES for mac in machine.macs)]


@given(st.sampled_from(MACHINES), st.sampled_from(_UUIDS), st.lists(st.sampled_from(_MACS)))
def test_what_names_another_machine_and_nothing_of_its_own_is_never_kept(machine, uuid, macs):
    named = {uuid, *macs} - {""}
    own = {machine.uuid, *machine.macs} - {""}
    others = {each for other in MACHINES for each in (other.uuid, *other.macs) if each} - own
    found = contradiction(machine, FLEET, hardware(uuid, *macs))
    if named & others and not named & own:
        assert found
    if named <= own:
        assert not found
