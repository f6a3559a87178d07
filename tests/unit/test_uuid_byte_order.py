"""A UUID of SMBIOS before 2.6, which firmware and dmidecode read in different byte orders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from attrs import evolve
from builders.world import a_machine, a_report
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.decision import BootRequest, DeployOS, Grant, LocalDisk, decide
from providers.netboot.dhcp_message import DhcpOptions
from reconciler.authoring.adoption import wanted
from reconciler.server.reported_hardware import contradiction
from reconciler.state.boots import Sighting
from reconciler.state.discovered import discovered
from reconciler.state.hardware import FleetHardware
from specs.types.hardware_uuid import both_orders

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PRINTED = "4c4c4544-0042-3510-8052-b4c04f4e4a32"
SENT = "44454c4c-4200-1035-8052-b4c04f4e4a32"
NODE = replace(a_machine(1), uuid=PRINTED)
OTHER = a_machine(2)


def boots(uuid: str, granted: str) -> object:
    grant = Grant("op-1", 1, "node-01", NODE.macs, granted, NOW + timedelta(minutes=1))
    return decide(BootRequest("dhcp", NODE.macs[0], uuid, 7, "0.0.0.0", ""), (grant,), NOW)  # noqa: S104


def test_old_firmware_boots_by_the_grant_of_its_board() -> None:
    sent = DhcpOptions(machine_id=b"\0" + UUID(PRINTED).bytes).uuid
    assert sent == SENT
    assert isinstance(boots(sent, PRINTED), DeployOS)
    assert isinstance(boots(PRINTED, SENT), DeployOS)
    assert isinstance(boots(OTHER.uuid, PRINTED), LocalDisk)


@given(st.uuids(version=4), st.uuids(version=4))
def test_only_the_two_orders_of_one_uuid_are_one_identity(one: UUID, other: UUID) -> None:
    same = other.bytes in (one.bytes, one.bytes_le)
    assert (str(other) in both_orders(str(one))) is same
    assert str(UUID(bytes_le=one.bytes)) in both_orders(str(one).upper())


@pytest.mark.parametrize("uuid", [PRINTED, SENT, SENT.upper()])
def test_a_report_is_of_the_machine_in_either_order(uuid: str) -> None:
    fleet = FleetHardware((NODE, OTHER))
    hardware = evolve(a_report(NODE).hardware, uuid=uuid, macs=("52:54:00:ff:ff:ff",))
    assert contradiction(NODE, fleet, hardware) == ""
    assert contradiction(OTHER, fleet, hardware) == f"uuid:{PRINTED} is node-01's"


def test_a_board_that_was_seen_in_both_orders_is_one_machine() -> None:
    macs = ("52:54:00:00:00:01", "52:54:00:00:00:02")
    sightings = [
        Sighting(macs[0], PRINTED, "10.0.0.9", NOW),
        Sighting(macs[1], SENT, "10.0.0.9", NOW - timedelta(minutes=1)),
    ]
    machines = discovered(sightings)
    assert [each.macs for each in machines] == [macs]
    assert wanted(machines, [SENT]) == list(machines)
