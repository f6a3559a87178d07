"""What validates can be planned and shown, whatever extreme values it has and whenever that is."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from reconciler.app.status import conditions_of
from reconciler.git.command import parse_commit
from reconciler.planning.planner import plan
from reconciler.planning.schedule_warnings import schedule_warnings
from reconciler.planning.upcoming_work import upcoming_work
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.views.plan_json import plan_document
from reconciler.views.plan_markdown import plan_markdown
from reconciler.views.plan_text import plan_text
from specs.compile.fleet import compile_fleet
from specs.yaml import load_file

EXAMPLES = Path(__file__).parents[2] / "examples"
FLEETS = {
    name: [
        document.data
        for file in sorted((EXAMPLES / name).rglob("*.yaml"))
        if file.name != "rack.yaml"
        for document in load_file(file.name, file.read_bytes()).documents
    ]
    for name in ("lab/fleet", "schedules", "rollouts")
}
MOMENTS = [
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"),
    *("2026-03-29T02:30:00+01:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z"),
]
DURATIONS = ["0s", "1s", "59s", "1m", "1h", "24h", "7d", "365d", "3650d", "99999999h", "1e9h"]
NUMBERS = [-1, 0, 1, 2, 99, 100, 1000, 2**31, 2**63, 10**30]
TEXTS = [
    *(
        "a",
        "a" * 63,
        "a" * 300,
        "0",
        "é" * 80,
        "東京" * 40,
        "\u202eabc",
        "😀" * 50,
        "a\u0301",
        " x ",
    ),
    *("00:00", "24:00", "23:59", "* * * * *", "0 0 29 2 *", "0 0 31 2 *", "59 23 31 12 *"),
    *("0001-01-01", "9999-12-31", "2024-02-29", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Tokyo"),
    *("0.0.0.0/0", "255.255.255.255/32", "10.0.0.0/8", "fe80::1/64", "0%", "100%", "1%"),
]
DATES = ["0001-01-01", "1970-01-01", "2024-02-29", "9999-12-31"]
CLOCKS = ["00:00", "00:01", "12:00", "23:59", "24:00"]
CRONS = ["* * * * *", "0 0 29 2 *", "0 0 31 2 *", "59 23 31 12 *", "0 0 * * 1-5", "30 2 29 3 *"]
PREFIXES = ["0.0.0.0/0", "10.0.0.0/8", "10.30.0.0/16", "10.77.0.0/30", "255.255.255.255/32"]
FITTING = [
    (r"\d{4}-\d\d-\d\dT.*", MOMENTS),
    (r"\d{4}-\d\d-\d\d", DATES),
    (r"\d\d:\d\d", CLOCKS),
    (r"\d+(s|m|h|d)", DURATIONS),
    (r"\d+%", ["0%", "1%", "50%", "99%", "100%"]),
    (r"[\d*/,-]+( [\w*/,-]+){4}", CRONS),
    (r"\d+(\.\d+){3}/\d+", PREFIXES),
    (r".*", TEXTS),
]
"""Values of the form of another, by regular expressions of which the first fits."""
VALUES = st.one_of(
    st.sampled_from([*MOMENTS, *DURATIONS, *NUMBERS, *TEXTS, True, False]),
    st.text(max_size=20),
    st.integers(),
)
NOW = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC) - timedelta(days=400),
]


def other_value(value: Any) -> st.SearchStrategy[Any]:
    """Return extreme values, mostly of the form that a value has."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.sampled_from(NUMBERS)
    fitting = next(found for form, found in FITTING if re.fullmatch(form, str(value), re.DOTALL))
    return st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), VALUES)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at a path."""
    for part in path:
        value = value[part]
    return value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values that hold no others."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return [path]
    return [found for key, part in parts for found in leaves(part, (*path, key))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return plain data with another value at a path."""
    if not path:
        return new
    if isinstance(value, dict):
        return {
            key: with_value(part, path[1:], new) if key == path[0] else part
            for key, part in value.items()
        }
    return [
        with_value(part, path[1:], new) if n == path[0] else part for n, part in enumerate(value)
    ]


def look(fleet: Any, now: datetime) -> None:
    """Plan a fleet and show it in every form."""
    machines = tuple(fleet.machines.values())
    observed = Observed()
    made = plan(fleet, observed, now)
    for width in (40, 140):
        console = Console(file=io.StringIO(), width=width, force_terminal=True)
        console.print(plan_text(made, "a revision", now, full=True, explain=True))
    plan_markdown(made, "a revision", now)
    json.dumps(plan_document(made))
    hardware = FleetHardware(machines)
    assert len(conditions_of(fleet, machines, hardware, observed, now)) == len(machines)
    schedule_warnings(fleet, machines, {}, now)
    upcoming_work(fleet.schedules, machines, now)


@pytest.mark.parametrize("name", FLEETS)
@settings(deadline=None, max_examples=80)
@given(st.data())
def test_whatever_validates_can_be_planned_and_shown(name: str, data: st.DataObject) -> None:
    documents = FLEETS[name]
    for _ in range(data.draw(st.integers(0, 3))):
        index = data.draw(st.integers(0, len(documents) - 1))
        path = data.draw(st.sampled_from(leaves(documents[index])))
        value = data.draw(other_value(at(documents[index], path)))
        changed = with_value(documents[index], path, value)
        documents = [*documents[:index], changed, *documents[index + 1 :]]
    text = "\n---\n".join(json.dumps(each, default=str) for each in documents)
    fleet = compile_fleet({"f.yaml": text.encode()}, "r").fleet
    if fleet is not None:
        look(fleet, data.draw(st.sampled_from(NOW)))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_hold_and_a_schedule_may_be_at_the_ends_of_the_calendar(moment: str) -> None:
    documents = [
        *FLEETS["schedules"],
        {
            "apiVersion": "rackwright/v1alpha1",
            "kind": "Hold",
            "metadata": {"name": "far"},
            "spec": {"select": {"groups": ["*"]}, "owner": "ops", "reason": "x", "until": moment},
        },
    ]
    text = "\n---\n".join(json.dumps(each, default=str) for each in documents)
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert result.fleet is not None or result.diagnostics
    for now in NOW if result.fleet else ():
        look(result.fleet, now)


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"tree ", b"author ", b"encoding ", b"\n\n", b""]))
def test_any_bytes_of_a_commit_can_be_shown(content: bytes, word: bytes) -> None:
    begin = b"tree " + b"0" * 40 + b"\n" + word
    for text in (content, begin + content, begin + b"author A <a> 99999999999 -9999\n" + content):
        commit = parse_commit("0" * 40, text)
        shown = f"{commit.describe} {commit.author} {commit.subject} {commit.tree}"
        assert shown.isprintable()
