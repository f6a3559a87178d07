import shutil
from pathlib import Path

import pytest
import zstandard.backend_c

from agent.errors import TerminalError
from providers.deploy_os import root_tree
from providers.deploy_os.package_files import PackageFiles, link_target, merged

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    root = tmp_path / "packages"
    (root / "bin").mkdir(parents=True)
    (root / "sbin").mkdir()
    (root / LIBRARIES).mkdir(parents=True)
    shutil.copy("/bin/ls", root / "bin/kmod")
    (root / "sbin/modprobe").symlink_to("/bin/kmod")
    return root


def add_libraries(root: Path) -> None:
    (root / LIBRARIES / "libselinux.so.1").write_bytes(b"")
    (root / LIBRARIES / "libc.so.6").write_bytes(b"")
    (root / "lib64").mkdir()
    (root / "lib64/ld-linux-x86-64.so.2").symlink_to("/lib/x86_64-linux-gnu/ld.so")
    (root / "lib/x86_64-linux-gnu").mkdir(parents=True)
    (root / "lib/x86_64-linux-gnu/ld.so").write_bytes(b"")


def test_paths_are_spelt_as_on_a_merged_system() -> None:
    assert merged("bin/ip") == "usr/bin/ip"
    assert merged("boot/vmlinuz") == "boot/vmlinuz"
    assert link_target("usr/sbin/modprobe", "../bin/kmod") == "usr/bin/kmod"
    assert link_target("usr/sbin/modprobe", "/bin/kmod") == "usr/bin/kmod"


def test_a_link_brings_its_program_and_the_program_its_libraries(unpacked: Path) -> None:
    add_libraries(unpacked)

    kept = PackageFiles(unpacked).with_needs(["usr/sbin/modprobe"])

    assert kept == {
        "usr/sbin/modprobe",
        "usr/bin/kmod",
        f"{LIBRARIES}/libselinux.so.1",
        f"{LIBRARIES}/libc.so.6",
        "usr/lib64/ld-linux-x86-64.so.2",
        f"{LIBRARIES}/ld.so",
    }


def test_a_library_that_no_package_has_is_named(unpacked: Path) -> None:
    with pytest.raises(TerminalError) as caught:
        PackageFiles(unpacked).with_needs(["usr/bin/kmod"])

    assert caught.value.code == "RW854"
    assert caught.value.cause == (
        "usr/bin/kmod is linked against libselinux.so.1, which no package of the recipe has"
    )


def test_a_real_file_counts_more_than_a_compatibility_link(tmp_path: Path) -> None:
    for folder in ("bin", "usr/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/old").symlink_to("/bin/old")
    (tmp_path / "bin/old").write_bytes(b"real")
    (tmp_path / "bin/new").symlink_to("/usr/bin/new")
    (tmp_path / "usr/bin/new").write_bytes(b"real")

    files = PackageFiles(tmp_path)

    assert not files.source("usr/bin/old").is_symlink()
    assert not files.source("usr/bin/new").is_symlink()


def test_links_are_copied_as_links(unpacked: Path, tmp_path: Path) -> None:
    PackageFiles(unpacked).copy(["usr/sbin/modprobe", "usr/bin/kmod"], tmp_path / "root")

    assert (tmp_path / "root/usr/sbin/modprobe").readlink() == Path("/bin/kmod")
    assert (tmp_path / "root/usr/bin/kmod").stat().st_size > 0


def test_two_kernels_are_refused(tmp_path: Path) -> None:
    for kernel in ("6.1.0-1-amd64", "6.1.0-2-amd64"):
        (tmp_path / "lib/modules" / kernel).mkdir(parents=True)
        (tmp_path / "lib/modules" / kernel / "modules.order").touch()

    with pytest.raises(TerminalError) as caught:
        root_tree.kernel_of(PackageFiles(tmp_path))

    assert caught.value.cause == (
        "the recipe's packages hold 2 kernels, not one: ['6.1.0-1-amd64', '6.1.0-2-amd64']"
    )


def test_python_packages_lose_what_is_not_imported_and_gain_libraries(
    unpacked: Path, tmp_path: Path
) -> None:
    add_libraries(unpacked)
    for name in ("libpthread.so.0", "libm.so.6"):
        (unpacked / LIBRARIES / name).write_bytes(b"")
    root = tmp_path / "root"
    package = root / root_tree.AGENT_FOLDER / "zstandard"
    package.mkdir(parents=True)
    whole = Path(zstandard.backend_c.__file__)
    shutil.copy(whole, package / "backend_c.so")
    for name in ("__init__.py", "__init__.pyi", "py.typed", "backend_cffi.py", "_cffi.so"):
        (package / name).touch()

    root_tree.finish_python_packages(PackageFiles(unpacked), root)

    assert {path.name for path in package.iterdir()} == {"__init__.py", "backend_c.so"}
    assert (package / "backend_c.so").stat().st_size < whole.stat().st_size
    assert (root / LIBRARIES / "libc.so.6").exists()
