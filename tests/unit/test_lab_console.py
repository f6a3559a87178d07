import threading

import pytest
from builders.lab_console import Console, plain_text
from hypothesis import given
from hypothesis import strategies as st

from providers.lab import console

# Captured from SeaBIOS, GRUB and systemd.
PAINTED = (
    b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2)\r\n"
    b"\x1b[0;30;47mWelcome to GRUB!\r\n"
    b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh.service\x1b[0m - OpenBSD\r\n"
)
PLAIN = "SeaBIOS (version 1.16.2)\nWelcome to GRUB!\n[  OK  ] Started ssh.service - OpenBSD\n"
AT_ONCE, SOON = 0.0, 20.0


def test_paint_is_taken_off():
    assert plain_text(PAINTED) == PLAIN


def test_text_only_grows_while_bytes_come_one_by_one():
    previous = ""
    for end in range(len(PAINTED) + 1):
        text = plain_text(PAINTED[:end])
        assert text.startswith(previous)
        previous = text
    assert previous == PLAIN


@given(st.binary(max_size=200))
def test_garbage_is_shown_somehow(data):
    assert "\r" not in plain_text(data)


def test_what_is_there_is_found_at_once(tmp_path):
    (tmp_path / "console.log").write_bytes(PAINTED)
    match = Console(tmp_path / "console.log").wait_for(r"Started (\S+) -", AT_ONCE)
    assert (match[0], match[1]) == ("Started ssh.service -", "ssh.service")


def test_the_same_text_is_not_found_twice(tmp_path):
    (tmp_path / "console.log").write_bytes(b"login: \nlogin: \n")
    reader = Console(tmp_path / "console.log")
    reader.wait_for("login:", AT_ONCE)
    reader.wait_for("login:", AT_ONCE)
    with pytest.raises(AssertionError):
        reader.wait_for("login:", AT_ONCE)


def test_lines_are_anchored(tmp_path):
    (tmp_path / "console.log").write_bytes(b"one two\r\nthree\r\n")
    reader = Console(tmp_path / "console.log")
    assert reader.wait_for("^three$", AT_ONCE)[0] == "three"


def test_silence_is_reported_with_the_last_lines(tmp_path):
    lines = "".join(f"line {number}\n" for number in range(100))
    (tmp_path / "console.log").write_text(lines)
    with pytest.raises(AssertionError, match=r"no 'login:' within 0 s on .*:\nline 85\n") as caught:
        Console(tmp_path / "console.log").wait_for("login:", AT_ONCE)
    assert str(caught.value).endswith("line 98\nline 99")


def test_a_machine_that_never_ran_showed_nothing(tmp_path):
    with pytest.raises(AssertionError, match=r"no 'login:' within 0 s on .*:\n$"):
        Console(tmp_path / "console.log").wait_for("login:", AT_ONCE)


@pytest.fixture
def writer(tmp_path):
    """Write to the console in a thread; the steps happen when the reader waits."""
    threads = []

    def start(*steps):
        def write():
            for step in steps:
                step(tmp_path / "console.log")

        thread = threading.Thread(target=write)
        threads.append(thread)
        thread.start()

    yield start
    for thread in threads:
        thread.join()


def append(data):
    def step(path):
        with path.open("ab") as file:
            file.write(data)

    return step


def power_cycle(path):
    path.rename(path.with_name("console.previous.log"))
    path.touch()


def test_what_comes_later_is_waited_for(tmp_path, writer):
    reader = Console(tmp_path / "console.log")
    writer(append(b"log"), append(b"in:"))
    assert reader.wait_for("login:", SOON)[0] == "login:"


def test_a_power_cycle_starts_the_console_anew(tmp_path, writer):
    path = tmp_path / "console.log"
    path.write_bytes(b"first login:")
    reader = Console(path)
    reader.wait_for("login:", AT_ONCE)
    writer(power_cycle, append(b"second login:"))
    assert reader.wait_for(r"^\w+ login:", SOON)[0] == "second login:"


def test_following_goes_on_over_a_power_cycle(tmp_path, writer):
    path = tmp_path / "console.log"
    path.write_bytes(b"first")
    output = console.follow(path)
    assert next(output) == b"first"
    writer(append(b" more"))
    assert next(output) == b" more"
    writer(power_cycle, append(b"second"))
    assert next(output) == b"second"
