"""What the agent's package is made of, and what is written into it."""

import dataclasses
import io
import re
import subprocess
import tarfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.config import AgentPackage
from agent.errors import TerminalError
from agent.identity.linux.agent_bundle import unit_text
from providers.agent_package import deb, layout, msi, rpm, runtime, tar, tree
from providers.agent_package.debian_lock import mirrors_at, parse_uris
from providers.agent_package.layout import PackageVersion, version_of
from providers.agent_package.recipe import (
    LOCK,
    RECIPE,
    LockedPackage,
    load_recipe,
    lock_text,
    parse_recipe,
)
from providers.agent_package.runtime import Runtime
from providers.agent_package.scripts import deb_scripts, rpm_scripts
from providers.agent_package.windows_tree import LOCK as WINDOWS_LOCK
from providers.agent_package.windows_tree import locked_digest

VERSION = PackageVersion("0.1.0", 3)
URIS = """\
'http://deb.debian.org/debian-security/pool/updates/main/o/openssl/libssl3_3.0.19-1%7edeb12u2\
_amd64.deb' libssl3_3.0.19-1~deb12u2_amd64.deb 2029280 SHA256:{digest}
'http://deb.debian.org/debian/pool/main/e/e/e_1%3a2_amd64.deb' e_1%3a2_amd64.deb 7 SHA256:{digest}
""".format(digest="0f" * 32)


def documents() -> tuple[dict, dict]:
    return tomllib.loads(RECIPE.read_text("utf-8")), tomllib.loads(LOCK.read_text("utf-8"))


def test_every_package_is_locked_by_its_hash_and_has_two_places() -> None:
    recipe = load_recipe()
    assert {package.name for package in recipe.locked} == set(recipe.packages)
    assert len(recipe.mirrors) == 2
    address = recipe.mirrors[1].format(archive="debian", path=recipe.locked[0].path)
    assert address.startswith("http://snapshot.debian.org/archive/debian/2")


def test_the_lock_is_read_as_it_was_written() -> None:
    recipe, _ = documents()
    known = load_recipe()
    text = lock_text(known.mirrors, list(reversed(known.locked)))
    assert text == LOCK.read_text("utf-8")
    assert parse_recipe(recipe, tomllib.loads(text)) == known


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"path": "../../etc/passwd"}, "odd place"),
        ({"path": "pool/main/../x.deb"}, "odd place"),
        ({"archive": "elsewhere"}, "odd place"),
        ({"sha256": "0f"}, "has no SHA-256"),
        ({"size": "7"}, "not a locked package"),
        ({"name": "another"}, "differ in packages: another, fdisk"),
    ],
)
def test_a_lock_that_was_changed_by_hand_is_refused(change: dict, problem: str) -> None:
    recipe, lock = documents()
    assert lock["package"][0]["name"] == "fdisk"
    lock["package"][0].update(change)
    with pytest.raises(ValueError, match=problem):
        parse_recipe(recipe, lock)


def test_a_missing_file_is_told_with_a_code(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"^RW820: .*do not say what the agent's package"):
        load_recipe(tmp_path / "recipe.toml")


def test_apts_answer_becomes_locked_packages() -> None:
    digest = "0f" * 32
    assert parse_uris(URIS) == [
        LockedPackage(
            "libssl3",
            "3.0.19-1~deb12u2",
            "debian-security",
            "pool/updates/main/o/openssl/libssl3_3.0.19-1%7edeb12u2_amd64.deb",
            2029280,
            digest,
        ),
        LockedPackage("e", "1:2", "debian", "pool/main/e/e/e_1%3a2_amd64.deb", 7, digest),
    ]
    assert mirrors_at(datetime(2026, 11, 29, 12, 0, tzinfo=UTC))[1] == (
        "http://snapshot.debian.org/archive/{archive}/20261129T120000Z/{path}"
    )


@pytest.mark.parametrize("revision", [0, -1, 10**9])
def test_a_revision_that_cannot_be_ordered_is_refused(revision: int) -> None:
    with pytest.raises(TerminalError, match=r"^RW823: .* no version that every package manager"):
        version_of(revision)


def test_the_service_waits_until_there_is_a_configuration_or_a_token() -> None:
    lines = layout.packaged_unit_text().splitlines()
    assert "ConditionPathExists=|/etc/rackwright/agent.json" in lines
    assert "ConditionPathExists=|/etc/rackwright/token" in lines
    assert "ExecStart=/usr/sbin/rackwright-agent service" in lines
    assert "ConditionPathExists" not in unit_text("/usr/bin/true")


@pytest.mark.parametrize("name", ["preinst", "postinst", "prerm", "postrm"])
def test_the_scripts_of_the_deb_are_shell(name: str) -> None:
    check_shell(deb_scripts()[name])


@pytest.mark.parametrize("name", ["post", "preun", "postun"])
def test_the_scripts_of_the_rpm_are_shell(name: str) -> None:
    check_shell(rpm_scripts()[name])


def test_the_launcher_is_shell() -> None:
    check_shell(layout.launcher_text())


def check_shell(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the tree of a package whose runtime is one file, which needs no libraries."""
    monkeypatch.setattr(runtime, "use_carried_libraries", lambda *_: None)
    carried = Runtime(tmp_path / "runtime", 1_700_000_000)
    (carried.root / layout.AGENT_FOLDER).mkdir(parents=True, mode=0o700)
    (carried.root / layout.AGENT_FOLDER / "module.py").write_text("1\n")
    (carried.root / layout.AGENT_FOLDER / "module.py").chmod(0o600)
    place = tmp_path / "root"
    package = AgentPackage(str(VERSION), "https://192.0.2.1:8443", "5f" * 32)
    tree.make_tree(carried, (), VERSION, package, place)
    return place


def test_the_archive_has_one_owner_time_and_order(root: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar.archive_of(root, 1_700_000_000))) as archive:
        entries = archive.getmembers()
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries} == {(0, 0, 1_700_000_000)}
    assert {oct(entry.mode) for entry in entries if not entry.issym()} == {"0o755", "0o644"}
    files = [entry.name for entry in entries if not entry.isdir()]
    folder = f"./{VERSION.folder}/{layout.AGENT_FOLDER}"
    assert files == [
        "./opt/rackwright-agent/current",
        f"./{VERSION.folder}/start",
        f"{folder}/module.py",
        f"{folder}/rackwright-package.json",
        "./usr/lib/systemd/system/rackwright-agent.service",
        "./usr/sbin/rackwright-agent",
    ]


def test_no_file_of_a_package_is_a_hard_link(root: Path) -> None:
    (root / "second").hardlink_to(root / layout.LAUNCHER)
    with pytest.raises(ValueError, match="is a hard link"):
        tar.archive_of(root, 0)


def test_dpkg_reads_the_deb_and_equal_trees_are_equal_bytes(root: Path, tmp_path: Path) -> None:
    path = deb.write(root, VERSION, 1_700_000_000, tmp_path)
    assert path.name == "rackwright-agent_0.1.0-3_amd64.deb"
    fields = ["Package", "Version", "Architecture"]
    asked = subprocess.run(
        ["dpkg-deb", "--field", path, *fields], capture_output=True, text=True, check=True
    )
    assert asked.stdout == ("Package: rackwright-agent\nVersion: 0.1.0-3\nArchitecture: amd64\n")
    unpacked = tmp_path / "unpacked"
    subprocess.run(["dpkg-deb", "--raw-extract", path, unpacked], check=True)
    assert (unpacked / "usr/sbin/rackwright-agent").stat().st_mode & 0o777 == 0o755
    sums = (unpacked / "DEBIAN/md5sums").read_text()
    subprocess.run(
        ["md5sum", "--check", "--quiet", "--strict"],
        input=sums,
        cwd=unpacked,
        text=True,
        check=True,
    )
    first = path.read_bytes()
    assert deb.write(root, VERSION, 1_700_000_000, tmp_path).read_bytes() == first


def test_the_rpm_owns_the_units_folders_and_no_other(root: Path) -> None:
    spec = rpm.spec_text(VERSION, root)
    assert [line for line in spec.splitlines() if line.startswith("%dir")] == [
        "%dir /usr/lib/systemd",
        "%dir /usr/lib/systemd/system",
    ]
    assert "Version: 0.1.0\nRelease: 3\n" in spec


def test_the_runtime_is_made_anew_when_anything_that_decides_it_changes(tmp_path: Path) -> None:
    source = tmp_path / "agent"
    source.mkdir()
    recipe = load_recipe()
    first = runtime.digest_of(recipe, "a==1", source)
    elsewhere = dataclasses.replace(recipe, mirrors=("http://192.0.2.1/{archive}/{path}",))
    assert runtime.digest_of(elsewhere, "a==1", source) == first
    (source / "main.py").write_text("")
    later = dataclasses.replace(recipe, locked=recipe.locked[1:])
    others = {
        runtime.digest_of(recipe, "a==1", source),
        runtime.digest_of(recipe, "a==2", source),
        runtime.digest_of(later, "a==1", source),
    }
    assert len(others | {first}) == 4


@pytest.mark.parametrize(
    ("version", "revision", "number"),
    [("0.2.0", 1, "0.2.1"), ("0.2.1", 7, "0.2.1007"), ("1.10.65", 535, "1.10.65535")],
)
def test_windows_installer_orders_versions_with_their_revisions(
    version: str, revision: int, number: str
) -> None:
    assert msi.product_version(PackageVersion(version, revision)) == number


@pytest.mark.parametrize(
    ("version", "revision"), [("0.2.0", 1000), ("0.2.66", 1), ("0.2rc1", 1), ("1.2.3.4", 1)]
)
def test_a_version_without_a_place_in_windows_installer_is_refused(
    version: str, revision: int
) -> None:
    with pytest.raises(TerminalError) as error:
        msi.product_version(PackageVersion(version, revision))
    assert str(error.value) == (
        f"RW823: {version}-{revision} is no version that Windows Installer can order. "
        "Give --revision a number from 1 to 999."
    )


def test_files_of_windows_keep_their_components_from_version_to_version(tmp_path: Path) -> None:
    found = []
    for revision, names in ((1, ("old.py", "kept & new.py")), (2, ("kept & new.py",))):
        root = tmp_path / str(revision) / "root"
        (root / "lib").mkdir(parents=True)
        for name in ("pythonw.exe", *(f"lib/{name}" for name in names)):
            (root / name).write_text("content", "ascii")
        source = msi.source_text(root, PackageVersion("0.2.0", revision))
        tree = ET.fromstring(source)  # noqa: S314 - our own
        parts = tree.iter("{http://schemas.microsoft.com/wix/2006/wi}Component")
        found.append({part[0].get("Name"): part.get("Guid") for part in parts})
        assert "[TOKENFILE]" in source
        assert f'INSTALLEDVERSION="0.2.0-{revision}"' in source
        # Everybody may make folders there: neither written, nor read, nor removed.
        assert "ProgramData" not in source
        assert r'/c rd /s /q "C:\Program Files\Rackwright\data"' in source
    assert found[0].keys() == {"pythonw.exe", "old.py", "kept & new.py"}
    assert len(set(found[0].values())) == 3
    del found[0]["old.py"]
    assert found[0] == found[1]


def test_python_for_windows_is_locked_by_its_hash() -> None:
    assert re.fullmatch("[0-9a-f]{64}", locked_digest(WINDOWS_LOCK.read_text("utf-8")))
