"""What is shipped: the lock, the wheel, the packages of Debian; and who may write files."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = {".cfg", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}


def shipped() -> list[Path]:
    """Return the text files of the project: Git's, else (in an archive) all."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def test_no_file_knows_where_it_was_written() -> None:
    home = re.compile(rf"(?<![\w.-]){re.escape(str(ROOT))}\b")
    telling = [path for path in shipped() if home.search(path.read_text(errors="replace"))]
    assert telling == []


def test_the_lock_names_versions_and_hashes_and_no_place() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"^(?!#|    |[a-z0-9-]+==[^ ]+ \\$).+$", lock, re.MULTILINE) == []
    assert re.findall(r"://|--index-url|--find-links|file:|^/", lock) == []
    pins = re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE)
    assert len(pins) == len(set(pins)) > 30
    assert lock.count("--hash=sha256:") >= len(pins)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what an installation of the wheel has."""
    folder = tmp_path_factory.mktemp("wheel")
    program = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_has_every_module_and_no_test(wheel: Path) -> None:
    packages = {"agent", "providers", "reconciler", "specs"}
    names = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*.py")}
    assert names >= {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*.py")
    }
    top = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert top == packages


def test_the_wheel_finds_the_recipe_of_the_deploy_os(wheel: Path) -> None:
    program = (
        "from providers.deploy_os.recipe import find_recipe, load_recipe;"
        "folder = find_recipe(); print(folder); print(load_recipe(folder).lock)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=wheel,
        env={"PYTHONPATH": str(wheel), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    recipe = wheel / "providers/deploy_os/recipe"
    assert done.stdout.split() == [str(recipe), str(recipe / "requirements.lock")], done.stderr


def test_every_debian_package_is_named_once_with_a_sign_of_its_own() -> None:
    lines = (ROOT / ".ci/debian-packages").read_text().splitlines()
    entries = [entry for line in lines if (entry := line.partition("#")[0].split())]
    assert all(len(entry) > 1 for entry in entries)
    packages = [entry[0] for entry in entries]
    assert len(packages) == len(set(packages))


# Modules that make files by other means than agent.whole_file, and why they may.
OTHER_WRITERS = {
    "agent/content.py": "a file that takes its name when it is whole",
    "agent/commands/supervised.py": "a lock",
    "agent/files/kept.py": "copies of what a person may want back, made beside their names",
    "agent/commands/windows/supervisor.py": "a lock",
    "agent/commands/windows/schtasks.py": "what a program reads at once, in the agent's own folder",
    "agent/files/reading.py": "a copy in the agent's own folder, for the server",
    "agent/identity/linux/image_tree.py": "no link of an image may be followed",
    "agent/imaging/boot_block.py": "a disk",
    "agent/imaging/boot_code.py": "a disk",
    "agent/imaging/restore.py": "a disk",
    "agent/imaging/volume_grow.py": "a volume on a disk",
    "agent/imaging/sparse.py": "a copy of a partition, in a temporary folder",
    "agent/upgrade/staging.py": "a folder that takes its name when it is whole",
    "agent/whole_file.py": "it is the writer",
    "providers/content/store.py": "a file that takes its name when it is whole; a lock",
    "providers/agent_package/build.py": "a package that takes its name when it is whole",
    "providers/agent_package/deb.py": "in a temporary folder",
    "providers/agent_package/msi.py": "in a temporary folder",
    "providers/agent_package/rpm.py": "in a temporary folder",
    "providers/agent_package/runtime.py": "a folder that takes its name when it is whole",
    "providers/agent_package/tar.py": "in a temporary folder",
    "providers/agent_package/tree.py": "in a temporary folder",
    "providers/agent_package/windows_tree.py": "in a temporary folder; a cache by its digest",
    "providers/deploy_os/agent_layer.py": "a tree in a temporary folder",
    "providers/deploy_os/base.py": "a folder that takes its name when it is whole; a lock",
    "providers/deploy_os/build.py": "a folder that takes its name when it is whole",
    "providers/deploy_os/command.py": "a log",
    "providers/deploy_os/directory.py": "exchanges whole folders",
    "providers/deploy_os/initramfs.py": "in such a folder",
    "providers/deploy_os/root_tree.py": "in such a folder",
    "providers/imaging/restore_test.py": "a sparse disk in a temporary folder",
    "providers/imaging/shrinking.py": "sparse disks in a temporary folder",
    "providers/imaging/store.py": "a folder that takes its name when it is whole",
    "providers/imaging/store_place.py": "a lock",
    "providers/imaging/stored_chunks.py": "takes a file out of use",
    "providers/imaging/transfer.py": "a disk that a person asked for",
    "providers/lab/accelerator.py": "a temporary file for QEMU",
    "providers/lab/directory.py": "a lock",
    "providers/lab/golden/disk.py": "a disk that takes its name when it is whole",
    "providers/lab/golden/grub.py": "in a temporary folder",
    "providers/lab/golden/identity.py": "in a temporary folder",
    "providers/lab/golden/root_tar.py": "a tar that takes its name when it is whole; a lock",
    "providers/lab/machine_power.py": "logs",
    "providers/lab/simulate/disk.py": "a disk that takes its name when it is whole",
    "providers/lab/simulate/host_tree.py": "what a simulated kernel shows, for one boot",
    "providers/lab/simulate/machine.py": "a disk that takes its name when it is whole; a log",
    "providers/lab/simulate/rack.py": "a log",
    "providers/lab/simulate/system.py": "what a simulated kernel shows, for one boot",
    "providers/lab/up.py": "a log",
    "providers/package_source/mirror.py": "a lock",
    "reconciler/cli/simulate.py": "a log",
    "reconciler/compiled/cache.py": "a database",
    "reconciler/git/command.py": "memory",
    "reconciler/git/gpg_command.py": "in a temporary folder",
    "reconciler/git/location.py": "a lock",
    "reconciler/git/signature_check.py": "in a temporary folder",
    "reconciler/server/state_lock.py": "a lock",
}
WRITING = {"rename", "write_text", "write_bytes", "NamedTemporaryFile", "mkstemp", "copyfile"}


def makes_files(call: ast.Call) -> bool:
    """Return whether a call gives a file content or a name."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if name in WRITING:
        return True
    if name == "replace":  # of a path; that of a text has two arguments
        return len(call.args) == 1 and not call.keywords
    if name not in {"open", "fdopen"}:
        return False
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    modes = [text for text in texts if isinstance(text, str) and re.fullmatch("[rwxabt+]+", text)]
    return "O_CREAT" in ast.unparse(call) or any(set(mode) & set("wxa") for mode in modes)


def writers() -> Iterator[str]:
    for package in ("agent", "providers", "reconciler", "specs"):
        for path in (ROOT / package).rglob("*.py"):
            calls = (node for node in ast.walk(ast.parse(path.read_text())))
            if any(isinstance(node, ast.Call) and makes_files(node) for node in calls):
                yield path.relative_to(ROOT).as_posix()


def test_whole_files_are_written_in_one_place() -> None:
    assert set(writers()) == set(OTHER_WRITERS)
