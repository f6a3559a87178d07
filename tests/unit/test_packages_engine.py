"""Installing packages: what is done when, what is not done twice, and where it ends."""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import failpoint
from agent.errors import FencedError, TerminalError, TransientError
from agent.packages.engine import Outcome, Settings, install_packages
from agent.packages.journal import PackageJournal
from agent.wire.codec import decode, encode
from agent.wire.package import PackageFile, PackageTarget, WantedPackage
from tests.unit.packages_world import FakeSystem, PowerLost, package


def never(file: PackageFile) -> Path:
    raise AssertionError(file)


def install(system, folder, *wanted, run="run-1", attempts=3, fetch=never, **more) -> Outcome:
    return install_packages(
        wanted,
        system,
        PackageJournal(folder / "packages.json"),
        run=run,
        fetch=fetch,
        settings=Settings(attempts),
        **more,
    )


def states(outcome):
    return {result.name: result.state for result in outcome.results}


def only(outcome):
    (result,) = outcome.results
    return result


def test_what_is_there_is_left_alone_and_the_rest_is_installed(tmp_path):
    system = FakeSystem()
    system.there.add("old")
    outcome = install(system, tmp_path, package("old"), package("new"))
    assert states(outcome) == {"old": "present", "new": "installed"}
    assert system.runs == [(1, "new")]
    assert outcome.succeeded
    new = outcome.results[1]
    assert (new.version_before, new.version_after, new.status) == ("", "1.0", 0)
    assert (new.seconds, new.output, new.attempts) == (2, "new says ok\n", 1)


@pytest.mark.parametrize(
    ("behaviour", "state", "code"),
    [
        ("fails", "failed", "RW208"),
        ("fails-but-is-there", "failed-but-detected", "RW208"),
        ("lies", "not-detected", "RW207"),
        ("breaks", "failed", "RW566"),
    ],
)
def test_a_failing_installer_never_reads_as_success(tmp_path, behaviour, state, code):
    outcome = install(FakeSystem({"a": behaviour}), tmp_path, package("a"))
    assert (only(outcome).state, only(outcome).code) == (state, code)
    assert only(outcome).cause
    assert only(outcome).action
    assert outcome.succeeded == (state == "failed-but-detected")


def test_what_is_for_another_system_is_not_applicable_and_says_which_this_is(tmp_path):
    system = FakeSystem()
    windows = package("a", targets=(PackageTarget("windows"),))
    fitting = package(
        "b", targets=(PackageTarget("windows"), PackageTarget("rhel", ("9",), "amd64", "pt"))
    )
    ten = package("c", targets=(PackageTarget("rhel", ("9.40", "10")),))
    japanese = package("d", targets=(PackageTarget(language="ja"),))
    outcome = install(system, tmp_path, windows, fitting, ten, japanese)
    assert list(states(outcome).values()) == [
        "not-applicable",
        "installed",
        "not-applicable",
        "not-applicable",
    ]
    assert outcome.results[0].cause == "a is for other systems, and this is rocky 9.4 amd64 pt-BR"
    assert outcome.succeeded


def test_a_requirement_that_failed_or_is_missing_blocks_and_is_named(tmp_path):
    system = FakeSystem({"base": "fails"})
    outcome = install(
        system,
        tmp_path,
        package("top", requires=("middle",)),
        package("middle", requires=("base",)),
        package("base"),
        package("lost", requires=("nowhere",)),
    )
    assert states(outcome) == {
        "base": "failed",
        "middle": "blocked",
        "top": "blocked",
        "lost": "blocked",
    }
    causes = {result.name: result.cause for result in outcome.results}
    assert causes["middle"] == "middle requires base, which is failed"
    assert causes["top"] == "top requires middle, which is blocked"
    assert causes["lost"] == "lost requires nowhere, which is not in the list"


def test_one_restart_at_the_end_for_all_that_want_one(tmp_path):
    system = FakeSystem({"a": "wants", "b": "after-restart"})
    wanted = (package("a"), package("b"), package("c"), package("d", reboot="always"))
    first = install(system, tmp_path, *wanted)
    assert first.reboot
    assert states(first) == {
        "a": "installed",
        "b": "waits-for-reboot",
        "c": "installed",
        "d": "installed",
    }
    assert install(system, tmp_path, *wanted) == first  # nothing is begun before the restart
    system.restart()
    second = install(system, tmp_path, *wanted)
    assert not second.reboot
    assert set(states(second).values()) == {"installed"}
    assert len(system.runs) == 4


def test_a_restart_that_finishes_nothing_is_no_success(tmp_path):
    system = FakeSystem({"a": "after-restart"})
    install(system, tmp_path, package("a"))
    system.after_restart.clear()
    system.restart()
    outcome = install(system, tmp_path, package("a"))
    assert (only(outcome).state, only(outcome).code) == ("not-detected", "RW207")
    assert "also after the restart" in only(outcome).cause
    assert not outcome.reboot


def test_never_means_no_restart(tmp_path):
    system = FakeSystem({"a": "wants"})
    outcome = install(system, tmp_path, package("a", reboot="never"))
    assert (only(outcome).state, outcome.reboot) == ("installed", False)


def test_a_restart_that_the_system_itself_asks_for_counts(tmp_path):
    system = FakeSystem()
    real = system.install

    def asks(wanted, files):
        system.pending = True
        return real(wanted, files)

    system.install = asks
    assert install(system, tmp_path, package("a")).reboot


def test_an_exclusive_package_is_alone_between_restarts(tmp_path):
    system = FakeSystem({"first": "wants", "alone": "wants"})
    wanted = (package("first"), package("alone", exclusive=True), package("last"))
    assert list(states(install(system, tmp_path, *wanted))) == ["first"]
    system.restart()
    outcome = install(system, tmp_path, *wanted)
    assert (list(states(outcome)), outcome.reboot) == (["first", "alone"], True)
    system.restart()
    outcome = install(system, tmp_path, *wanted)
    assert (set(states(outcome).values()), outcome.reboot) == ({"installed"}, False)
    assert system.runs == [(1, "first"), (2, "alone"), (3, "last")]


def test_an_exclusive_package_that_is_there_needs_no_restart(tmp_path):
    system = FakeSystem({"first": "wants"})
    system.there.add("alone")
    outcome = install(system, tmp_path, package("first"), package("alone", exclusive=True))
    assert states(outcome) == {"first": "installed", "alone": "present"}


def test_what_requires_something_that_waits_comes_after_the_restart(tmp_path):
    system = FakeSystem({"base": "after-restart"})
    wanted = (package("top", requires=("base",)), package("base"))
    assert list(states(install(system, tmp_path, *wanted))) == ["base"]
    system.restart()
    assert states(install(system, tmp_path, *wanted)) == {"base": "installed", "top": "installed"}


def test_an_interrupted_installer_is_looked_for_before_it_is_run_again(tmp_path):
    system = FakeSystem()
    system.power_fails = {"a"}
    with pytest.raises(PowerLost):
        install(system, tmp_path, package("a"))
    system.there.add("a")  # it had got that far
    assert only(install(system, tmp_path, package("a"))).state == "installed"
    assert system.ran("a") == 1


def test_an_interrupted_installer_may_have_wanted_a_restart(tmp_path):
    system = FakeSystem({"a": "wants"})
    asks = package("a", reboot_needed=(3010,))
    system.power_fails = {"a"}
    with pytest.raises(PowerLost):
        install(system, tmp_path, asks)
    system.there.add("a")
    assert install(system, tmp_path, asks).reboot
    system.restart()
    assert not install(system, tmp_path, asks).reboot


def test_an_installer_of_an_agent_of_before_is_waited_for(tmp_path):
    system = FakeSystem()
    system.power_fails = {"a"}
    with pytest.raises(PowerLost):
        install(system, tmp_path, package("a"))
    with pytest.raises(TerminalError) as refused:
        install(system, tmp_path, package("a"), others_ended=lambda: False)
    assert str(refused.value) == (
        "RW225: an installer that was begun before the agent was restarted still runs. Look at the "
        "machine's processes; it is waited for again next time."
    )
    assert system.ran("a") == 1


def test_what_is_interrupted_or_not_detected_each_time_is_stalled(tmp_path):
    system = FakeSystem({"a": "lies"})
    results = [
        only(install(system, tmp_path, package("a"), run=f"run-{number}", attempts=2))
        for number in range(4)
    ]
    assert [(result.attempts, result.stalled) for result in results] == [
        (1, False),
        (2, True),
        (2, True),
        (2, True),
    ]
    assert system.ran("a") == 2
    assert results[3].code == "RW211"
    assert results[3].cause == (
        "a was tried 2 times and is not there: the installer of a said that it succeeded, and the "
        "package is not detected"
    )
    assert results[3].output == "a says lies\n"


def test_another_description_or_a_person_begins_anew(tmp_path):
    system = FakeSystem({"a": "lies"})
    install(system, tmp_path, package("a"), attempts=1)
    changed = package("a", arguments=("/other",))
    install(system, tmp_path, changed, run="run-2", attempts=1)
    assert system.ran("a") == 2
    install(system, tmp_path, changed, run="run-3", attempts=1)
    assert system.ran("a") == 2
    PackageJournal(tmp_path / "packages.json").forget("a")
    install(system, tmp_path, changed, run="run-4", attempts=1)
    assert system.ran("a") == 3


def test_what_passes_by_itself_is_no_attempt(tmp_path):
    system = FakeSystem({"a": "fails"})
    system.failure = lambda *_: TransientError("RW214", "held by 7", "Wait")
    for number in range(5):
        result = only(install(system, tmp_path, package("a"), run=f"run-{number}", attempts=2))
        assert (result.code, result.stalled) == ("RW214", False)
    assert system.ran("a") == 5


def test_a_result_of_the_run_stands_and_another_run_looks_again(tmp_path):
    system = FakeSystem({"a": "fails"})
    first = install(system, tmp_path, package("a"))
    assert install(system, tmp_path, package("a")) == first
    assert system.ran("a") == 1
    system.behaviour["a"] = "ok"
    assert only(install(system, tmp_path, package("a"), run="run-2")).state == "installed"


def test_a_package_that_was_removed_meanwhile_is_installed_anew(tmp_path):
    system = FakeSystem()
    install(system, tmp_path, package("a"))
    system.there.clear()
    assert only(install(system, tmp_path, package("a"), run="run-2")).state == "installed"
    assert system.ran("a") == 2


def test_a_file_that_is_another_one_is_not_installed(tmp_path):
    path = tmp_path / "setup.bin"
    path.write_bytes(b"other")
    wanted = package("a", files=(PackageFile("setup.bin", "0" * 64, 5),))
    system = FakeSystem()
    outcome = install(system, tmp_path, wanted, fetch=lambda _: path)
    assert only(outcome).code == "RW212"
    assert only(outcome).cause.startswith(f"{path} has 5 bytes with the digest d9298a10d1b07358")
    assert system.runs == []


def test_orders_to_stop_are_not_a_result(tmp_path):
    system = FakeSystem()
    system.checks["a"] = FencedError("RW554", "another attempt took over", "Nothing")
    with pytest.raises(FencedError):
        install(system, tmp_path, package("a"))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (WantedPackage("a", "apt"), "RW202"),
        (WantedPackage("a", "script"), "RW203"),
        (package("unseen"), "RW204"),
    ],
)
def test_what_cannot_be_done_here_is_a_result_with_a_reason(tmp_path, wanted, code):
    system = FakeSystem()
    if code == "RW202":
        system.detects = lambda _: False
    assert only(install(system, tmp_path, wanted)).code == code


def test_a_result_and_what_is_wanted_survive_the_wire():
    wanted = package("a", files=(PackageFile("a.msi", "0" * 64, 1),), requires=("b",))
    assert decode(WantedPackage, encode(wanted)) == wanted


def test_a_journal_that_is_damaged_is_no_reason_to_stop(tmp_path, caplog):
    (tmp_path / "packages.json").write_text('{"records": [{"digest": 3}]}')
    assert only(install(FakeSystem(), tmp_path, package("a"))).state == "installed"
    assert "journal of packages unreadable" in caplog.text


BEHAVIOURS = ("ok", "after-restart", "wants", "fails", "fails-but-is-there", "lies")


@st.composite
def lists(draw):
    """Return packages with requirements among earlier ones, and how each behaves."""
    number = draw(st.integers(1, 6))
    wanted, behaviour = [], {}
    for index in range(number):
        name = f"p{index}"
        behaviour[name] = draw(st.sampled_from(BEHAVIOURS))
        # Without a restart of its own, what comes with one depends on the power that fails.
        first = 1 if behaviour[name] == "after-restart" else 0
        wanted.append(
            package(
                name,
                type=draw(st.sampled_from(("patch", "application", "service-pack"))),
                requires=tuple(
                    f"p{other}" for other in range(index) if draw(st.integers(0, 3)) == 0
                ),
                exclusive=draw(st.integers(0, 3)) == 0,
                reboot=draw(st.sampled_from(("never", "if-needed", "always")[first:])),
                reboot_needed=(3010,),
            )
        )
    return wanted, behaviour


def to_the_end(system, folder, wanted, deaths):
    """Call until no restart is wanted; the machine stops at the writes that are drawn."""
    left = list(deaths)
    reached = 0

    def watch(*_):
        nonlocal reached
        reached += 1
        if left and reached == left[0]:
            left.pop(0)
            reached = 0
            raise PowerLost

    for _ in range(60):
        failpoint.watch = watch
        try:
            outcome = install(system, folder, *wanted, attempts=20)
        except PowerLost:
            system.restart()
            continue
        finally:
            failpoint.watch = None
        if not outcome.reboot:
            return outcome
        system.restart()
    raise AssertionError("it does not come to an end")


@contextmanager
def fresh_folder():
    """Yield a folder in memory, where whoever writes through has nothing to wait for."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@settings(max_examples=60)
@given(lists(), st.lists(st.integers(1, 12), max_size=6), st.data())
def test_wherever_the_power_fails_the_end_is_the_same(drawn, deaths, data):
    wanted, behaviour = drawn
    whole = FakeSystem(behaviour)
    with fresh_folder() as folder:
        expected = to_the_end(whole, folder, wanted, [])
    system = FakeSystem(behaviour)
    system.power_fails = set(data.draw(st.sets(st.sampled_from([p.name for p in wanted]))))
    with fresh_folder() as folder:
        outcome = to_the_end(system, folder, wanted, deaths)
    # A failed installer that left the package is not known to have failed, if nobody wrote it down.
    assert {
        name: "installed" if state == "failed-but-detected" else state
        for name, state in states(outcome).items()
    } == {
        name: "installed" if state == "failed-but-detected" else state
        for name, state in states(expected).items()
    }
    assert list(states(outcome)) == list(states(expected))
    assert system.there == whole.there


@settings(max_examples=60)
@given(lists())
def test_without_interruption_each_installer_is_run_once_in_order(drawn):
    wanted, behaviour = drawn
    system = FakeSystem(behaviour)
    with fresh_folder() as folder:
        outcome = to_the_end(system, folder, wanted, [])
    names = [name for _, name in system.runs]
    assert len(names) == len(set(names))
    for result in outcome.results:
        assert isinstance(result.code, str)
        assert bool(result.code) != (result.state in ("installed", "present"))
    exclusive = {item.name for item in wanted if item.exclusive}
    for place, (boot, name) in enumerate(system.runs):
        follows = system.runs[place + 1 :][:1]
        wants = behaviour[name] in ("wants", "after-restart")
        reboots = next(item.reboot for item in wanted if item.name == name)
        if name in exclusive and wants and reboots != "never" and follows:
            assert follows[0][0] > boot
