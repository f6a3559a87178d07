"""What the agent asks of Windows' programs for its folder, and how it reads pipes there."""

import os

import pytest
from attrs import define, field
from builders.fake_windows import FakeWindows

from agent.commands.windows.pipe import pieces
from agent.config import load_config
from agent.errors import CommandError, UnwritableFileError
from agent.windows.installation import CONFIG, FOLDER, LOG, SETTINGS, STATE
from agent.windows_service import LogStream, prepare

PIN = "ab" * 32


@define
class FakeWindowsThatLooks(FakeWindows):
    """Writes down what is in its folder when a program other than ``reg`` is started."""

    seen: dict = field(factory=dict)

    def run(self, argv, *, timeout=60.0):
        found = self.scratch.rglob("*")
        self.seen[argv[0]] = {each.relative_to(self.scratch).as_posix() for each in found}
        return super().run(argv, timeout=timeout)


def windows_with(tmp_path, status=0):
    windows = FakeWindowsThatLooks(tmp_path, {"icacls": [(status, "")], "sc": [(0, "")]})
    windows.put(SETTINGS, '"Server"="https://rack.example:8443"', f'"Pin"="{PIN}"')
    return windows


def prepared(windows):
    folder = windows.scratch / "Rackwright"
    prepare(windows, folder / "agent.json", folder / "state")
    return folder


def test_the_agent_s_folder_is_protected_while_nothing_is_in_it(tmp_path):
    windows = windows_with(tmp_path)
    folder = prepared(windows)
    assert windows.calls[0] == [
        *("icacls.exe", r"C:\Rackwright", "/inheritance:r", "/grant:r"),
        *("*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F", "/q"),
    ]
    assert windows.seen["icacls.exe"] == {"Rackwright"}
    assert (folder / "state").is_dir()


def test_a_token_beside_the_configuration_is_for_the_server_of_the_installation(tmp_path):
    windows = windows_with(tmp_path)
    (tmp_path / "Rackwright").mkdir()
    token = tmp_path / "Rackwright/token"
    token.write_text("t-1", "ascii")
    token.chmod(0o600)
    folder = prepared(windows)
    known = load_config(folder / "agent.json")
    assert (known.server, known.pin, known.token) == ("https://rack.example:8443", PIN, "t-1")
    assert not token.exists()


def test_a_folder_that_cannot_be_protected_is_not_used(tmp_path):
    windows = windows_with(tmp_path, status=5)
    with pytest.raises(CommandError, match="ended with status 5"):
        prepared(windows)
    assert [each.name for each in tmp_path.rglob("*")] == ["Rackwright"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "Rackwright").write_text("a file", "ascii")
    with pytest.raises(UnwritableFileError, match=r"RW572: .*Rackwright.*File exists"):
        prepared(windows_with(tmp_path))


def test_the_log_is_not_there_before_its_first_line(tmp_path):
    log = tmp_path / "agent.log"
    stream = LogStream(log)
    assert not log.exists()
    stream.write("a line\n")
    assert log.read_text("utf-8") == "a line\n"
    stream.close()


def test_all_that_is_trusted_is_where_only_administrators_write():
    assert SETTINGS.startswith("HKLM\\SOFTWARE\\")
    for place in (FOLDER, CONFIG, STATE, LOG):
        assert place.startswith("C:\\Program Files\\Rackwright\\data")


def test_a_pipe_is_read_piece_by_piece_and_its_silence_is_told():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        found = pieces(stream, 0.05)
        os.write(writing, b"one")
        assert next(found) == b"one"
        assert next(found) == b""
        os.write(writing, b"two")
        assert b"two" in (next(found), next(found))
        os.close(writing)
        assert [piece for piece in found if piece] == []
