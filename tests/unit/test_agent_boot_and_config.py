"""Kernel command line, configuration, log lines, progress, retry: the agent's edges."""

import contextlib
import logging
import re
import stat
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.bootline import BootLine, parse_boot_line
from agent.clock import Clock
from agent.config import AgentConfig, load_config, save_config
from agent.errors import TerminalError, TransientError
from agent.log import LineFormatter
from agent.main import main
from agent.progress import ProgressMeter, progress_line
from agent.retry import RetryPolicy, retry
from agent.transport import problem_of
from agent.version import AGENT_VERSION

PIN = "ab" * 32
GOOD = f"quiet rackwright.server=https://10.77.0.1:8443 rackwright.pin={PIN} rackwright.token=t-1"


def test_the_boot_line_is_read_among_other_words() -> None:
    line = parse_boot_line(
        f"BOOT_IMAGE=/vmlinuz {GOOD} BOOTIF=01-52-54-00-12-34-5E rackwright.idle=60"
    )
    assert line == BootLine("https://10.77.0.1:8443", PIN, "t-1", 60, "52:54:00:12:34:5e")


def test_the_boot_mac_may_be_written_with_colons_as_grub_does() -> None:
    assert parse_boot_line(f"{GOOD} BOOTIF=01:52:54:00:12:34:5e").boot_mac == "52:54:00:12:34:5e"


def test_without_bootif_and_idle_there_are_defaults() -> None:
    line = parse_boot_line(GOOD)
    assert (line.idle, line.boot_mac) == (900, "")


def test_a_boot_line_names_all_that_is_wrong_at_once() -> None:
    with pytest.raises(TerminalError) as caught:
        parse_boot_line("rackwright.server=http://x rackwright.pin=12 rackwright.idle=soon")
    assert str(caught.value) == (
        "RW560: the kernel command line cannot be used: "
        "rackwright.server is 'http://x', not an https:// URL; "
        "rackwright.pin is '12', not 64 hexadecimal digits; "
        "rackwright.token is missing; "
        "rackwright.idle is 'soon', not a number of seconds. "
        "Boot this machine through Rackwright, which writes these parameters."
    )


@given(st.text(max_size=200))
def test_any_command_line_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TerminalError):
        assert parse_boot_line(text).token


def test_the_token_is_in_no_representation() -> None:
    assert "t-1" not in repr(parse_boot_line(GOOD))
    assert "t-1" not in repr(AgentConfig("https://x", PIN, "t-1", "op", "m"))


def test_the_configuration_survives_a_round_trip_and_loses_its_token(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    config = AgentConfig("https://10.0.0.1:8443", PIN, "t-1", "op-1", "")
    save_config(path, config)
    assert load_config(path) == config
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    save_config(path, evolve(load_config(path), token="", machine="node-1"))
    assert load_config(path) == AgentConfig("https://10.0.0.1:8443", PIN, "", "op-1", "node-1")
    assert b"t-1" not in path.read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"server":"http://x","pin":"1"}', b"\xff\xfe"]
)
def test_a_configuration_that_cannot_be_used_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.json"
    path.write_bytes(content)
    with pytest.raises(TerminalError) as caught:
        load_config(path)
    assert caught.value.code == "RW562"
    assert str(path) in caught.value.cause


def test_a_log_line_stays_one_line_whatever_the_message() -> None:
    record = logging.LogRecord("agent.x", logging.INFO, "", 0, "disk %s", ("a\nb\x1b[2J\t",), None)
    line = LineFormatter().format(record)
    assert re.fullmatch(r"\[ *\d+\.\d{3}\] INFO agent\.x: disk a\\x0ab\\x1b\[2J\\x09", line)


def test_an_exception_in_the_log_is_one_line_too() -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        int("broken")
    failure = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("a", logging.ERROR, "", 0, "it failed", (), failure)
    line = LineFormatter().format(record)
    assert "\n" not in line
    assert line.endswith("ValueError: invalid literal for int() with base 10: 'broken'")


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("done", "total", "rate", "line"),
    [
        (1204 * MIB, 2794 * MIB, 112e6, "restore 43.1 % 1204/2794 MiB 112.0 MB/s ETA 0:00:15"),
        (0, 0, 0.0, "restore"),
        (5 * MIB, 0, 0.0, "restore 5 MiB"),
        (10 * MIB, 10 * MIB, 1e6, "restore 100.0 % 10/10 MiB 1.0 MB/s"),
        (MIB, 4000 * MIB, 1e5, "restore 0.0 % 1/4000 MiB 0.1 MB/s ETA 11:38:53"),
    ],
)
def test_progress_reads_like_this(done: int, total: int, rate: float, line: str) -> None:
    assert progress_line("restore", done, total, rate) == line


def test_progress_lines_are_five_seconds_apart_and_the_end_is_always_shown() -> None:
    now = [0.0]
    meter = ProgressMeter("backup", Clock(monotonic=lambda: now[0]))
    lines = []
    for second in range(12):
        now[0] = float(second)
        lines.append(meter.advance(second * 10_000_000, 110_000_000))
    shown = [second for second, line in enumerate(lines) if line]
    assert shown == [0, 5, 10, 11]
    assert lines[10] == "backup 90.9 % 95/104 MiB 10.0 MB/s ETA 0:00:01"
    assert meter.advance(110_000_000, 110_000_000) is None


def test_back_off_doubles_up_to_its_cap_and_half_of_it_is_chance() -> None:
    policy = RetryPolicy(first=1.0, cap=60.0)
    assert [policy.delay(n, 1.0) for n in (1, 2, 3, 7, 8, 10_000)] == [1, 2, 4, 60, 60, 60]
    assert policy.delay(3, 0.0) == 2.0


def test_patience_waits_for_transient_errors_only_and_ends_at_its_limit() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    clock = Clock(monotonic=lambda: now[0], pause=pause, chance=lambda: 1.0)
    failing = TransientError("RW557", "away", "wait")

    def always() -> None:
        raise failing

    with pytest.raises(TransientError):
        retry(always, RetryPolicy(first=1.0, cap=8.0, limit=100.0), clock)
    assert now[0] <= 100.0
    assert now[0] > 90.0

    answers = iter([failing, failing, None])

    def thrice() -> str:
        answer = next(answers)
        if answer:
            raise answer
        return "there"

    assert retry(thrice, RetryPolicy(), clock) == "there"

    def refused() -> None:
        raise TerminalError("RW553", "refused", "stop")

    before = now[0]
    with pytest.raises(TerminalError):
        retry(refused, RetryPolicy(), clock)
    assert now[0] == before


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_an_overloaded_server_answers_is_tried_again(status: int) -> None:
    problem = problem_of(status, "GET /x", b"")
    assert isinstance(problem, TransientError)
    assert problem.code == "RW558"


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_is_no_problem(status: int) -> None:
    assert problem_of(status, "GET /x", b"") is None


def test_the_servers_own_words_reach_the_operator() -> None:
    body = b'{"code":"RW541","cause":"the token has expired","action":"Boot again."}'
    assert str(problem_of(403, "POST /v1/enroll", body)) == (
        "RW553: the server refused POST /v1/enroll with status 403: "
        "RW541 the token has expired. Boot again."
    )


def test_an_error_page_is_cut_to_one_line_of_printable_text() -> None:
    problem = problem_of(502, "GET /x", b"<html>\r\n\x1b[31m" + b"x" * 5000)
    assert isinstance(problem, TransientError)
    assert "\x1b" not in problem.cause
    assert len(problem.cause) < 400


def test_an_unusable_configuration_ends_the_service_with_status_3(tmp_path: Path) -> None:
    assert main(["service", "--config", str(tmp_path / "absent"), "--state", str(tmp_path)]) == 3


def test_the_agents_version_is_the_products() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'\nversion = "{AGENT_VERSION}"\n' in project
