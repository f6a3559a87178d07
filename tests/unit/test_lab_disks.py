import stat

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from agent.errors import CodedError
from providers.lab.directory import LabDirectory
from providers.lab.disks import differences, discard_disks, disk_recipe, prepare_disks, public_key
from providers.lab.golden import disk as golden_disk
from providers.lab.rack_file import parse_rack


def rack(size="1MiB", extra="", more="[]"):
    return parse_rack(
        f"""
machines:
  - name: node-01
    firmware: uefi
    mac: "52:54:00:77:00:11"
    uuid: 77000000-0000-4000-8000-000000000011
    disk: {{size: {size}, serial: NODE-0011{extra}}}
    moreDisks: {more}
""".encode(),
        "rack.yaml",
    )


@pytest.fixture
def place(tmp_path):
    place = LabDirectory.at(tmp_path)
    place.create()
    return place


def prepare(found, place):
    said = []
    prepare_disks(found, place, place.path / "cache", said.append)
    return said


def test_a_disk_is_made_once_and_kept(place):
    disk = place.machine("node-01").disk
    assert prepare(rack(), place) == ["node-01: blank disk of 1MiB"]
    disk.write_bytes(b"installed" + bytes((1 << 20) - 9))
    assert prepare(rack(), place) == []
    assert disk.read_bytes().startswith(b"installed")


def test_each_of_several_disks_is_made_once_and_discarded_with_the_others(place):
    several = rack(more="[{size: 2MiB, serial: DATA}, {size: 3MiB, serial: LOG}]")
    assert prepare(several, place) == [
        "node-01: blank disk of 1MiB",
        "node-01: blank disk of 2MiB",
        "node-01: blank disk of 3MiB",
    ]
    files = place.machine("node-01").disks(3)
    assert [each.content.stat().st_size >> 20 for each in files] == [1, 2, 3]
    files[1].content.unlink()
    assert prepare(several, place) == ["node-01: blank disk of 2MiB"]
    discard_disks(several, place)
    assert list(place.machine("node-01").folder.iterdir()) == []


def test_a_disk_that_was_not_finished_is_made_again(place):
    prepare(rack(), place)
    files = place.machine("node-01")
    files.disks(1)[0].recipe.unlink()
    files.disk.write_bytes(b"half")
    assert prepare(rack(), place) == ["node-01: blank disk of 1MiB"]
    assert files.disk.stat().st_size == 1 << 20


def test_a_disk_of_another_size_is_neither_used_nor_lost(place):
    prepare(rack(), place)
    with pytest.raises(CodedError) as caught:
        prepare(rack(size="2MiB"), place)
    assert str(caught.value) == (
        f"RW811: node-01: the disk {place.machine('node-01').disk} was made with other settings "
        "(size: 1MiB then, 2MiB now). "
        "Keep it by restoring the settings, or make all disks anew with --fresh."
    )
    assert place.machine("node-01").disk.stat().st_size == 1 << 20


def test_a_disk_may_move_to_another_bus(place):
    prepare(rack(), place)
    assert prepare(rack(extra=", bus: nvme"), place) == []


def test_fresh_disks_are_made_anew_with_new_variables(place):
    prepare(rack(), place)
    files = place.machine("node-01")
    files.disk.write_bytes(b"old")
    files.variables.write_bytes(b"old")
    discard_disks(rack(), place)
    assert prepare(rack(), place) == ["node-01: blank disk of 1MiB"]
    assert files.disk.stat().st_size == 1 << 20
    assert not files.variables.exists()


def test_a_changed_recipe_is_a_difference():
    disk = rack(size="1GiB", extra=", prepare: debian12").machines[0].disk
    recipe = disk_recipe(disk)
    assert differences(recipe, recipe) == ""
    assert differences({**recipe, "recipe": "old"}, recipe).startswith("recipe: old then, ")
    assert differences(recipe, {"size": "1GiB"}) == (
        f"prepare: debian12 then, none now; recipe: {recipe['recipe']} then, none now; "
        "table: gpt then, none now"
    )


def test_a_full_directory_says_where_to_make_room(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(golden_disk.os, "truncate", full)
    with pytest.raises(CodedError) as caught:
        golden_disk.make_blank(tmp_path / "disk.raw", 1)
    assert str(caught.value) == (
        f"RW808: no space is left for {tmp_path}/disk.raw: [Errno 28] No space left on device. "
        "Free some space there, or give a directory on another file system with --dir or --cache."
    )


def test_a_racks_key_stays_the_same(tmp_path):
    private = tmp_path / "ssh_key"
    line = public_key(private)
    assert public_key(private) == line
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    key = load_ssh_private_key(private.read_bytes(), password=None)
    assert load_ssh_public_key(line.encode()) == key.public_key()
    assert line.endswith(" rack\n")
