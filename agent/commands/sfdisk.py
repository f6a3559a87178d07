"""sfdisk: reading, checking and writing a partition table."""

import json
import re
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from agent.commands.runner import run_command
from agent.errors import TerminalError

FILE_SECTOR_SIZE = 512
"""What sfdisk assumes of a regular file; it cannot be told otherwise."""

_NO_TABLE = 1  # "does not contain a recognized partition table"
_DOCUMENT = re.compile(rb"\A(?:[^{\n][^\n]*\n|\n)*\{")
_GOOD = "No errors detected."


@frozen
class TableEntry:
    """One partition; ``start`` and ``size`` are bytes."""

    number: int
    start: int
    size: int
    type: str
    uuid: str
    name: str = ""
    """Of a GPT partition (PARTLABEL); empty where it has none."""


@frozen
class PartitionTable:
    """``label`` is ``gpt``, ``mbr``, another label of sfdisk's, or empty for no table.

    ``remarks`` are sfdisk's own, such as that the primary GPT is corrupt.
    """

    label: str = ""
    entries: tuple[TableEntry, ...] = ()
    remarks: tuple[str, ...] = ()


def read_table(device: Path, sector_size: int) -> PartitionTable:
    """Return the device's partition table; CommandError, or TerminalError RW568."""
    done = run_command(["sfdisk", "--json", str(device)], accept=(0, _NO_TABLE))
    if done.status == _NO_TABLE and "recognized partition table" in done.stderr:
        return PartitionTable()
    if done.status != 0:
        raise TerminalError(
            "RW568",
            f"the partition table of {device} cannot be read: {done.stderr or 'no message'}",
            "Look at the disk; the kernel's log may say more",
        )
    return evolve(parse_table(done.stdout, sector_size), remarks=tuple(done.stderr.splitlines()))


def parse_table(output: bytes, sector_size: int) -> PartitionTable:
    """Return the table that ``sfdisk --json`` printed; TerminalError RW568 where it is none.

    ``sector_size`` is used where sfdisk does not say it (before util-linux 2.35). Before the
    document there may be lines for people: ``omitting empty partition (5)``.
    """
    try:
        table = json.loads(_DOCUMENT.sub(b"{", output, count=1))["partitiontable"]
        unit = int(table.get("sectorsize", sector_size))
        label = {"dos": "mbr"}.get(table["label"], str(table["label"]))
        entries = tuple(_entry(table, entry, unit) for entry in table.get("partitions", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerminalError(
            "RW568",
            f"sfdisk printed no partition table: {error!r}",
            "Compare the version of util-linux with the supported ones",
        ) from error
    return PartitionTable(label, entries)


def _entry(table: dict[str, Any], entry: dict[str, Any], unit: int) -> TableEntry:
    node = str(entry["node"])
    match = re.search(r"(\d+)$", node.removeprefix(str(table["device"])))
    if match is None:
        raise ValueError(f"partition {node!r} has no number")
    number = int(match.group(1))
    return TableEntry(
        number=number,
        start=int(entry["start"]) * unit,
        size=int(entry["size"]) * unit,
        type=_type(str(table["label"]), str(entry["type"])),
        uuid=str(entry.get("uuid", "")).lower() or _mbr_uuid(table, number),
        name=str(entry.get("name", "")),
    )


def _type(label: str, text: str) -> str:
    return f"0x{int(text, 16):02x}" if label == "dos" else text.lower()


def _mbr_uuid(table: dict[str, Any], number: int) -> str:
    """Return the PARTUUID that the kernel gives an MBR partition: disk id and number."""
    disk = str(table.get("id", "")).lower().removeprefix("0x")
    return f"{disk}-{number:02x}" if table["label"] == "dos" and disk else ""


def verify_arguments(disk: Path) -> list[str]:
    """Return the command that checks the table of a disk file and changes nothing."""
    return ["sfdisk", "--verify", str(disk)]


def is_good(disk: Path, status: int, words: str) -> bool:
    """Return whether ``sfdisk --verify`` found the table of a disk file good.

    The exit status does not tell: sfdisk 2.38 ends with 0 for an unknown table and
    for a corrupt backup GPT, and says so in words only, beside the file's path.
    """
    said = words.replace(str(disk), "")
    return status == 0 and _GOOD in said and "corrupt" not in said.lower()


def write_arguments(disk: Path) -> list[str]:
    """Return the command that writes the table on its standard input to a disk file."""
    return ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(disk)]
