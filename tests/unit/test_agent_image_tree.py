"""Work inside a restored system never leaves it, and unsuitable systems are named."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import TerminalError
from agent.identity.linux.change import own_name_set, remove_residue, set_machine_id
from agent.identity.linux.fstab import FstabEntry, Identified, needed_mounts, place_of
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.identity.linux.network.detect import (
    IFUPDOWN,
    NETPLAN,
    NETWORK_MANAGER,
    NETWORKD,
    NetworkStack,
    detect_network,
)
from agent.identity.linux.network.replaced import replaced_files
from agent.identity.linux.target_system import examine_target
from agent.imaging import lvm
from agent.wire.disk import Partition
from tests.unit.agent_sysfs import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> ImageTree:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    return ImageTree(root)


@pytest.fixture
def outside(tmp_path: Path, tree: ImageTree) -> Path:
    assert tree.root.parent == tmp_path
    return tmp_path / "outside"


def test_an_absolute_link_leads_to_the_trees_own_root(tree: ImageTree, outside: Path) -> None:
    (tree.root / "etc").symlink_to(outside)
    with pytest.raises(ImageTreeError):
        tree.write("/etc/hostname", b"x")
    (tree.root / str(outside).lstrip("/")).mkdir(parents=True)
    tree.write("/etc/hostname", b"x")
    assert list(outside.iterdir()) == []
    assert (tree.root / str(outside).lstrip("/") / "hostname").read_bytes() == b"x"


def test_dots_do_not_climb_out(tree: ImageTree, outside: Path) -> None:
    (tree.root / "up").symlink_to("../../../../../.." + str(outside))
    (tree.root / str(outside).lstrip("/")).mkdir(parents=True)
    tree.write("/up/file", b"x")
    tree.write("/../../etc/other", b"y")
    assert list(outside.iterdir()) == []
    assert (tree.root / "etc/other").read_bytes() == b"y"


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_more_than_one_slash_leads_to_the_same_root(
    tree: ImageTree, outside: Path, slashes: str
) -> None:
    (outside / "file").write_text("outside")
    (tree.root / "link").symlink_to(f"{slashes}{str(outside).lstrip('/')}")
    assert not tree.exists("/link/file")
    assert tree.read_text(f"{slashes}{str(outside).lstrip('/')}/file") is None
    (tree.root / str(outside).lstrip("/")).mkdir(parents=True)
    tree.write("/link/file", b"inside")
    assert (outside / "file").read_text() == "outside"


def test_a_link_at_the_end_is_replaced_and_its_target_left_alone(
    tree: ImageTree, outside: Path
) -> None:
    victim = outside / "passwd"
    victim.write_text("root")
    (tree.root / "etc").mkdir()
    (tree.root / "etc/hosts").symlink_to(victim)
    tree.write("/etc/hosts", b"new", 0o600)
    assert victim.read_text() == "root"
    assert not (tree.root / "etc/hosts").is_symlink()
    assert stat.S_IMODE((tree.root / "etc/hosts").stat().st_mode) == 0o600


def test_a_link_for_the_temporary_name_is_not_followed(tree: ImageTree, outside: Path) -> None:
    victim = outside / "victim"
    victim.write_text("old")
    (tree.root / ".file.rackwright").symlink_to(victim)
    tree.write("/file", b"new")
    assert victim.read_text() == "old"
    assert (tree.root / "file").read_bytes() == b"new"


def test_a_hard_link_keeps_its_other_name(tree: ImageTree, outside: Path) -> None:
    victim = outside / "victim"
    victim.write_text("old")
    (tree.root / "file").hardlink_to(victim)
    tree.write("/file", b"new")
    assert victim.read_text() == "old"


def test_a_loop_of_links_is_an_error_that_names_the_path(tree: ImageTree) -> None:
    (tree.root / "a").symlink_to("b")
    (tree.root / "b").symlink_to("a")
    with pytest.raises(ImageTreeError) as caught:
        tree.read_text("/a/x")
    assert caught.value.code == "RW464"
    assert caught.value.cause == ("/a/x in the image leads through too many symbolic links")


def test_what_is_no_file_is_not_read_as_one(tree: ImageTree) -> None:
    os.mkfifo(tree.root / "pipe")
    (tree.root / "directory").mkdir()
    for name in ("/pipe", "/directory"):
        with pytest.raises(ImageTreeError) as caught:
            tree.read_text(name)
        assert "is not a regular file" in caught.value.cause or "directory" in caught.value.cause
    assert tree.read_text("/absent") is None


def test_a_directory_in_a_files_place_is_an_error_and_leaves_no_rest(tree: ImageTree) -> None:
    (tree.root / "etc/hostname").mkdir(parents=True)
    with pytest.raises(ImageTreeError):
        tree.write("/etc/hostname", b"x")
    assert [path.name for path in (tree.root / "etc").iterdir()] == ["hostname"]


def test_a_tree_is_removed_without_following_its_links(tree: ImageTree, outside: Path) -> None:
    (outside / "kept").write_text("x")
    write_tree(tree.root, {"lib/rackwright/a/b": "x"})
    (tree.root / "lib/rackwright/link").symlink_to(outside)
    tree.remove_tree("/lib/rackwright")
    (tree.root / "lib/rackwright").symlink_to(outside)
    tree.remove_tree("/lib/rackwright")
    assert (outside / "kept").exists()
    assert list((tree.root / "lib").iterdir()) == []


NAMES = (
    "a",
    "b",
    "c",
    "..",
    "/a",
    "../b",
    "/",
    "a/b",
    "../../outside",
    "/../outside",
    "//",
    "//{}",
    "/{}",
)


@given(
    links=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(NAMES)), max_size=3),
    path=st.lists(st.sampled_from(("a", "b", "c", "..", "outside")), min_size=1, max_size=5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_whatever_the_links_nothing_outside_is_touched(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[str, str]], path: list[str]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    tree = ImageTree(base / "root")
    tree.root.mkdir()
    (base / "outside").mkdir()
    for name, target in links:
        if not (tree.root / name).is_symlink():
            (tree.root / name).symlink_to(target.format(base / "outside"))
    operations = (
        lambda place: tree.write(place, b"x"),
        lambda place: tree.make_directory(f"{place}/d"),
        lambda place: tree.link(f"{place}2", "/x"),
        tree.remove_tree,
    )
    for operation in operations:
        try:
            operation("/" + "/".join(path))
        except ImageTreeError:
            continue
    assert sorted(entry.name for entry in base.iterdir()) == ["outside", "root"]
    assert list((base / "outside").iterdir()) == []


def partition(number: int, uuid: str = "", label: str = "") -> Partition:
    return Partition(number, 0, 1, "", uuid, "ext4", label)


def test_fstab_yields_the_separate_file_systems_that_matter_parents_first() -> None:
    text = """\
# /etc/fstab
UUID=1 / ext4 defaults 0 1
LABEL=lib /var/lib ext4 defaults 0 2
/dev/sda5 /var/ ext4
PARTUUID=5-6 /home ext4
UUID=2 /usr btrfs rw,subvol=@usr 0 0
tmpfs /tmp tmpfs
"""
    assert needed_mounts(text) == (
        FstabEntry("UUID=2", "/usr", "@usr"),
        FstabEntry("/dev/sda5", "/var"),
        FstabEntry("LABEL=lib", "/var/lib"),
    )


def test_what_is_mounted_on_demand_only_is_not_needed() -> None:
    text = "UUID=1 / ext4\nUUID=2 /var ext4 noauto,x-systemd.automount\n"
    assert needed_mounts(text) == ()


OF_UUIDS = "/dev/disk/by-id/dm-uuid-LVM-"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("UUID=BBBB", "2"),
        ("UUID=", None),
        ('LABEL="my var"', "3"),
        ("LABEL=MY\\040VAR", None),
        ("PARTUUID=P-1", "1"),
        ("PARTLABEL=Linux\\040data", "2"),
        ("/dev/sda3", "3"),
        ("/dev/nvme0n1p2", "2"),
        ("/dev/disk/by-uuid/BBBB", "2"),
        ("/dev/disk/by-partuuid/p-1", "1"),
        ("/dev/disk/by-label/my\\x20var", "3"),
        ("/dev/disk/by-label/m\\xc3\\xbcll", "1"),
        ("/dev/disk/by-partlabel/Linux\\x20data", "2"),
        ("/dev/disk/by-id/ata-SSD_1234-part2", None),
        ("/dev/disk/by-path/pci-0000:00:04.0-part2", None),
        ("/dev/mapper/vg-var", None),
        ("/dev/mapper/my--vg-var", "my-vg/var"),
        ("/dev/my-vg/var", "my-vg/var"),
        ("/dev/disk/by-id/dm-name-my--vg-var", "my-vg/var"),
        (f"{OF_UUIDS}{'v' * 32}abcdefghijklmnopqrstuvwxyz012345", "my-vg/var"),
        (f"{OF_UUIDS}{'v' * 32}{'w' * 32}", None),
        ("UUID=CCCC", "my-vg/var"),
        ("UUID=none-of-these", None),
    ],
)
def test_a_source_of_fstab_is_found_among_the_partitions(source: str, place: str | None) -> None:
    known = [
        Identified("1", "aaaa", "müll", partuuid="p-1"),
        Identified("2", "bbbb", partuuid="p-2", partlabel="Linux data"),
        Identified("3", "", "my var", partuuid="p-3"),
        Identified(
            "my-vg/var",
            "cccc",
            volume_uuid="abcdef-ghij-klmn-opqr-stuv-wxyz-012345",
            devices=lvm.device_paths("my-vg", "var"),
        ),
    ]
    (entry,) = needed_mounts(f"{source.replace(' ', chr(92) + '040')} /var ext4\n")
    assert place_of(entry, known) == place


@pytest.mark.parametrize(
    ("root", "place"), [("/dev/sda1", None), ("/dev/sdb1", "2"), ("UUID=1", "2")]
)
def test_the_kernels_name_of_another_disk_is_none_of_these(root: str, place: str | None) -> None:
    (entry,) = needed_mounts(f"/dev/sdb2 /var ext4\n{root} / ext4\n")
    assert place_of(entry, [Identified("2")]) == place


def test_the_own_name_replaces_the_golden_machines() -> None:
    old = "127.0.0.1\tlocalhost\n127.0.1.1\tgolden.example.org golden\n\n::1 ip6-localhost\n"
    assert own_name_set(old, "node-1") == (
        "127.0.0.1\tlocalhost\n127.0.1.1 node-1\n\n::1 ip6-localhost\n"
    )
    assert own_name_set("127.0.0.1 localhost\n# end\n", "node-1.example.org") == (
        "127.0.0.1 localhost\n127.0.1.1 node-1.example.org node-1\n# end\n"
    )
    assert own_name_set("", "n") == (
        "127.0.0.1 localhost\n127.0.1.1 n\n::1 localhost ip6-localhost ip6-loopback\n"
    )
    assert own_name_set("127.0.1.1 a\n127.0.1.1 b\n", "n") == "127.0.1.1 n\n"


def test_the_machine_id_is_written_twice_only_where_dbus_has_its_own(tree: ImageTree) -> None:
    write_tree(tree.root, {"etc/machine-id": "old", "var/lib/dbus/machine-id": "old"})
    set_machine_id(tree, "f" * 32)
    assert tree.read_text("/etc/machine-id") == "f" * 32 + "\n"
    assert tree.read_text("/var/lib/dbus/machine-id") == "f" * 32 + "\n"
    tree.remove("/var/lib/dbus/machine-id")
    tree.link("/var/lib/dbus/machine-id", "/etc/machine-id")
    set_machine_id(tree, "e" * 32)
    assert tree.is_symlink("/var/lib/dbus/machine-id")


def test_what_a_clone_must_not_share_is_removed(tree: ImageTree) -> None:
    write_tree(
        tree.root,
        {
            "var/lib/systemd/random-seed": "x",
            "var/lib/dhcp/dhclient.eth0.leases": "x",
            "var/lib/NetworkManager/internal-1-eth0.lease": "x",
            "var/lib/NetworkManager/secret_key": "x",
            "var/lib/NetworkManager/NetworkManager.state": "kept",
            "var/lib/rackwright/agent.key": "the golden machine's",
        },
    )
    remove_residue(tree)
    left = sorted(path.name for path in tree.root.rglob("*") if path.is_file())
    assert left == ["NetworkManager.state"]
    assert not tree.exists("/var/lib/rackwright")


def enable(tree: ImageTree, service: str) -> None:
    tree.link(f"/etc/systemd/system/multi-user.target.wants/{service}.service", "/x")


def program(tree: ImageTree, *paths: str) -> None:
    write_tree(tree.root, {path.lstrip("/"): "" for path in paths})


def test_netplan_is_on_top_of_what_it_writes_for(tree: ImageTree) -> None:
    program(tree, "/usr/sbin/netplan", "/etc/netplan/50-cloud-init.yaml")
    enable(tree, "systemd-networkd")
    assert detect_network(tree) == NetworkStack(
        NETPLAN, renderer="networkd", writes_resolv_conf=True
    )
    enable(tree, "systemd-resolved")
    assert detect_network(tree) == NetworkStack(NETPLAN, renderer="networkd")
    tree.remove("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service")
    enable(tree, "NetworkManager")
    assert detect_network(tree) == NetworkStack(NETPLAN, renderer="NetworkManager")


def test_network_manager_before_ifupdown_and_networkd_when_enabled(tree: ImageTree) -> None:
    program(tree, "/usr/sbin/ifup", "/etc/network/interfaces")
    assert detect_network(tree) == NetworkStack(IFUPDOWN, writes_resolv_conf=True)
    enable(tree, "systemd-networkd")
    assert detect_network(tree) == NetworkStack(NETWORKD, writes_resolv_conf=True)
    enable(tree, "NetworkManager")
    assert detect_network(tree) == NetworkStack(NETWORK_MANAGER)


def test_an_idle_networkd_is_used_where_there_is_nothing_else(tree: ImageTree) -> None:
    assert detect_network(tree) is None
    program(tree, "/usr/lib/systemd/systemd-networkd", "/usr/sbin/resolvconf")
    assert detect_network(tree) == NetworkStack(NETWORKD, enable=True)


def test_old_configuration_that_would_contradict_is_found(tree: ImageTree) -> None:
    files = {
        "etc/netplan/50-cloud-init.yaml": "network: {}",
        "etc/network/interfaces": "iface eth0 inet dhcp",
        "etc/network/interfaces.d/50-cloud-init": "",
        "etc/systemd/network/05-eth.network": "",
        "etc/systemd/network/br0.netdev": "",
        "etc/systemd/network/10-lan.link": "[Match]\nMACAddress=aa:00:00:00:00:01\n",
        "etc/systemd/network/20-all.link": "[Match]\nOriginalName=*\n",
        "etc/NetworkManager/system-connections/wired.nmconnection": "[connection]\ntype=ethernet\n",
        "etc/NetworkManager/system-connections/vpn.nmconnection": "[connection]\ntype=vpn\n",
        "etc/sysconfig/network-scripts/ifcfg-lo": "",
        "etc/sysconfig/network-scripts/ifcfg-eth0": "",
        "etc/udev/rules.d/70-persistent-net.rules": "",
    }
    write_tree(tree.root, files)
    everywhere = [
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/etc/systemd/network/10-lan.link",
    ]
    assert replaced_files(tree, NetworkStack(NETPLAN)) == [
        *everywhere,
        "/etc/netplan/50-cloud-init.yaml",
    ]
    assert replaced_files(tree, NetworkStack(IFUPDOWN)) == [
        *everywhere,
        "/etc/network/interfaces",
        "/etc/network/interfaces.d/50-cloud-init",
    ]
    assert replaced_files(tree, NetworkStack(NETWORKD)) == [
        *everywhere,
        "/etc/systemd/network/05-eth.network",
    ]
    assert replaced_files(tree, NetworkStack(NETWORK_MANAGER)) == [
        *everywhere,
        "/etc/NetworkManager/system-connections/wired.nmconnection",
        "/etc/sysconfig/network-scripts/ifcfg-eth0",
    ]


def suitable(tree: ImageTree, minor: int = 11) -> None:
    library = f"usr/lib/python3.{minor}"
    modules = ("http/client.py", "ssl.py", "json/__init__.py", "email/message.py")
    write_tree(tree.root, {f"{library}/{module}": "" for module in modules})
    program(tree, f"/usr/bin/python3.{minor}", "/usr/bin/openssl", "/usr/sbin/sshd")
    program(tree, "/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-networkd")
    tree.link("/usr/bin/python3", f"python3.{minor}")


def test_a_suitable_system_is_described(tree: ImageTree) -> None:
    suitable(tree)
    write_tree(tree.root, {"etc/cloud/cloud.cfg": "", "etc/selinux/config": "SELINUX=enforcing"})
    target = examine_target(tree, bundle_has_exceptiongroup=False)
    assert target.python == "/usr/bin/python3"
    assert (target.has_sshd, target.has_cloud_init, target.selinux) == (True, True, True)


def test_a_system_that_lacks_everything_is_told_all_at_once(tree: ImageTree) -> None:
    with pytest.raises(TerminalError) as caught:
        examine_target(tree, bundle_has_exceptiongroup=False)
    assert str(caught.value) == (
        "RW462: the system in the image lacks python3 of version 3.11 or newer, "
        "the command openssl, systemd, a network configuration "
        "(netplan, NetworkManager, systemd-networkd, ifupdown). "
        "Install it in the golden machine and take the image again."
    )


def test_an_old_python_is_named_and_a_newer_one_beside_it_is_used(tree: ImageTree) -> None:
    suitable(tree, 9)
    with pytest.raises(TerminalError) as caught:
        examine_target(tree, bundle_has_exceptiongroup=False)
    assert "lacks python3 of version 3.11 or newer (it has 3.9)" in caught.value.cause
    library = "usr/lib64/python3.12"
    modules = ("http/client.py", "ssl.py", "json/__init__.py", "email/message.py")
    write_tree(tree.root, {f"{library}/{module}": "" for module in modules})
    program(tree, "/usr/bin/python3.12")
    assert examine_target(tree, bundle_has_exceptiongroup=False).python == "/usr/bin/python3.12"


def test_python_3_10_needs_the_backport_in_the_bundle(tree: ImageTree) -> None:
    suitable(tree, 10)
    assert examine_target(tree, bundle_has_exceptiongroup=True).python == "/usr/bin/python3"
    with pytest.raises(TerminalError):
        examine_target(tree, bundle_has_exceptiongroup=False)


def test_a_minimal_python_is_not_enough(tree: ImageTree) -> None:
    suitable(tree)
    tree.remove("/usr/lib/python3.11/http/client.py")
    with pytest.raises(TerminalError) as caught:
        examine_target(tree, bundle_has_exceptiongroup=False)
    assert "the standard library of python3.11 (a minimal Python is not enough)" in (
        caught.value.cause
    )


def test_files_of_an_earlier_run_are_not_taken_for_the_images(tree: ImageTree) -> None:
    write_tree(
        tree.root,
        {
            "etc/systemd/network/10-rackwright.network": "",
            "etc/network/interfaces.d/rackwright": "",
            "etc/netplan/10-rackwright.yaml": "",
        },
    )
    for kind in (NETWORKD, IFUPDOWN, NETPLAN):
        assert replaced_files(tree, NetworkStack(kind)) == []
