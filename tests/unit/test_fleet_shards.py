"""Fleets in shards: compiled in parts, brought up to date, kept, and planned like whole ones."""

import os
import pickle
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.compiled.cache import KEPT, FleetCache
from reconciler.compiled.cache_error import CacheError
from reconciler.compiled.claims import Claims, named
from reconciler.compiled.compile import compile_index
from reconciler.compiled.crew import Crew, CrewError
from reconciler.compiled.index import Compiled, FleetIndex
from reconciler.compiled.planned import plan_index
from reconciler.compiled.sight import PlanAhead, Sight
from reconciler.compiled.update import update_index
from reconciler.errors import StateError
from reconciler.planning.plan import Plan
from reconciler.planning.planner import plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet, CompiledMachine
from tests.builders.world import NOW, a_disk, an_image, observed, ramdisk

HEAD = "apiVersion: rackwright/v1alpha1\n"
SITE = (
    f"{HEAD}kind: Network\nmetadata: {{name: lab}}\nspec: {{subnet: 10.77.0.0/16}}\n---\n"
    f"{HEAD}kind: Image\nmetadata: {{name: debian12}}\n---\n"
    f"{HEAD}kind: Scenario\nmetadata: {{name: clone}}\n"
    "spec: {steps: [{restore: {image: debian12}}]}\n---\n"
    f"{HEAD}kind: Scenario\nmetadata: {{name: look}}\n"
    "spec: {steps: [{inspectDisks: {}}], targets: [{select: {labels: {role: web}}, run: 1}]}\n---\n"
    f"{HEAD}kind: Hold\nmetadata: {{name: freeze}}\n"
    "spec: {select: {groups: [site/b]}, until: '2026-11-21T13:00:00Z', owner: ops, reason: audit}\n"
    "---\n"
    f"{HEAD}kind: Group\nmetadata: {{name: site}}\nspec: {{network: lab}}\n"
)
GROUPS = ("site/a", "site/b", "site/c/d")
NOTHING = "  assign: []\n"
FORMER = "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32"
ALWAYS = (0, "site/b", "web", "")


def group_file(group: str) -> str:
    return (
        f"{HEAD}kind: Group\nmetadata: {{name: {group}}}\nspec:\n  labels: {{rack: x}}\n"
        "  assign: [{scenario: clone, run: 7}]\n"
        f"  protect: {str(group == 'site/c/d').lower()}\n"
    )


def continuing(number: int, identity: str) -> str:
    """Return a machine whose hardware was another one formerly."""
    return machine(number, "site/a", "db").replace("]}", f'], formerly: ["{identity}"]}}', 1)


def machine(number: int, group: str, role: str, assign: str = "") -> str:
    return (
        f"{HEAD}kind: Machine\nmetadata: {{name: m{number}, labels: {{role: {role}}}}}\nspec:\n"
        f'  group: {group}\n  hardware: {{macs: ["52:54:00:00:00:{number:02x}"]}}\n'
        f"  identity: {{addresses: [10.77.1.{number + 1}/16]}}\n{assign}"
    )


SummaryRow = tuple[int, str, str, str]
rows = st.builds(
    lambda number, group, role, assign: (number, group, role, assign),
    st.integers(1, 12),
    st.sampled_from(GROUPS),
    st.sampled_from(("web", "db")),
    st.sampled_from(("", NOTHING, "  protect: true\n", "  protect: false\n")),
)
fleets = st.lists(rows, max_size=9, unique_by=lambda row: row[0])


def files_of(found: list[SummaryRow], *, together: bool = False) -> dict[str, bytes]:
    texts = {"site.yaml": SITE}
    texts |= {f"{group.replace('/', '-')}.yaml": group_file(group) for group in GROUPS}
    for number, group, role, assign in [ALWAYS, *found]:
        name = f"{group.replace('/', '-')}.yaml" if together else f"m{number}.yaml"
        document = machine(number, group, role, assign)
        texts[name] = f"{texts[name]}---\n{document}" if name in texts else document
    return {name: text.encode() for name, text in texts.items()}


def whole(files: Mapping[str, bytes]) -> CompiledFleet:
    result = compile_fleet(files, "rev")
    assert result.fleet is not None, [str(problem) for problem in result.diagnostics]
    return result.fleet


def plain(fleet: CompiledFleet) -> CompiledFleet:
    """Return a fleet whose machines only know where their protection comes from."""
    machines = {
        name: replace(found, origins={"protect": found.origins["protect"]} if found.protect else {})
        for name, found in sorted(fleet.machines.items())
    }
    return replace(fleet, machines=machines)


def compiled_of(files: Mapping[str, bytes]) -> Compiled:
    compiled = compile_index(files)
    assert compiled is not None
    return compiled


def index_of(files: Mapping[str, bytes]) -> FleetIndex:
    return compiled_of(files)[0]


@settings(max_examples=25)
@given(fleets, st.booleans())
def test_a_fleet_in_shards_is_the_fleet(found: list[SummaryRow], together: bool) -> None:  # noqa: FBT001
    files = files_of(found, together=together)
    assert plain(index_of(files).fleet("rev")) == plain(whole(files))


@settings(max_examples=40)
@given(fleets, fleets, st.booleans())
def test_an_updated_fleet_is_what_compiling_it_anew_gives(
    before: list[SummaryRow],
    after: list[SummaryRow],
    together: bool,  # noqa: FBT001
) -> None:
    old, new = files_of(before, together=together), files_of(after, together=together)
    compiled = compile_index(old)
    assert compiled is not None
    changed = {name for name in old | new if old.get(name) != new.get(name)}
    updated = update_index(
        *compiled,
        {name: old[name] for name in changed if name in old},
        {name: new[name] for name in changed if name in new},
    )
    anew = compile_index(new)
    assert anew is not None
    assert updated is not None
    assert plain(updated[0].fleet("rev")) == plain(anew[0].fleet("rev"))
    assert {name: shard.digest for name, shard in updated[0].shards.items()} == {
        name: shard.digest for name, shard in anew[0].shards.items()
    }
    assert updated[1].claims == anew[1].claims
    assert updated[1].counts == anew[1].counts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m1.yaml", machine(1, "site/a", "db").replace("m1", "m0")),
        ("m1.yaml", machine(1, "site/a", "db").replace(":01", ":00")),
        ("m1.yaml", machine(1, "site/a", "db").replace("10.77.1.2", "10.77.1.1")),
        ("m1.yaml", continuing(1, "mac:52-54-00-00-00-00")),
        ("m1.yaml", f"{continuing(1, FORMER)}---\n{continuing(2, FORMER)}"),
        ("m1.yaml", machine(1, "site/nowhere", "db")),
        ("m1.yaml", machine(1, "site/a", "db").replace("10.77.1.2", "10.99.1.2")),
        ("m1.yaml", machine(1, "site/a", "db").replace("hardware", "hardwear")),
        ("m1.yaml", machine(1, "site/a", "db") + "  network: nowhere\n"),
        ("m1.yaml", "a: [\n"),
        ("m0.yaml", machine(0, "site/b", "db")),
        ("site-a.yaml", group_file("site/a").replace("run: 7", "run: 8")),
        ("site.yaml", "\n" + SITE),
    ],
    ids=[
        "a name twice",
        "a MAC twice",
        "an address twice",
        "former hardware that another machine has",
        "former hardware twice",
        "an unknown group",
        "an address outside the network",
        "an unknown field",
        "an unknown network",
        "no YAML",
        "a selector that no longer matches",
        "another group document",
        "documents that moved",
    ],
)
def test_what_is_unusual_is_left_to_the_whole_compilation(name: str, text: str) -> None:
    files = files_of([])
    compiled = compile_index(files)
    assert compiled is not None
    before = {name: files[name]} if name in files else {}
    assert update_index(*compiled, before, {name: text.encode()}) is None


def test_former_hardware_that_nobody_else_names_is_brought_up_to_date() -> None:
    files = files_of([])
    for text in (continuing(1, FORMER), continuing(1, "mac:52:54:00:00:00:01")):
        updated = update_index(*compiled_of(files), {}, {"m1.yaml": text.encode()})
        assert updated is not None
        assert plain(updated[0].fleet("rev")) == plain(whole(files | {"m1.yaml": text.encode()}))


def test_what_is_not_sound_has_no_index() -> None:
    assert compile_index(files_of([]) | {"x.yaml": b"a: ["}) is None
    twice = machine(1, "site/a", "db").encode()
    assert compile_index(files_of([]) | {"x.yaml": twice, "y.yaml": twice}) is None
    assert compile_index({}) is not None


def test_a_warning_of_an_untouched_file_stays_and_one_of_a_touched_file_is_looked_at_anew() -> None:
    quoted = machine(1, "site/a", "db")
    unquoted = quoted.replace('["52:54:00:00:00:01"]', "[52:54:10:00:00:01]").replace(
        "{macs: [52:54:10:00:00:01]}", "\n    macs:\n      - 52:54:10:00:00:01"
    )
    files = files_of([]) | {"m1.yaml": unquoted.encode()}
    compiled = compile_index(files)
    assert compiled is not None
    assert [str(each.code) for each in compiled[0].warnings] == ["RW115"]
    other = {"m2.yaml": machine(2, "site/a", "db").encode()}
    updated = update_index(*compiled, {}, other)
    assert updated is not None
    assert updated[0].warnings == compiled[0].warnings
    assert (
        update_index(*compiled, {"m1.yaml": files["m1.yaml"]}, {"m1.yaml": quoted.encode()}) is None
    )


class TestClaims:
    @given(st.sets(st.integers(0, 2**64 - 1)), st.sets(st.integers(0, 2**64 - 1)))
    def test_they_are_a_set(self, first: set[int], second: set[int]) -> None:
        claims = Claims.of(first)
        assert claims is not None
        assert Claims.from_bytes(claims.to_bytes()) == claims
        assert all(each in claims for each in first)
        assert claims.replaced(first, second) == Claims.of(second)
        both = claims.replaced((), second)
        assert (both is None) == bool(first & second)

    def test_one_claim_made_twice_is_seen(self) -> None:
        assert Claims.of(named(["a", "b", "a"])) is None


class TestCrew:
    def test_every_process_answers_from_its_own_memory(self) -> None:
        with Crew(list, ["ab", "c"]) as crew:
            crew.ask(list.append, ["x", "y"])
            assert crew.ask(_copy, [None, None]) == [["a", "b", "x"], ["c", "y"]]

    def test_what_is_raised_there_is_raised_here(self) -> None:
        with Crew(list, [""]) as crew, pytest.raises(IndexError):
            crew.ask(list.pop, [0])

    def test_a_process_that_is_gone_is_an_error(self) -> None:
        with Crew(list, [""]) as crew, pytest.raises(CrewError):
            crew.ask(_leave, [None])


def _copy(member: list[str], _argument: object) -> list[str]:
    return member


def _leave(_member: list[str], _argument: object) -> None:
    os._exit(3)


@pytest.fixture
def cache(tmp_path: Path) -> FleetCache:
    return FleetCache(tmp_path / "cache/fleet.db", "1")


class TestCache:
    def test_a_kept_fleet_is_the_same(self, cache: FleetCache) -> None:
        files = files_of([(1, "site/a", "db", "")])
        index, groundwork = compiled_of(files)
        cache.keep("tree", index, groundwork)
        known = cache.index("tree")
        assert known is not None
        assert plain(known.fleet("rev")) == plain(whole(files))
        again = cache.groundwork("tree")
        assert (again.claims, again.counts) == (groundwork.claims, groundwork.counts)
        more = {"m2.yaml": machine(2, "site/c/d", "web", NOTHING).encode()}
        updated = update_index(known, again, {}, more)
        assert updated is not None
        assert plain(updated[0].fleet("rev")) == plain(whole(files | more))

    def test_an_unknown_tree_and_another_version_have_none(
        self, cache: FleetCache, tmp_path: Path
    ) -> None:
        compiled = compiled_of(files_of([]))
        cache.keep("tree", *compiled)
        assert cache.index("other") is None
        other = FleetCache(tmp_path / "cache/fleet.db", "2")
        assert other.index("tree") is None
        assert other.trees() == ()
        assert cache.trees() == ("tree",)

    def test_only_the_newest_trees_and_their_shards_are_kept(
        self, cache: FleetCache, tmp_path: Path
    ) -> None:
        for number in range(2 * KEPT):
            files = files_of([(1, "site/a", f"role{number}", "")])
            cache.keep(f"tree{number}", *compiled_of(files))
        newest = range(2 * KEPT - 1, KEPT - 1, -1)
        assert cache.trees() == tuple(f"tree{number}" for number in newest)
        with sqlite3.connect(tmp_path / "cache/fleet.db") as database:
            (count,) = database.execute("SELECT count(*) FROM piece").fetchone()
        # The group that nobody touched, the forms of the other, and what all have alike.
        assert count == 1 + KEPT + 3

    def test_a_damaged_shard_is_noticed(self, cache: FleetCache, tmp_path: Path) -> None:
        cache.keep("tree", *compiled_of(files_of([])))
        with sqlite3.connect(tmp_path / "cache/fleet.db") as database:
            database.execute("UPDATE piece SET body = CAST(replace(body, 'web', 'bew') AS BLOB)")
        known = cache.index("tree")
        assert known is not None
        with pytest.raises(CacheError, match=r"^RW761: .* is damaged or gone\. Remove the folder"):
            dict(known.fleet("rev").machines)

    def test_what_a_commit_leaves_alone_is_kept_once(
        self, cache: FleetCache, tmp_path: Path
    ) -> None:
        files = files_of([(1, "site/a", "db", "")])
        cache.keep("tree", *compiled_of(files))
        known = cache.index("tree")
        assert known is not None
        before = {"m1.yaml": files["m1.yaml"]}
        after = {"m1.yaml": files["m1.yaml"].replace(b"db", b"cache")}
        updated = update_index(known, cache.groundwork("tree"), before, after)
        assert updated is not None
        pieces = "SELECT count(*) FROM piece"
        with sqlite3.connect(tmp_path / "cache/fleet.db") as database:
            [(earlier,)] = database.execute(pieces).fetchall()
            cache.keep("next", *updated)
            assert database.execute(pieces).fetchall() == [(earlier + 1,)]  # the shard

    def test_what_was_damaged_is_good_again_once_all_was_compiled(
        self, cache: FleetCache, tmp_path: Path
    ) -> None:
        compiled = compiled_of(files_of([]))
        cache.keep("tree", *compiled)
        with sqlite3.connect(tmp_path / "cache/fleet.db") as database:
            database.execute("UPDATE piece SET body = x'00'")
        with pytest.raises(CacheError, match="is damaged or gone"):
            cache.groundwork("tree")
        cache.keep("tree", *compiled)
        assert cache.groundwork("tree").claims == compiled[1].claims

    def test_tables_of_another_form_are_emptied(self, tmp_path: Path) -> None:
        path = tmp_path / "cache/fleet.db"
        path.parent.mkdir(mode=0o700)
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE fleet (key TEXT)")
            database.execute("INSERT INTO fleet VALUES ('1 tree')")
        path.chmod(0o600)
        cache = FleetCache(path, "1")
        assert cache.trees() == ()
        cache.keep("tree", *compiled_of(files_of([])))
        assert FleetCache(path, "1").trees() == ("tree",)

    @pytest.mark.parametrize(
        "foreign",
        [
            pickle.dumps(os.getpid),
            # specs.digest's hashlib.new, by a name that leads beyond the module
            b"\x80\x04\x8c\x0cspecs.digest\x8c\x0bhashlib.new\x93.",
        ],
    )
    def test_what_is_not_data_is_not_read(
        self, cache: FleetCache, tmp_path: Path, foreign: bytes
    ) -> None:
        cache.keep("tree", *compiled_of(files_of([])))
        with sqlite3.connect(tmp_path / "cache/fleet.db") as database:
            database.execute("UPDATE fleet SET fleet = ?", (foreign,))
        with pytest.raises(CacheError, match="is not data"):
            cache.index("tree")

    def test_a_file_that_others_may_write_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "cache/fleet.db"
        FleetCache(path, "1")
        path.chmod(0o666)
        with pytest.raises(CacheError, match="may be written by others"):
            FleetCache(path, "1")

    def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "cache/fleet.db"
        path.parent.mkdir(mode=0o700)
        path.write_bytes(b"no database" * 100)
        path.chmod(0o600)
        with pytest.raises(CacheError):
            FleetCache(path, "1")


def sight_of(world: Observed, digest: str = "seen") -> Sight:
    def observe(machines: object, hardware: FleetHardware) -> Observed:
        del machines, hardware
        return world

    return Sight(digest, repr(world.images), observe)


def reported(fleet: CompiledFleet, ages: Mapping[str, int]) -> Observed:
    """Return a world in which machines reported so many minutes ago."""
    machines = {
        name: ramdisk(fleet.machines[name], a_disk(), at=NOW - timedelta(minutes=age))
        for name, age in ages.items()
        if name in fleet.machines
    }
    return observed(machines, (an_image(),))


def same(ours: Plan, theirs: Plan) -> bool:
    return (ours.groups, ours.items, ours.digest) == (theirs.groups, theirs.items, theirs.digest)


ages = st.dictionaries(st.sampled_from([f"m{n}" for n in range(12)]), st.integers(0, 120))


@settings(max_examples=25)
@given(fleets, ages)
def test_a_plan_by_shards_is_the_plan(found: list[SummaryRow], heard: dict[str, int]) -> None:
    files = files_of(found)
    fleet = whole(files)
    world = reported(fleet, heard)
    made = plan_index(index_of(files), "rev", sight_of(world), NOW, None)
    assert same(made, plan(fleet, world, NOW))


@settings(max_examples=25)
@given(fleets, st.booleans())
def test_a_plan_that_is_made_while_compiling_is_the_plan(
    found: list[SummaryRow],
    together: bool,  # noqa: FBT001
) -> None:
    files = files_of(found, together=together)
    world = observed({}, (an_image(),))
    compiled = compile_index(files, PlanAhead(world.images, NOW))
    assert compiled is not None

    def refuse(_machines: object, _hardware: object) -> Observed:
        raise AssertionError("nothing is left to plan")

    ahead = PlanAhead(world.images, NOW)
    sight = Sight("", ahead.described, refuse)
    made = plan_index(compiled[0], "rev", sight, NOW, None)
    items = plan_index(index_of(files), "rev", replace(sight_of(world), machines=""), NOW, None)
    theirs = plan(whole(files), world, NOW)
    assert (made.groups, made.digest) == (theirs.groups, theirs.digest)
    assert same(items, theirs)


def test_several_processes_compile_and_plan_groups_that_two_of_them_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconciler.compiled.compile.BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr("reconciler.compiled.compile.process_count", lambda _worth: 2)
    rows: list[SummaryRow] = [(number, "site/a", "db", "") for number in range(1, 12)]
    files = files_of(rows)
    world = observed({}, (an_image(),))
    compiled = compile_index(files, PlanAhead(world.images, NOW))
    assert compiled is not None
    assert compiled[0].planned_ahead is not None
    assert len(compiled[0].planned_ahead.outlines) > 0
    assert compiled[0].shards["site/a"].digest not in compiled[0].planned_ahead.outlines
    sight = replace(sight_of(world), machines="", images=PlanAhead(world.images, NOW).described)
    made = plan_index(compiled[0], "rev", sight, NOW, None)
    assert plain(compiled[0].fleet("rev")) == plain(whole(files))
    assert same(made, plan(whole(files), world, NOW))


@pytest.mark.parametrize("other", ["observed", "images", "time"])
def test_a_plan_made_while_compiling_is_not_used_with_other_knowledge(other: str) -> None:
    files = files_of([(1, "site/a", "db", "")])
    ahead = PlanAhead({}, NOW)
    compiled = compile_index(files, ahead)
    assert compiled is not None
    asked: list[object] = []

    def observe(machines: object, _hardware: object) -> Observed:
        asked.append(machines)
        return Observed()

    sight = Sight(
        "d" if other == "observed" else "", "d" if other == "images" else ahead.described, observe
    )
    now = NOW + timedelta(seconds=other == "time")
    plan_index(compiled[0], "rev", sight, now, None)
    assert asked


@settings(max_examples=40)
@given(found=fleets, heard=ages, later=st.integers(-90, 200))
@example(found=[(1, "site/a", "web", "")], heard={"m1": 61}, later=-1)
def test_a_remembered_plan_is_the_plan_at_any_time(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[SummaryRow],
    heard: dict[str, int],
    later: int,
) -> None:
    files = files_of(found)
    fleet = whole(files)
    world = reported(fleet, heard)
    cache = FleetCache(tmp_path_factory.mktemp("state") / "cache/fleet.db", "1")
    then = NOW + timedelta(minutes=later)
    for now in (NOW, then, NOW):
        made = plan_index(index_of(files), "rev", sight_of(world), now, cache)
        assert same(made, plan(fleet, world, now))


def test_only_the_shards_that_changed_are_planned_again(cache: FleetCache) -> None:
    asked: list[tuple[str, ...]] = []

    def observe(machines: tuple[CompiledMachine, ...], hardware: FleetHardware) -> Observed:
        del hardware
        asked.append(tuple(each.name for each in machines))
        return Observed()

    sight = Sight("", "", observe)  # type: ignore[arg-type]
    files = files_of([(1, "site/a", "db", ""), (2, "site/c/d", "db", "")])
    first = plan_index(index_of(files), "rev", sight, NOW, cache)
    assert sorted(asked) == [("m0",), ("m1",), ("m2",)]
    asked.clear()
    assert plan_index(index_of(files), "rev", sight, NOW, cache).digest == first.digest
    assert asked == []
    changed = files_of([(1, "site/a", "web", ""), (2, "site/c/d", "db", "")])
    plan_index(index_of(changed), "rev", sight, NOW, cache)
    assert asked == [("m1",)]


def test_kept_shards_are_planned_by_several_processes(
    cache: FleetCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.compiled.shard_planner.WORTH_A_PROCESS", 1)
    monkeypatch.setattr("reconciler.compiled.shard_planner.process_count", lambda _worth: 2)
    files = files_of([(1, "site/a", "db", ""), (2, "site/c/d", "web", "")])
    world = reported(whole(files), {"m1": 5})
    cache.keep("tree", *compiled_of(files))
    kept = cache.index("tree")
    assert kept is not None
    made = plan_index(kept, "rev", sight_of(world), NOW, cache)
    assert same(made, plan(whole(files), world, NOW))


def test_what_was_observed_meanwhile_is_not_mixed_into_the_plan(cache: FleetCache) -> None:
    files = files_of([(1, "site/a", "db", "")])
    index = index_of(files)
    world = reported(whole(files), {"m1": 5})
    plan_index(index, "rev", sight_of(world), NOW, cache)
    late = replace(sight_of(world), observe=sight_of(replace(world, images={})).observe)
    made = plan_index(index, "rev", late, NOW, cache)
    assert made.counts == plan(whole(files), world, NOW).counts
    with pytest.raises(StateError, match="RW760: what was observed of group site/a changed"):
        _ = made.items
