from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.decision import BootRequest, DeployOS, LocalDisk, decide
from tests.unit.netboot_world import MAC, NOW, OTHER_MAC, UUID, grant

_ROUTES = st.sampled_from(["dhcp", "proxy-dhcp", "tftp", "http"])
_MACS = st.sampled_from([MAC, OTHER_MAC])
_UUIDS = st.sampled_from(["", UUID, "00000000-1111-2222-3333-444444444444"])
_REQUESTS = st.builds(
    BootRequest,
    route=_ROUTES,
    mac=_MACS,
    uuid=_UUIDS,
    arch=st.sampled_from([None, 0, 7]),
    source=st.just("10.77.0.50"),
    detail=st.just(""),
)
_GRANTS = st.lists(
    st.builds(
        lambda mac, uuid, minutes: grant(mac, uuid=uuid, minutes=minutes),
        _MACS,
        _UUIDS,
        st.integers(-2, 2),
    ),
    max_size=3,
)


@given(_REQUESTS)
def test_no_route_boots_anything_but_the_disk_without_a_grant(request):
    assert decide(request, (), NOW) == LocalDisk("no grant")


@given(_REQUESTS, _GRANTS)
def test_deploy_os_needs_exactly_one_live_grant_for_this_machine(request, grants):
    answer = decide(request, tuple(grants), NOW)
    live = [g for g in grants if request.mac in g.macs and g.expires > NOW]
    contradicted = any(g.uuid and request.uuid and g.uuid != request.uuid for g in live)
    if len(live) == 1 and not contradicted:
        assert answer == DeployOS(live[0])
    else:
        assert isinstance(answer, LocalDisk)


def test_a_grant_ends_at_its_expiry_to_the_second():
    request = BootRequest("http", MAC, "", None, "10.77.0.50", "")
    held = grant(minutes=1)
    assert decide(request, (held,), held.expires - timedelta(seconds=1)) == DeployOS(held)
    assert decide(request, (held,), held.expires) == LocalDisk("no grant")


def test_a_contradicting_uuid_is_named_in_the_reason():
    request = BootRequest("dhcp", MAC, UUID, 7, "10.77.0.50", "")
    other = "00000000-1111-2222-3333-444444444444"
    assert decide(request, (grant(uuid=other),), NOW) == LocalDisk(
        f"the MAC is granted, but UUID {UUID} is not {other}"
    )
