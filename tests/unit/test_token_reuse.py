"""A second key with a used token: an alarm where the first may have been a stranger's."""

from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.signing_request import a_csr
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.enrollment import EnrollmentRequest
from reconciler.app.clear import Clearings
from reconciler.errors import TrustError
from reconciler.server.boots import CREDENTIALS_LIFETIME
from reconciler.server.enrollment import Enroller
from reconciler.server.token_reuse import first_may_be_a_stranger
from reconciler.state.faults import Faults
from reconciler.state.grants import Token
from reconciler.trust.authority import Authority

NODE = a_machine(1, "clone-golden")
PLACE, ELSEWHERE, OTHER_PLACE = "10.77.0.101", "10.77.0.66", "10.77.0.102"
MINUTE, LATER = timedelta(minutes=1), CREDENTIALS_LIFETIME + timedelta(minutes=1)


class Boot:
    """A machine that was granted a boot and whose boot script carried a token."""

    def __init__(self, folder, sent_to):
        self.server = LoopServer(folder / "rackwright.db", a_fleet(NODE))
        self.server.reports(NODE)
        self.server.approve_all()
        self.server.run()
        answer = self.server.boots_over_the_network(NODE)
        self.token = self.server.boots.credentials(answer.grant, sent_to).token
        authority = Authority.load_or_create(folder / "trust", NOW)
        serials = iter(range(1, 100))
        self.enroller = Enroller(self.server.plane, authority, lambda: next(serials))

    def enrolls(self, source, csr=None, macs=NODE.macs, after=timedelta()):
        self.server.now += after
        request = EnrollmentRequest(self.token, csr or a_csr(), "deploy-os", macs, NODE.uuid, "1")
        return self.enroller.enroll(request, source).machine

    def reports(self):
        self.server.now += timedelta(seconds=1)
        machine = self.server.plane.machine_of_agent(NODE.name)
        self.server.plane.reported(machine, a_report(NODE, a_disk()))

    def refused(self, *arguments, **said):
        with pytest.raises(TrustError) as caught:
            self.enrolls(*arguments, **said)
        return caught.value.code

    def quarantine(self):
        return self.server.loop.machines.quarantine(NODE.name, NODE.hardware_identities)

    def faults(self):
        return [(each.subject, each.code, each.cause) for each in self.server.loop.faults.present()]


@pytest.fixture
def boot(tmp_path):
    found = Boot(tmp_path, PLACE)
    yield found
    found.server.close()


CAUSE = (
    f"a used token of node-01 was shown again, from {ELSEWHERE}; {PLACE}, which used it, goes on "
    "as node-01"
)
SHOWN = ("token/node-01", "RW517", CAUSE)


@pytest.mark.parametrize("after", [timedelta(seconds=5), LATER, timedelta(days=3)])
def test_a_stranger_who_replays_a_used_token_harms_nobody(boot, after):
    assert boot.enrolls(PLACE) == NODE.name
    boot.reports()
    assert boot.refused(ELSEWHERE, after=after) == "RW517"
    assert boot.refused(ELSEWHERE) == "RW517"
    assert boot.quarantine() == ""
    assert boot.faults() == [SHOWN]
    assert boot.server.plane.live_grants(NODE.name)


@pytest.mark.parametrize("after", [timedelta(seconds=5), LATER])
@pytest.mark.parametrize("speaks", [True, False])
def test_a_machine_that_comes_after_a_stranger_is_put_in_quarantine(boot, after, speaks):
    """Its boot script went to its address, and somebody else was quicker."""
    assert boot.enrolls(ELSEWHERE) == NODE.name
    if speaks:
        boot.reports()
    assert boot.refused(PLACE, after=after) == "RW543"
    assert boot.quarantine() == (
        f"its enrollment token was used twice, first from {ELSEWHERE}, then from {PLACE}"
    )
    assert boot.server.plane.live_grants(NODE.name) == ()


def test_a_second_key_before_the_first_was_heard_is_an_alarm(boot):
    boot.enrolls(PLACE)
    assert boot.refused(ELSEWHERE, after=LATER) == "RW543"
    assert boot.quarantine()


@pytest.mark.parametrize(("after", "code"), [(MINUTE, "RW543"), (LATER, "RW517")])
@pytest.mark.parametrize("first", [PLACE, OTHER_PLACE])
def test_where_addresses_tell_nothing_the_time_decides(tmp_path, first, after, code):
    boot = Boot(tmp_path, "" if first == PLACE else PLACE)
    boot.enrolls(first)
    boot.reports()
    assert boot.refused(ELSEWHERE, after=after) == code
    assert bool(boot.quarantine()) == (code == "RW543")
    boot.server.close()


def test_other_hardware_with_a_used_token_is_refused_alone(boot):
    boot.enrolls(PLACE)
    assert boot.refused(ELSEWHERE, macs=("52:54:00:ff:ff:ff",)) == "RW517"
    assert boot.quarantine() == ""


def test_the_same_key_may_ask_again(boot):
    csr = a_csr()
    assert boot.enrolls(PLACE, csr) == boot.enrolls(PLACE, csr) == NODE.name
    assert boot.faults() == []


def test_a_shown_token_stays_until_a_person_clears_it(boot):
    boot.enrolls(PLACE)
    boot.reports()
    boot.refused(ELSEWHERE, after=LATER)
    database, fleet = boot.server.database, a_fleet(NODE)
    Faults(database).forget()  # as a server does that starts
    for found in (
        Clearings(database, fleet).of_all(),
        Clearings(database, a_fleet()).of_all(),
        Clearings(database, fleet).of_names([NODE.name]),
    ):
        assert [each.findings for each in found] == [(CAUSE,)]
    clearings = Clearings(database, fleet)
    (one,) = clearings.of_names([NODE.name])
    assert not clearings.clear(one, "ada", "a test", NOW)
    assert boot.faults() == []


def test_clear_lifts_the_quarantine_and_the_next_boot_goes_on(boot):
    boot.enrolls(ELSEWHERE)
    boot.refused(PLACE)
    clearings = Clearings(boot.server.database, a_fleet(NODE))
    (one,) = clearings.of_names([NODE.name])
    assert clearings.clear(one, "ada", "a test", NOW)
    assert boot.server.plane.live_grants(NODE.name)


ADDRESSES = st.sampled_from(["", PLACE, ELSEWHERE, OTHER_PLACE])


@given(ADDRESSES, ADDRESSES, ADDRESSES, st.booleans())
def test_time_alone_makes_no_alarm_and_evidence_is_before_it(sent_to, first, second, is_heard):
    token = Token("d", "o", 1, "m", "deploy-os", NOW, used_from=first, sent_to=sent_to)
    early, late = (
        first_may_be_a_stranger(token, second, is_valid=valid, is_heard=is_heard)
        for valid in (True, False)
    )
    assert early or not late
    if not is_heard or (sent_to and sent_to == second != first):
        assert early
        assert late
    elif sent_to and first == sent_to != second:
        assert not early
    else:
        assert (early, late) == (True, False)
