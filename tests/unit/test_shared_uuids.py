"""UUIDs that makers leave in many machines identify none of them, wherever they are met."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from attrs import evolve
from builders.world import a_machine, a_report
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.dhcp_message import DhcpOptions
from reconciler.server.reported_hardware import contradiction
from reconciler.state.boots import Sighting
from reconciler.state.discovered import discovered
from reconciler.state.hardware import FleetHardware
from specs.types.hardware_uuid import normalised, own
from specs.types.invalid_value import InvalidValue

SHARED = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "ffffff00-ffff-ffff-ffff-ffffffffffff",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "03020100-0504-0706-0809-0a0b0c0d0e0f",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "78563412-3412-7856-90ab-cddeefaabbcc",
    "4c4c4544-0000-2010-8020-80c04f202020",
]
NODE = a_machine(1)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
shared = pytest.mark.parametrize("uuid", SHARED)


@shared
def test_a_document_cannot_name_it(uuid: str) -> None:
    with pytest.raises(InvalidValue, match="placeholder"):
        normalised(uuid.upper())


@shared
def test_a_boot_request_has_none(uuid: str) -> None:
    assert DhcpOptions(machine_id=b"\0" + UUID(uuid).bytes_le).uuid == ""


@shared
def test_boxes_that_share_it_are_adopted_as_several_machines(uuid: str) -> None:
    macs = ["52:54:00:00:00:01", "52:54:00:00:00:02"]
    found = discovered(
        Sighting(mac, uuid, "10.0.0.9", NOW - timedelta(minutes=at)) for at, mac in enumerate(macs)
    )
    assert [(each.macs, each.uuid) for each in found] == [((mac,), "") for mac in macs]


@shared
def test_a_report_with_it_is_judged_by_its_macs(uuid: str) -> None:
    hardware = evolve(a_report(NODE).hardware, uuid=uuid, macs=NODE.macs)
    assert contradiction(NODE, FleetHardware((NODE,)), hardware) == ""
    hardware = evolve(hardware, macs=("52:54:00:ff:ff:ff",))
    assert contradiction(NODE, FleetHardware((NODE,)), hardware) == ""


@given(st.uuids(version=4))
def test_random_uuids_are_a_machines_own(uuid: UUID) -> None:
    assert own(str(uuid).upper()) == str(uuid)


@given(st.text(max_size=40))
def test_what_is_no_uuid_is_none(text: str) -> None:
    assert own(text) in ("", text.lower())
