from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from builders.leases import InMemoryLeaseStore, leases_of
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot import address_pool
from providers.netboot.address_choice import ServerContext, choose_address
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import Reservations, ServedFleet
from tests.unit.netboot_world import MAC, NOW, OTHER_MAC, SERVER, network

FIRST = IPv4Address("10.77.0.50")
HOUR = timedelta(hours=1)


def lease(address: IPv4Address, mac: str = MAC, state="bound", expires=NOW + HOUR) -> Lease:
    return Lease("rack", address, mac, state, expires)


def choose(mac=MAC, wanted=None, leases=(), reservations=None, net=None):
    reserved = Reservations((reservations or {}).items())
    table = LeaseTable(InMemoryLeaseStore())
    table.serve(ServedFleet([net or network()], reserved), SERVER)
    for record in leases:
        table.put(record)
    return choose_address(
        mac, wanted, ServerContext(net or network(), SERVER, reserved, NOW), table
    )


def served(net=None, store=None, **more) -> LeaseTable:
    table = LeaseTable(store or InMemoryLeaseStore(), **more)
    table.serve(ServedFleet([net or network()]), SERVER)
    return table


def fill(count: int) -> list[Lease]:
    return [lease(FIRST + n, f"52:54:00:00:01:{n:02x}") for n in range(count)]


def test_a_machine_has_one_record_per_network():
    store = served()
    store.put(lease(FIRST))
    store.put(lease(FIRST + 1))
    assert store.of_address(FIRST) is None
    assert store.of_mac("rack", MAC) == lease(FIRST + 1)
    assert leases_of(store, "rack") == [lease(FIRST + 1)]
    assert store.of_mac("other", MAC) is None


def test_a_declined_address_is_not_the_machines_record():
    store = served()
    store.put(lease(FIRST))
    store.put(lease(FIRST, state="declined"))
    store.put(lease(FIRST + 1))
    assert store.of_mac("rack", MAC) == lease(FIRST + 1)
    assert store.of_address(FIRST) == lease(FIRST, state="declined")


def test_an_address_that_changes_hands_leaves_its_former_machine():
    store = served()
    store.put(lease(FIRST))
    store.put(lease(FIRST, OTHER_MAC))
    assert store.of_mac("rack", MAC) is None
    store.drop(FIRST)
    assert store.of_mac("rack", OTHER_MAC) is None
    assert leases_of(store, "rack") == []


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["bound", "declined"]))
    )
)
def test_by_mac_and_by_address_never_contradict_each_other(puts):
    store = served()
    for number, machine, state in puts:
        store.put(lease(FIRST + number, f"52:54:00:00:00:0{machine}", state))
    records = leases_of(store, "rack")
    held = [record.mac for record in records if record.state != "declined"]
    assert len(held) == len(set(held))
    for record in records:
        assert store.of_address(record.address) == record
        if record.state != "declined":
            assert store.of_mac("rack", record.mac) == record


def test_the_reservation_goes_before_everything():
    reserved = IPv4Address("10.77.0.7")
    choice = choose(wanted=FIRST, leases=[lease(FIRST)], reservations={MAC: reserved})
    assert (choice.address, choice.problem) == (reserved, None)


def test_a_machine_gets_its_former_address_even_after_it_ran_out():
    assert choose(wanted=FIRST, leases=[lease(FIRST + 5, expires=NOW)]).address == FIRST + 5


def test_a_wish_is_granted_if_free():
    assert choose(wanted=FIRST + 3).address == FIRST + 3
    taken = choose(wanted=FIRST + 3, leases=[lease(FIRST + 3, OTHER_MAC)])
    assert taken.address not in {None, FIRST + 3}
    assert choose(wanted=IPv4Address("10.77.0.9")).address != IPv4Address("10.77.0.9")


def test_the_same_machine_gets_the_same_free_address_again():
    assert choose().address == choose().address
    assert len({choose(f"52:54:00:00:02:{n:02x}").address for n in range(8)}) > 1


def test_others_reservations_and_our_own_addresses_are_never_given_away():
    net = network(pool=("10.77.0.0", "10.77.0.3"))
    net = net._replace(gateway=IPv4Address("10.77.0.2"))
    reservations = {OTHER_MAC: IPv4Address("10.77.0.3")}
    # .0 is the network, .1 this server, .2 the gateway, .3 reserved.
    choice = choose(net=net, reservations=reservations)
    assert choice.address is None
    assert choose(net=net).address == IPv4Address("10.77.0.3")


def test_the_last_free_address_of_a_large_range_is_found():
    net = network(subnet="10.77.0.0/20", pool=("10.77.0.50", "10.77.2.49"))
    free = IPv4Address("10.77.1.77")
    taken = [
        lease(FIRST + n, f"52:54:00:01:{n >> 8:02x}:{n & 255:02x}")
        for n in range(512)
        if FIRST + n != free
    ]
    assert choose(net=net, leases=taken).address == free


def test_a_full_range_says_how_large_it_is_and_what_helps():
    choice = choose(leases=fill(10))
    assert choice.address is None
    assert str(choice.problem) == (
        "RW306: all 10 addresses from 10.77.0.50 to 10.77.0.59 of network rack are taken, "
        "52:54:00:12:34:56 gets none. Widen the network's dhcp range or shorten its lease time."
    )


def test_a_network_without_range_serves_reservations_only():
    assert str(choose(net=network(pool=None)).problem) == (
        "RW306: network rack has no dhcp range and no address is reserved for 52:54:00:12:34:56. "
        "Add a range to the Network, or the machine with an address in identity.addresses."
    )
    reserved = IPv4Address("10.77.0.7")
    assert choose(net=network(pool=None), reservations={MAC: reserved}).address == reserved


@pytest.mark.parametrize("address", ["10.77.0.1", "10.77.0.254", "10.77.0.0", "10.77.0.255"])
def test_a_reservation_that_no_machine_can_have_is_reported_and_passed_over(address):
    choice = choose(reservations={MAC: IPv4Address(address)})
    assert choice.address is not None
    assert str(choice.problem) == (
        f"RW307: 52:54:00:12:34:56 is to have {address}, which is the gateway, a server or no "
        "host address of network rack. Give the machine another address under "
        "identity.addresses."
    )


def test_a_reservation_in_use_by_another_machine_is_reported_and_passed_over():
    choice = choose(reservations={MAC: FIRST}, leases=[lease(FIRST, OTHER_MAC)])
    assert choice.address not in {None, FIRST}
    assert str(choice.problem) == (
        "RW307: 52:54:00:12:34:56 is to have 10.77.0.50 of network rack, but 52:54:00:00:00:02 "
        "uses it until 2026-11-21 13:00:00 UTC. The machine gets an address of the range until "
        "then; free the address to be quicker."
    )


def test_a_reservation_of_another_network_does_not_count_here():
    choice = choose(reservations={MAC: IPv4Address("192.168.5.5")})
    assert choice.address is not None
    assert choice.problem is None


def test_a_declined_address_rests_and_comes_back():
    resting = [lease(FIRST, state="declined"), *fill(10)[1:]]
    assert choose(leases=resting).address is None
    rested = [lease(FIRST, state="declined", expires=NOW), *fill(10)[1:]]
    assert choose(leases=rested).address == FIRST


# --- the table and its pool -------------------------------------------------------------


def test_an_offer_is_in_memory_only_and_a_lease_is_stored_before_it_is_known():
    store = InMemoryLeaseStore()
    table = served(store=store)
    table.put(lease(FIRST, state="offered"))
    assert store.all() == ()
    table.put(lease(FIRST))
    assert store.all() == (lease(FIRST),)
    assert served(store=store).of_mac("rack", MAC) == lease(FIRST)


def test_a_lease_that_cannot_be_stored_changes_nothing():
    class Full(InMemoryLeaseStore):
        def put(self, lease: Lease) -> None:
            raise OSError(f"disk full: {lease.address}")

    table = served(store=Full())
    offer = lease(FIRST, state="offered")
    table.put(offer)
    with pytest.raises(OSError, match="disk full"):
        table.put(lease(FIRST))
    assert table.of_mac("rack", MAC) == offer


def test_leases_of_the_last_run_take_their_addresses():
    store = InMemoryLeaseStore()
    for record in fill(10):
        store.put(record)
    assert served(store=store).pool(network()).find(MAC, NOW) is None


def test_strangers_can_keep_a_bounded_number_of_offers_the_oldest_goes_first():
    net = network(subnet="10.0.0.0/8", pool=("10.1.0.0", "10.255.0.0"))
    table = served(net, offers=100)
    for number in range(10_000):
        mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        address = table.pool(net).find(mac, NOW)
        table.put(Lease("rack", address, mac, "offered", NOW + HOUR))
    assert len(leases_of(table, "rack")) == 100
    assert table.of_mac("rack", "52:54:00:00:00:00") is None
    assert table.of_mac("rack", "52:54:00:00:27:0f") is not None
    assert len(table.pool(net)._looks) < 2000


def test_a_new_revision_takes_over_the_leases():
    table = served()
    table.put(lease(FIRST))
    narrow = network(pool=("10.77.0.50", "10.77.0.50"))
    table.serve(ServedFleet([narrow]), SERVER)
    assert table.pool(narrow).find(OTHER_MAC, NOW) is None
    assert table.pool(narrow).find(OTHER_MAC, NOW + HOUR) == FIRST


_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["offered", "bound", "released", "declined"]),
            st.integers(0, 4),
            st.integers(0, 3),
            st.integers(1, 100),
        ),
        st.tuples(st.just("drop"), st.integers(0, 4), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.just(0), st.integers(1, 60)),
    ),
    max_size=40,
)


@given(_STEPS, st.sampled_from([0, 1000]))
def test_the_pool_finds_a_free_address_whenever_a_look_at_all_leases_would(steps, spare):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(address_pool, "_MOST_SPARE_LOOKS", spare)
        _finds_what_is_free(steps)


def _finds_what_is_free(steps):
    net = network(pool=("10.77.0.50", "10.77.0.54"))
    table, now = served(net), NOW
    for action, number, machine, minutes in steps:
        if action == "wait":
            now += timedelta(minutes=minutes)
        elif action == "drop":
            table.drop(FIRST + number)
        else:
            expires = now + timedelta(minutes=minutes)
            mac = f"52:54:00:00:00:0{machine}"
            table.put(lease(FIRST + number, mac, action, expires))
        active = {record.address for record in leases_of(table, "rack") if record.is_active(now)}
        free = {FIRST + n for n in range(5)} - active
        found = table.pool(net).find(MAC, now)
        assert found in free if free else found is None


def test_a_pool_of_a_whole_class_a_network_is_searched_at_once():
    net = network(subnet="10.0.0.0/8", pool=("10.0.0.10", "10.255.255.0"))
    table = served(net)
    assert table.pool(net).find(MAC, NOW) in net.subnet


# --- the fleet's look-ups ----------------------------------------------------------------


def test_each_network_has_its_reservations():
    far = network(name="far", subnet="10.88.0.0/24", pool=None)
    reserved = Reservations([(MAC, FIRST), (MAC, IPv4Address("10.88.0.7"))])
    assert reserved.of(MAC, network()) == FIRST
    assert reserved.of(MAC, far) == IPv4Address("10.88.0.7")
    assert reserved.of(OTHER_MAC, far) is None
    assert list(reserved.between(IPv4Address("10.88.0.0"), IPv4Address("10.88.0.9"))) == [
        IPv4Address("10.88.0.7")
    ]


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 255), max_size=20))
def test_the_network_of_an_address_is_found_as_by_looking_at_each(address, numbers):
    networks = [
        network(name=f"n{n}", subnet=f"{n}.{n}.0.0/{8 + n % 9 + 8}", pool=None) for n in numbers
    ]
    wanted = IPv4Address(address)
    expected = next((net for net in networks if wanted in net.subnet), None)
    assert ServedFleet(networks).network_of(wanted) == expected
    for net in networks:
        assert ServedFleet(networks).network_of(net.subnet.broadcast_address) == net
