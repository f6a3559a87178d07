"""Agents that join by a token that a person made: whose they become, and what they may do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from attrs import evolve
from builders.agent_calls import AgentCalls
from builders.loop_server import LoopServer
from builders.signing_request import a_csr
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_installed_system
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from agent.wire.codec import decode
from agent.wire.enrollment import EnrollmentRequest
from reconciler.app.discovered import discovered_machines
from reconciler.app.join_tokens import Terms, make_token, revoke_token
from reconciler.errors import TrustError
from reconciler.server.claimed_hardware import LONGEST, MOST
from reconciler.server.enrollment import Enroller
from reconciler.state.discovered_agents import DiscoveredAgents
from reconciler.state.join_tokens import Join, JoinTokens
from reconciler.trust.authority import Authority
from reconciler.trust.tls import parse_agent
from specs.types.hardware_uuid import both_orders

NODE, OTHER = a_machine(1, "clone-golden"), a_machine(2)
MAC, UUID = "52:54:00:aa:00:07", "4c4c4544-0042-3510-8052-b4c04f4e4a32"
SWAPPED = both_orders(UUID)[1]
STRANGER = replace(a_machine(7), name="web-7", macs=(MAC,), uuid=UUID)
SOURCE = "10.77.0.107"


class Site:
    """A server, its authority, and persons who make tokens."""

    def __init__(self, folder):
        self.server = LoopServer(folder / "rackwright.db", a_fleet(NODE, OTHER))
        self.plane, self.database = self.server.plane, self.server.database
        self.authority = Authority.load_or_create(folder / "trust", NOW)
        serials = iter(range(1, 1000))
        self.enroller = Enroller(self.plane, self.authority, lambda: next(serials))
        self.calls = AgentCalls(self.plane, self.database)

    def token(self, uses=1, group="", lifetime=timedelta(hours=2)):
        terms = Terms(uses, lifetime, group)
        made = make_token(self.database, terms, "ada", "by hand", self.server.now)
        self.token_id = made.token.token_id
        return made.text

    def joins(self, token, csr=None, source=SOURCE, **said):
        """Have an agent ask; return its name."""
        values = {
            "token": token,
            "csr": csr or a_csr(),
            "environment": "installed",
            "macs": (MAC,),
            "uuid": UUID,
            "agent_version": "1",
        }
        done = self.enroller.enroll(EnrollmentRequest(**{**values, **said}), source)
        pem = x509.load_pem_x509_certificate(done.certificate.encode())
        identity = parse_agent(pem.public_bytes(serialization.Encoding.DER)).agent
        assert (identity.machine, identity.environment) == (done.machine, "installed")
        return done.machine

    def refused(self, code, *arguments, **said):
        with pytest.raises(TrustError) as caught:
            self.joins(*arguments, **said)
        assert caught.value.code == code
        return f"{caught.value.cause}. {caught.value.action}"

    def discovered(self):
        return discovered_machines(self.database, self.server.loop.hardware)


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.server.close()


def installed(machine, **system):
    said = evolve(an_installed_system(machine, ""), **system)
    return a_report(machine, a_disk(), installed=said)


# --- machines of a document ------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"macs": (NODE.macs[0].upper(), MAC), "uuid": ""},
        {"macs": (MAC,), "uuid": NODE.uuid},
        {"macs": (MAC,), "uuid": both_orders(NODE.uuid)[1].upper()},
        {"macs": ("nonsense", NODE.macs[0]), "uuid": "03000200-0400-0500-0006-000700080009"},
    ],
)
def test_hardware_of_a_document_becomes_the_agent_of_that_machine(site, said):
    assert site.joins(site.token(), **said) == "node-01"
    assert site.plane.machine_of_agent("node-01") == NODE
    assert site.calls.report("node-01", installed(NODE)) == 200
    seen = site.server.loop.machines.seen(NODE, site.server.loop.hardware, site.server.now)
    assert seen.installed.report == installed(NODE)
    assert site.discovered() == ()


def test_a_machine_that_joined_is_known_by_its_hardware_after_a_rename(site):
    site.joins(site.token(), macs=NODE.macs, uuid=NODE.uuid)
    site.server.use(a_fleet(replace(NODE, name="db-1"), replace(OTHER, name="node-01")))
    assert site.plane.machine_of_agent("node-01").name == "db-1"


def test_the_newest_enrollment_of_a_name_says_whose_it_is(site):
    """A machine that was installed here, and later another got its name and joined."""
    site.joins(site.token(), macs=NODE.macs, uuid=NODE.uuid)
    site.server.use(a_fleet(replace(NODE, name="db-1"), replace(OTHER, name="node-01")))
    site.server.now += timedelta(minutes=1)
    site.joins(site.token(), macs=OTHER.macs, uuid=OTHER.uuid)
    assert site.plane.machine_of_agent("node-01").macs == OTHER.macs


def test_hardware_of_two_machines_is_refused_and_both_are_named(site):
    token = site.token()
    assert site.refused("RW513", token, macs=(NODE.macs[0], OTHER.macs[0]), uuid="") == (
        "the hardware is that of several machines: mac:52:54:00:77:00:01 is node-01's, "
        "mac:52:54:00:77:00:02 is node-02's. Correct spec.hardware of these machines: each NIC and "
        "board is in one document"
    )
    said = site.refused("RW513", token, macs=OTHER.macs, uuid=NODE.uuid)
    assert f"uuid:{NODE.uuid} is node-01's, mac:{OTHER.macs[0]} is node-02's" in said
    assert site.joins(token, macs=NODE.macs, uuid=NODE.uuid) == "node-01"  # nothing was used up


def test_a_card_on_another_board_is_refused(site):
    said = site.refused("RW514", site.token(), macs=NODE.macs, uuid=UUID)
    assert said == (
        f"mac:{NODE.macs[0]} is node-01's, but the UUID {UUID} is not: its document has "
        f"{NODE.uuid}. Correct spec.hardware of node-01, or take the card out"
    )


def test_hardware_that_is_somebodys_history_is_refused(site):
    site.server.use(a_fleet(replace(NODE, formerly=(f"mac:{MAC}",)), OTHER))
    said = site.refused("RW514", site.token())
    assert said.startswith(f"mac:{MAC} was node-01's formerly, and no document has it now. ")


@pytest.mark.parametrize("uuid", ["", "03000200-0400-0500-0006-000700080009", "x" * 10_000])
def test_hardware_that_nothing_tells_apart_is_refused(site, uuid):
    macs = ("00:00:00:00:00:00", "01:00:5e:00:00:01", "no")
    assert "no NIC with a MAC address" in site.refused("RW515", site.token(), macs=macs, uuid=uuid)


def test_a_token_displaces_no_agent_that_is_heard(site):
    token = site.token(uses=2)
    csr = a_csr()
    own = {"macs": NODE.macs, "uuid": NODE.uuid}
    site.joins(token, csr, **own)
    site.plane.contact(NODE, "installed")
    assert site.refused("RW516", token, **own).startswith(
        "another agent is heard as node-01 now. If that is this machine, stop the agent there and "
        "try again after 40 s"
    )
    assert site.joins(token, csr, **own) == "node-01"  # its answer got lost
    site.server.now += timedelta(seconds=41)
    assert site.joins(token, **own) == "node-01"


# --- how often, how long ---------------------------------------------------------------


def test_each_use_is_one_key_and_a_lost_answer_uses_nothing(site):
    token = site.token(uses=2)
    first = a_csr()
    names = {
        site.joins(token, first),
        site.joins(token, first),
        site.joins(token, macs=("52:54:00:aa:00:08",), uuid=""),
    }
    assert names == {f"discovered:uuid:{min(UUID, SWAPPED)}", "discovered:mac:52:54:00:aa:00:08"}
    assert site.refused("RW511", token) == (
        f"token {site.token_id} had 2 uses, and none is left. Ask for a new one: "
        "`rackwright agent token new`"
    )
    assert site.joins(token, first)
    (known,) = JoinTokens(site.database).all()
    assert (known.used, known.left) == (2, 0)


def test_who_comes_at_the_same_instant_gets_no_more_than_there_are_uses(site):
    """Both were checked before either was written down."""
    site.token()
    tokens = JoinTokens(site.database)
    joins = [
        Join(site.token_id, digit * 64, "discovered:x", ("mac:x",), "", NOW) for digit in "abab"
    ]
    assert [tokens.join(each) for each in joins] == [True, False, True, False]


def test_an_expired_and_a_revoked_token_let_nobody_join(site):
    token, csr = site.token(uses=9), a_csr()
    site.joins(token, csr)
    site.server.now += timedelta(hours=2)
    assert site.joins(token)
    revoke_token(site.database, site.token_id[:4], "bob", "mailed", site.server.now)
    for again in (csr, None):
        said = site.refused("RW510", token, again)
        assert said.startswith(f"token {site.token_id} was revoked by bob. ")
    late = site.token()
    site.server.now += timedelta(hours=2, seconds=1)
    assert "has expired" in site.refused("RW512", late)
    assert site.calls.report(f"discovered:uuid:{min(UUID, SWAPPED)}", installed(STRANGER)) == 200


def test_the_deploy_os_does_not_enroll_by_a_persons_token(site):
    said = site.refused("RW518", site.token(), environment="deploy-os")
    assert "is for installed systems, not for the Deploy-OS" in said


def test_a_bad_request_uses_nothing_up(site):
    token = site.token()
    site.refused("RW505", token, "no request")
    assert site.joins(token)


# --- machines of no document -----------------------------------------------------------

TOLD = {
    "hostname": "web-7",
    "addresses": ("10.77.0.107/24", "no address", "fd00::7/64"),
    "serial": "5CG8",
    "vendor": "Dell Inc.",
    "product": "R650",
    "os": "Debian GNU/Linux 12",
}


def test_hardware_of_no_document_is_recorded_with_all_that_it_tells(site):
    name = site.joins(site.token(group="lab"), **TOLD)
    (machine,) = site.discovered()
    agent = machine.agent
    assert (machine.macs, machine.uuid, machine.host_name) == ((MAC,), UUID, "web-7")
    assert (agent.name, agent.token_id, agent.group) == (name, site.token_id, "lab")
    assert (agent.serial, agent.vendor, agent.product, agent.os) == (
        *("5CG8", "Dell Inc.", "R650", "Debian GNU/Linux 12"),
    )
    assert agent.addresses == ("10.77.0.107/24", "fd00::7/64")
    assert (agent.first_at, agent.last_at, agent.source) == (NOW, NOW, SOURCE)


def test_its_name_depends_on_the_hardware_alone(site):
    token = site.token(uses=9)
    cards = (MAC, "52:54:00:aa:00:01")
    assert site.joins(token) == site.joins(token, uuid=SWAPPED.upper(), macs=cards)
    assert site.joins(token, uuid="", macs=cards) == site.joins(token, uuid="", macs=cards[::-1])


def test_an_older_agent_tells_less_and_joins(site):
    body = (
        b'{"token":"%s","csr":%s,"environment":"installed","macs":["%s"],"uuid":"",'
        b'"agent_version":"0"}'
    )
    csr = a_csr().replace("\n", "\\n")
    text = body % (site.token().encode(), f'"{csr}"'.encode(), MAC.encode())
    done = site.enroller.enroll(decode(EnrollmentRequest, text), SOURCE)
    assert done.machine == f"discovered:mac:{MAC}"
    (machine,) = site.discovered()
    assert machine.agent.hostname == ""


def test_what_a_hostile_agent_tells_is_bounded(site):
    many = tuple(f"52:54:00:bb:{n // 256:02x}:{n % 256:02x}" for n in range(1000))
    addresses = tuple(f"10.1.{n // 256}.{n % 256}/16" for n in range(1000))
    told = dict.fromkeys(("hostname", "serial", "vendor", "product", "os"), "a\n\x1b[31m" * 9999)
    site.joins(site.token(), macs=many, uuid="", addresses=addresses, **told)
    (machine,) = site.discovered()
    assert (len(machine.macs), len(machine.agent.addresses)) == (MOST, MOST)
    for text in (machine.agent.hostname, machine.agent.os):
        assert len(text) <= LONGEST
        assert "\n" not in text
    assert machine.host_name == ""


def test_its_reports_say_how_it_is_and_it_gets_no_work(site):
    name = site.joins(site.token(), **TOLD)
    site.server.now += timedelta(minutes=6)
    report = installed(STRANGER, hostname="web-8", addresses=("10.77.0.9/24",))
    assert site.calls.report(name, report) == 200
    (machine,) = site.discovered()
    assert (machine.agent.hostname, machine.agent.addresses) == ("web-8", ("10.77.0.9/24",))
    assert (machine.agent.first_at, machine.agent.last_at) == (NOW, site.server.now)
    assert machine.agent.token_id == site.token_id
    key = site.plane.key_of_agent(name)
    assert key == f"agent:{name}"
    assert site.plane.work(key) is None
    assert site.plane.reboot_wanted(key) is None
    assert not site.plane.claim(key, "f" * 32, 1)


def test_an_agent_that_says_nothing_new_is_written_down_now_and_then(site):
    name = site.joins(site.token())
    site.calls.report(name, installed(STRANGER))
    site.server.asked()
    for _ in range(4):
        site.server.now += timedelta(minutes=1)
        site.calls.report(name, installed(STRANGER))
    assert not [each for each in site.server.asked() if not each.startswith("SELECT")]
    site.server.now += timedelta(minutes=1)
    site.calls.report(name, installed(STRANGER))
    assert DiscoveredAgents(site.database).of_name(name).last_at == site.server.now


@pytest.mark.parametrize(
    "hardware",
    [
        {"macs": ("52:54:00:ff:ff:ff",), "uuid": ""},
        {"macs": (MAC, NODE.macs[0])},
        {"macs": (MAC,), "uuid": NODE.uuid},
    ],
)
def test_a_report_of_other_hardware_is_refused_and_changes_nothing(site, hardware):
    name = site.joins(site.token())
    before = site.discovered()
    site.server.now += timedelta(minutes=6)
    report = installed(STRANGER)
    foreign = evolve(report, hardware=evolve(report.hardware, **hardware))
    assert site.calls.report(name, foreign) == 403
    assert site.discovered() == before


def test_once_a_document_has_it_its_agent_is_that_machines(site):
    name = site.joins(site.token(), uuid=SWAPPED)
    site.server.use(a_fleet(NODE, OTHER, STRANGER))
    assert site.plane.machine_of_agent(name) == STRANGER
    assert site.plane.key_of_agent(name) == "web-7"
    assert site.calls.report(name, installed(STRANGER)) == 200
    seen = site.server.loop.machines.seen(STRANGER, site.server.loop.hardware, site.server.now)
    assert seen.installed.machine == "web-7"
    assert site.discovered() == ()
    site.server.use(a_fleet(NODE, OTHER))
    assert [each.agent.name for each in site.discovered()] == [name]


def test_a_machine_whose_document_is_gone_is_shown_as_discovered(site):
    site.joins(site.token(), macs=NODE.macs, uuid=NODE.uuid)
    site.server.use(a_fleet(OTHER))
    site.server.now += timedelta(minutes=1)
    assert site.calls.report("node-01", installed(NODE)) == 200
    (machine,) = site.discovered()
    assert (machine.macs, machine.uuid, machine.agent.hostname) == (
        *(NODE.macs, NODE.uuid, "node-01"),
    )
    both = (replace(NODE, uuid=""), replace(OTHER, macs=NODE.macs, uuid=""))
    site.server.use(a_fleet(*both))  # nobody can say whose it is
    assert site.calls.report("node-01", installed(NODE)) == 200
    assert site.discovered() == ()


def test_a_document_that_has_a_nic_alone_is_enough(site):
    name = site.joins(site.token())
    site.server.use(a_fleet(NODE, OTHER, replace(STRANGER, uuid="")))
    assert site.plane.machine_of_agent(name).name == "web-7"
