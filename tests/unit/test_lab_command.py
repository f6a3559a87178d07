import pytest

from agent.errors import CodedError
from providers.lab.command import run


def test_output_comes_back():
    assert run(["cat"], package="coreutils", standard_input="héllo") == "héllo"


def test_commands_speak_english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"], package="dash") == "C\n"


def test_a_missing_program_names_its_package():
    with pytest.raises(CodedError) as caught:
        run(["no-such-program"], package="some-package")
    assert str(caught.value) == (
        "RW801: no-such-program is not installed. Install it: apt install some-package."
    )


def test_a_failure_is_told_in_the_programs_own_words():
    with pytest.raises(CodedError) as caught:
        run(["sh", "-c", "echo out; echo this broke >&2; exit 3"], package="dash")
    assert str(caught.value) == (
        "RW809: sh failed with exit status 3. Its last words were:\n  this broke."
    )


def test_a_full_file_system_is_told_as_such(tmp_path):
    script = "echo mke2fs: No space left on device while writing >&2; exit 1"
    with pytest.raises(CodedError) as caught:
        run(["sh", "-c", script], package="dash", writes=tmp_path / "disk.raw")
    assert str(caught.value).startswith(
        f"RW808: no space is left for {tmp_path}/disk.raw: "
        "mke2fs: No space left on device while writing. Free some space there"
    )
