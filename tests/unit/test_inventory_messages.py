"""Inventories on their way: small, whole, and refused where they are not what was agreed."""

import asyncio
import json
import zlib
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve
from builders.inventories import InventoryServer, a_large_inventory, a_package, an_inventory
from builders.world import a_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import TransientError
from agent.inventory.duty import send_inventory
from agent.inventory.kept_inventory import KeptInventory
from agent.wire.codec import WireError, encode
from agent.wire.inventory import (
    LONGEST_TEXT,
    MOST_UNPACKED,
    SECTIONS,
    InventoryReport,
    Package,
    RebootReason,
    SectionChanges,
    UserSession,
    ordered,
    pack,
    printable,
    row_of,
    section_digest,
    unpack,
)
from agent.wire.inventory_changes import changes_since, digest_of, rows_of, sections_after
from reconciler.errors import ReconcilerError
from reconciler.server import inventory as server_module
from reconciler.state.database import open_database

NODE = a_machine(1, "clone-golden")
NAMES = st.sampled_from(["bash", "dash", "libc6", "ünïcode", "zsh"])
PACKAGES = st.lists(
    st.builds(
        Package,
        name=NAMES,
        architecture=st.sampled_from(["all", "amd64"]),
        version=st.sampled_from(["1", "1:2", "3~rc1"]),
        source=NAMES,
        source_version=st.just("1"),
        origin=st.sampled_from(["", "somebody"]),
        format=st.just("deb"),
    ),
    max_size=8,
)
USERS = st.lists(
    st.builds(
        UserSession,
        session=st.sampled_from(["1", "2", "c3"]),
        user=NAMES,
        terminal=st.just("tty1"),
        since=st.just(""),
        host=st.just(""),
    ),
    max_size=3,
)
REASONS = st.lists(st.builds(RebootReason, NAMES), max_size=2)
INVENTORIES = st.fixed_dictionaries(
    {"problems": st.just(())},
    optional={
        "packages": PACKAGES.map(lambda some: ordered("packages", some)),
        "users": USERS.map(lambda some: ordered("users", some)),
        "reboot": REASONS.map(lambda some: ordered("reboot", some)),
    },
)


@pytest.fixture
def server(tmp_path: Path):
    database = open_database(tmp_path / "rackwright.db")
    yield InventoryServer(database)
    database.close()


def test_an_inventory_of_2000_packages_takes_less_than_100_kb_and_a_change_less_than_2() -> None:
    before = a_large_inventory(2000)
    assert len(pack(changes_since({}, before))) < 100_000
    changed = evolve(before["packages"][77], version="9.9.9-9")
    after = {**before, "packages": ordered("packages", [*before["packages"], changed])}
    assert len(after["packages"]) == 2001
    assert len(pack(changes_since(before, after))) < 2_000


@given(INVENTORIES, INVENTORIES)
def test_changes_lead_from_any_inventory_to_any_other(before, after) -> None:
    report = unpack(pack(changes_since(before, after)))
    stored = rows_of(before)
    changed = sections_after(report.changes, stored.get)
    found = {name: rows for name, rows in {**stored, **changed}.items() if rows is not None}
    assert found == rows_of(after)
    assert report.digest == digest_of(after)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("takes"), INVENTORIES),
        st.tuples(st.just("answer is lost"), INVENTORIES),
        st.tuples(st.just("request is lost"), INVENTORIES),
        st.tuples(st.just("agent forgets"), st.none()),
        st.tuples(st.just("server forgets"), st.none()),
        st.tuples(st.just("removes unused"), st.none()),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("site")
    database = open_database(folder / "rackwright.db")
    yield InventoryServer(database), KeptInventory(folder / "inventory")
    database.close()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, last=INVENTORIES)
def test_whatever_is_lost_the_server_ends_with_exactly_what_the_agent_has(
    lasting, steps, last
) -> None:
    server, kept = lasting  # each example begins with what the one before left

    def send(report: InventoryReport) -> str:
        return server.take(NODE, pack(report))

    def answer_is_lost(report: InventoryReport) -> str:
        send(report)
        raise TransientError("RW557", "no answer", "Wait")

    def request_is_lost(_report: InventoryReport) -> str:
        raise TransientError("RW557", "no way", "Wait")

    ways = {"takes": send, "answer is lost": answer_is_lost, "request is lost": request_is_lost}
    for step, inventory in steps:
        if step == "agent forgets":
            kept.path.unlink(missing_ok=True)
        elif step == "server forgets":
            server.inventories.record(NODE, dict.fromkeys(SECTIONS), {}, server.now)
        elif step == "removes unused":
            asyncio.run(server.keeper.prune())
        elif step == "takes":
            assert send_inventory(inventory, kept, send)
        else:
            with pytest.raises(TransientError):
                send_inventory(inventory, kept, ways[step])
    assert send_inventory(last, kept, send)
    assert server.inventories.sections(NODE.hardware_identity) == rows_of(last)
    assert rows_of(kept.read()) == rows_of(last)


def test_what_did_not_change_is_said_in_a_few_bytes_and_renews_the_time(server) -> None:
    inventory = an_inventory(a_package("bash"))
    server.says(NODE, inventory)
    server.now = server.now.replace(hour=9)
    same = pack(changes_since(inventory, inventory))
    assert len(same) < 250
    assert server.take(NODE, same) == digest_of(inventory)
    (head,) = server.inventories.heads()
    assert head.at == server.now


def test_a_change_of_what_the_server_does_not_have_is_answered_by_asking_for_all(server) -> None:
    before, after = an_inventory(a_package("bash")), an_inventory(a_package("dash"))
    assert server.says(NODE, after, before) == ""
    assert server.inventories.heads() == ()
    assert server.says(NODE, after) == digest_of(after)


def test_a_damaged_kept_inventory_is_sent_anew(tmp_path: Path, caplog) -> None:
    kept = KeptInventory(tmp_path / "inventory")
    kept.path.write_bytes(b"\x1f\x8b not compressed")
    sent: Counter[str] = Counter()

    def send(report: InventoryReport) -> str:
        sent[report.base] += 1
        return report.digest

    inventory = an_inventory(a_package("bash"))
    assert send_inventory(inventory, kept, send)
    assert sent == {"": 1}
    assert rows_of(kept.read()) == rows_of(inventory)
    assert "kept inventory unreadable" in caplog.text
    assert kept.path.stat().st_mode & 0o777 == 0o600


def message(section: str, rows, *, drop=(), digest: str = "") -> bytes:
    """Return a message of all that has these rows, whatever they are."""
    own = digest or section_digest(rows)
    change = SectionChanges(section, own, whole=True, put=tuple(rows), drop=tuple(drop))
    whole = section_digest([(section, own)])
    return pack(InventoryReport("", whole, (change,)))


ROW = row_of(a_package("bash"))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"{}", "it is not compressed as it should be: Error -3"),
        (
            pack(InventoryReport("", "0" * 64))[:-9],
            f"it breaks off, or has more than {MOST_UNPACKED}",
        ),
        (message("secrets", [ROW]), "'secrets' is no section, or there twice"),
        (message("packages", [ROW[:3]]), "packages: a row has not 7 values"),
        (message("packages", [(*ROW[:2], 5, *ROW[3:])]), "packages: a value is of type int"),
        (message("packages", [("a\x1b[31m", *ROW[1:])]), "characters that cannot be printed"),
        (message("packages", [("a" * 1001, *ROW[1:])]), "has more than 1000 characters"),
        (message("packages", [ROW], drop=[("bash",)]), "packages: a key has not 3 values"),
        (message("packages", [ROW], digest="0" * 64), "not those that its digest is of"),
        (message("reboot", [(f"r{n:03}",) for n in range(201)]), "more than 200 entries"),
        (message("disks", [("a", "", "", 2**63, "", 0, 0, 0)]), "does not fit 64 bits"),
        (pack(InventoryReport("", "A" * 64)), "a digest is none"),
        (pack(InventoryReport("", "0" * 64)), "its sections are not those that its digest is of"),
    ],
    ids=range(13),
)
def test_a_message_that_is_not_as_agreed_is_refused_and_nothing_of_it_is_kept(
    server, body: bytes, cause: str
) -> None:
    server.says(NODE, an_inventory(a_package("dash")))
    before = server.inventories.sections(NODE.hardware_identity)
    with pytest.raises(ReconcilerError) as refused:
        server.take(NODE, body)
    assert refused.value.code == "RW250"
    assert cause in refused.value.cause
    assert server.inventories.sections(NODE.hardware_identity) == before


def test_a_small_message_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    assert len(bomb) < 100_000
    with pytest.raises(WireError, match="has more than"):
        unpack(bomb)


def test_a_machine_brings_only_so_much_within_an_hour_that_no_other_has(
    server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_NEW", 100)
    server.says(NODE, an_inventory(a_package("bash")))
    many = an_inventory(*(a_package(f"package-{number}") for number in range(9)))
    with pytest.raises(ReconcilerError) as refused:
        server.says(NODE, many)
    assert refused.value.code == "RW251"
    assert refused.value.cause == (
        "node-01 has brought 350 characters of packages that no machine had before, of 100 "
        "within an hour"
    )
    other = a_machine(2, "clone-golden")
    assert server.says(other, an_inventory(a_package("bash"))), "it brings nothing that is new"
    server.now = server.now.replace(hour=10)
    monkeypatch.setattr(server_module, "MOST_NEW", 1000)
    assert server.says(NODE, many) == digest_of(many)


@given(st.text(max_size=3000))
def test_any_text_that_a_program_prints_can_travel(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= LONGEST_TEXT
    json.loads(encode(InventoryReport("", shown)))
