"""Which generations of an image are kept, and that the others are dropped."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.extent import Extent
from reconciler.app.project import Project
from reconciler.planning.retention import Generation, keep
from reconciler.server.image_keeper import ImageKeeper
from reconciler.state.image_events import ImageEvents
from reconciler.state.operation_states import OperationState
from specs.fleet import CompiledRetention
from tests.unit.imaging_images import MIB
from tests.unit.stored_images import PROVED, is_whole, store_image
from tests.unit.test_image_commands import FAILED, Desk

MONDAY = datetime(2026, 11, 30, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def nightly(count: int, lossy: tuple[int, ...] = (), **tests: str) -> list[Generation]:
    """Return backups of the last nights, the newest first; ``n3="failed"`` says how one went."""
    return [
        Generation(
            f"n{number}",
            MONDAY - timedelta(days=number),
            tests.get(f"n{number}", "proven"),
            pinned=False,
            lossy=number in lossy,
        )
        for number in range(count)
    ]


def numbers(kept: frozenset[str]) -> list[int]:
    return sorted(int(each.removeprefix("n")) for each in kept)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (CompiledRetention(1, 0, 0, 0), [0]),
        (CompiledRetention(3, 0, 0, 0), [0, 1, 2]),
        (CompiledRetention(1, 5, 0, 0), [0, 1, 2, 3, 4]),
        # The weeks begin on Monday the 30th, and end on Sundays: 1, 8, 15 nights ago.
        (CompiledRetention(1, 0, 4, 0), [0, 1, 8, 15]),
        # 2026-11-30, 10-31, 09-30.
        (CompiledRetention(1, 0, 0, 3), [0, 30, 61]),
        (CompiledRetention(2, 3, 2, 2), [0, 1, 2, 30]),
        (CompiledRetention(200, 0, 0, 0), list(range(100))),
    ],
)
def test_the_newest_of_each_period_is_kept(policy: CompiledRetention, kept: list[int]) -> None:
    assert numbers(keep(nightly(100), policy)) == kept


def test_days_without_a_backup_do_not_count() -> None:
    every_third = nightly(30)[::3]
    assert numbers(keep(every_third, CompiledRetention(1, 3, 0, 0))) == [0, 3, 6]


def test_of_several_backups_of_a_day_the_newest_is_kept() -> None:
    hourly = [Generation(f"n{n}", MONDAY - n * HOUR, "proven", pinned=False) for n in range(48)]
    assert numbers(keep(hourly, CompiledRetention(1, 3, 0, 0))) == [0, 4, 28]


def test_failed_ones_go_first_but_the_newest_stays_and_the_newest_good_one() -> None:
    failed = {f"n{number}": "failed" for number in (0, 1, 3)}
    assert numbers(keep(nightly(6, **failed), CompiledRetention(2, 0, 0, 0))) == [0, 2, 4]


def test_without_a_good_one_nothing_that_was_not_tested_goes() -> None:
    tests = {"n0": "failed", "n1": "unproven", "n2": "failed", "n3": "unproven"}
    assert numbers(keep(nightly(4, **tests), CompiledRetention(1, 0, 0, 0))) == [0, 1, 3]
    tests["n2"] = "proven"
    assert numbers(keep(nightly(4, **tests), CompiledRetention(1, 0, 0, 0))) == [0, 1, 2]


def test_the_newest_without_losses_stays_while_newer_ones_have_some() -> None:
    last = CompiledRetention(2, 0, 0, 0)
    assert numbers(keep(nightly(8, lossy=(0, 1, 2, 3)), last)) == [0, 1, 4]
    assert numbers(keep(nightly(8, lossy=(0, 1, 2, 3), n4="failed"), last)) == [0, 1, 5]
    assert numbers(keep(nightly(8, lossy=(1, 2, 3)), last)) == [0, 1]
    assert numbers(keep(nightly(4, lossy=(0, 1, 2, 3)), last)) == [0, 1]


def test_what_was_not_tested_and_may_have_no_losses_waits_for_one_that_has_none() -> None:
    last = CompiledRetention(1, 0, 0, 0)
    tests = {"n1": "unproven", "n2": "unproven"}
    assert numbers(keep(nightly(4, lossy=(0, 2), **tests), last)) == [0, 1, 3]
    assert numbers(keep(nightly(4, lossy=(2,), **tests), last)) == [0]


GENERATIONS = st.lists(
    st.builds(
        Generation,
        st.uuids().map(str),
        st.datetimes(timezones=st.just(UTC)),
        st.sampled_from(["proven", "failed", "unproven"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
).map(lambda found: sorted(found, key=lambda each: each.at, reverse=True))
POLICIES = st.builds(
    CompiledRetention,
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(GENERATIONS, POLICIES)
def test_the_newest_the_newest_good_one_and_pinned_ones_are_always_kept(
    generations: list[Generation], policy: CompiledRetention
) -> None:
    kept = keep(generations, policy)
    good = [each for each in generations if each.restore_test == "proven"]
    whole = [each for each in good if not each.lossy]
    pinned = [each for each in generations if each.pinned]
    for each in [*generations[:1], *good[:1], *whole[:1], *pinned]:
        assert each.digest in kept
    # What is kept is kept again: nothing goes by looking twice.
    left = [each for each in generations if each.digest in kept]
    assert keep(left, policy) == kept


@pytest.fixture
def desk(tmp_path: Path) -> "Desk":
    desk = Desk(tmp_path)
    document = desk.repo / "fleet.yaml"
    own = 'metadata: {name: "backup-{machine}"}'
    document.write_text(document.read_text().replace(own, own + "\nspec: {retention: {last: 2}}"))
    yield desk
    desk.database.close()


def test_prune_drops_what_documents_do_not_keep_and_nothing_else(desk: Desk) -> None:
    name = "backup-node-01"
    first, second, third, fourth, fifth = (
        desk.store_image(number, name, FAILED if number == 4 else None) for number in range(1, 6)
    )
    others = [desk.store_image(number, "golden") for number in range(6, 9)]
    desk("pin", first, "--reason", "evidence")
    desk.work("clone-golden", second, OperationState.APPROVED)
    would = desk("prune", "--dry-run")
    assert would.startswith(f"{name}: would drop {fourth[:12]} of ")
    assert would.endswith("; keeps 4\n")
    assert len(desk.store.names.history(name)) == 5
    assert desk("prune").startswith(f"{name}: dropped {fourth[:12]}")
    assert [each.digest for each in desk.store.names.history(name)] == [first, second, third, fifth]
    assert [each.digest for each in desk.store.names.history("golden")] == others
    assert desk("prune") == "nothing to drop\n"
    (event,) = ImageEvents(desk.database).of_image(fourth)
    assert (event.what, event.actor) == ("remove", "retention")
    assert event.reason == f"spec.retention of Image {name}"


def test_prune_leaves_the_last_image_that_has_all_of_a_failing_disk(desk: Desk) -> None:
    name = "backup-node-01"
    older, whole = desk.store_image(1, name), desk.store_image(2, name)
    lost = (Extent(MIB, 512),)
    lossy = [store_image(desk.store, desk.folder, n, name, PROVED, lost) for n in range(3, 6)]
    text = desk("prune")
    assert text.startswith(f"{name}: dropped {lossy[0][:12]} of ")
    assert f", {older[:12]} of " in text
    assert text.endswith("; keeps 3\n")
    left = [each.digest for each in desk.store.names.history(name)]
    assert left == [whole, *lossy[1:]]


async def test_the_server_prunes_again_and_again_while_the_ledger_is_the_right_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.server.image_keeper.PRUNE_INTERVAL", 0)
    images = [desk.store_image(number, "backup-node-01") for number in range(4)]
    fleet = Project(str(desk.repo), None, desk.state).fleet
    keeper = ImageKeeper(desk.store, desk.database, lambda: datetime.now(UTC))
    asked: list[int] = []
    enough = asyncio.Event()

    def observes_only() -> bool:
        asked.append(len(desk.store.names.history("backup-node-01")))
        if len(asked) == 5:
            enough.set()
        return len(asked) < 3

    task = asyncio.create_task(keeper.prune_for_ever(lambda: fleet, observes_only))
    async with asyncio.timeout(30):
        await enough.wait()
    task.cancel()
    assert asked[:3] == [4, 4, 4]
    assert asked[4] == 2
    assert is_whole(desk.store, images[0])  # a moment old: it is collected another day


def test_the_server_prunes_and_collects(desk: Desk) -> None:
    images = [desk.store_image(number, "backup-node-01") for number in range(4)]
    later = datetime.now(UTC) + timedelta(days=2)
    fleet = Project(str(desk.repo), None, desk.state).fleet
    keeper = ImageKeeper(desk.store, desk.database, lambda: later)
    (pruned,) = keeper.prune(fleet, dry_run=False)
    assert [each.digest for each in pruned.dropped] == images[1::-1]
    assert keeper.collect(dry_run=False).images == tuple(sorted(images[:2]))
    assert all(is_whole(desk.store, each) for each in images[2:])
