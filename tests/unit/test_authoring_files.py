"""Which files are rewritten, and that they are rewritten whole or not at all."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.commands import cli
from reconciler.cli.edited_file import below, files_below, read_file, write_file, write_output
from reconciler.cli.rewriting import rewrite_files, text_diff
from tests.unit.git_repository import GitRepository

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab" / "fleet"


def test_a_search_leaves_out_hidden_folders_links_and_other_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/c.yml", ".github/x.yaml", "a/.hidden.yaml", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    found = [str(path.relative_to(tmp_path)) for path in files_below((tmp_path,))]
    assert found == ["b.yaml", "a/c.yml"]
    twice = files_below((tmp_path / "b.yaml", tmp_path))
    assert [path.name for path in twice] == ["b.yaml", "c.yml"]


def test_a_symbolic_link_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    link = tmp_path / "link.yaml"
    link.symlink_to(target)
    for act in (lambda: read_file(link), lambda: write_file(link, b"x")):
        with pytest.raises(AuthoringError) as caught:
            act()
        assert caught.value.code == "RW932"
        assert caught.value.cause == f"{link} is a symbolic link"
    assert target.read_text() == "kept"


def test_what_is_no_regular_file_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(AuthoringError, match=r"RW932: .*pipe\.yaml is not a regular file"):
        read_file(pipe)
    with pytest.raises(AuthoringError, match=r"RW932: .*none\.yaml cannot be read: No such file"):
        read_file(tmp_path / "none.yaml")


def test_a_file_keeps_its_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("old")
    file.chmod(0o640)
    before = file.stat().st_ino
    write_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuthoringError, match="cannot be written: No space left on device"):
        write_file(file, b"new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_a_path_that_leaves_the_repository_by_a_link_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    assert below(root, root / "machines" / "new.yaml") == root / "machines" / "new.yaml"
    for path in (root / "out" / "x.yaml", root / ".." / "x.yaml", Path("/etc/x.yaml")):
        with pytest.raises(AuthoringError, match=r"RW932: .* is outside of "):
            below(root, path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a\nb\n", b"a\nc\n"),
        (b"a\nb", b"a\nb\nc\n"),
        (b"a\nb", b"a\nb\nc"),
        (b"a\r\nb\r\n", b"a\r\nb\r\nc\r\n"),
        (b"", b"a\n"),
        (b"a\x0cb\n\xe2\x80\xa8c\n", b"a\x0cb\n\xe2\x80\xa8d\n"),
    ],
)
def test_git_applies_a_diff_to_the_very_bytes(tmp_path: Path, old: bytes, new: bytes) -> None:
    file = tmp_path / "a.yaml"
    if old:
        file.write_bytes(old)
    patch = text_diff("a.yaml", old or None, new)
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    subprocess.run(command, cwd=tmp_path, input=patch.encode(), check=True)
    assert file.read_bytes() == new


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_rewritten_file_still_belongs_to_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "machines.yaml"
    file.write_text("b: 1\n")
    os.chown(file, 12345, 23456)
    rewrite_files((file,), lambda _, old: old.upper(), check=False, diff=False, verb="formatted")
    assert file.read_text() == "B: 1\n"
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
@pytest.mark.parametrize("command", [["schema"], ["export", "csv"], ["plan"]])
def test_output_to_a_device_leaves_the_device(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "null.md"
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    monkeypatch.setenv("RACKWRIGHT_STATE", str(tmp_path / "state"))
    fleet = GitRepository(tmp_path / "fleet")
    fleet.commit("first", {path.name: path.read_bytes() for path in EXAMPLE.glob("*.yaml")})
    repository = [] if command == ["schema"] else ["--repo", str(fleet.path)]
    done = CliRunner().invoke(cli, [*command, *repository, "--out", str(node)])
    assert done.exception is None, done.output
    assert stat.S_ISCHR(node.lstat().st_mode)


def test_output_goes_to_what_a_link_names_and_a_repository_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_output(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_output_that_cannot_be_written_is_refused_with_a_code(tmp_path: Path) -> None:
    with pytest.raises(AuthoringError) as caught:
        write_output(tmp_path / "none" / "plan.json", iter([b"x"]))
    assert str(caught.value) == (
        f"RW932: {tmp_path}/none/plan.json cannot be written: No such file or directory. "
        "Let this user write in its folder, and make room there."
    )
