"""How a copied agent is told from one machine's own mishaps: the pure rule, over many histories."""

from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.exchanges import CALM, ROTATION, Exchange, Shown, Verdict, judge

NOW = datetime(2026, 11, 29, tzinfo=UTC)


class Server:
    """What a server does with each report of one agent."""

    def __init__(self) -> None:
        self.known: Exchange | None = None
        self.now = NOW
        self.verdicts: list[Verdict] = []
        self._values = count()

    def reports(self, value: str, boot: str) -> str:
        shown = Shown(value, boot, f"boot {boot}")
        found = judge(self.known, shown, self.now, f"v{next(self._values)}")
        if found.exchange is not None:
            self.known = found.exchange
        self.verdicts.append(found.verdict)
        return found.answer


class Agent:
    """What an agent has on its disk, and in which boot it is."""

    def __init__(self, server: Server, boot: str, kept: str = "") -> None:
        self.server, self.boot, self.kept = server, boot, kept

    def reports(self, *, keeps: bool = True) -> None:
        answer = self.server.reports(self.kept, self.boot)
        if keeps:
            self.kept = answer


MISHAPS = st.lists(
    st.tuples(
        st.sampled_from(["report", "lost", "reboot"]),
        st.integers(0, 2 * int(ROTATION.total_seconds())),
    ),
    max_size=60,
)


@given(MISHAPS)
def test_one_agent_is_never_suspected_whatever_gets_lost_and_however_often_it_boots(
    history: list[tuple[str, int]],
) -> None:
    server = Server()
    agent = Agent(server, "boot-0")
    for number, (what, seconds) in enumerate(history):
        server.now += timedelta(seconds=seconds)
        if what == "reboot":
            agent.boot = f"boot-{number}"
        agent.reports(keeps=what != "lost")
    assert set(server.verdicts) <= {""}


@given(MISHAPS, st.integers(0, 30), st.lists(st.integers(1, 6), min_size=12, max_size=30))
def test_a_copy_beside_its_original_is_noticed_by_and_by(
    history: list[tuple[str, int]], more: int, turns: list[int]
) -> None:
    server = Server()
    original = Agent(server, "boot-0")
    for what, seconds in [*history, ("report", 0)]:
        server.now += timedelta(seconds=seconds)
        original.reports(keeps=what != "lost")
    copy = Agent(server, "copy", original.kept)
    for _ in range(more):
        server.now += timedelta(minutes=10)
        original.reports()
    for turn in turns:
        for each in (original, copy):
            for _ in range(turn):
                server.now += timedelta(minutes=1)
                each.reports()
    assert "copied" in server.verdicts


@given(MISHAPS, st.integers(0, 40))
def test_a_restored_snapshot_is_suspected_at_most_once_and_never_called_a_copy(
    history: list[tuple[str, int]], more: int
) -> None:
    server = Server()
    agent = Agent(server, "boot-0")
    agent.reports()
    snapshot = agent.kept
    for what, seconds in history:
        server.now += timedelta(seconds=seconds)
        agent.reports(keeps=what != "lost")
    restored = Agent(server, "boot-restored", snapshot)
    for _ in range(more):
        server.now += timedelta(minutes=1)
        restored.reports()
    assert server.verdicts.count("suspected") <= 1
    assert "copied" not in server.verdicts
    if "suspected" in server.verdicts and more > CALM + 1:
        assert server.verdicts[-more:].count("calm") == 1


def test_a_copy_that_was_made_while_its_original_ran_is_noticed_after_an_hour() -> None:
    server = Server()
    original = Agent(server, "boot-0")
    original.reports()
    original.reports()
    copy = Agent(server, "boot-0", original.kept)
    for _ in range(64):
        server.now += timedelta(minutes=1)
        original.reports()
        copy.reports()
    assert "copied" in server.verdicts


def test_an_agent_that_keeps_nothing_is_an_older_one_and_writes_little() -> None:
    server = Server()
    states = set()
    for _ in range(60):
        server.now += timedelta(minutes=1)
        server.reports("", "boot-0")
        states.add(server.known)
    assert server.verdicts == [""] * 60
    assert len(states) <= 2


def test_a_value_changes_once_an_hour_and_at_each_boot() -> None:
    server = Server()
    agent = Agent(server, "boot-0")
    values = []
    for minute in range(180):
        server.now = NOW + timedelta(minutes=minute)
        agent.boot = "boot-1" if minute > 100 else "boot-0"
        agent.reports()
        values.append(agent.kept)
    assert len(set(values)) == 4
