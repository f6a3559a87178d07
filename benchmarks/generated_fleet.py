"""A fleet in Git, made up: the same for the same number of machines, every time.

Racks of 40 machines are groups, nested 2 to 20 levels deep below four sites. What the
machines of a rack share stands on the rack, as people would write it; each machine has a
label, a MAC, a UUID and a fixed address of its own.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Shape = Literal["file per rack", "file per machine"]

RACK = 40
_SITES = 4
_DEEPEST = 20
_HEAD = "apiVersion: rackwright/v1alpha1\n"
_SITE = f"""{_HEAD}kind: Fleet
metadata: {{name: generated}}
---
{_HEAD}kind: Network
metadata: {{name: backbone}}
spec: {{subnet: 10.0.0.0/8}}
---
{_HEAD}kind: Image
metadata: {{name: debian12}}
---
{_HEAD}kind: Scenario
metadata: {{name: clone}}
spec:
  steps:
    - inspectDisks: {{}}
    - restore: {{image: debian12}}
"""
_GIT = ("git", "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")


def groups_of(machines: int) -> list[str]:
    """Return the paths of the racks that so many machines fill."""
    return [_group(rack) for rack in range(-(-machines // RACK))]


def _group(rack: int) -> str:
    levels = 2 + rack % (_DEEPEST - 1)
    between = [f"level{level:02}" for level in range(1, levels - 1)]
    return "/".join([f"site{rack % _SITES}", *between, f"rack{rack:05}"])


def rack_document(rack: int) -> str:
    """Return the Group document of a rack."""
    return (
        f"{_HEAD}kind: Group\nmetadata:\n  name: {_group(rack)}\nspec:\n  network: backbone\n"
        f"  labels: {{rack: r{rack:05}}}\n  power: {{driver: wake-on-lan}}\n"
        "  assign:\n    - scenario: clone\n      run: 2026-11\n"
    )


def machine_document(number: int) -> str:
    """Return the Machine document of one machine."""
    high, middle, low = number >> 16, number >> 8 & 255, number & 255
    return (
        f"{_HEAD}kind: Machine\nmetadata:\n  name: node-{number:06}\n"
        f"  labels: {{role: compute}}\nspec:\n  group: {_group(number // RACK)}\n"
        f'  hardware:\n    macs: ["52:54:00:{high:02x}:{middle:02x}:{low:02x}"]\n'
        f"    uuid: 4c4c4544-0042-3510-8052-{number:012x}\n"
        f"  identity:\n    addresses: [10.{1 + high}.{middle}.{low}/8]\n"
    )


def write_fleet(folder: Path, machines: int, shape: Shape) -> None:
    """Make ``folder`` a Git repository with one commit that describes the fleet."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "site.yaml").write_text(_SITE)
    for rack, _ in enumerate(groups_of(machines)):
        members = range(rack * RACK, min((rack + 1) * RACK, machines))
        documents = [rack_document(rack), *map(machine_document, members)]
        if shape == "file per rack":
            (folder / f"rack{rack:05}.yaml").write_text("---\n".join(documents))
            continue
        (folder / f"rack{rack:05}").mkdir()
        for name, text in zip(_names(members), documents, strict=True):
            (folder / f"rack{rack:05}" / name).write_text(text)
    subprocess.run([*_GIT, "init", "--quiet"], cwd=folder, check=True)
    commit(folder, "The fleet")


def _names(members: range) -> Iterator[str]:
    yield "group.yaml"
    yield from (f"node-{number:06}.yaml" for number in members)


def touch_machine(folder: Path, number: int, role: str) -> None:
    """Commit another role for one machine."""
    rack = number // RACK
    one = folder / f"rack{rack:05}" / f"node-{number:06}.yaml"
    file = one if one.exists() else folder / f"rack{rack:05}.yaml"
    name = f"  name: node-{number:06}\n  labels: {{role: "
    before, after = file.read_text().split(name)
    file.write_text(f"{before}{name}{role}{after[after.index('}') :]}")
    commit(folder, f"node-{number:06} becomes {role}")


def commit(folder: Path, message: str) -> None:
    """Commit everything."""
    subprocess.run([*_GIT, "add", "--all"], cwd=folder, check=True)
    subprocess.run([*_GIT, "commit", "--quiet", "--message", message], cwd=folder, check=True)


def write_inventory(file: Path, machines: int) -> None:
    """Write the same groups and machines as an inventory that Ansible reads."""
    lines = ["all:", "  children:"]
    tree: dict[str, dict[str, object]] = {}
    for group in groups_of(machines):
        node = tree
        path = ""
        for part in group.split("/"):
            path = f"{path}_{part}" if path else part  # names of groups are global there
            node = node.setdefault(path, {})  # type: ignore[assignment]
    for rack, group in enumerate(groups_of(machines)):
        node = tree
        path = ""
        for part in group.split("/"):
            path = f"{path}_{part}" if path else part
            node = node[path]  # type: ignore[assignment]
        node["*"] = range(rack * RACK, min((rack + 1) * RACK, machines))  # type: ignore[assignment]
    _write_groups(lines, tree, 4)
    file.write_text("\n".join(lines) + "\n")


def _write_groups(lines: list[str], groups: dict[str, dict[str, object]], indent: int) -> None:
    space = " " * indent
    for name, inner in groups.items():
        lines.append(f"{space}{name}:")
        members = inner.pop("*", None)
        if isinstance(members, range):
            lines += [f"{space}  vars: {{network: backbone, power: wake-on-lan}}"]
            lines += [f"{space}  hosts:"]
            lines += [_host(number, indent + 4) for number in members]
        if inner:
            lines.append(f"{space}  children:")
            _write_groups(lines, inner, indent + 4)  # type: ignore[arg-type]


def _host(number: int, indent: int) -> str:
    high, middle, low = number >> 16, number >> 8 & 255, number & 255
    return (
        f'{" " * indent}node-{number:06}: {{role: compute, mac: "52:54:00:{high:02x}:{middle:02x}:'
        f'{low:02x}", uuid: 4c4c4544-0042-3510-8052-{number:012x}, '
        f"address: 10.{1 + high}.{middle}.{low}/8}}"
    )
