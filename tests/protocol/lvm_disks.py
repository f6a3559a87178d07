"""Disks with LVM for the imaging tests, made by LVM's own tools without device-mapper."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from agent.imaging.extent import Extent
from tests.protocol.imaging_disks import loop

_STRIPE = re.compile(r"([^,()]+)\((\d+)\)")


@frozen
class Lvm:
    """LVM's tools, which see nothing but some physical volumes."""

    nodes: tuple[str, ...]
    places: dict[str, int]
    """Where on their disk the physical volumes begin, by node."""
    system: str = ""
    """The system ID of the machine that their groups belong to."""

    def __call__(self, command: str, *words: str | Path) -> str:
        """Run a tool, such as ``lvs``, and return what it prints."""
        seen = ", ".join(f'"a|^{node}$|"' for node in self.nodes)
        settings = (
            f'devices {{ filter=[ {seen}, "r|.*|" ] use_devicesfile=0 '
            'obtain_device_list_from_udev=0 external_device_info_source="none" } '
            "global { use_lvmpolld=0 event_activation=0 } "
            "activation { udev_sync=0 udev_rules=0 monitoring=0 } "
            "backup { backup=0 archive=0 } "
            + (
                f'global/system_id_source="lvmlocal" local/system_id="{self.system}"'
                if self.system
                else ""
            )
        )
        argv = [command, "--config", settings, "--driverloaded", "n", *map(str, words)]
        done = subprocess.run(
            argv,
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, group: str, name: str, size: str, *words: str | Path) -> None:
        """Make a volume and leave its blocks as they are."""
        self("lvcreate", "-an", "-Zn", "-Wn", "-L", size, "-n", name, group, *words)

    def pieces(self, group: str, name: str) -> list[Extent]:
        """Return where the bytes of a volume lie on the disk, as LVM reports it."""
        starts = {
            row["pv_name"]: self.places[row["pv_name"]] + int(row["pe_start"])
            for row in self._report("pvs", "pv", "pv_name,pe_start")
        }
        fields = "seg_start,seg_size,stripes,stripe_size,devices,vg_extent_size"
        rows = self._report("lvs", "seg", fields, "--segments", f"{group}/{name}")
        pieces = []
        for row in sorted(rows, key=lambda row: int(row["seg_start"])):
            length = int(row["seg_size"]) // int(row["stripes"])
            step = int(row["stripe_size"]) or length
            for position in range(0, length, step):
                for node, extent in _STRIPE.findall(row["devices"]):
                    start = starts[node] + int(extent) * int(row["vg_extent_size"])
                    pieces.append(Extent(start + position, step))
        return pieces

    def _report(self, command: str, kind: str, fields: str, *words: str) -> list[dict[str, str]]:
        options = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields)
        rows: list[dict[str, str]] = json.loads(self(command, *options, *words))["report"][0][kind]
        return rows


@contextmanager
def lvm(disk: Path, *parts: Extent) -> Iterator[Lvm]:
    """Show parts of a disk as devices and provide LVM's tools for them."""
    with ExitStack() as stack:
        places = {}
        for part in parts:
            place = ("--offset", str(part.offset), "--sizelimit", str(part.length))
            places[stack.enter_context(loop(disk, *place))] = part.offset
        yield Lvm(tuple(places), places)


def write_volume(disk: Path, pieces: Sequence[Extent], content: Path) -> None:
    """Write the content of a volume to the places on the disk where it lies."""
    with disk.open("r+b") as target, content.open("rb") as source:
        for piece in pieces:
            target.seek(piece.offset)
            target.write(source.read(piece.length))


def read_volume(disk: Path, pieces: Sequence[Extent], target: Path) -> Path:
    """Put the content of a volume together in a new file."""
    with disk.open("rb") as source, target.open("xb") as file:
        for piece in pieces:
            source.seek(piece.offset)
            file.write(source.read(piece.length))
    return target


THIN_POOL = """
    pool {{
        id = "poolpo-olpo-olpo-olpo-olpo-olpo-olpool"
        status = ["READ", "WRITE", "VISIBLE"]
        flags = []
        segment_count = 1
        segment1 {{
            start_extent = 0
            extent_count = {count}
            type = "thin-pool"
            metadata = "pool_tmeta"
            pool = "pool_tdata"
            transaction_id = 1
            chunk_size = 128
            discards = "passdown"
            zero_new_blocks = 1
        }}
    }}
    thin {{
        id = "thinth-inth-inth-inth-inth-inth-inthin"
        status = ["READ", "WRITE", "VISIBLE"]
        flags = []
        segment_count = 1
        segment1 {{
            start_extent = 0
            extent_count = 100
            type = "thin"
            thin_pool = "pool"
            transaction_id = 0
            device_id = 1
        }}
    }}
"""
RAID = """
    mirror {{
        id = "mirror-mirr-mirr-mirr-mirr-mirr-mirror"
        status = ["READ", "WRITE", "VISIBLE"]
        flags = []
        segment_count = 1
        segment1 {{
            start_extent = 0
            extent_count = {count}
            type = "raid1"
            device_count = 2
            region_size = 1024
            raids = ["mirror_rmeta_0", "mirror_rimage_0", "mirror_rmeta_1", "mirror_rimage_1"]
        }}
    }}
"""
SNAPSHOT = """
    snapshot0 {{
        id = "snapsh-snap-snap-snap-snap-snap-snapsh"
        status = ["READ", "WRITE", "VISIBLE"]
        flags = []
        segment_count = 1
        segment1 {{
            start_extent = 0
            extent_count = {count}
            type = "snapshot"
            chunk_size = 8
            origin = "{origin}"
            cow_store = "{store}"
        }}
    }}
"""


def rewrite(tools: Lvm, group: str, folder: Path, change: Callable[[str], str]) -> None:
    """Change the metadata of a group as text and let LVM's own tools check and write it.

    So come volumes to be that ``lvcreate`` makes with device-mapper alone.
    """
    text = folder / f"{group}.text"
    tools("vgcfgbackup", "-f", text, group)
    text.write_text(change(text.read_text()))
    tools("vgcfgrestore", "--force", "-f", text, group)


def hidden(text: str, renamed: dict[str, str]) -> str:
    """Rename volumes in a group's text and hide them from users."""
    for old, new in renamed.items():
        before, name, after = text.partition(f"\t\t{old} {{\n")
        assert name
        after = after.replace('"WRITE", "VISIBLE"]', '"WRITE"]', 1)
        text = f"{before}\t\t{new} {{\n{after}"
    return text


def with_volumes(text: str, volumes: str) -> str:
    """Add volumes to a group's text."""
    head, name, tail = text.partition("\tlogical_volumes {\n")
    assert name
    return head + name + volumes + tail
