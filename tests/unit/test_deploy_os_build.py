"""What a build refuses, publishes and recognises; the build itself is a lab test."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from agent.errors import TerminalError
from providers.deploy_os import base, result
from providers.deploy_os.build import build, version_of
from providers.deploy_os.directory import replace_directory
from providers.deploy_os.recipe import find_recipe, load_recipe


def quiet(_: str, __: float | None) -> None:
    pass


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "__main__.py").write_text("pass\n")
    return folder


def described(directory: Path, version: str) -> result.DeployOSBuild:
    directory.mkdir()
    (directory / "vmlinuz").write_bytes(b"kernel")
    (directory / "initrd.img").write_bytes(b"RAM disk")
    recipe = load_recipe(find_recipe())
    return result.describe(directory, recipe, version, "6.1.0-1-amd64", {"b": "2", "a": "1"})


def test_only_root_can_build(tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(TerminalError) as caught:
        build(tmp_path / "out", tmp_path / "cache", quiet, agent)

    assert str(caught.value) == (
        "RW858: the Deploy-OS is built from Debian packages, which only root can unpack. "
        "Run the build as root; the result can be used by any user."
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_the_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError) as caught:
        build(tmp_path / "out", tmp_path / "cache", quiet, tmp_path)

    assert caught.value.code == "RW860"
    assert caught.value.cause == f"{tmp_path} is not the agent: it has no __main__.py"


def test_a_cache_that_cannot_be_written_is_an_error_with_its_path(
    tmp_path: Path, agent: Path
) -> None:
    (tmp_path / "cache").write_bytes(b"a file is in the way")

    with pytest.raises(TerminalError) as caught:
        build(tmp_path / "out", tmp_path / "cache", quiet, agent)

    assert caught.value.code == "RW861"
    assert str(tmp_path / "cache") in caught.value.cause


def test_a_second_build_says_that_it_waits(tmp_path: Path) -> None:
    said: list[str] = []

    def note(text: str, _: float | None) -> None:
        said.append(text)
        fcntl.flock(held, fcntl.LOCK_UN)

    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with base.exclusive(tmp_path, note):
            pass

    assert said == ["waiting for another build"]


def test_each_input_changes_the_version(tmp_path: Path) -> None:
    first = base.Base(tmp_path, "recipe", "6.1.0-1-amd64", 0, {"libc6": "2.36-9"})
    other_recipe = base.Base(tmp_path, "other", "6.1.0-1-amd64", 0, {"libc6": "2.36-9"})
    other_package = base.Base(tmp_path, "recipe", "6.1.0-1-amd64", 0, {"libc6": "2.36-10"})

    versions = {
        version_of(first, "agent"),
        version_of(first, "new agent"),
        version_of(other_recipe, "agent"),
        version_of(other_package, "agent"),
    }

    assert len(versions) == 4
    assert version_of(first, "agent") in versions


def test_a_description_says_what_the_directory_holds(tmp_path: Path) -> None:
    build = described(tmp_path / "out", "abc")

    assert result.load(tmp_path / "out") == build
    document = json.loads((tmp_path / "out" / "deploy-os.json").read_text())
    assert document["sizes"] == {"initrd.img": 8, "vmlinuz": 6}
    assert document["digests"]["vmlinuz"] == (
        "6923dd1bc0460082c5d55a831908c24a282860b7f1cd6c2b79cf1bc8857c639c"
    )
    assert list(document["packages"]) == ["a", "b"]
    assert document["debian"] == "bookworm"
    assert "directory" not in document


def test_a_damaged_build_is_not_loaded(tmp_path: Path) -> None:
    described(tmp_path / "out", "abc")
    (tmp_path / "out" / "initrd.img").write_bytes(b"RAM")

    with pytest.raises(TerminalError) as caught:
        result.load(tmp_path / "out")

    assert str(caught.value) == (
        f"RW859: {tmp_path}/out holds no complete Deploy-OS: of another size than it was built "
        "with: initrd.img. Build it: rackwright deploy-os build."
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sizes": {}, "kernel_arguments": 3}'])
def test_garbage_for_a_description_is_an_error_with_a_code(tmp_path: Path, text: str) -> None:
    (tmp_path / "deploy-os.json").write_text(text)

    with pytest.raises(TerminalError) as caught:
        result.load(tmp_path)

    assert caught.value.code == "RW859"


def test_a_directory_takes_anothers_place_and_nothing_is_left_over(tmp_path: Path) -> None:
    for name in ("new", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "said").write_text(name)

    replace_directory(tmp_path / "new", tmp_path / "place")

    assert (tmp_path / "place" / "said").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_directory_is_put_where_none_was(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    replace_directory(tmp_path / "new", tmp_path / "place")

    assert [path.name for path in tmp_path.iterdir()] == ["place"]
