"""A fleet is compiled file by file, with and without a cache, like a whole one."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.compiled import compilation, workers
from reconciler.compiled.cache import FleetCache
from reconciler.compiled.codec import codec_of
from reconciler.compiled.compile_files import compile_files, fleet_of_files
from reconciler.compiled.rows import decode_machines, encode_machines
from reconciler.compiled.source import SourceFiles, files_of_tree
from reconciler.git.tree import SourceTree, blob_id
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet
from specs.yaml import load_file as real_load_file

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


Row = tuple[int, str, str, str]
rows = st.builds(
    lambda number, group, role, assign: (number, group, role, assign),
    st.integers(1, 12),
    st.sampled_from(GROUPS),
    st.sampled_from(("web", "db")),
    st.sampled_from(("", NOTHING, "  protect: true\n", "  protect: false\n")),
)
fleets = st.lists(rows, max_size=9, unique_by=lambda row: row[0])


def files_of(found: list[Row], *, together: bool = False) -> dict[str, bytes]:
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


TABLE = (
    f"{HEAD}kind: MachineTable\nmetadata: {{name: rack9}}\nspec:\n"
    '  defaults: {group: site/a}\n  rows: [{name: m9, macs: ["52:54:00:00:00:09"]}]\n'
)


def source_of(files: Mapping[str, bytes]) -> SourceFiles:
    blobs = {path: blob_id(data) for path, data in files.items()}
    return files_of_tree(SourceTree("rev", files, blobs, None))


def compiled(files: Mapping[str, bytes], cache: FleetCache | None = None) -> CompiledFleet | None:
    fleet = fleet_of_files(source_of(files), "rev", cache)
    return None if fleet is None else plain(fleet)


Parsed = list[str]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """Return the names of the files that were parsed since."""
    names: Parsed = []

    def load_file(file: str, data: bytes) -> object:
        names.append(file)
        return real_load_file(file, data)

    monkeypatch.setattr("specs.compile.file.load_file", load_file)
    return names


Say = list[str]


@pytest.fixture
def said() -> Say:
    return []


@pytest.fixture
def new_cache(tmp_path: Path, said: Say) -> Callable[..., FleetCache]:
    return lambda version="1": FleetCache(tmp_path / "cache/fleet.db", version, said.append)


@pytest.fixture
def cache(new_cache: Callable[..., FleetCache]) -> FleetCache:
    return new_cache()


@settings(max_examples=25)
@given(fleets, st.booleans())
def test_a_fleet_that_is_compiled_by_file_is_the_fleet(found: list[Row], together: bool) -> None:  # noqa: FBT001
    files = files_of(found, together=together)
    assert compiled(files) == plain(whole(files))


@settings(max_examples=40)
@given(fleets, fleets, st.booleans())
def test_with_a_cache_of_another_commit_a_fleet_is_what_it_is_without(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[Row],
    after: list[Row],
    together: bool,  # noqa: FBT001
) -> None:
    cache = FleetCache(tmp_path_factory.mktemp("state") / "cache/fleet.db", "1")
    for rows in (before, after, before):
        files = files_of(rows, together=together)
        assert compiled(files, cache) == plain(whole(files))
        kept = compile_files(source_of(files), cache)
        anew = compile_files(source_of(files), None)
        assert kept is not None
        assert anew is not None
        assert (kept.warnings, kept.machine_count) == (anew.warnings, anew.machine_count)
        assert kept.warnings == compile_fleet(files, "rev").diagnostics


def test_several_processes_compile_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_process_count", lambda _size: 3)
    files = files_of([(number, "site/a", "db", "") for number in range(1, 12)])
    assert compiled(files) == plain(whole(files))


def test_a_process_with_threads_is_not_forked() -> None:
    asked = threading.Thread(target=lambda: counts.append(workers._process_count(1 << 40)))
    counts: list[int] = []
    asked.start()
    asked.join()
    assert counts == [1]


def test_a_process_that_is_killed_leaves_it_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_process_count", lambda _size: 3)
    monkeypatch.setattr(workers, "rows_of", lambda *_: os._exit(3))
    assert compiled(files_of([])) is None


def test_a_defect_that_a_process_meets_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "_process_count", lambda _size: 3)
    monkeypatch.setattr(workers, "rows_of", lambda *_: 1 / 0)
    assert compiled(files_of([])) is None
    assert capfd.readouterr().err == ""


def test_a_mistake_that_a_process_finds_leaves_it_to_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_process_count", lambda _size: 3)
    assert compiled(files_of([]) | {"z.yaml": b"a: ["}) is None
    unknown = machine(9, "site/nowhere", "db").encode()
    assert compiled(files_of([]) | {"z.yaml": unknown}) is None


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
        ("site-a.yaml", group_file("site/a").replace("run: 7", "run: []")),
        ("m1.yaml", f"{TABLE}---\n{TABLE.replace(':09', ':0a').replace('m9', 'm10')}"),
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
        "a mistake in a group",
        "a table twice",
    ],
)
def test_what_is_wrong_is_left_to_the_whole_compilation(
    cache: FleetCache, name: str, text: str
) -> None:
    files = files_of([])
    assert compiled(files, cache) is not None
    wrong = files | {name: text.encode()}
    assert compile_fleet(wrong, "rev").fleet is None
    assert compiled(wrong, cache) is None
    assert compiled(wrong) is None
    assert compiled(files, cache) == plain(whole(files))


class TestWhatIsCompiledAgain:
    def test_a_commit_to_one_machine_parses_its_file_only(
        self, cache: FleetCache, parsed: Parsed
    ) -> None:
        files = files_of([(1, "site/a", "db", ""), (2, "site/c/d", "web", "")])
        compiled(files, cache)
        parsed.clear()
        changed = files | {"m1.yaml": machine(1, "site/a", "cache").encode()}
        assert compiled(changed, cache) == plain(whole(changed))
        assert parsed == ["m1.yaml"]

    def test_what_was_compiled_once_is_not_parsed_again(
        self, new_cache: Callable[..., FleetCache], parsed: Parsed
    ) -> None:
        files = files_of([(1, "site/a", "db", "")])
        compiled(files, new_cache())
        parsed.clear()
        assert compiled(files, new_cache()) == plain(whole(files))
        assert parsed == []

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("site-a.yaml", group_file("site/a").replace("run: 7", "run: 8")),
            ("site-a.yaml", "# moved\n" + group_file("site/a")),
            ("site.yaml", SITE.replace("10.77.0.0/16", "10.76.0.0/15").replace("/16", "/15")),
            ("more.yaml", group_file("site/a/b")),
        ],
        ids=["a group", "a group that moved", "a network", "a new group"],
    )
    def test_a_document_that_machines_depend_on_compiles_all_of_them_again(
        self, cache: FleetCache, parsed: Parsed, name: str, text: str
    ) -> None:
        files = files_of([(1, "site/a", "db", "")])
        compiled(files, cache)
        parsed.clear()
        changed = files | {name: text.encode()}
        fleet = compile_fleet(changed, "rev").fleet
        assert compiled(changed, cache) == (fleet and plain(fleet))
        assert {"m0.yaml", "m1.yaml"} <= set(parsed)

    def test_a_csv_file_that_changes_changes_its_machines(self, cache: FleetCache) -> None:
        files = files_of([]) | {
            "table.yaml": TABLE.replace("rows: [", "csv: rack.csv\n  rows: [").encode(),
            "rack.csv": b"name,macs\nn1,52:54:01:00:00:01\n",
        }
        assert compiled(files, cache) == plain(whole(files))
        files["rack.csv"] = b"name,macs\nn2,52:54:01:00:00:02\n"
        assert compiled(files, cache) == plain(whole(files))
        twice = {"other.yaml": files["table.yaml"].replace(b"rack9", b"rack8")}
        assert compiled(files | twice, cache) is None

    def test_a_file_that_was_renamed_is_compiled_anew_for_its_places(
        self, cache: FleetCache
    ) -> None:
        files = files_of([(1, "site/a", "db", "  protect: true\n")])
        compiled(files, cache)
        files["renamed.yaml"] = files.pop("m1.yaml")
        assert compiled(files, cache) == plain(whole(files))

    def test_a_selector_that_no_longer_matches_is_warned_of(self, cache: FleetCache) -> None:
        files = files_of([])
        compiled(files, cache)
        files["m0.yaml"] = machine(0, "site/a", "db").encode()
        for _ in range(2):
            found = compile_files(source_of(files), cache)
            assert found is not None
            assert [each.code for each in found.warnings] == ["RW152", "RW152"]
            assert found.warnings == compile_fleet(files, "rev").diagnostics


def entries(path: Path, table: str) -> int:
    with sqlite3.connect(path) as database:
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a constant
    return int(count)


class TestCache:
    FILES = files_of([(1, "site/a", "db", "")])

    @pytest.fixture
    def path(self, tmp_path: Path, cache: FleetCache) -> Path:
        compiled(self.FILES, cache)
        return tmp_path / "cache/fleet.db"

    def test_what_another_version_kept_is_not_used(
        self, path: Path, new_cache: Callable[..., FleetCache], parsed: Parsed, said: Say
    ) -> None:
        assert path.exists()
        source = source_of(self.FILES)
        assert new_cache("2").fleet(source.key) is None
        assert new_cache("1").fleet(source.key) is not None
        assert compiled(self.FILES, new_cache("2")) == plain(whole(self.FILES))
        assert set(parsed) >= set(self.FILES)
        assert said == []

    def damaged(self, cache: FleetCache, said: Say) -> None:
        """Check that the fleet is right, and that the damage is said once and mended."""
        assert compiled(self.FILES, cache) == plain(whole(self.FILES))
        changed = self.FILES | {"m1.yaml": machine(1, "site/a", "web").encode()}
        assert compiled(changed, cache) == plain(whole(changed))
        assert compiled(self.FILES, cache) == plain(whole(self.FILES))
        [text] = said
        assert "fleet.db is damaged (" in text
        assert text.endswith("); it is made again")

    def test_a_file_that_is_no_database_is_made_again(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        path.write_bytes(b"no database" * 100)
        self.damaged(cache, said)

    def test_a_file_that_breaks_off_is_made_again(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.damaged(cache, said)

    @pytest.mark.parametrize("column", ["fleet.body", "file.machines"])
    @pytest.mark.parametrize("change", ["replace({}, 'm1', 'm7')", "x'00'", "'text'", "7"])
    def test_a_changed_entry_is_noticed(
        self, path: Path, cache: FleetCache, said: Say, column: str, change: str
    ) -> None:
        table, name = column.split(".")
        with sqlite3.connect(path) as database:
            new = change.format(name)
            new = f"CAST({new} AS BLOB)" if "replace" in new else new
            database.execute(f"UPDATE {table} SET {name} = {new}")  # noqa: S608 - a constant
        self.damaged(cache, said)

    @pytest.mark.parametrize(
        "change",
        [
            "others = '[]'",
            "keys = x'00'",
            "rest = '[[],7,\"[]\"]'",
            "seal = x'00'",
            "keys = 'text'",
        ],
    )
    def test_facts_that_changed_are_noticed(
        self, path: Path, cache: FleetCache, said: Say, change: str
    ) -> None:
        with sqlite3.connect(path) as database:
            database.execute(f"UPDATE file SET {change}")  # noqa: S608 - a constant
            database.execute("DELETE FROM fleet")
        self.damaged(cache, said)

    def test_entries_that_were_swapped_are_noticed(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        with sqlite3.connect(path) as database:
            rows = dict(database.execute("SELECT path, machines FROM file").fetchall())
            for ours, other in (("m0.yaml", "m1.yaml"), ("m1.yaml", "m0.yaml")):
                query = "UPDATE file SET machines = ? WHERE path = ?"
                database.execute(query, [rows[other], ours])
        self.damaged(cache, said)

    def test_any_flipped_byte_leaves_the_fleet_right(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        good = path.read_bytes()
        right = plain(whole(self.FILES))
        for place in range(0, len(good), 997):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :])
            assert compiled(self.FILES, cache) == right
        assert said

    def test_tables_of_another_form_are_replaced(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE fleet (key TEXT)")
        path.chmod(0o600)
        assert compiled(self.FILES, cache) == plain(whole(self.FILES))
        assert (entries(path, "fleet"), said) == (1, [])

    def test_a_row_that_is_gone_is_compiled(self, path: Path, cache: FleetCache) -> None:
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM file WHERE path = 'm1.yaml'")
        assert compiled(self.FILES, cache) == plain(whole(self.FILES))

    def test_a_file_that_others_may_write_is_not_used(
        self, path: Path, cache: FleetCache, said: Say
    ) -> None:
        path.chmod(0o666)
        before = path.read_bytes()
        changed = self.FILES | {"m1.yaml": machine(1, "site/a", "web").encode()}
        assert compiled(changed, cache) == plain(whole(changed))
        assert (path.read_bytes(), said) == (before, [])

    def test_a_place_that_cannot_be_written_is_no_error(self, tmp_path: Path, said: Say) -> None:
        (tmp_path / "file").write_text("")
        cache = FleetCache(tmp_path / "file/cache/fleet.db", "1", said.append)
        assert compiled(self.FILES, cache) == plain(whole(self.FILES))
        assert said == []

    def test_a_cache_that_somebody_else_writes_is_not_waited_for_and_not_replaced(
        self, path: Path, cache: FleetCache, said: Say, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.compiled.cache._LOCK_TIMEOUT", 0.01)
        with sqlite3.connect(path, isolation_level=None) as database:
            database.execute("BEGIN EXCLUSIVE")
            assert compiled(self.FILES, cache) == plain(whole(self.FILES))
        assert entries(path, "fleet") == 1
        assert said == []

    def test_it_does_not_grow_without_end(
        self, path: Path, cache: FleetCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reconciler.compiled.cache._KEPT_FLEETS", 3)
        for number in range(40):
            group = group_file("site/a").replace("run: 7", f"run: {number}")
            files = self.FILES | {"site-a.yaml": group.encode()}
            assert compiled(files, cache) == plain(whole(files))
            assert entries(path, "fleet") <= 3
            assert entries(path, "file") <= 4 * len(files) + 3

    def test_nothing_is_left_open_or_beside_it(self, path: Path, cache: FleetCache) -> None:
        compiled(self.FILES, cache)
        assert [each.name for each in path.parent.iterdir()] == ["fleet.db"]


class TestCodec:
    def test_a_fleet_survives_being_written_as_json(self) -> None:
        fleet = whole(files_of([(1, "site/a", "web", ""), (2, "site/c/d", "db", "")]))
        codec = codec_of(CompiledFleet)
        surroundings = replace(fleet, machines={})
        assert codec.decode(json.loads(json.dumps(codec.encode(surroundings)))) == surroundings
        machines = plain(fleet).machines
        assert list(decode_machines([encode_machines(machines.values())])) == list(
            machines.values()
        )

    def test_a_type_without_a_codec_is_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match=r"no codec for tuple\[int, str\]"):
            codec_of(tuple[int, str])


def test_many_changes_are_compiled_by_all_processors(
    cache: FleetCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "_MOST_CHANGES", 1)
    files = files_of([(1, "site/a", "db", ""), (2, "site/a", "db", "")])
    compiled(files, cache)
    changed = files_of([(1, "site/a", "web", ""), (2, "site/a", "web", "")])
    assert compiled(changed, cache) == plain(whole(changed))
