"""Identity applied to real file systems on disks that are files."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from agent.errors import FinishedWorkError, TerminalError
from agent.identity.linux.agent_bundle import collect_bundle, install_agent, unit_text
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.identity.linux.installed_config import installed_config_on
from agent.identity.linux.root_filesystem import find_root, root_tree
from agent.identity.linux.ssh_host_keys import make_host_keys, replace_host_keys
from agent.inspection.host_keys import host_key_fingerprints
from agent.steps.run import refuse_finished
from agent.version import AGENT_VERSION
from agent.wire.codec import encode
from tests.protocol.identity_disks import CONFIG, MIB, NEW, PIN, START, Rack, run, system
from tests.unit.agent_sysfs import write_tree

pytestmark = pytest.mark.timeout(120)


def test_inspection_names_what_the_real_tools_find(rack: Rack, golden: Path) -> None:
    disk = rack.build(golden, golden)
    assert disk.table == "gpt"
    assert disk.holds == "gpt, 2 partitions: ext4, ext4"
    first, second = disk.partitions
    assert (first.number, first.start, first.size) == (1, START, 24 * MIB)
    assert (first.filesystem, first.label, second.label) == ("ext4", "fs0", "fs1")
    assert re.fullmatch(r"[0-9a-f-]{36}", first.uuid)


@pytest.mark.needs_root
def test_a_restored_system_becomes_this_machines(rack: Rack, golden: Path) -> None:
    disk = rack.build(golden)
    result = rack.apply(disk)
    assert (result["machine-id"], result["network"], result["root"]) == (
        NEW.machine_id,
        "systemd-networkd",
        "1",
    )
    with rack.opened() as root:
        assert (root / "etc/hostname").read_text() == "node-0713\n"
        assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 node-0713\n"
        assert (root / "etc/machine-id").read_text() == NEW.machine_id + "\n"
        assert stat.S_IMODE((root / "etc/machine-id").stat().st_mode) == 0o444
        networks = sorted(path.name for path in (root / "etc/systemd/network").iterdir())
        assert networks == ["10-rackwright.network"]
        attic = root / "etc/rackwright/replaced/etc/systemd/network/05-golden.network"
        assert attic.read_text() == "[Match]\nName=*\n"
        assert (root / "etc/resolv.conf").read_text() == "nameserver 10.20.0.53\n"
        assert not (root / "var/lib/rackwright").exists()
        assert not (root / "var/lib/systemd/random-seed").exists()


@pytest.mark.needs_root
def test_host_keys_are_new_and_their_fingerprints_known(rack: Rack, golden: Path) -> None:
    result = rack.apply(rack.build(golden))
    with rack.opened() as root:
        names = sorted(path.name for path in (root / "etc/ssh").iterdir())
        assert names == [
            "ssh_host_ecdsa_key",
            "ssh_host_ecdsa_key.pub",
            "ssh_host_ed25519_key",
            "ssh_host_ed25519_key.pub",
            "ssh_host_rsa_key",
            "ssh_host_rsa_key.pub",
            "sshd_config",
        ]
        assert stat.S_IMODE((root / "etc/ssh/ssh_host_rsa_key").stat().st_mode) == 0o600
        assert " ".join(host_key_fingerprints(root)) == result["ssh-host-keys"]
        public = root / "etc/ssh/ssh_host_ed25519_key.pub"
        shown = run(["ssh-keygen", "-l", "-f", str(public)]).split()
        assert shown[1] in result["ssh-host-keys"].split()
        assert shown[2] == "root@node-0713"


@pytest.mark.needs_root
def test_the_installed_agent_is_complete_and_private(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    rack.apply(rack.build(golden))
    with rack.opened() as root:
        config = root / "etc/rackwright/agent.json"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert json.loads(config.read_text()) == {
            "server": "https://10.77.0.1:8443",
            "pin": PIN,
            "token": "t-secret",
            "operation": "op-1",
            "machine": "node-0713",
            "finished": "",
        }
        wants = root / "etc/systemd/system/multi-user.target.wants/rackwright-agent.service"
        assert str(wants.readlink()) == "/etc/systemd/system/rackwright-agent.service"
        unit = (root / "etc/systemd/system/rackwright-agent.service").read_text()
        assert "ExecStart=/usr/bin/python3 -sE -m agent.upgrade.launcher service --config" in unit
        library = root / "usr/lib/rackwright"
        assert not (library / "agent/stale.py").exists()
        assert not (library / "agent/imaging").exists()
        run(["cp", "-r", str(library), str(tmp_path / "library")])
    assert runs_alone(tmp_path / "library") == f"{AGENT_VERSION}\n"


def runs_alone(library: Path) -> str:
    """Start the copied agent with the system's own Python, away from this checkout."""
    done = subprocess.run(
        ["/usr/bin/python3", "-sE", "-W", "error", "-m", "agent", "--version"],
        cwd=library,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs_root
def test_what_is_installed_is_read_from_outside_and_nothing_is_changed(
    rack: Rack, golden: Path
) -> None:
    disk = rack.build(golden)
    assert installed_config_on(rack.paths.sysfs, disk) is None
    rack.apply(disk)
    found = installed_config_on(rack.paths.sysfs, disk)
    assert found == CONFIG
    refuse_finished("op-1", found)  # an attempt that nobody called verified goes on

    with root_tree(rack.paths.sysfs, disk, find_root(rack.paths.sysfs, disk), write=True) as tree:
        tree.write("/etc/rackwright/agent.json", encode(evolve(CONFIG, finished="2026-11-21")))
    before = rack.digest()
    found = installed_config_on(rack.paths.sysfs, disk)
    assert rack.digest() == before
    refuse_finished("op-2", found)
    with pytest.raises(
        FinishedWorkError, match="RW573: the disk has the system that operation op-1"
    ):
        refuse_finished("op-1", found)


def test_nothing_is_installed_where_nothing_can_be_read(rack: Rack, golden: Path) -> None:
    broken = rack.build(golden)
    rack.apply(broken)
    with rack.node.open("r+b") as file:
        file.seek(START)
        file.write(bytes(4 * MIB))
    assert installed_config_on(rack.paths.sysfs, broken) is None


def test_applying_twice_gives_the_same_system(rack: Rack, golden: Path) -> None:
    disk = rack.build(golden)
    rack.apply(disk)
    rack.apply(disk)
    with rack.opened() as root:
        attic = root / "etc/rackwright/replaced/etc/systemd/network"
        assert [path.name for path in attic.iterdir()] == ["05-golden.network"]
        assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 node-0713\n"


@pytest.mark.needs_root
def test_a_separate_var_is_mounted_and_cleaned_too(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    var = tmp_path / "var"
    (golden / "var").rename(var)
    (golden / "var").mkdir()
    (golden / "etc/fstab").write_text("LABEL=fs0 / ext4\nLABEL=fs1 /var ext4\n")
    rack.apply(rack.build(golden, var))
    with rack.opened(1) as mounted:
        assert not (mounted / "lib/rackwright").exists()
        assert not (mounted / "lib/systemd/random-seed").exists()


@pytest.mark.needs_root
def test_a_var_on_another_disk_is_an_error_and_nothing_is_changed(rack: Rack, golden: Path) -> None:
    (golden / "etc/fstab").write_text("/dev/mapper/vg-var /var ext4\n")
    disk = rack.build(golden)
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.code == "RW468"
    assert caught.value.cause == (
        "/etc/fstab mounts /var from /dev/mapper/vg-var, which is not on the disk"
    )
    assert rack.digest() == before


@pytest.mark.needs_root
def test_a_system_without_python_is_refused_before_anything_is_changed(
    rack: Rack, tmp_path: Path
) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    system(root, without=("usr/bin/python3.11", "usr/bin/openssl"))
    disk = rack.build(root)
    before = rack.digest()
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.code == "RW462"
    assert caught.value.cause == (
        "the system in the image lacks python3 of version 3.11 or newer, the command openssl"
    )
    assert rack.digest() == before


@pytest.mark.needs_root
def test_a_disk_without_a_root_file_system_says_what_stands_in_the_way(
    rack: Rack, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    write_tree(data, {"holiday.jpg": ""})
    disk = rack.build(data)
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.code == "RW460"
    assert caught.value.cause == (
        "no Linux root file system was found on the disk (gpt, 1 partition: ext4): "
        "no file system on it has /etc/os-release"
    )
    inside = evolve(disk, partitions=(evolve(disk.partitions[0], filesystem="crypto_LUKS"),))
    with pytest.raises(TerminalError) as caught:
        rack.apply(inside)
    assert "partition 1 is LUKS encryption, which is not looked into" in caught.value.cause


@pytest.mark.needs_root
def test_two_root_file_systems_are_an_error_that_names_both(rack: Rack, golden: Path) -> None:
    disk = rack.build(golden, golden)
    with pytest.raises(TerminalError) as caught:
        rack.apply(disk)
    assert caught.value.code == "RW461"
    assert "holds several root file systems (partition 1, partition 2)" in caught.value.cause


ESCAPES = (
    "etc/ssh",
    "etc/rackwright",
    "etc/systemd/network",
    "usr/lib/rackwright",
    "var/lib/rackwright",
    "var/lib/dhcp",
)


@pytest.mark.needs_root
@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("climb", ["", "/", "../../../../../../.."])
def test_links_of_a_hostile_image_lead_nowhere_outside(
    rack: Rack, golden: Path, tmp_path: Path, escape: str, climb: str
) -> None:
    victim = tmp_path / "victim"
    kept = {"ssh_host_rsa_key": "the RAM system's", "agent.json": "x", "a.leases": "x"}
    write_tree(victim, kept)
    place = golden / escape
    if place.exists():
        run(["rm", "-r", str(place)])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(f"{climb}{victim}")
    # In the tree's own world the link may well lead somewhere.
    (golden / str(victim).lstrip("/")).mkdir(parents=True)
    rack.apply(rack.build(golden))
    assert {path.name: path.read_text().strip() for path in victim.iterdir()} == kept


@pytest.mark.needs_root
def test_files_that_are_links_are_replaced_and_not_written_through(
    rack: Rack, golden: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for name in ("etc/hostname", "etc/machine-id", "etc/resolv.conf"):
        (golden / name).unlink(missing_ok=True)
        (golden / name).symlink_to(victim)
    rack.apply(rack.build(golden))
    assert victim.read_text() == "kept"
    with rack.opened() as root:
        assert (root / "etc/hostname").read_text() == "node-0713\n"


@pytest.mark.needs_root
def test_a_device_in_a_files_place_is_not_read(rack: Rack, golden: Path) -> None:
    (golden / "etc/hosts").unlink()
    os.mknod(golden / "etc/hosts", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    with pytest.raises(TerminalError) as caught:
        rack.apply(rack.build(golden))
    assert caught.value.code == "RW464"


@pytest.mark.needs_root
def test_a_failure_in_the_middle_leaves_nothing_mounted(rack: Rack, golden: Path) -> None:
    (golden / "etc/hostname").unlink()
    (golden / "etc/hostname").mkdir()
    with pytest.raises(ImageTreeError) as caught:
        rack.apply(rack.build(golden))
    assert caught.value.cause.startswith("/etc/hostname in the image cannot be used: ")


def test_without_ssh_keygen_here_the_keys_are_made_at_the_first_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {"etc/ssh/ssh_host_rsa_key": "the golden machine's"})
    monkeypatch.setenv("PATH", str(tmp_path))
    tree = ImageTree(tmp_path)
    assert replace_host_keys(tree, make_host_keys("node-1")) == ()
    assert tree.list_names("/etc/ssh") == []
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert tree.list_names(wants) == ["rackwright-ssh-host-keys.service"]


def test_the_bundle_runs_without_anything_else_of_this_checkout(tmp_path: Path) -> None:
    bundle = collect_bundle()
    assert not any(name.startswith("agent/imaging") for name in bundle)
    install_agent(ImageTree(tmp_path), bundle, "/usr/bin/python3", CONFIG)
    assert runs_alone(tmp_path / "usr/lib/rackwright") == f"{AGENT_VERSION}\n"


def test_a_person_at_the_machine_has_the_agents_command(tmp_path: Path) -> None:
    install_agent(ImageTree(tmp_path), collect_bundle(), "/usr/bin/python3", CONFIG)
    command = tmp_path / "usr/local/bin/rackwright-agent"
    assert command.stat().st_mode & 0o777 == 0o755
    library = tmp_path / "usr/lib/rackwright"
    command.write_text(command.read_text().replace("/usr/lib/rackwright", str(library)))
    nothing = ["--socket", str(tmp_path / "shutdown.sock")]
    done = subprocess.run(
        ["sh", command, "status", *nothing], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "RW240: no restart or shutdown of this machine waits" in done.stderr


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "rackwright-agent.service"
    text = unit_text("/usr/bin/python3").replace("WorkingDirectory=/usr/lib/rackwright\n", "")
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
