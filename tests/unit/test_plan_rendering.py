"""Whatever the fleet's size and whatever machines say: it fits, and it is only shown."""

import stat
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from io import StringIO

import pytest
from builders.world import NOW, a_disk, a_fleet, a_machine, an_image, observed, ramdisk
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from reconciler.planning.estimate import Budget, rounds, strictest, total_seconds
from reconciler.planning.item import RISKS, LastBackup, Risk
from reconciler.planning.plan import exit_code, plan_of
from reconciler.planning.planner import plan
from reconciler.views.console import pager_command, show
from reconciler.views.plan_html import plan_html
from reconciler.views.plan_json import plan_document
from reconciler.views.plan_markdown import MAX_CHARACTERS, plan_markdown
from reconciler.views.plan_text import plan_text
from reconciler.views.untrusted import for_html, for_markdown, for_terminal
from specs.diagnostics.position import Position
from specs.fleet import Origin

NODE = a_machine(17, "clone-golden")
ONE = plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),)), NOW)
SCREEN = 60
BUDGET = Budget(20, 100)


class Untouchable:
    """Items of a stored plan group that may be counted and looked at one by one, up to a limit."""

    def __init__(self, items, limit=10_000):
        self.items, self.left = items, limit

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        for item in self.items:
            self.left -= 1
            assert self.left >= 0, "more items were loaded than are shown"
            yield item

    def __getitem__(self, index):
        found = self.items[index]
        self.left -= len(found) if isinstance(index, slice) else 1
        assert self.left >= 0, "more items were loaded than are shown"
        return found


def big_plan(machines=40_000, limit=10_000):
    """Return a plan of so many machines in 1,000 groups, whose items may hardly be looked at."""
    (sample,) = ONE.items
    every = []
    each = machines // 1000
    for number in range(1000):
        group = f"{('osaka', 'tokyo')[number % 2]}/row{number % 20:02}/rack{number:04}"
        risk = RISKS[number % 5]
        cause = Origin(Position(f"{group}.yaml", 3, 5), (group,))
        changes = {"group": group, "cause": cause, "risk": risk, "unblock": "Wait"}
        if risk is not Risk.DESTRUCTIVE:
            changes |= {"disks": (), "images": (), "seconds": 0, "spared": ()}
        every += [
            replace(sample, machine=f"node-{number:04}-{index:02}", **changes)
            for index in range(each)
        ]
    made = plan_of("f00d", NOW, every, BUDGET)
    groups = tuple(replace(each, items=Untouchable(each.items, limit)) for each in made.groups)
    return replace(made, groups=groups)


BIG = big_plan(limit=200)


def printed(renderable, width):
    screen = Console(file=StringIO(), width=width, color_system=None)
    screen.print(renderable, highlight=False)
    return screen.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_forty_thousand_machines_fit_a_screen(width):
    text = printed(plan_text(BIG, "main", NOW), width)
    lines = text.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= width
    verdict = " · ".join(f"{risk} 8,000" for risk in RISKS)
    assert " ".join(text.split()).startswith(verdict)
    assert "8,000 disks" in text
    assert "2,000 machines in 50 groups" in " ".join(text.split())


def test_verdict_exit_code_and_digest_need_no_item():
    untouchable = big_plan(limit=0)
    assert untouchable.counts == dict.fromkeys(RISKS, 8000)
    assert (untouchable.disks, exit_code(untouchable)) == (8000, 3)
    assert untouchable.digest == BIG.digest


def test_a_comment_of_forty_thousand_machines_is_bounded_and_reads_few_items():
    text = plan_markdown(BIG, "main", NOW)
    assert len(text) <= MAX_CHARACTERS
    assert text.count("<details>") == text.count("</details>") >= 5


@given(st.text(min_size=1, max_size=5000), st.integers(1, 200))
def test_a_comment_is_bounded_whatever_machines_say(text, count):
    (sample,) = ONE.items
    items = [
        replace(sample, machine=f"n{number}", group=f"g{number}", reason=f"{number}{text}")
        for number in range(count)
    ]
    comment = plan_markdown(plan_of("f00d", NOW, items, BUDGET), text, NOW)
    assert len(comment) <= MAX_CHARACTERS
    assert comment.count("<details>") == comment.count("</details>")


def test_every_machine_of_a_plan_is_on_its_page():
    page = "\n".join(plan_html(big_plan(2000), "main", NOW))
    assert all(f"node-{number:04}-01" in page for number in range(1000))


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@given(st.text(max_size=200))
def test_a_page_loads_and_runs_nothing_whatever_machines_say(text):
    (sample,) = ONE.items
    (disk,) = sample.disks
    hostile = replace(
        sample,
        machine=f"n{text}",
        reason=text,
        spared=(text,),
        disks=(replace(disk, model=text, serial=f"<script>{text}", holds=text),),
    )
    page = Page()
    page.feed("\n".join(plan_html(plan_of("f00d", NOW, [hostile], BUDGET), text, NOW)))
    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "p", "code", "ul", "li"),
        *("details", "summary", "span", "div", "table", "tr", "th", "td"),
    }
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "open"}


@given(st.text())
def test_nothing_that_is_shown_steers_a_terminal(text):
    shown = for_terminal(text)
    assert shown.isprintable()


@given(st.text())
def test_nothing_that_is_shown_is_markup_in_a_comment(text):
    shown = for_markdown(text)
    assert not set("\\`*_[]<>|~\n\r") & set(shown)
    assert not set("<>\"'\n") & set(for_html(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone", "@\u2060everyone"),
        ("#12", "&#35;\u206012"),
        ("https://evil.example", "https:\u2060//evil.example"),
        ("\x1b[2J", "&#92;x1b&#91;2J"),
        ("a\u202eb", "a&#92;u202eb"),
        ("&lt;", "&#38;\u2060lt;"),
    ],
)
def test_a_comment_pings_nobody_and_links_nowhere(text, shown):
    assert for_markdown(text) == shown


def test_full_shows_every_machine():
    nodes = [a_machine(number, "clone-golden") for number in range(1, 61)]
    seen = {node.name: ramdisk(node, a_disk(node.name)) for node in nodes}
    made = plan(a_fleet(*nodes), observed(seen, (an_image(),)), NOW)
    folded = printed(plan_text(made, "main", NOW), 140)
    assert "node-60" not in folded
    assert "--full" in folded
    full = printed(plan_text(made, "main", NOW, full=True), 140)
    assert all(node.name in full for node in nodes)
    assert "--full" not in full


def test_a_folded_plan_names_as_many_disks_that_differ_as_fit():
    nodes = [a_machine(number, "clone-golden") for number in range(1, 31)]
    seen = {
        node.name: ramdisk(node, a_disk(node.name, (4 << 30) + place))
        for place, node in enumerate(nodes)
    }
    made = plan(a_fleet(*nodes), observed(seen, (an_image(),)), NOW)
    folded = printed(plan_text(made, "main", NOW), 140)
    assert len(folded.splitlines()) <= SCREEN
    assert all(node.name in folded for node in nodes)


def test_disks_that_nobody_can_tell_apart_but_by_serial_are_one_row_with_their_number():
    nodes = [a_machine(number, "clone-golden") for number in range(1, 31)]
    other = nodes[7]
    seen = {
        node.name: ramdisk(node, a_disk(node.name, holds="ext4" if node is other else "blank"))
        for node in nodes
    }
    made = plan(a_fleet(*nodes), observed(seen, (an_image(),)), NOW)
    for folded in (
        printed(plan_text(made, "main", NOW), 140),
        plan_markdown(made, "main", NOW),
    ):
        assert len([line for line in folded.splitlines() if "holds" in line]) == 2
        assert "and 28 more" in folded
        assert other.name in folded


def test_a_backup_that_is_older_than_the_last_restore_counts_as_none():
    (item,) = ONE.items
    (disk,) = item.disks
    for overwritten, lost in ((False, 0), (True, 1)):
        backup = LastBackup("b", "c" * 64, NOW - timedelta(days=2), overwritten)
        made = plan_of("f", NOW, [replace(item, disks=(replace(disk, backup=backup),))], BUDGET)
        assert plan_document(made)["disksWithoutBackup"] == lost


@pytest.mark.parametrize(
    ("machines", "moved", "seconds"),
    [
        (0, 0, 0),
        (1, 10**10, 180 + 100),
        (20, 0, 180),
        (21, 0, 360),
        (101, 0, 3600 + 180),
        (101, 10**13, 6 * 180 + 100_000),
    ],
)
def test_an_estimate_counts_rounds_the_shared_link_and_the_hours(machines, moved, seconds):
    assert total_seconds(machines, moved, BUDGET) == seconds


def test_an_hours_budget_below_the_moments_makes_the_rounds():
    assert rounds(10, Budget(at_once=20, per_hour=5)) == 2


def test_the_budget_that_takes_longest_makes_the_estimate():
    slow, slower = Budget(2, 100), Budget(1, 100)
    within = replace(BUDGET, groups=(("a", slow), ("a/x", slower), ("ab", Budget(1, 1))))
    assert strictest({"a": 4, "a/x": 3, "b": 9}, 0, within) == ("a", 7, slow)
    assert strictest({"a": 1, "a/x": 5, "b": 9}, 0, within) == ("a/x", 5, slower)
    assert strictest({"a": 1, "b": 90}, 0, within) == ("", 91, within)


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, ("less",)),
        ({"PAGER": "more -s"}, ("more", "-s")),
        ({"PAGER": "more", "RACKWRIGHT_PAGER": "bat"}, ("bat",)),
        ({"PAGER": "more", "RACKWRIGHT_PAGER": ""}, ()),
        ({"PAGER": "cat"}, ()),
    ],
)
def test_the_pager_is_chosen_as_git_does(environment, command):
    assert pager_command(environment) == command


@pytest.fixture
def pager(tmp_path, monkeypatch):
    """Return a file that the pager writes what it got to."""
    got, program = tmp_path / "got", tmp_path / "pager"
    program.write_text(f"#!/bin/sh\necho $LESS > {got}\ncat >> {got}\n", "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("RACKWRIGHT_PAGER", str(program))
    monkeypatch.delenv("LESS", raising=False)
    return got


@pytest.mark.parametrize(
    ("lines", "terminal", "paged", "used"),
    [
        (30, True, True, True),
        (5, True, True, False),
        (30, False, True, False),
        (30, True, False, False),
    ],
    ids=["too long", "fits", "no terminal", "not wanted"],
)
def test_the_pager_shows_only_what_does_not_fit_a_terminal(pager, lines, terminal, paged, used):
    out = StringIO()
    screen = Console(file=out, width=80, height=20, force_terminal=terminal, color_system=None)
    show(screen, Text("\n".join(["line"] * lines)), paged=paged)
    assert pager.exists() == used
    if used:
        assert pager.read_text().splitlines()[:2] == ["FRX", "line"]
        assert out.getvalue() == ""
    else:
        assert out.getvalue().count("line") == lines


def test_a_pager_that_is_not_there_hides_nothing(monkeypatch):
    monkeypatch.setenv("RACKWRIGHT_PAGER", "/nowhere/pager")
    out = StringIO()
    show(Console(file=out, height=3, force_terminal=True), Text("a\n" * 9), paged=True)
    assert out.getvalue().count("a") == 9
