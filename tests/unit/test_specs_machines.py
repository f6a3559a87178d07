"""What many machines have alike is worked out once, and is what each of them has by itself."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from specs.compile.address_pool import AddressPool
from specs.compile.context import Surroundings
from specs.compile.effective_settings import EffectiveSettingsCache
from specs.compile.fleet import compile_surroundings
from specs.compile.machine_context import machine_claims
from specs.compile.references import REFERENCES, references_of
from specs.compile.uniqueness import ADDRESS, properties
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.nearest import NearestNames
from specs.diagnostics.position import Position
from specs.fleet import CompiledNetwork
from specs.kinds.machine import Machine
from specs.types.address_range import AddressRange
from specs.validate.document import define
from specs.validate.resource import Resource
from specs.yaml import load_file

HEAD = "apiVersion: rackwright/v1alpha1\n"
SITE = (
    f"{HEAD}kind: Network\nmetadata: {{name: lab}}\nspec:\n  subnet: 10.77.0.0/28\n"
    "  gateway: 10.77.0.1\n  domain: lab.example.net\n"
    "  dhcp: {mode: server, range: 10.77.0.9-10.77.0.12}\n---\n"
    f"{HEAD}kind: Network\nmetadata: {{name: other}}\nspec: {{subnet: 10.78.0.0/24}}\n---\n"
    f"{HEAD}kind: Scenario\nmetadata: {{name: look}}\nspec: {{steps: [{{inspectDisks: {{}}}}]}}\n"
    f"---\n{HEAD}kind: Scenario\nmetadata: {{name: again}}\nspec:\n"
    "  steps: [{inspectDisks: {}}]\n  targets: [{select: {labels: {role: web}}, run: 1}]\n---\n"
    f"{HEAD}kind: Group\nmetadata: {{name: a}}\nspec:\n  network: lab\n  labels: {{rack: x}}\n"
    "  assign: [{scenario: look, run: 7}]\n  protect: true\n---\n"
    f"{HEAD}kind: Group\nmetadata: {{name: b}}\nspec: {{power: {{driver: wake-on-lan}}}}\n"
)


def optional(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(("", *texts))


machines = st.builds(
    lambda number, group, labels, more, identity, hardware: (
        f"{HEAD}kind: Machine\nmetadata: {{name: m{number}{labels}}}\n"
        f"spec:\n  group: {group}\n{more}"
        f'  hardware: {{macs: ["52:54:00:00:00:{number:02x}"]{hardware}}}\n'
        f"  identity: {{addresses: [10.77.0.{number}/{28 if number % 5 else 24}]{identity}}}\n"
    ),
    st.integers(0, 19),
    st.sampled_from(("a", "b")),
    optional(", labels: {role: web}", ", labels: {rack: y}", ", labels: {rack: y, role: db}"),
    st.builds(
        "".join,
        st.tuples(
            optional("  network: other\n", "  network: lab\n"),
            optional("  protect: false\n"),
            optional("  power: {driver: manual}\n"),
            optional("  assign: []\n", "  assign: [{scenario: look, run: 8}]\n"),
        ),
    ),
    optional(", domain: a.example.net", ", hostname: M7", ", hostname: m8.x"),
    optional(
        ", uuid: 4c4c4544-0042-3510-8052-b4c04f4e4a32",
        ', formerly: ["mac:52:54:01:00:00:07", "mac:52-54-01-00-00-07"]',
        ', formerly: ["uuid:4C4C4544-0042-3510-8052-b4c04f4e4a32"]',
    ),
)


def surroundings_of(text: str) -> Surroundings:
    documents = load_file("site.yaml", text.encode()).documents
    resources = [define(each, Diagnostics(), NearestNames()) for each in documents]
    return compile_surroundings(resources, Diagnostics(), "")[1].surroundings


def defined(text: str) -> Resource:
    [document] = load_file("m.yaml", text.encode()).documents
    return define(document, Diagnostics(), NearestNames())


@given(st.lists(machines, min_size=2, max_size=8))
def test_what_holds_for_a_machine_among_others_holds_for_it_alone(found: list[str]) -> None:
    surroundings = surroundings_of(SITE)
    together = EffectiveSettingsCache(surroundings)
    for text in found:
        resource = defined(text)
        assert isinstance(resource.model, Machine)
        ours = together.of(resource, resource.model)
        alone = EffectiveSettingsCache(surroundings).of(resource, resource.model)
        assert ours._replace(room=None) == alone._replace(room=None)
        assert list(ours.labels) == list(alone.labels)
        assert (ours.room and ours.room.network) is (alone.room and alone.room.network)


@given(machines)
def test_what_a_machine_refers_to_and_claims_is_what_its_document_says(text: str) -> None:
    resource = defined(text)
    model = resource.model
    if resource.invalid or not isinstance(model, Machine):
        return
    assert sorted(references_of(model)) == sorted(
        (kind, str(name))
        for pattern, kind in REFERENCES["Machine"]
        for _, name in resource.values(pattern)
    )
    assert sorted(machine_claims(resource)) == sorted(
        [f"name {resource.name}"]
        + [
            f"{noun} {int(IPv4Address(value)) if noun == ADDRESS else value}"
            for noun, value, _ in properties(resource)
        ]
    )


@given(st.integers(28, 32), st.integers(0, 15), st.none() | st.integers(0, 15), st.booleans())
def test_a_network_has_room_for_its_free_hosts(
    length: int,
    last: int,
    gateway: int | None,
    serves: bool,  # noqa: FBT001
) -> None:
    subnet = IPv4Network((LOW, length))
    leased = AddressRange(IPv4Address(LOW + 4), IPv4Address(LOW + 6))
    network = CompiledNetwork(
        name="lab",
        subnet=subnet,
        gateway=None if gateway is None else IPv4Address(LOW + gateway),
        nameservers=(),
        domain="",
        dhcp_mode="server" if serves else "proxy",
        dhcp_range=leased,
        lease_seconds=60,
        position=Position("n.yaml", 1, 1),
    )
    address = IPv4Address(LOW + last)
    free = set(subnet.hosts()) - {network.gateway}
    if serves:
        free -= {IPv4Address(LOW + number) for number in (4, 5, 6)}
    room = AddressPool(network)
    assert room.has(IPv4Interface((address, subnet.prefixlen))) == (address in free)
    assert not room.has(IPv4Interface((address, 26)))


LOW = int(IPv4Address("10.77.0.0"))
