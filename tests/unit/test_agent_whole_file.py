"""Files are whole or as they were; what is no file stays what it is."""

import errno
import os
import pickle
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import UnwritableFileError
from agent.whole_file import create_atomically, write_atomically

NOBODY = 65534
ACL = "system.posix_acl_access"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


def acl(*, named_user: int, permissions: int, mask: int = 7) -> bytes:
    """Return an access list (linux/posix_acl_xattr.h): owner rw, one user, group r, mask."""
    entries = [(1, 6, -1), (2, permissions, named_user), (4, 4, -1), (16, mask, -1), (32, 0, -1)]
    return (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little")
        + bits.to_bytes(2, "little")
        + user.to_bytes(4, "little", signed=user < 0)
        for tag, bits, user in entries
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of its own with 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_new_file_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_atomically(path, b"content")
    finally:
        os.umask(before)
    assert (path.read_bytes(), mode(path), names(tmp_path)) == (b"content", 0o640, ["file"])


def test_a_secret_is_private_from_its_first_byte(tmp_path: Path) -> None:
    seen = []

    def pieces() -> Iterator[bytes]:
        (temporary,) = tmp_path.iterdir()
        seen.append(mode(temporary))
        yield b"secret"

    before = os.umask(0)
    try:
        write_atomically(tmp_path / "key", pieces(), 0o600)
    finally:
        os.umask(before)
    assert (seen, mode(tmp_path / "key")) == ([0o600], 0o600)


def test_nobody_can_open_a_file_before_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = []
    real = os.open

    def opened(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            created.append(mode)
        return real(path, flags, mode)

    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr(os, "open", opened)
    write_atomically(tmp_path / "new", b"secret", 0o644)
    write_atomically(tmp_path / "old", b"secret")
    create_atomically(tmp_path / "key", b"secret", 0o600)
    assert created == [0o600] * 3


def test_a_new_file_gets_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "file", b"content", 0o644)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o644


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o751)
    write_atomically(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o751)


def test_an_existing_file_keeps_no_more_than_a_secret_may(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_atomically(path, b"secret", 0o600)
    assert mode(path) == 0o600


@ROOT_ONLY
def test_an_existing_file_keeps_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.chown(path, 12345, 23456)
    write_atomically(path, b"new")
    status = path.stat()
    assert (status.st_uid, status.st_gid, mode(path)) == (12345, 23456, 0o640)
    assert path.read_bytes() == b"new"


@ROOT_ONLY
def test_an_existing_file_keeps_access_list_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.setxattr(path, "user.origin", b"tokyo")
    os.setxattr(path, ACL, acl(named_user=1000, permissions=6, mask=6))
    before = (os.getxattr(path, ACL), mode(path))
    write_atomically(path, b"new")
    assert os.getxattr(path, "user.origin") == b"tokyo"
    assert (os.getxattr(path, ACL), mode(path)) == before


@ROOT_ONLY
def test_a_file_without_an_access_list_gets_none_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    default = acl(named_user=1000, permissions=7)
    os.setxattr(tmp_path, "system.posix_acl_default", default)
    write_atomically(path, b"new")
    assert os.listxattr(path) == []
    assert mode(path) == 0o640


@ROOT_ONLY
def test_rights_that_belong_to_the_old_content_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"old")
    # CAP_NET_RAW, permitted and effective (linux/capability.h, revision 2).
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(path, "security.capability", capability)
    write_atomically(path, b"new")
    assert "security.capability" not in os.listxattr(path)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("second")
    (tmp_path / "second").symlink_to("folder/target")
    write_atomically(link, b"new")
    assert (link.is_symlink(), target.is_symlink(), target.read_bytes()) == (True, False, b"new")
    assert names(tmp_path / "folder") == ["target"]


def test_a_link_to_nothing_gets_a_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("target")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_link_is_refused_where_it_must_not_be_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(UnwritableFileError, match="it is a symbolic link"):
        write_atomically(tmp_path / "link", b"new", follow_links=False)
    assert (tmp_path / "target").read_bytes() == b"old"
    write_atomically(tmp_path / "target", b"new", follow_links=False)
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_link_that_comes_in_between_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        file.unlink()
        file.symlink_to("victim")
        yield b"new"

    write_atomically(file, pieces(), follow_links=False)
    assert (tmp_path / "victim").read_bytes() == b"old"
    assert (file.is_symlink(), file.read_bytes()) == (False, b"new")


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UnwritableFileError, match="more than 40 symbolic links"):
        write_atomically(tmp_path / "a", b"x")


@ROOT_ONLY
def test_a_link_that_another_user_left_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "victim").write_bytes(b"old")
    link = shared / "link"
    link.symlink_to(tmp_path / "victim")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(UnwritableFileError, match="a symbolic link of another user leads there"):
        write_atomically(link, b"new")
    assert (tmp_path / "victim").read_bytes() == b"old"


@ROOT_ONLY
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    node = tmp_path / "null"
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    write_atomically(node, b"gone")
    assert stat.S_ISCHR(node.lstat().st_mode)
    assert names(tmp_path) == ["null"]


def test_a_pipe_stays_a_pipe_and_gets_the_content(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, iter((b"one ", b"two")))
    reader.join()
    assert heard == [b"one two"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


WRITER = (
    "import sys; from pathlib import Path; from agent.whole_file import write_atomically;"
    "print('first', flush=True); write_atomically(Path(sys.argv[1]), b'second\\n')"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_standard_stream_is_written_wherever_it_leads(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, name]
    root = Path(__file__).parents[2]
    piped = subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert piped.stdout == b"first\nsecond\n"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run(command, cwd=root, stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"first\nsecond\n"
    assert names(tmp_path) == ["out"]


@ROOT_ONLY
def test_on_a_full_disk_the_old_content_stays(small_disk: Path) -> None:
    path = small_disk / "file"
    path.write_bytes(b"old")
    for target in (path, small_disk / "new"):
        with pytest.raises(UnwritableFileError) as caught:
            write_atomically(target, b"x" * 100_000)
        assert str(caught.value) == (
            f"RW572: {target} cannot be written: No space left on device. "
            "Make room there, or let this user write in its folder."
        )
        assert caught.value.errno == errno.ENOSPC
    with pytest.raises(UnwritableFileError, match="No space left on device"):
        create_atomically(small_disk / "new", b"x" * 100_000)
    assert (path.read_bytes(), names(small_disk)) == (b"old", ["file"])


@ROOT_ONLY
def test_on_a_read_only_file_system_nothing_changes(small_disk: Path) -> None:
    path = small_disk / "file"
    path.write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(UnwritableFileError, match="Read-only file system"):
        write_atomically(path, b"new")
    with pytest.raises(UnwritableFileError, match="Read-only file system"):
        create_atomically(small_disk / "new", b"new")
    assert names(small_disk) == ["file"]


def as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    # Loaded before root is given up: a checkout may lie where only root can read.
    program = (
        "import os, sys; from pathlib import Path;"
        "from agent.errors import CodedError; from agent.whole_file import write_atomically\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: write_atomically(Path(sys.argv[1]), b'new')\n"
        "except CodedError as error: raise SystemExit(str(error))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """Return a folder that everybody can reach and write."""
    for folder in tmp_path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    tmp_path.chmod(0o777)
    return tmp_path


@ROOT_ONLY
def test_who_cannot_keep_the_owner_does_not_write(open_folder: Path) -> None:
    path = open_folder / "file"
    path.write_bytes(b"old")
    done = as_nobody(path)
    assert done.stderr == (
        f"RW572: {path} cannot be written: this user cannot keep its owner 0:0. "
        "Make room there, or let this user write in its folder.\n"
    )
    assert (path.read_bytes(), names(open_folder)) == (b"old", ["file"])


@ROOT_ONLY
def test_who_cannot_write_in_the_folder_is_told(open_folder: Path) -> None:
    open_folder.chmod(0o755)
    done = as_nobody(open_folder / "file")
    assert f"RW572: {open_folder}/file cannot be written: Permission denied." in done.stderr
    assert names(open_folder) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFileError, match="Is a directory"):
        write_atomically(tmp_path, b"x")
    with pytest.raises(UnwritableFileError, match="No such file or directory"):
        write_atomically(tmp_path / "none" / "file", b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableFileError, match="Not a directory"):
        write_atomically(tmp_path / "file" / "file", b"x")


def test_content_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("broken off")

    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(ValueError, match="broken off"):
        write_atomically(tmp_path / "file", pieces())
    assert ((tmp_path / "file").read_bytes(), names(tmp_path)) == (b"old", ["file"])


def test_the_temporary_file_can_lie_elsewhere(tmp_path: Path) -> None:
    scratch, folder = tmp_path / "incoming", tmp_path / "folder"
    scratch.mkdir()
    folder.mkdir()

    def pieces() -> Iterator[bytes]:
        assert (len(names(scratch)), names(folder)) == (1, [])
        yield b"content"

    write_atomically(folder / "file", pieces(), scratch=scratch)
    assert (names(scratch), (folder / "file").read_bytes()) == ([], b"content")


def test_of_many_that_create_a_file_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "key"
    results: list[tuple[bool, bytes]] = []

    def create(number: int) -> None:
        content = str(number).encode()
        results.append((create_atomically(path, content, 0o600), content))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [content for created, content in results if created] == [path.read_bytes()]
    assert (names(tmp_path), mode(path)) == (["key"], 0o600)


def test_a_file_is_not_created_over_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to("elsewhere")
    assert not create_atomically(tmp_path / "key", b"x")
    assert names(tmp_path) == ["key"]


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_readers_see_the_old_content_or_the_new(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("file") / "file"
    for content in contents:
        write_atomically(path, content)
        assert path.read_bytes() == content


def test_the_error_survives_another_process() -> None:
    error = UnwritableFileError(Path("/a"), "No space left on device", errno.ENOSPC)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (twin.path, twin.errno, str(twin)) == (error.path, error.errno, str(error))
