"""Upgrades of the agent: which release is started, which is trusted, and how it is unpacked."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from attrs import evolve
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from agent.steps.upgrade import AgentRestartWantedError, UpgradeContext, upgrade_agent_step
from agent.upgrade import launcher
from agent.upgrade.launch_state import (
    MOST_STARTS,
    LaunchState,
    Outcome,
    Trial,
    begin,
    confirmed,
    decoded,
    encoded,
    failed,
    next_launch,
    removable,
)
from agent.upgrade.places import own_version, serves, version_order
from agent.upgrade.release import require_fitting, verified
from agent.upgrade.staging import remove_releases, stage
from agent.upgrade.state_file import read_state, write_state
from agent.version import AGENT_VERSION
from agent.wire.agent_release import AgentRelease, ReleaseFile, ReleaseManifest
from agent.wire.codec import WireError, decode, encode
from agent.wire.step import UpgradeAgent
from agent.wire.work import Work
from providers.agent_package.release import AgentReleases
from providers.content.store import ContentStore
from reconciler.cli.commands import cli
from reconciler.server.work_content import SignedReleases, WorkContent
from reconciler.trust.authority import Authority

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
VERSIONS = tuple(f"0.{number}.0-1" for number in range(3, 9))
TRIAL = Trial("0.4.0-1", "op-1/1", "0.3.0-1", 180)
EVENTS = ("crash", "hang", "report", "power", "stop", "begin", "package", "files gone")


class Machine:
    """A machine whose launcher is started again and again; ``works`` are releases that report."""

    def __init__(self, works):
        self.works = works
        self.base = VERSIONS[0]
        self.state = LaunchState()
        self.present = frozenset()
        self.runs = 0
        self.starts = {}
        self.proven = {""}

    def write(self, state):
        self.state = decoded(encoded(state))

    def begin(self, version):
        self.runs += 1
        self.present |= {version}
        self.write(begin(self.state, Trial(version, f"op-{self.runs}/1", self.base, 180)))

    def start(self, happens):
        """Start the launcher, and have something happen to what it starts; return that."""
        launch = next_launch(self.state, self.base, self.present)
        self.write(launch.state)
        if launch.trial is None:
            assert launch.version in self.proven
            assert not launch.version or launch.version in self.present
            assert not launch.version or version_order(launch.version) > version_order(self.base)
            return launch.version
        trial = launch.trial
        self.starts[trial.run] = self.starts.get(trial.run, 0) + 1
        assert self.starts[trial.run] <= MOST_STARTS
        assert trial.version in self.present
        if happens == "report" and trial.version in self.works:
            self.proven |= {trial.version}
            self.write(confirmed(self.state))
        elif happens in {"crash", "hang", "report"}:
            self.write(failed(self.state, happens))
        return None


@given(
    st.sets(st.sampled_from(VERSIONS[1:])),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(VERSIONS[1:])), max_size=25),
)
def test_whatever_happens_a_working_agent_runs_in_the_end_and_the_last_run_has_an_end(
    works, events
):
    machine = Machine(works)
    for event, version in events:
        if event == "begin":
            if version_order(version) > version_order(machine.state.version or machine.base):
                machine.begin(version)
        elif event == "package":
            if version_order(version) > version_order(machine.base):
                machine.base = version
        elif event == "files gone":
            machine.present = frozenset()
        else:
            machine.start(event)
    running = None
    for _ in range(MOST_STARTS + 1):
        running = machine.start("power")
        if running is not None:
            break
    assert running is not None
    assert running in machine.proven
    state, outcome = machine.state, machine.state.outcome
    assert state.trial is None
    if machine.runs and outcome is not None and not outcome.cause:
        assert outcome.version in machine.proven
    old = removable(state, machine.base, machine.present)
    assert running not in old
    assert machine.base not in old
    assert len(machine.present - old) <= 3


def test_a_release_has_three_starts_to_report():
    state = begin(LaunchState(), TRIAL)
    for number in range(1, MOST_STARTS + 1):
        launch = next_launch(state, "0.3.0-1", {"0.4.0-1"})
        assert launch.trial is not None
        assert launch.trial.starts == number
        state = launch.state
    launch = next_launch(state, "0.3.0-1", {"0.4.0-1"})
    assert (launch.trial, launch.version) == (None, "")
    assert launch.state.outcome == Outcome(
        "0.4.0-1",
        "op-1/1",
        "0.3.0-1",
        "it was started 3 times and never reported to the server",
    )


def test_what_a_package_manager_brought_is_used_where_it_is_as_new():
    used = LaunchState("0.4.0-1", "")
    assert next_launch(used, "0.3.0-1", {"0.4.0-1"}).version == "0.4.0-1"
    for base in ("0.4.0-1", "0.4.0-2", "0.5.0-1"):
        assert next_launch(used, base, {"0.4.0-1"}).version == ""
    trial = begin(used, replace(TRIAL, version="0.5.0-1"))
    launch = next_launch(trial, "0.5.0-1", {"0.4.0-1", "0.5.0-1"})
    assert (launch.trial, launch.state.trial, launch.version) == (None, None, "")


def test_all_but_the_used_the_previous_and_the_package_s_release_go():
    state = confirmed(begin(LaunchState("0.4.0-1", "0.3.5-1"), replace(TRIAL, version="0.5.0-1")))
    present = {"0.3.0-1", "0.3.5-1", "0.4.0-1", "0.5.0-1"}
    assert removable(state, "0.3.0-1", present) == {"0.3.5-1"}
    assert not removable(begin(state, TRIAL), "0.3.0-1", present)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["version", "previous", "trial", "outcome", "run", "starts"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_damaged_state_is_none_or_one_that_can_be_used(data):
    state = decoded(data)
    next_launch(state, "0.3.0-1", frozenset())
    assert decoded(encoded(state)) == state


def test_a_state_of_a_newer_release_is_read_by_its_known_fields():
    written = json.loads(encoded(begin(LaunchState("0.4.0-1", ""), TRIAL)))
    written |= {"colour": "green", "trial": written["trial"] | {"mood": "good"}}
    assert decoded(json.dumps(written).encode()) == begin(LaunchState("0.4.0-1", ""), TRIAL)


def test_versions_are_ordered_by_numbers_then_by_build():
    assert serves("0.10.0", "0.9.3")
    assert serves("0.3.0-2", "0.3.0")
    assert not serves("0.3.0-1", "0.3.0-2")
    assert not serves("0.3.0", "0.3.0-1")
    for text in ("", "x", "0", "0.3.0-", "0.3.0-x", "../0.3.0", "0.3.0/.."):
        with pytest.raises(ValueError, match="no version"):
            version_order(text)


def test_an_agent_without_a_package_has_its_own_version(tmp_path):
    assert own_version(tmp_path) == AGENT_VERSION
    said = tmp_path / "rackwright-package.json"
    said.write_text(json.dumps({"version": f"{AGENT_VERSION}-7"}))
    assert own_version(tmp_path) == f"{AGENT_VERSION}-7"
    said.write_text(json.dumps({"version": "9.9.9-1"}))
    assert own_version(tmp_path) == AGENT_VERSION


# --- which release is trusted -----------------------------------------------------------


def archive_of(path, version="0.4.0-1", *, extra=(), described=None, description=None):
    """Write an archive with a release that has hardly a file."""
    folder = f"./opt/rackwright-agent/versions/{version}"
    described = version if described is None else described
    files = {
        f"{folder}/start": (b"#!/bin/sh\n", 0o755),
        f"{folder}/usr/lib/rackwright/rackwright-package.json": (
            description or json.dumps({"version": described}).encode(),
            0o644,
        ),
        "./usr/sbin/rackwright-agent": (b"of the package only", 0o755),
    }
    with tarfile.open(path, "w:gz") as packed:
        for name in sorted({parent for each in files for parent in parents(each)}):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            packed.addfile(entry)
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            packed.addfile(entry, io.BytesIO(content))
        for entry in extra:
            packed.addfile(entry)
    return path


def parents(name):
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(2, len(parts))]


def link(name, target):
    entry = tarfile.TarInfo(f"./opt/rackwright-agent/versions/0.4.0-1/{name}")
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


@pytest.fixture
def releases(tmp_path):
    return AgentReleases(tmp_path / "releases", ContentStore(tmp_path / "content"))


def test_a_server_takes_releases_in_lists_them_and_hands_out_the_newest_build_signed(
    tmp_path, releases
):
    added = releases.add(archive_of(tmp_path / "one.tar.gz"))
    assert releases.add(tmp_path / "one.tar.gz") == added
    newer = releases.add(archive_of(tmp_path / "two.tar.gz", "0.4.0-2"))
    releases.add(archive_of(tmp_path / "three.tar.gz", "0.10.0-1"))
    assert [each.version for each in releases.all()] == ["0.10.0-1", "0.4.0-2", "0.4.0-1"]
    assert releases.find("0.4.0") == newer
    assert added.files[0].sha256 in releases.named_content()
    with pytest.raises(TerminalError, match=r"RW604: the server has no release 0\.5\.0 of the"):
        releases.find("0.5.0")

    authority = Authority.load_or_create(tmp_path / "trust", NOW)
    content = WorkContent(
        ContentStore(tmp_path / "content"),
        lambda *_: [],
        SignedReleases(releases, authority.sign_release),
    )
    work = content.complete(Work("op-1", 1, (UpgradeAgent("0.4.0"),)), "main")
    (step,) = decode(Work, encode(work)).steps
    trusted = tmp_path / "authority.crt"
    trusted.write_text(authority.authority_pem)
    assert verified(step.release, trusted, tmp_path) == newer
    assert not (tmp_path / "upgrade").exists()

    # After a rollover both keys are trusted by who has both, and the new one signs.
    authority.roll(NOW)
    again = content.complete(Work("op-2", 1, (UpgradeAgent("0.4.0"),)), "main").steps[0].release
    with pytest.raises(TerminalError, match=r"RW605: .* no key of the authority"):
        verified(again, trusted, tmp_path)
    trusted.write_text(authority.authority_pem)
    assert verified(again, trusted, tmp_path) == newer
    assert verified(step.release, trusted, tmp_path) == newer


def test_what_an_authority_signs_as_a_release_is_nothing_else(tmp_path):
    authority = Authority.load_or_create(tmp_path / "trust", NOW)
    other = Authority.load_or_create(tmp_path / "other", NOW)
    trusted = tmp_path / "authority.crt"
    trusted.write_text(authority.authority_pem)
    manifest = encode(ReleaseManifest("0.4.0-1", "x86_64", (ReleaseFile("a", "0" * 64, 1),)))
    good = authority.sign_release(manifest).hex()
    for text, signature in (
        (manifest.decode(), other.sign_release(manifest).hex()),
        (manifest.decode() + " ", good),
        (manifest.decode(), "00"),
        ('{"form":"another"}', authority.sign_release(b'{"form":"another"}').hex()),
    ):
        with pytest.raises(TerminalError, match="RW605"):
            verified(AgentRelease(text, signature), trusted, tmp_path)


@pytest.mark.parametrize(
    ("version", "architecture", "wanted", "cause"),
    [
        ("0.4.0-1", "riscv64", "0.4.0", "is for riscv64, this machine is x86_64"),
        ("0.3.0-1", "x86_64", "0.3.0", "is not newer than this agent, 0.3.0-1"),
        ("0.2.9-9", "x86_64", "0.2.9", "is not newer than this agent, 0.3.0-1"),
        ("0.4.0-1", "x86_64", "0.4.1", "is older than 0.4.1, which was asked for"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(version, architecture, wanted, cause):
    manifest = ReleaseManifest(version, architecture, (ReleaseFile("a", "0" * 64, 1),))
    with pytest.raises(TerminalError, match=f"RW606: the release {version} {cause}"):
        require_fitting(manifest, wanted, "0.3.0-1", "x86_64")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"described": "0.5.0-1"}, "it says that it is 0.5.0-1, and has that in opt/"),
        ({"version": "0.4.0", "described": "0.4.0"}, "it says that it is 0.4.0, and has that"),
        ({"described": "../../x"}, "is no version of an agent"),
        ({"description": b"[" * 9_999}, "maximum recursion depth"),
    ],
)
def test_a_file_that_is_no_release_is_not_taken_in(tmp_path, releases, changes, why):
    with pytest.raises(TerminalError, match=f"RW610: .*{why}"):
        releases.add(archive_of(tmp_path / "a.tar.gz", **changes))
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(TerminalError, match=r"RW610: .*not a gzip"):
        releases.add(tmp_path / "text")
    with pytest.raises(TerminalError, match=r"RW610: .*No such file"):
        releases.add(tmp_path / "none")
    assert releases.all() == []


def test_a_version_that_is_there_keeps_its_content(tmp_path, releases):
    releases.add(archive_of(tmp_path / "one.tar.gz"))
    other = archive_of(tmp_path / "other.tar.gz", extra=[link("usr/a", "b")])
    with pytest.raises(TerminalError, match=r"the server has another release 0\.4\.0-1"):
        releases.add(other)
    releases.remove("0.4.0-1")
    assert releases.add(other).version == "0.4.0-1"


# --- on the machine ---------------------------------------------------------------------


def test_a_release_is_unpacked_beside_the_others_and_nothing_else_is_written(tmp_path):
    home = tmp_path / "home"
    stage(archive_of(tmp_path / "a.tar.gz", extra=[link("usr/a", "../start")]), home, "0.4.0-1")
    folder = home / "versions/0.4.0-1"
    assert (folder / "start").stat().st_mode & 0o777 == 0o755
    assert (folder / "usr/a").resolve() == folder / "start"
    assert [path.name for path in home.iterdir()] == ["versions"]
    (folder / "stray").write_text("of before")
    stage(tmp_path / "a.tar.gz", home, "0.4.0-1")
    assert not (folder / "stray").exists()
    assert [path.name for path in (home / "versions").iterdir()] == ["0.4.0-1"]
    remove_releases(home, {"0.4.0-1"})
    assert list((home / "versions").iterdir()) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "../../0.3.0-1/start"])
def test_a_link_that_leads_out_of_the_release_is_refused(tmp_path, target):
    archive = archive_of(tmp_path / "a.tar.gz", extra=[link("usr/a", target)])
    with pytest.raises(TerminalError, match=r"RW607: .* usr/a is a link to"):
        stage(archive, tmp_path / "home", "0.4.0-1")
    assert not (tmp_path / "home/versions/0.4.0-1").exists()


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_devices_pipes_and_hard_links_are_refused(tmp_path, kind):
    entry = link("usr/a", "./opt/rackwright-agent/versions/0.4.0-1/start")
    entry.type = kind
    with pytest.raises(TerminalError, match=r"RW607: .* is neither a file nor"):
        stage(archive_of(tmp_path / "a.tar.gz", extra=[entry]), tmp_path / "home", "0.4.0-1")


def test_an_archive_of_another_version_has_nothing_for_this_one(tmp_path):
    with pytest.raises(TerminalError, match=r"RW607: .* it has no start below opt/"):
        stage(archive_of(tmp_path / "a.tar.gz"), tmp_path / "home", "0.5.0-1")


def context(tmp_path, version="0.3.0-1", **changes):
    reports = []
    made = UpgradeContext(
        state=tmp_path,
        run="op-1/1",
        fetch=lambda *_: tmp_path,
        report=lambda: reports.append(1),
        home=tmp_path / "home",
        version=version,
        is_launched=True,
    )
    return evolve(made, **changes), reports


STEP = UpgradeAgent("0.4.0")


def test_an_agent_that_is_new_enough_has_nothing_to_do(tmp_path):
    for version in ("0.4.0-1", "0.4.0", "0.5.0-1"):
        made, reports = context(tmp_path, version)
        assert upgrade_agent_step(STEP, made) == {"agent": version, "before": version}
        assert not reports


def test_an_agent_on_trial_is_used_once_it_has_reported(tmp_path):
    write_state(tmp_path / "launch.json", begin(LaunchState(), TRIAL))
    made, reports = context(tmp_path, "0.4.0-1")
    assert upgrade_agent_step(STEP, made) == {"agent": "0.4.0-1", "before": "0.3.0-1"}
    assert reports
    assert read_state(tmp_path / "launch.json").version == "0.4.0-1"
    # Once more, after a loss of power before the server knew.
    assert upgrade_agent_step(STEP, made) == {"agent": "0.4.0-1", "before": "0.3.0-1"}


def test_an_agent_that_cannot_report_stays_on_trial(tmp_path):
    write_state(tmp_path / "launch.json", begin(LaunchState(), TRIAL))

    def report():
        raise TerminalError("RW553", "refused", "Nothing")

    made, _ = context(tmp_path, "0.4.0-1", report=report)
    with pytest.raises(TerminalError, match="RW553"):
        upgrade_agent_step(STEP, made)
    assert read_state(tmp_path / "launch.json").trial == TRIAL


def test_the_old_agent_says_why_the_new_one_is_not_used_once_and_may_try_again(tmp_path):
    path = tmp_path / "launch.json"
    write_state(path, failed(begin(LaunchState(), TRIAL), "it ended with status 1"))
    made, _ = context(tmp_path)
    with pytest.raises(TerminalError, match=r"RW608: the agent 0\.4\.0-1 was tried and is not"):
        upgrade_agent_step(STEP, made)
    again, _ = context(tmp_path, run="op-1/2")
    with pytest.raises(TerminalError, match="RW606: the server sent no release"):
        upgrade_agent_step(STEP, again)


def test_an_agent_without_a_launcher_cannot_be_exchanged(tmp_path):
    made, _ = context(tmp_path, is_launched=False)
    with pytest.raises(TerminalError, match="RW609"):
        upgrade_agent_step(STEP, made)


def test_an_agent_that_was_killed_before_its_end_asks_for_the_launcher_again(tmp_path):
    write_state(tmp_path / "launch.json", begin(LaunchState(), TRIAL))
    made, _ = context(tmp_path)
    with pytest.raises(AgentRestartWantedError):
        upgrade_agent_step(STEP, made)


def test_the_launcher_reads_where_the_state_is():
    option = launcher._option
    assert option(["service", "--state", "/a"], "--state") == "/a"
    assert option(["service", "--state=/b"], "--state") == "/b"
    assert option(["service", "--state"], "--state") == ""
    assert option(["service"], "--state") == ""


def test_a_newer_server_s_upgrade_is_understood_by_its_known_fields():
    newer = json.loads(encode(Work("op-1", 1, (UpgradeAgent("0.9.0", 60),))))
    newer["steps"][0] |= {"channel": "stable", "rings": [1, 2]}
    assert decode(Work, json.dumps(newer).encode()) == Work("op-1", 1, (UpgradeAgent("0.9.0", 60),))
    older = {"operation": "o", "attempt": 1, "steps": [{"type": "upgradeAgent", "version": "1.0"}]}
    assert decode(Work, json.dumps(older).encode()).steps == (UpgradeAgent("1.0"),)
    with pytest.raises(WireError):
        decode(Work, json.dumps(older).replace("upgradeAgent", "upgradeAll").encode())
    manifest = json.loads(
        encode(ReleaseManifest("0.4.0-1", "x86_64", (ReleaseFile("a", "0" * 64, 1),)))
    )
    text = json.dumps(manifest | {"minimum": "0.3.0"}).encode()
    assert decode(ReleaseManifest, text).version == "0.4.0-1"


# --- the command ------------------------------------------------------------------------


def said(*arguments):
    done = CliRunner().invoke(cli, ["agent", "release", *map(str, arguments)])
    return done.exit_code, done.output


def test_releases_are_added_and_listed_by_commands(tmp_path):
    state = ("--state", tmp_path / "state")
    assert said("ls", *state) == (0, "no release was added\n")
    archive = archive_of(tmp_path / "one.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    code, text = said("add", archive, *state)
    assert code == 0
    assert text.startswith("0.4.0-1 x86_64, ")
    assert text.endswith(f", SHA-256 {digest}\n")
    code, text = said("ls", *state)
    assert text.startswith("0.4.0-1      x86_64  ")
    assert digest[:12] in text
    assert max(map(len, text.splitlines())) <= 80
    (known,) = json.loads(said("ls", *state, "--format", "json")[1])["releases"]
    assert known["version"] == "0.4.0-1"
    assert known["files"] == [
        {
            "name": "rackwright-agent-0.4.0-1-linux-x86_64.tar.gz",
            "size": archive.stat().st_size,
            "sha256": digest,
        }
    ]
