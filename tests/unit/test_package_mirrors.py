"""What is known of sources: what is offered, tombstones, which content stays, schedules."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders.package_world import NOW, PackageWorld, a_source, package_text
from builders.web_server import Behaviour, WebServer, web_server

from reconciler.errors import ReconcilerError
from reconciler.planning.schedules import rhythm
from reconciler.server.package_mirror import (
    FETCH_AGAIN,
    FILES,
    PackageMirroring,
    SourceMirror,
    StoppedError,
)
from reconciler.state.database import open_database
from reconciler.state.faults import Faults
from reconciler.state.package_mirrors import (
    KEPT_CONTENT,
    failing_sources,
    named_content,
    offered,
)
from reconciler.trust.secrets import Secrets
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet, CompiledPackageSource, FleetSettings, PackageFile

HOUR = timedelta(hours=1)


class Site:
    """A state directory, a repository and the server's mirror, with time that stands still."""

    def __init__(self, folder: Path, server: WebServer, world: PackageWorld) -> None:
        self.now = NOW
        self.server = server
        self.world = world
        self.database = open_database(folder / "state" / "rackwright.db")
        self.secrets = folder / "secrets"
        self.mirror = SourceMirror(
            folder / "state", self.database, Secrets([self.secrets], {}), lambda: self.now
        )

    def source(self, name: str = "lab", **changes: object) -> CompiledPackageSource:
        source = a_source(self.server.url, self.world.keys["root"])
        return source._replace(name=name, **changes)

    def run(self, *sources: CompiledPackageSource) -> None:
        order = [each.name for each in sources]
        for source in sources:
            self.mirror.begin(source)
            self.mirror.record(source, self.mirror.run(source, order, lambda: None))

    def states(self, source: str = "lab") -> dict[str, str]:
        return {
            f"{each.name} {each.version}": each.state
            for each in self.mirror.mirrors.packages()
            if each.source == source
        }

    def offered(self, *order: str) -> list[str]:
        found = offered(self.mirror.mirrors.packages(), order)
        return [f"{each.source}: {each.name} {each.version}" for each in found]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = PackageWorld(tmp_path)
    world.publish("agent", "1.0")
    with web_server(world.path) as server:
        made = Site(tmp_path, server, world)
        yield made
        made.database.close()


def test_what_was_mirrored_is_written_down(site: Site) -> None:
    site.run(site.source())
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.begun_at, state.ended_at, state.succeeded_at) == (NOW, NOW, NOW)
    assert (state.failure, state.code, state.received > 5000) == ("", "", True)
    (package,) = site.mirror.mirrors.packages()
    assert (package.name, package.state, package.size) == ("agent", "offered", 5000)
    assert all(site.mirror.store.has(each.sha256) for each in package.files)
    assert site.mirror.store.has(package.sha256)


def test_a_yanked_version_and_a_deleted_one_become_tombstones(site: Site) -> None:
    site.world.publish("agent", "2.0")
    site.run(site.source())
    site.world.repository().yank("agent", "1.0", "it leaks")
    site.now += HOUR
    site.run(site.source())
    assert site.states() == {"agent 1.0": "yanked", "agent 2.0": "offered"}
    first, second = site.mirror.mirrors.packages()
    assert (first.reason, first.since, second.since) == ("it leaks", NOW + HOUR, NOW)
    targets = site.world.read("4.targets.json")
    for path in [path for path in targets.signed.targets if path.startswith("agent/2.0/")]:
        del targets.signed.targets[path]
    site.world.write("4.targets.json", targets, site.world.keys["targets"])
    site.world.repository().yank("agent", "1.0", "it leaks")  # lists it as it is now
    site.now += HOUR
    site.run(site.source())
    assert site.states() == {"agent 1.0": "yanked", "agent 2.0": "deleted"}
    assert site.offered("lab") == []
    gone = site.mirror.mirrors.packages()[1]
    assert (gone.reason, gone.since) == ("the source has it no more", NOW + 2 * HOUR)


def test_the_content_of_a_tombstone_is_kept_for_a_while(site: Site) -> None:
    site.run(site.source())
    site.world.repository().yank("agent", "1.0", "it leaks")
    site.run(site.source())
    (package,) = site.mirror.mirrors.packages()
    content = {package.sha256, *(each.sha256 for each in package.files)}
    assert len(content) == 2
    kept = site.mirror.mirrors.packages()
    assert named_content(kept, NOW + KEPT_CONTENT - HOUR) == content
    assert named_content(kept, NOW + KEPT_CONTENT) == set()


def test_of_one_package_in_two_sources_the_first_counts(site: Site) -> None:
    site.run(site.source("first"), site.source("second"))
    assert site.states("second") == {}
    assert site.offered("first", "second") == ["first: agent 1.0"]


def test_a_package_belongs_to_its_first_source_also_when_that_yanked_it(site: Site) -> None:
    site.run(site.source("second"))
    site.world.repository().yank("agent", "1.0", "it leaks")
    site.run(site.source("first"), site.source("second"))
    assert site.offered("first", "second") == []
    assert site.states("second") == {"agent 1.0": "deleted"}


def test_a_source_without_document_offers_nothing(site: Site) -> None:
    site.run(site.source())
    assert site.offered("other") == []
    site.mirror.mirrors.forget(["lab"], NOW)
    assert site.states() == {"agent 1.0": "deleted"}
    assert site.mirror.mirrors.sources() == {}


def test_a_failure_is_kept_by_its_class_and_what_was_mirrored_stays(site: Site) -> None:
    site.run(site.source())
    site.now += timedelta(days=3)
    site.run(site.source())
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.failure, state.code, state.succeeded_at) == ("signature", "RW266", NOW)
    assert site.offered("lab") == ["lab: agent 1.0"]
    (fault,) = failing_sources([state])
    assert (fault.subject, fault.code, fault.since) == ("package-source/lab", "RW266", NOW)
    site.world.repository(now=site.now).refresh()
    site.run(site.source())
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.failure, failing_sources([state])) == ("", ())


@pytest.mark.parametrize(
    ("changes", "failure", "code"),
    [
        ({"url": "http://nobody.invalid/"}, "address", "RW261"),
        ({"proxy": "http://nobody.invalid:1"}, "proxy", "RW262"),
        ({"keep_free": 1 << 60}, "space", "RW260"),
        ({"username": "u", "password": "packages/mirror"}, "secret", "RW986"),
    ],
)
def test_each_class_of_failure(
    site: Site, changes: dict[str, object], failure: str, code: str
) -> None:
    site.run(site.source(**changes))
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.failure, state.code) == (failure, code)


def test_a_source_at_which_another_process_is_says_so(site: Site) -> None:
    from providers.package_source.mirror import locked_source  # noqa: PLC0415 - one test needs it

    folder = site.world.folder / "state" / "package-sources" / "lab"
    with locked_source(folder, "lab"):
        site.run(site.source())
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.failure, state.code) == ("in use", "RW273")


def test_the_login_is_a_secret_that_is_read_when_it_is_used(site: Site) -> None:
    path = site.secrets / "packages" / "mirror"
    path.parent.mkdir(parents=True)
    path.write_text("s3cret")
    path.chmod(0o600)
    site.run(site.source(username="mirror", password="packages/mirror"))  # noqa: S106
    _, headers = site.server.requests[-1]
    assert headers["authorization"].startswith("Basic ")
    assert "s3cret" not in repr(site.mirror.mirrors.sources())


def test_an_incomplete_package_is_not_offered_and_goes_on_later(site: Site) -> None:
    made = site.world.publish("tool", "1.0", {"tool.deb": b"tool" * 100})
    (file,) = made.package.files
    site.server.behaviours[f"{file.sha256}.tool.deb"] = Behaviour(status=404)
    site.run(site.source())
    assert site.states() == {"agent 1.0": "offered", "tool 1.0": "incomplete"}
    site.server.behaviours.clear()
    site.run(site.source())
    assert site.offered("lab") == ["lab: agent 1.0", "lab: tool 1.0"]


# --- the server's task -----------------------------------------------------------------------


def scheduled(site: Site, cron: str, **when: object) -> CompiledPackageSource:
    text = "".join(f", {name}: {value}" for name, value in when.items())
    document = (
        "apiVersion: rackwright/v1alpha1\nkind: PackageSource\nmetadata: {name: lab}\nspec:\n"
        f"  url: {site.server.url}\n  signers: ['{site.source().signers[0]}']\n  keepFree: 1B\n"
        f"  schedule: {{cron: '{cron}', timeZone: UTC{text}}}\n"
    )
    result = compile_fleet({"f.yaml": document.encode()}, "r")
    assert result.fleet is not None, result.diagnostics
    return result.fleet.package_sources[0]


def task(site: Site, fleet: CompiledFleet) -> PackageMirroring:
    return PackageMirroring(
        site.mirror, lambda: fleet, Faults(site.database), lambda: site.now, by_schedule=True
    )


def fleet_of(*sources: CompiledPackageSource, files: tuple[PackageFile, ...] = ()):
    text = package_text("needed", "1", {})
    compiled = compile_fleet({"f.yaml": text.encode()}, "r").fleet
    assert compiled is not None
    package = compiled.packages["needed"]._replace(files=files)
    return CompiledFleet(
        "r", FleetSettings(60), package_sources=sources, packages={"needed": package}
    )


async def test_a_source_is_mirrored_when_its_schedule_says_so_and_once(site: Site) -> None:
    source = scheduled(site, "0 13 * * *")
    mirroring = task(site, fleet_of(source))
    await mirroring.step()
    assert site.states() == {}
    site.now = datetime(2026, 11, 20, 13, 0, 1, tzinfo=UTC)
    await mirroring.step()
    assert site.states() == {"agent 1.0": "offered"}
    count = len(site.server.requests)
    await mirroring.step()
    assert len(site.server.requests) == count
    (state,) = site.mirror.mirrors.sources().values()
    assert (state.rhythm, state.handled_until) == (rhythm(source.schedule), site.now)


async def test_what_was_missed_is_left_out_unless_it_is_to_be_made_up_for(site: Site) -> None:
    for missed, mirrored in (("skip", False), ("run-once", True)):
        fleet = fleet_of(scheduled(site, "0 13 * * *", missed=missed))
        site.now = NOW
        site.mirror.mirrors.forget(["lab"], NOW)
        await task(site, fleet).step()
        site.now = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        await task(site, fleet).step()
        assert (site.states() == {"agent 1.0": "offered"}) is mirrored
        await task(site, fleet).step()
        (state,) = site.mirror.mirrors.sources().values()
        assert state.handled_until == site.now


async def test_a_source_that_is_gone_is_forgotten(site: Site) -> None:
    site.run(site.source())
    await task(site, fleet_of()).step()
    assert site.states() == {"agent 1.0": "deleted"}


async def test_files_of_package_documents_are_fetched_and_named_in_a_fault(site: Site) -> None:
    good = site.world.publish("tool", "1.0", {"tool.deb": b"tool" * 100})
    (file,) = good.package.files
    url = f"{site.server.url}/targets/tool/1.0/files/{file.sha256}.tool.deb"
    files = (
        PackageFile("missing", f"{site.server.url}/missing", "0" * 64),
        PackageFile("file", url, file.sha256),
    )
    mirroring = task(site, fleet_of(files=files))
    await mirroring.step()
    assert site.mirror.store.has(file.sha256)
    (fault,) = Faults(site.database).present()
    assert (fault.subject, fault.code) == (FILES, "RW264")
    count = len(site.server.requests)
    await mirroring.step()
    assert len(site.server.requests) == count
    site.now += FETCH_AGAIN
    await mirroring.step()
    assert len(site.server.requests) == count + 1


async def test_a_server_that_ends_waits_for_no_transfer(site: Site) -> None:
    made = site.world.publish("big", "1.0", {"big.deb": b"x" * 400_000})
    (file,) = made.package.files
    site.server.behaviours[f"{file.sha256}.big.deb"] = Behaviour(pause=0.005)
    site.now = datetime(2026, 11, 20, 12, 59, tzinfo=UTC)
    mirroring = task(site, fleet_of(scheduled(site, "0 13 * * *")))
    await mirroring.step()
    site.now += timedelta(minutes=2)
    running = asyncio.create_task(mirroring.run())
    while site.mirror.store.arrived(file.sha256) == 0:  # noqa: ASYNC110 - another thread's file
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert site.mirror.store.arrived(file.sha256) < 400_000
    site.server.behaviours.clear()
    await until_unlocked(site)
    site.run(site.source())
    assert site.mirror.store.has(file.sha256)
    ranges = [headers.get("range") for path, headers in site.server.requests if "big.deb" in path]
    assert ranges[-1] is not None


async def until_unlocked(site: Site) -> None:
    """Wait until the thread that was left alone has seen that it is to end."""
    from providers.content.errors import TransferInUseError  # noqa: PLC0415
    from providers.package_source.mirror import locked_source  # noqa: PLC0415

    folder = site.world.folder / "state" / "package-sources" / "lab"
    while True:
        try:
            with locked_source(folder, "lab"):
                return
        except TransferInUseError:
            await asyncio.sleep(0.01)


def test_whoever_interrupts_ends_the_mirror(site: Site) -> None:
    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        site.mirror.run(site.source(), ["lab"], stop)


def test_a_name_that_no_document_has_is_refused() -> None:
    from reconciler.app.package_sources import chosen_sources  # noqa: PLC0415 - one test needs it

    class FakeProject:
        fleet = fleet_of()

    with pytest.raises(ReconcilerError) as caught:
        chosen_sources(FakeProject(), ["lab"])  # type: ignore[arg-type]
    assert str(caught.value) == (
        "RW988: there is no package source called lab; there is: none. Name one of them, or write "
        "a PackageSource document."
    )
