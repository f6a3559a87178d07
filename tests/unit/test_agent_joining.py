"""How an agent of a package comes to a server, and leaves it: files, tokens, refusals."""

import io
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.config import AgentConfig, AgentPackage, load_config, load_package
from agent.credentials import CredentialStore
from agent.errors import TerminalError
from agent.joining import checked_server, join, leave, read_token, take_up_token
from agent.main import main
from agent.version import AGENT_VERSION
from agent.wire.codec import encode
from agent.wire.enrollment import Enrollment

SERVER = "https://192.0.2.1:8443"
PIN = "5f" * 32
PACKAGE = AgentPackage("0.1.0-1", SERVER, PIN)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc/agent.json"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def token_file(config: Path) -> Path:
    config.parent.mkdir()
    path = config.with_name("token")
    path.touch(0o600)
    path.write_text("t-1\n")
    return path


def enroll(state: Path) -> None:
    state.mkdir()
    (state / "agent.key").write_text("key")
    CredentialStore(state).save(Enrollment("node-1", "certificate", "authority"))


def wanted(token: str) -> AgentConfig:
    return AgentConfig(SERVER, PIN, token, operation="", machine="")


def test_join_writes_what_the_service_needs_for_root_only(
    config: Path, state: Path, token_file: Path
) -> None:
    spelling = ":".join([PIN[:2].upper()] * 32)
    join(config, state, f"{SERVER}/", spelling, str(token_file))
    assert load_config(config) == wanted("t-1")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_join_makes_the_folder_and_replaces_what_never_enrolled(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in ("t-1", "t-2"):
        stdin = SimpleNamespace(buffer=io.BytesIO(f" {token}\n".encode()))
        monkeypatch.setattr("sys.stdin", stdin)
        join(config, state, SERVER, PIN, "-")
        assert load_config(config) == wanted(token)


def test_join_leaves_an_enrolled_agent_alone(config: Path, state: Path, token_file: Path) -> None:
    join(config, state, SERVER, PIN, str(token_file))
    enroll(state)
    with pytest.raises(TerminalError, match=f"RW582: this agent belongs to {SERVER} already"):
        join(config, state, "https://192.0.2.2:1", PIN, str(token_file))
    assert load_config(config).server == SERVER


@pytest.mark.parametrize(
    ("server", "pin"),
    [
        ("http://192.0.2.1", PIN),
        ("https://192.0.2.1/path", PIN),
        ("https://", PIN),
        (SERVER, ""),
        (SERVER, PIN[:-1]),
        ("", PIN),
    ],
)
def test_a_server_or_pin_that_is_none_is_refused(server: str, pin: str) -> None:
    with pytest.raises(TerminalError, match=r"^RW583: .*Give --server https://HOST:PORT and --pin"):
        checked_server(server, pin)


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"x" * 600, "tökén".encode(), b"a\0b"]
)
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(TerminalError, match=r"^RW581: what .*token holds is no token") as caught:
        read_token(str(path))
    assert not content.strip() or content.decode() not in str(caught.value)


def test_a_token_that_others_may_read_is_refused(token_file: Path) -> None:
    token_file.chmod(0o640)
    with pytest.raises(TerminalError, match=r"^RW581: others may read .*token \(mode 0640\)"):
        read_token(str(token_file))
    with pytest.raises(TerminalError, match=r"^RW581: .*nothing cannot be read: No such file"):
        read_token(str(token_file.with_name("nothing")))


def test_a_token_beside_the_configuration_goes_to_the_packages_server(
    config: Path, state: Path, token_file: Path
) -> None:
    take_up_token(config, state, PACKAGE)
    assert load_config(config) == wanted("t-1")
    assert not token_file.exists()
    token_file.touch(0o600)
    token_file.write_text("t-2")
    take_up_token(config, state, None)
    assert load_config(config) == wanted("t-2")


def test_a_token_that_an_enrolled_agent_does_not_need_goes_away(
    config: Path, state: Path, token_file: Path
) -> None:
    enroll(state)
    take_up_token(config, state, PACKAGE)
    assert not token_file.exists()
    assert not config.exists()


def test_without_configuration_and_token_the_agent_says_what_to_do(
    config: Path, state: Path
) -> None:
    with pytest.raises(TerminalError, match=r"^RW580: this agent has not joined a server"):
        take_up_token(config, state, PACKAGE)


def test_a_token_for_nobody_stays(config: Path, state: Path, token_file: Path) -> None:
    for package in (None, AgentPackage("0.1.0-1")):
        with pytest.raises(TerminalError, match=r"^RW583: nobody said which server"):
            take_up_token(config, state, package)
    assert token_file.exists()


def test_leave_removes_what_is_the_agents_and_nothing_else(
    config: Path, state: Path, token_file: Path
) -> None:
    join(config, state, SERVER, PIN, str(token_file))
    enroll(state)
    (state / "operation.json").write_text("{}")
    (state / ".rackwright-0f").write_text("of a write that the power failed in")
    (config.parent / ".rackwright-0f").write_text("likewise")
    (state / "rackwright.db").write_text("of a server")
    assert leave(config, state)
    assert [path.name for path in state.iterdir()] == ["rackwright.db"]
    assert list(config.parent.iterdir()) == []
    assert not leave(config, state)


def test_the_package_says_of_itself_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rackwright-package.json"
    assert load_package(path) is None
    path.write_bytes(encode(PACKAGE))
    assert load_package(path) == PACKAGE
    path.write_bytes(b"{}")
    assert load_package(path) is None


def test_the_command_line_answers_people_in_plain_words(
    config: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"rackwright-agent {AGENT_VERSION} (no package, ")
    places = ["--config", str(config), "--state", str(state)]
    assert main(["join", *places, "--token-file", str(config)]) == 3
    assert capsys.readouterr().err.startswith("RW58")
    assert main(["service", *places]) == 3
    assert "RW580: this agent has not joined" in capsys.readouterr().err


def test_leaving_takes_all_that_the_agent_did_and_nothing_of_a_server(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("fetched/content/ab", "files/op/etc/motd", "store/chunks/ab", "content/files/ab"):
        (state / name).parent.mkdir(parents=True)
        (state / name).write_text("x")
    for name in ("inventory", "exchange", "packages.json", "installer.lock", "shutdown.json"):
        (state / name).write_text("x")
    assert leave(tmp_path / "agent.json", state)
    assert {path.name for path in state.iterdir()} == {"store", "content"}
    assert not leave(tmp_path / "agent.json", state)
