from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.address_choice import ServerContext, choose_address
from providers.netboot.leases import InMemoryLeaseStore, Lease
from tests.unit.netboot_world import MAC, NOW, OTHER_MAC, SERVER, network

FIRST = IPv4Address("10.77.0.50")
HOUR = timedelta(hours=1)


def lease(address: IPv4Address, mac: str = MAC, state="bound", expires=NOW + HOUR) -> Lease:
    return Lease("rack", address, mac, state, expires)


def choose(mac=MAC, wanted=None, leases=(), reservations=None, net=None):
    store = InMemoryLeaseStore()
    for record in leases:
        store.put(record)
    context = ServerContext(net or network(), SERVER, reservations or {}, NOW)
    return choose_address(mac, wanted, context, store)


def fill(count: int) -> list[Lease]:
    return [lease(FIRST + n, f"52:54:00:00:01:{n:02x}") for n in range(count)]


def test_a_machine_has_one_record_per_network():
    store = InMemoryLeaseStore()
    store.put(lease(FIRST))
    store.put(lease(FIRST + 1))
    assert store.of_address(FIRST) is None
    assert store.of_mac("rack", MAC) == lease(FIRST + 1)
    assert store.of_network("rack") == [lease(FIRST + 1)]
    assert store.of_mac("other", MAC) is None


def test_a_declined_address_is_not_the_machines_record():
    store = InMemoryLeaseStore()
    store.put(lease(FIRST))
    store.put(lease(FIRST, state="declined"))
    store.put(lease(FIRST + 1))
    assert store.of_mac("rack", MAC) == lease(FIRST + 1)
    assert store.of_address(FIRST) == lease(FIRST, state="declined")


def test_an_address_that_changes_hands_leaves_its_former_machine():
    store = InMemoryLeaseStore()
    store.put(lease(FIRST))
    store.put(lease(FIRST, OTHER_MAC))
    assert store.of_mac("rack", MAC) is None
    store.drop(FIRST)
    assert store.of_mac("rack", OTHER_MAC) is None
    assert store.of_network("rack") == []


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["bound", "declined"]))
    )
)
def test_by_mac_and_by_address_never_contradict_each_other(puts):
    store = InMemoryLeaseStore()
    for number, machine, state in puts:
        store.put(lease(FIRST + number, f"52:54:00:00:00:0{machine}", state))
    records = store.of_network("rack")
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
