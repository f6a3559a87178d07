"""Every field of every kind acts, is for people, or says BLOCKED: one that does nothing lies."""

import ast
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from attrs import evolve
from builders.effects import BUDGET_FIELDS, EFFECTS, Acts, ForPeople, PartOf, effect_of
from builders.kinds_reference import example_document
from builders.world import (
    NOW,
    a_disk,
    a_report,
    a_status,
    an_image,
    an_installed_system,
    observed,
)

from agent.wire.disk import DiskIdentity
from reconciler.planning.planner import plan
from reconciler.planning.scheduled_work import why_never
from reconciler.planning.schedules import delay_of, due, upcoming
from reconciler.planning.windows import closed
from reconciler.state.observed import Observed, ObservedMachine, TimedReport
from reconciler.state.operation import scheduled_token
from reconciler.state.operation_states import OperationState
from specs.compile.fleet import compile_fleet
from specs.compile.unsupported import Blocks
from specs.enrollment import DiscoveredMachine, enrollment
from specs.fleet import CompiledFleet, CompiledSchedule
from specs.kinds import KINDS
from specs.kinds.record import Record
from specs.validate.fields import field_at

ROOT = Path(__file__).parents[2]
OUTSIDE = ("agent", "providers", "reconciler/app", "reconciler/git", "reconciler/loop")
OUTSIDE += ("reconciler/planning", "reconciler/server", "reconciler/state")
"""Where things are done; ``authoring``, ``views`` and ``cli`` only show and convert."""
MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
OLD_MAC = "06:00:00:00:00:09"
INSTALLED_MAC = "02:00:00:00:00:1f"
UUID = "4c4c4544-0042-3510-8052-b4c04f4e4a32"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"

Edit = tuple[str, str, Any]
"""Kind and name (``Machine m``), path, and the value that is put there."""

DOCUMENTS: dict[str, dict[str, Any]] = {
    "Fleet f": {"observation": {"maxAge": "3h"}, "defaults": {"network": "n"}},
    "Network n": {
        "subnet": "10.0.0.0/16",
        "gateway": "10.0.0.1",
        "domain": "n.example.net",
        "dhcp": {"mode": "server", "range": "10.0.9.1-10.0.9.9"},
    },
    "Network o": {"subnet": "10.1.0.0/16", "domain": "o.example.net"},
    "Group a": {},
    "Group a/b": {},
    "Calendar c": {"dates": ["2026-11-22"]},
    "Calendar d": {"dates": ["2026-11-23"]},
    "Machine m": {
        "group": "a",
        "hardware": {"macs": [MAC]},
        "assign": [{"scenario": "clone", "run": "1"}],
    },
    "Machine t": {"group": "a", "hardware": {"macs": [OTHER_MAC]}},
    "Scenario clone": {"steps": [{"restore": {"image": "golden", "disk": {"serial": "S1"}}}]},
    "Scenario keep": {"steps": [{"backup": {"image": "kept-{machine}", "disk": {"serial": "S1"}}}]},
    "Image golden": {},
    "Image other": {},
    "Image kept-{machine}": {},
    "Hold h": {
        "select": {"labels": {"held": "x"}},
        "until": "2027-01-01T00:00:00Z",
        "owner": "ada",
        "reason": "disks are replaced",
    },
    "Schedule s": {
        "select": {"machines": ["t"]},
        "action": {"scenario": "clone"},
        "when": {"cron": "0 6 * * *", "timeZone": "UTC"},
    },
    "EnrollmentRule r": {"order": 5, "match": {"macs": ["0a:*"]}, "group": "a"},
    "EnrollmentRule s": {"order": 5, "match": {"macs": ["*"]}, "group": "a/b"},
}


def leaves(model: type[Record], outer: str = "") -> Iterator[str]:
    """Yield the paths of all fields that are no part of a document's structure."""
    for field in model.model_fields.values():
        path = f"{outer}{field.alias}"
        inner = record_in(field.annotation)
        if inner is None:
            yield path
        elif not inner.model_fields:
            continue  # a step that has no fields acts by being there
        else:
            yield from leaves(inner, f"{path}[]." if is_list(field.annotation) else f"{path}.")


def record_in(annotation: object) -> type[Record] | None:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    return next(filter(None, map(record_in, get_args(annotation))), None)


def is_list(annotation: object) -> bool:
    return any(get_origin(part) is tuple for part in (annotation, *get_args(annotation)))


ALL = [
    (kind, path)
    for kind, model in KINDS.items()
    for path in leaves(model)
    if path not in {"apiVersion", "kind"}
]


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value into a document; of lists on the way, into the first item; ``...`` removes."""
    *outer, last = path.split(".")
    inner: Any = document
    for part in outer:
        name = part.removesuffix("[]")
        inner = inner.setdefault(name, [{}] if part.endswith("[]") else {})
        inner = inner[0] if part.endswith("[]") else inner
    if value is ...:
        inner.pop(last, None)
    else:
        inner[last] = deepcopy(value)


def files_of(*edits: Edit, csv: str = "") -> dict[str, bytes]:
    """Return the fleet with the edits, each document on one line of its own."""
    documents: dict[str, dict[str, Any]] = {}
    for title, spec in deepcopy(DOCUMENTS).items():
        kind, name = title.split(" ")
        documents[title] = {"kind": kind, "metadata": {"name": name}, "spec": spec}
    for title, path, value in edits:
        kind, name = title.split(" ")
        added = {"kind": kind, "metadata": {"name": name}, "spec": {}}
        if path:
            put(documents.setdefault(title, added), path, value)
        else:
            documents[title] = {**added, "spec": deepcopy(value)}
    text = "\n---\n".join(
        json.dumps({"apiVersion": "rackwright/v1alpha1", **each}) for each in documents.values()
    )
    text = re.sub(r'"(!secret [^"]*)"', r"\1", text)
    return {"f.yaml": text.encode(), "m.csv": csv.encode()}


def problems_of(*edits: Edit) -> list[str]:
    return [
        str(each)
        for each in compile_fleet(files_of(*edits), "r").diagnostics
        if each.severity == "error"
    ]


CSV = "name,macs,group\nfromcsv,02:00:00:00:00:0c,a\n"


def fleet_of(*edits: Edit) -> CompiledFleet:
    result = compile_fleet(files_of(*edits, csv=CSV), "r")
    assert result.fleet is not None, [str(each) for each in result.diagnostics]
    return result.fleet


@cache
def world() -> Observed:
    """Return what is known: two disks of the machine, images, and an operation of old hardware."""
    base = fleet_of()
    at = NOW - timedelta(minutes=90)
    disks = [
        a_disk(identity=DiskIdentity(wwn=f"W{n}", serial=f"S{n}", path=f"P{n}", size=1 << 33))
        for n in (1, 2)
    ]
    images = tuple(
        an_image(name=name, manifest=digit * 64)
        for name, digit in (("golden", "a"), ("other", "b"))
    )
    machines = {
        name: ObservedMachine(ramdisk=TimedReport(a_report(base.machines[name], *disks), at))
        for name in ("m", "t")
    }
    known = observed({**machines, "m2": machines["m"]}, images)
    there = fleet_of(("Machine i", "", {"group": "a", "hardware": {"macs": [INSTALLED_MAC]}}))
    machine = there.machines["i"]
    system = evolve(
        a_report(machine, installed=an_installed_system(machine, "")), agent_version="9.0"
    )
    machines["i"] = ObservedMachine(installed=TimedReport(system, NOW), installed_contact=NOW)
    former = fleet_of(("Machine m", "spec.hardware.macs", [OLD_MAC]))
    (item,) = [each for each in plan(former, known, NOW).items if each.machine == "m"]
    assert item.operation is not None
    done = a_status(item.operation, OperationState.VERIFIED, at=at)
    return observed({**machines, "m2": machines["m"]}, images, (done,))


def done_with(fleet: CompiledFleet) -> object:
    """Return what is done with a fleet: its plan, where strangers are put, when nothing begins."""
    made = plan(fleet, world(), NOW)
    items = [
        (each.machine, each.subject, each.group, each.risk, each.action, each.reason)
        + ((each.operation, each.operation.instructions.steps) if each.operation else ())
        for each in made.items
    ]
    strangers = [
        DiscoveredMachine(
            name="web-7",
            addresses=(IPv4Address(address),),
            macs=(mac,),
            uuid=uuid,
            serial="S7",
            vendor="QEMU",
            relay=IPv4Address("10.0.0.1"),
        )
        for address, mac, uuid in (("10.0.0.7", "0a:00:00:00:00:01", UUID), ("10.9.0.7", MAC, ""))
    ]
    placed = [
        found.rule and (found.rule.group, found.rule.network)
        for found in (enrollment(each, fleet.enrollment_rules) for each in strangers)
    ]
    moments = [NOW + timedelta(hours=3 * each) for each in range(56)]
    shut = [
        closed(said[1], moment, timedelta()) is not None
        for machine in fleet.machines.values()
        if (said := fleet.windows_of(machine))
        for moment in moments
    ]
    return (
        items,
        made.budget,
        placed,
        shut,
        [
            (each.terms.health, each.terms.max_failures, [wave.machines for wave in each.waves])
            for each in made.rollouts
        ],
        [acts(fleet, each) for each in fleet.schedules.values()],
        once_drifted(fleet),
    )


def acts(fleet: CompiledFleet, schedule: CompiledSchedule) -> object:
    """Return what a schedule does, when and where; what ran late is known by the way it is told."""
    machines = [each.name for each in fleet.machines.values() if schedule.name in each.schedules]
    return (
        scheduled_token(schedule.name, NOW),
        schedule.scenario,
        schedule.power,
        [why_never(fleet, schedule, each) for each in fleet.machines.values()],
        [(name, delay_of(schedule, name, place)) for place, name in enumerate(machines)],
        upcoming(schedule, NOW - timedelta(days=1), 9),
        due(schedule, NOW - timedelta(days=3), NOW),
    )


def once_drifted(fleet: CompiledFleet) -> object:
    """Return what is said once the work is done and each system got another host name."""
    made = plan(fleet, world(), NOW)
    done = {each.machine: each.operation for each in made.items if each.operation}
    machines = {}
    for name, operation in done.items():
        system = an_installed_system(fleet.machines[name], operation.op_id)
        report = a_report(fleet.machines[name], installed=evolve(system, hostname="drifted"))
        machines[name] = ObservedMachine(installed=TimedReport(report, NOW))
    statuses = tuple(a_status(each, OperationState.VERIFIED) for each in done.values())
    return [
        (each.machine, each.reason)
        for each in plan(fleet, observed(machines, (), statuses), NOW).items
    ]


def settings_of(fleet: CompiledFleet) -> dict[str, object]:
    """Return what is not done by a plan, by the attributes that have it."""
    found: dict[str, object] = {}
    for network in fleet.networks.values():
        found |= {f"{network.subnet}.{key}": each for key, each in network._asdict().items()}
    settings = fleet.settings._asdict()
    commits, approvals = settings.pop("commits"), settings.pop("approvals")
    for number, rule in enumerate((*settings.pop("budgets"), *settings.pop("breakers"))):
        found |= {f"{number}.{key}": value for key, value in rule._asdict().items()}
    for number, signer in enumerate(commits.signers):
        found |= {f"{number}.{key}": value for key, value in signer._asdict().items()}
    for number, person in enumerate(approvals.persons):
        found |= {f"{number}.{key}": value for key, value in person._asdict().items()}
    for risk in ("safe", "disruptive", "destructive"):
        rule = getattr(approvals, risk)
        found |= {f"{risk}.{key}": value for key, value in (rule._asdict() if rule else {}).items()}
    found |= {f".{key}": value for key, value in settings.items()}
    for source in fleet.package_sources:
        known = source._asdict()
        times = known.pop("schedule")
        known |= times._replace(position=None)._asdict() if times else {}
        found |= {f"{source.url}.{key}": value for key, value in known.items()}
    for policy in fleet.update_policies.values():
        found |= {f"{policy.name}.{key}": value for key, value in policy._asdict().items()}
    for name, image in fleet.images.items():
        found[f"{name}.alert_seconds"] = image.alert_seconds
        kept = image.retention._asdict() if image.retention else {}
        found |= {f"{name}.{key}": value for key, value in kept.items()}
    for level, said in fleet.waits.items():
        found |= {f"{level}.{key}": each.value for key, each in said.items()}
    found[".verify"] = commits.verify
    return {key: value for key, value in found.items() if not key.endswith(".position")}


@cache
def read_outside() -> frozenset[str]:
    """Return the names of all attributes that code outside ``specs`` reads."""
    return frozenset(
        node.attr
        for folder in OUTSIDE
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    )


MACHINE: dict[str, tuple[Any, Any]] = {
    "metadata.labels": ({"held": "x"}, {"held": "y"}),
    "spec.group": ("a", "a/b"),
    "spec.hardware.macs": ([MAC], [MAC, "02:00:00:00:00:05"]),
    "spec.hardware.uuid": (..., UUID),
    "spec.hardware.formerly": (..., [f"mac:{OLD_MAC}"]),
    "spec.identity.hostname": ("x", "y"),
    "spec.identity.domain": ("x.example.net", "y.example.net"),
    "spec.identity.addresses": (["10.0.0.7/16"], ["10.0.0.8/16"]),
    "spec.network": ("n", "o"),
    "spec.protect": (True, False),
    "spec.drift": ("report", "off"),
    "spec.assign[].scenario": ("clone", "keep"),
    "spec.assign[].run": ("1", "2"),
}
"""Two values of each field of a machine."""


IN_A_ROW: list[Edit] = [
    ("MachineTable t", "spec.rows[].name", "m2"),
    ("MachineTable t", "spec.rows[].macs", [MAC]),
    ("MachineTable t", "spec.defaults.group", "a"),
    ("Machine m", "", {"group": "a", "hardware": {"macs": ["02:00:00:00:00:0f"]}}),
    ("Scenario clone", "spec.targets[].select.machines", ["m2"]),
    ("Scenario clone", "spec.targets[].run", "1"),
]
"""A row of a table stands for the machine, and a target gives it its work."""
COMMITS = {"verify": "ssh", "signers": [{"name": "ada", "key": KEY}]}
SCOPES = {"group": ("a", "a/b"), "network": ("n", "o"), "scenario": ("clone", "keep")}
BUDGETS = {
    f"{scope}s": [{scope: names[0], **{kind: {"atOnce": 2} for kind in BUDGET_FIELDS}}]
    for scope, names in SCOPES.items()
}
RULE = {"roles": ["operator", "owner"]}
APPROVALS = {
    "persons": [
        {"name": name, "logins": [name], "emails": [f"{name}@example.org"], "roles": RULE["roles"]}
        for name in ("ada", "bob")
    ],
    **dict.fromkeys(("safe", "disruptive", "destructive"), RULE),
}
DISK = {"wwn": ("W1", "W2"), "serial": ("S1", "S2"), "path": ("P1", "P2")}
WITH_BACKUP: list[Edit] = [("Machine m", "spec.assign[].scenario", "keep")]
ON_TARGET: list[Edit] = [
    ("Machine t", "metadata.labels", {"x": "y"}),
    ("Scenario keep", "spec.targets[].run", "1"),
]
WITHOUT_WORK: list[Edit] = [("Machine m", "spec.assign", ...)]
HELD: list[Edit] = [("Hold h", "spec.select", {"machines": ["m"]})]

Variation = tuple[list[Edit], Edit, Edit]
"""What both fleets have, and what makes the one and the other."""


def two(
    title: str, path: str, values: tuple[Any, Any], base: list[Edit] | None = None
) -> dict[tuple[str, str], Variation]:
    kind = title.split(" ", maxsplit=1)[0]
    return {(kind, path): (base or [], (title, path, values[0]), (title, path, values[1]))}


def machines() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field that machines and what is above them have."""
    found = two("Machine m", "metadata.name", ("m", "m2"))
    for path, values in MACHINE.items():
        found |= two("Machine m", path, values)
        column = path.rpartition(".")[2]
        if "assign" not in path:
            found |= two("MachineTable t", f"spec.rows[].{column}", values, IN_A_ROW)
            found |= two("MachineTable t", f"spec.defaults.{column}", values, IN_A_ROW)
        if path in {"spec.network", "spec.protect", "spec.identity.domain", "spec.drift"}:
            found |= two("Group a", path, values)
        if "assign" in path:
            work: Edit = ("Group a", "spec.assign", [{"scenario": "clone", "run": "1"}])
            found |= two("Group a", path, values, [*WITHOUT_WORK, work])
    found |= two("MachineTable t", "spec.rows[].name", ("m2", "m3"), IN_A_ROW)
    found |= two("Group a", "spec.labels", MACHINE["metadata.labels"])
    found |= two(
        "Group a", "metadata.name", ("a", "c"), [("Group a", "spec.labels", {"held": "x"})]
    )
    csv: list[Edit] = [("Scenario keep", "spec.targets[].select.machines", ["fromcsv"])]
    csv += [("Scenario keep", "spec.targets[].run", "1"), ("MachineTable t", "", {"rows": []})]
    found |= two("MachineTable t", "spec.csv", (..., "m.csv"), csv)
    return found


def approvals() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of approvals."""
    found: dict[tuple[str, str], Variation] = {}
    ruled: list[Edit] = [("Fleet f", "spec.approvals", APPROVALS)]
    for part, values in (
        ("name", ("ada", "amy")),
        ("logins", (["ada"], ["amy"])),
        ("keys", ([KEY], [OTHER_KEY])),
        ("emails", (["a@example.org"], ["c@example.org"])),
        ("roles", (["operator", "owner"], ["operator", "owner", "auditor"])),
    ):
        found |= two("Fleet f", f"spec.approvals.persons[].{part}", values, ruled)
    for risk in ("safe", "disruptive", "destructive"):
        for part, values in (
            ("roles", (["operator"], ["owner"])),
            ("persons", (1, 2)),
            ("excludeAuthor", (True, False)),
            ("expires", ("1h", "2h")),
        ):
            found |= two("Fleet f", f"spec.approvals.{risk}.{part}", values, ruled)
    return found


def breakers() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of breakers."""
    found: dict[tuple[str, str], Variation] = {}
    breaker: list[Edit] = [("Fleet f", "spec.breaker.groups[].group", "a")]
    for scope in ("", "groups[]."):
        for part, values in (("failures", (2, 3)), ("percent", (5, 6)), ("within", ("1h", "2h"))):
            found |= two("Fleet f", f"spec.breaker.{scope}{part}", values, breaker)
    found |= two("Fleet f", "spec.breaker.groups[].group", ("a", "a/b"), breaker)
    return found


def networks_and_settings() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of networks, the fleet and enrollment rules."""
    found = two("Network o", "metadata.name", ("o", "p"))
    for path, values in (
        ("spec.subnet", ("10.0.0.0/16", "10.0.0.0/17")),
        ("spec.gateway", ("10.0.0.1", "10.0.0.3")),
        ("spec.nameservers", (["10.0.0.1"], ["10.0.0.2"])),
        ("spec.domain", ("n.example.net", "p.example.net")),
        ("spec.dhcp.mode", ("server", "proxy")),
        ("spec.dhcp.range", ("10.0.9.1-10.0.9.9", "10.0.9.1-10.0.9.8")),
        ("spec.dhcp.lease", ("1h", "2h")),
    ):
        found |= two("Network n", path, values)
    budgets: list[Edit] = [("Fleet f", "spec.budgets", BUDGETS)]
    for kind, fields in BUDGET_FIELDS.items():
        for part in fields:
            found |= two("Fleet f", f"spec.budgets.{kind}.{part}", (3, 4))
            for scope in SCOPES:
                at = f"spec.budgets.{scope}s[].{kind}.{part}"
                found |= two("Fleet f", at, (3, 4), budgets)
    for scope, names in SCOPES.items():
        found |= two("Fleet f", f"spec.budgets.{scope}s[].{scope}", names, budgets)
    found |= breakers()
    found |= two("Fleet f", "spec.observation.maxAge", ("1h", "3h"))
    for title in ("Fleet f", "Group a", "Scenario clone"):
        for part in ("grant", "silence", "proof", "wake"):
            found |= two(title, f"spec.waits.{part}", ("2m", "3m"))
        found |= two(title, "spec.waits.attempts", (2, 3))
    found |= two("Fleet f", "spec.runs.keep", ("30d", "90d"))
    found |= two("Fleet f", "spec.agents.returnWithin", ("30d", "400d"))
    found |= two("Fleet f", "spec.runs.maxSize", ("1GiB", "2GiB"))
    found |= two("Fleet f", "spec.images.scrub.enabled", (True, False))
    found |= two("Fleet f", "spec.images.scrub.every", ("1w", "2w"))
    found |= two("Fleet f", "spec.images.signatures", ("optional", "required"))
    found |= two("Fleet f", "spec.images.scrub.maxRate", ("1MiB/s", "2MiB/s"))
    for part in ("enabled", "plainHttp"):
        found |= two("Fleet f", f"spec.rebootLock.{part}", (True, False))
    found |= two("Fleet f", "spec.defaults.network", ("n", "o"))
    found |= approvals()
    found |= two("Fleet f", "spec.defaults.drift", ("report", "off"))
    signed: list[Edit] = [("Fleet f", "spec.commits", COMMITS)]
    found |= two("Fleet f", "spec.commits.signers[].key", (KEY, OTHER_KEY), signed)
    found[("Fleet", "spec.commits.verify")] = ([], signed[0], ("Fleet f", "spec.commits", {}))
    for path, values in (
        ("metadata.name", ("r", "z")),
        ("spec.order", (5, 50)),
        ("spec.group", ("a", "x/y")),
        ("spec.network", ("n", "o")),
        ("spec.match.macs", (["0a:*"], ["0b:*"])),
        ("spec.match.addresses", (["10.0.0.0/24"], ["10.0.1.0/24"])),
        ("spec.match.uuids", ([UUID], [UUID.replace("4c", "5c")])),
        ("spec.match.names", (["web-*"], ["db-*"])),
        ("spec.match.serials", (["S7"], ["S8"])),
        ("spec.match.vendors", (["qemu"], ["Dell*"])),
        ("spec.match.relays", (["10.0.0.1"], ["10.0.0.2"])),
    ):
        found |= two("EnrollmentRule r", path, values)
    return found


WINDOW = {"days": ["mon", "tue"], "begin": "01:00", "end": "05:00"}
WINDOWS = {"timeZone": "Asia/Tokyo", "allow": [WINDOW]}


def windows() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of windows and calendars."""
    found: dict[tuple[str, str], Variation] = {}
    for title in ("Fleet f", "Group a"):
        base: list[Edit] = [(title, "spec.windows", WINDOWS)]
        found |= two(title, "spec.windows.timeZone", ("UTC", "Asia/Tokyo"), base)
        for word in ("allow", "deny"):
            at = f"spec.windows.{word}[]"
            base = [(title, "spec.windows", {"timeZone": "UTC", word: [WINDOW]})]
            found |= two(title, f"{at}.days", (["mon"], ["sat"]), base)
            found |= two(title, f"{at}.begin", ("00:30", "04:00"), base)
            found |= two(title, f"{at}.end", ("12:00", "24:00"), base)
        base = [(title, "spec.windows", {"timeZone": "UTC"})]
        dates = ["2026-11-22"], ["2026-11-25"]
        found |= two(title, "spec.windows.holidays.dates", dates, base)
        found |= two(title, "spec.windows.holidays.calendars", (["c"], ["d"]), base)
    found |= two(
        "Calendar c",
        "spec.dates",
        dates,
        [*base, ("Group a", "spec.windows.holidays", {"calendars": ["c"]})],
    )
    return found


def rollouts() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of rollouts, whose second machine has work, too."""
    found: dict[tuple[str, str], Variation] = {}
    for title in ("Fleet f", "Group a"):
        at = "spec.rollout"
        base: list[Edit] = [("Machine t", "spec.assign", [{"scenario": "clone", "run": "1"}])]
        found |= two(title, f"{at}.waves[].percent", (1, 100), base)
        chosen: list[Edit] = [*base, ("Machine m", "metadata.labels", {"x": "z"})]
        chosen.append(("Machine t", "spec.group", "a/b"))
        select = f"{at}.waves[].select"
        found |= two(title, f"{select}.machines", (["m"], ["t"]), chosen)
        found |= two(title, f"{select}.groups", (["a"], ["a/b"]), chosen)
        found |= two(title, f"{select}.labels", ({"x": "z"}, {"x": "w"}), chosen)
        found |= two(title, f"{at}.health.soak", ("5m", "15m"))
        found |= two(title, f"{at}.health.within", ("5m", "15m"))
        urls = "http://{address}/a", "http://{address}/b"
        found |= two(title, f"{at}.health.url", urls)
        found |= two(title, f"{at}.health.command", (["check-a"], ["check-b"]))
        found |= two(title, f"{at}.maxFailures", (0, 1))
    return found


def schedules() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of schedules."""
    found = two("Schedule s", "metadata.name", ("s", "z"))
    chosen: list[Edit] = [
        ("Schedule s", "spec.select", {}),
        ("Machine m", "metadata.labels", {"x": "z"}),
        ("Schedule s", "spec.startInterval", "10s"),
    ]
    found |= two("Schedule s", "spec.select.machines", (["m"], ["t"]), chosen)
    found |= two("Schedule s", "spec.select.groups", (["a"], ["a/b"]), chosen)
    found |= two("Schedule s", "spec.select.labels", ({"x": "z"}, {"x": "w"}), chosen)
    found |= two("Schedule s", "spec.action.scenario", ("clone", "keep"))
    power: list[Edit] = [("Schedule s", "spec.action", {})]
    found |= two("Schedule s", "spec.action.power", ("on", "off"), power)
    once: list[Edit] = [("Schedule s", "spec.when", {"at": "2026-11-21T11:00:00Z"})]
    moments = "2026-11-21T11:00:00Z", "2026-11-21T11:30:00Z"
    found |= two("Schedule s", "spec.when.at", moments, once)
    found |= two("Schedule s", "spec.when.cron", ("0 6 * * *", "0 7 * * *"))
    found |= two("Schedule s", "spec.when.timeZone", ("UTC", "Asia/Tokyo"))
    found |= two("Schedule s", "spec.when.window", ("1h", "1d"))
    found |= two("Schedule s", "spec.when.missed", ("skip", "run-once"))
    none: list[Edit] = [("Schedule s", "spec.when.holidays", {})]
    dates = ["2026-11-22"], ["2026-11-25"]
    found |= two("Schedule s", "spec.when.holidays.dates", dates, none)
    found |= two("Schedule s", "spec.when.holidays.calendars", (["c"], ["d"]), none)
    days: list[Edit] = [("Schedule s", "spec.when.holidays", {"calendars": ["c"]})]
    found |= two("Schedule s", "spec.when.holidays.action", ("skip", "next-day"), days)
    both: list[Edit] = [("Schedule s", "spec.select", {"machines": ["*"]})]
    found |= two("Schedule s", "spec.startInterval", ("10s", "20s"), both)
    found |= two("Schedule s", "spec.jitter", ("1h", "2h"))
    found[("Schedule", "spec.approved")] = (
        [],
        ("Schedule s", "spec.approved", "destructive"),
        ("Schedule s", "spec.jitter", ...),
    )
    return found


SUM, OTHER_SUM = "9f" * 32, "8e" * 32
PACKAGE = {"type": "patch", "targets": [{"family": "debian"}], "setup": {"by": "apt"}}
SETUP = {
    "by": ("apt", "dnf"),
    "package": ("p", "q"),
    "arguments": (["-a"], ["-b"]),
    "success": ([0], [0, 5]),
    "rebootNeeded": ([4], [5]),
    "timeout": ("1h", "2h"),
    "session": ("service", "user"),
}
SIGNS: dict[str, tuple[dict[str, Any], dict[str, tuple[Any, Any]]]] = {
    "file": ({"path": "/a"}, {"path": ("/a", "/b"), "version": ("1", "2")}),
    "registry": (
        {"key": "HKLM\\A"},
        {"key": ("HKLM\\A", "HKLM\\B"), "name": ("a", "b"), "value": ("a", "b")},
    ),
    "package": ({"name": "p"}, {"name": ("p", "q"), "version": ("1", "2")}),
    "command": (
        {"command": ["c"]},
        {"command": (["c"], ["d"]), "status": (0, 1), "output": ("a", "b")},
    ),
}


def in_system(*steps: dict[str, Any]) -> list[Edit]:
    """Return a machine whose agent is there, and what it has to do."""
    return [
        ("Machine i", "", {"group": "a", "hardware": {"macs": [INSTALLED_MAC]}}),
        ("Machine i", "spec.assign", [{"scenario": "serve", "run": "1"}]),
        ("Scenario serve", "", {"steps": list(steps)}),
        ("Package p", "", PACKAGE),
        ("Package q", "", PACKAGE),
    ]


def system_work() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of packages and of steps on installed systems."""
    found: dict[tuple[str, str], Variation] = {}
    runs = in_system({"run": {"command": ["c"]}})
    for part, values in (
        ("command", (["c"], ["d"])),
        ("success", ([0], [1])),
        ("timeout", ("1m", "2m")),
        ("silence", ("1m", "2m")),
        ("session", ("service", "user")),
    ):
        found |= two("Scenario serve", f"spec.steps[].run.{part}", values, runs)
    brings = in_system({"files": {"copy": [{"source": "a", "target": "/a"}], "remove": ["/c"]}})
    for part, values in (
        ("copy[].source", ("a", "b")),
        ("copy[].target", ("/a", "/b")),
        ("copy[].owner", ("a", "b")),
        ("copy[].group", ("a", "b")),
        ("copy[].mode", ("0600", "0644")),
        ("remove", (["/c"], ["/d"])),
    ):
        found |= two("Scenario serve", f"spec.steps[].files.{part}", values, brings)
    upgrades = in_system({"upgradeAgent": {"version": "0.3.0"}})
    for part, values in (("version", ("0.3.0", "0.4.0")), ("healthWithin", ("1m", "2m"))):
        found |= two("Scenario serve", f"spec.steps[].upgradeAgent.{part}", values, upgrades)
    installs = in_system({"packages": {"install": ["p"]}})
    for part, values in (
        ("install", (["p"], ["q"])),
        ("when", ("now", "next-startup")),
        ("countdown", ("10s", "20s")),
        ("skippable", (False, True)),
    ):
        found |= two("Scenario serve", f"spec.steps[].packages.{part}", values, installs)
    found[("Package", "metadata.name")] = (
        installs,
        ("Scenario serve", "spec.steps[].packages.install", ["p"]),
        ("Scenario serve", "spec.steps[].packages.install", ["q"]),
    )
    for part, values in (
        ("type", ("patch", "application")),
        ("version", ("1", "2")),
        ("requires", ([], ["q"])),
        ("reboot", ("never", "always")),
        ("exclusive", (True, False)),
        ("targets[].family", ("debian", "suse")),
        ("targets[].versions", (["11"], ["12"])),
        ("targets[].architecture", ("amd64", "arm64")),
        ("targets[].language", ("ja", "en")),
    ):
        found |= two("Package p", f"spec.{part}", values, installs)
    for part, values in SETUP.items():
        found |= two("Package p", f"spec.setup.{part}", values, installs)
    command: list[Edit] = [
        *installs,
        ("Package p", "spec.version", "1"),
        ("Package p", "spec.setup", {"command": ["c"]}),
        ("Package p", "spec.detect", [{"file": {"path": "/a"}}]),
    ]
    found |= two("Package p", "spec.setup.command", (["c"], ["d"]), command)
    files: list[Edit] = [
        ("Package p", "spec.files", [{"url": "https://f.example.net/a", "sha256": SUM}])
    ]
    urls = "https://f.example.net/a", "https://f.example.net/b"
    found |= two("Package p", "spec.files[].url", urls, [*installs, *files])
    found |= two("Package p", "spec.files[].sha256", (SUM, OTHER_SUM), [*installs, *files])
    for sign, (bare, parts) in SIGNS.items():
        shown: list[Edit] = [*installs, ("Package p", "spec.detect", [{sign: bare}])]
        for part, values in parts.items():
            found |= two("Package p", f"spec.detect[].{sign}.{part}", values, shown)
    return found


SIGNERS = tuple(f"ed25519:{letter * 42}A=" for letter in "AB")
SOURCE: Edit = (
    "PackageSource p",
    "",
    {
        "url": "https://p.example.net/x",
        "signers": [SIGNERS[0]],
        "schedule": {"cron": "0 3 * * *", "timeZone": "UTC"},
    },
)


def package_sources() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of package sources."""
    found: dict[tuple[str, str], Variation] = {}
    for path, values, *more in (
        ("url", ("https://p.example.net/x", "https://p.example.net/y")),
        ("order", (1, 2)),
        ("signers", ([SIGNERS[0]], [SIGNERS[1]])),
        ("login.username", ("u", "v"), ("login.password", "!secret p/x")),
        ("login.password", ("!secret p/x", "!secret p/y"), ("login.username", "u")),
        ("proxy", ("http://proxy.example.net:3128", "http://proxy.example.net:3129")),
        ("schedule.at", ("2026-11-21T11:00:00Z", "2026-11-21T11:30:00Z"), ("schedule", {})),
        ("schedule.cron", ("0 6 * * *", "0 7 * * *")),
        ("schedule.timeZone", ("UTC", "Asia/Tokyo")),
        ("schedule.window", ("1h", "1d")),
        ("schedule.missed", ("skip", "run-once")),
        ("schedule.holidays.dates", (["2026-11-22"], ["2026-11-25"])),
        ("schedule.holidays.calendars", (["c"], ["d"])),
        (
            *("schedule.holidays.action", ("skip", "next-day")),
            ("schedule.holidays", {"calendars": ["c"]}),
        ),
        ("maxRate", ("1Mbit/s", "2Mbit/s")),
        ("keepFree", ("1GiB", "2GiB")),
    ):
        base = [SOURCE, *(("PackageSource p", f"spec.{place}", value) for place, value in more)]
        found |= two("PackageSource p", f"spec.{path}", values, base)
    return found | two("PackageSource p", "metadata.name", ("p", "q"), [SOURCE])


POLICY: Edit = ("UpdatePolicy u", "", {"select": {"machines": ["i"]}, "packages": ["p"]})


def update_policies() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of update policies, and of urgency."""
    base: list[Edit] = [
        ("Machine i", "", {"group": "a", "hardware": {"macs": [INSTALLED_MAC]}}),
        ("Package p", "", PACKAGE),
        ("Package q", "", {**PACKAGE, "urgency": "normal"}),
        POLICY,
    ]
    found: dict[tuple[str, str], Variation] = {}
    for path, values, *more in (
        ("order", (1, 2)),
        ("packages", (["p"], ["q"])),
        ("urgency", ("high", "normal")),
        ("checks.at", (["12:15"], ["12:30"])),
        ("checks.atStartup", (True, False)),
        ("checks.onNotice", (True, False)),
        ("checks.onUrgency", ("highest", "low")),
        ("install.when", ("now", "logged-off")),
        ("install.confirm", (True, False)),
        ("install.countdown", ("30s", "60s")),
        ("install.deadline", ("7d", "8d")),
        ("install.windows[].begin", ("22:00", "23:00"), ("install.windows[].end", "05:00")),
        ("install.windows[].end", ("05:00", "06:00"), ("install.windows[].begin", "22:00")),
        (
            *("install.windows[].days", (["sat"], ["sun"])),
            *(("install.windows[].begin", "22:00"), ("install.windows[].end", "05:00")),
        ),
        ("install.timeZone", ("UTC", "Asia/Tokyo")),
        ("limits.machines", (1, 2)),
        ("limits.maxRate", ("1Mbit/s", "2Mbit/s")),
    ):
        with_more = [*base, *(("UpdatePolicy u", f"spec.{place}", each) for place, each in more)]
        found |= two("UpdatePolicy u", f"spec.{path}", values, with_more)
    chosen = [*base, ("Machine i", "metadata.labels", {"x": "y"})]
    bare: list[Edit] = [*chosen, ("UpdatePolicy u", "spec.select", {})]
    found |= two("UpdatePolicy u", "spec.select.machines", (["i"], ["z"]), bare)
    found |= two("UpdatePolicy u", "spec.select.groups", (["a"], ["a/b"]), bare)
    found |= two("UpdatePolicy u", "spec.select.labels", ({"x": "y"}, {"x": "w"}), bare)
    found |= two("Package q", "spec.urgency", ("normal", "highest"), base)
    found[("UpdatePolicy", "metadata.name")] = (
        [*base, ("UpdatePolicy v", "", {"select": {"machines": ["i"]}, "packages": ["q"]})],
        ("UpdatePolicy a", "", {"select": {"machines": ["z"]}}),
        ("UpdatePolicy a", "", {"select": {"machines": ["i"]}}),
    )
    return found


def work() -> dict[tuple[str, str], Variation]:
    """Return two valid fleets for each field of scenarios, images and holds."""
    found: dict[tuple[str, str], Variation] = {}
    for title, at, base in (
        ("Hold h", "spec.select", [("Hold h", "spec.select", {})]),
        ("Scenario keep", "spec.targets[].select", ON_TARGET),
    ):
        chosen: list[Edit] = [*base, ("Machine m", "metadata.labels", {"x": "z"})]
        found |= two(title, f"{at}.machines", (["m"], ["t"]), chosen)
        found |= two(title, f"{at}.groups", (["a"], ["a/b"]), chosen)
        found |= two(title, f"{at}.labels", ({"x": "z"}, {"x": "w"}), chosen)
    found |= two("Hold h", "spec.until", ("2027-01-01T00:00:00Z", "2020-01-01T00:00:00Z"), HELD)
    found |= two("Hold h", "spec.owner", ("ada", "bob"), HELD)
    found |= two("Hold h", "spec.reason", ("one", "two"), HELD)
    chosen = [*ON_TARGET, ("Scenario keep", "spec.targets[].select.machines", ["t"])]
    found |= two("Scenario keep", "spec.targets[].run", ("1", "2"), chosen)
    found |= two("Scenario clone", "spec.options.trigger", ("now", "next-boot"))
    found |= two("Scenario clone", "spec.options.after", ("reboot", "poweroff"))
    found |= two("Scenario clone", "spec.options.timeout", ("1h", "2h"))
    found |= two("Scenario clone", "spec.options.onError", ("local-boot", "poweroff"))
    found |= two("Scenario clone", "spec.options.onErrorDelay", ("1m", "2m"))
    found |= two("Scenario clone", "spec.steps[].timeout", ("1h", "2h"))
    found |= two("Scenario clone", "spec.steps[].restore.image", ("golden", "other"))
    found |= two("Scenario clone", "spec.steps[].restore.identity", ("apply", "keep"))
    found |= two("Scenario clone", "spec.steps[].restore.grow", ("last", "vg0/root"))
    found |= two("Scenario clone", "spec.steps[].restore.partitions", ([3], [1, 3]))
    some: list[Edit] = [("Scenario clone", "spec.steps[].restore.partitions", [3])]
    found |= two("Scenario clone", "spec.steps[].restore.bootCode", (True, False), some)
    found |= two("Scenario keep", "spec.steps[].backup.mode", ("used", "full"), WITH_BACKUP)
    found |= two("Scenario keep", "spec.steps[].backup.partitions", ([3], [1, 3]), WITH_BACKUP)
    bad_sectors = ("fail", "skip-and-mark")
    found |= two("Scenario keep", "spec.steps[].backup.onBadSector", bad_sectors, WITH_BACKUP)
    found |= two("Scenario keep", "spec.steps[].backup.repair", (False, True), WITH_BACKUP)
    found |= two(
        "Scenario keep", "spec.steps[].backup.image", ("kept-{machine}", "other"), WITH_BACKUP
    )
    for step, title, base in (("restore", "clone", []), ("backup", "keep", WITH_BACKUP)):
        for part, values in DISK.items():
            at = f"spec.steps[].{step}.disk"
            bare: list[Edit] = [*base, (f"Scenario {title}", at, {})]
            found |= two(f"Scenario {title}", f"{at}.{part}", values, bare)
    found[("Scenario", "metadata.name")] = (
        [("Scenario x", "", {"steps": [{"inspectDisks": {}}]})],
        ("Machine m", "spec.assign[].scenario", "x"),
        ("Machine m", "spec.assign[].scenario", "clone"),
    )
    found |= two("Image golden", "spec.alertAfter", ("26h", "27h"))
    for part in ("last", "daily", "weekly", "monthly"):
        found |= two("Image golden", f"spec.retention.{part}", (2, 3))
    found[("Image", "metadata.name")] = (
        [],
        ("Scenario clone", "spec.steps[].restore.image", "golden"),
        ("Scenario clone", "spec.steps[].restore.image", "other"),
    )
    return found


VARIATIONS = {
    **machines(),
    **networks_and_settings(),
    **windows(),
    **rollouts(),
    **schedules(),
    **package_sources(),
    **update_policies(),
    **work(),
    **system_work(),
}
"""Two valid fleets for each field that acts, which differ in it alone."""
ACTING = [each for each in ALL if isinstance(effect_of(*each), Acts)]
BLOCKING = [
    (kind, path)
    for kind, effects in EFFECTS.items()
    for path, each in effects.items()
    if isinstance(each, Blocks)
]
SHOWN_BY = {
    "spec.options.reboot": "tests/transcripts/"
    "a-machine-that-may-not-reboot-has-to-be-shut-down-first/plan.txt",
    "power.driver": "tests/unit/test_power_manual.py",
}
"""Fields of which some values block: where it is shown that the others do different things."""


def values_of(kind: str, path: str) -> tuple[str, ...]:
    """Return the words that a field takes; nothing where it takes more than words."""
    field = field_at(KINDS[kind], tuple(path.replace("[]", "").split(".")))
    annotation: Any = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def test_every_field_of_every_kind_is_said_to_do_something() -> None:
    assert [each for each in ALL if effect_of(*each) is None] == []


def test_nothing_is_said_of_a_field_that_is_not_there() -> None:
    known = {(kind, path) for kind, path in ALL}
    known |= {(kind, path[:at]) for kind, path in ALL for at in range(len(path))}
    known.add(("Scenario", "spec.steps[].prepareMaster"))
    said = {(kind, path) for kind, effects in EFFECTS.items() for path in effects}
    assert said - known == set()
    assert set(EFFECTS) == set(KINDS)


@pytest.mark.parametrize(("kind", "path"), ACTING)
def test_a_field_that_acts_makes_a_difference_outside(kind: str, path: str) -> None:
    if len(values_of(kind, path)) == 1:
        return  # nothing else can be written
    base, one, other = VARIATIONS[kind, path]
    first, second = fleet_of(*base, one), fleet_of(*base, other)
    if done_with(first) != done_with(second):
        return
    was, now = settings_of(first), settings_of(second)
    changed = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
    assert {key.rpartition(".")[2] for key in changed} & read_outside(), "nothing reads it"


FOR_PEOPLE: list[tuple[str, str]] = [
    *(
        (f"{kind} {name}", "metadata.displayName")
        for kind, name in (
            ("Machine", "m"),
            ("Group", "a"),
            ("Scenario", "clone"),
            ("Image", "golden"),
        )
    ),
    ("Machine m", "spec.hardware.serial"),
    ("MachineTable t", "spec.rows[].displayName"),
    ("MachineTable t", "spec.rows[].serial"),
    ("MachineTable t", "metadata.name"),
    ("Image golden", "spec.description"),
    ("Fleet f", "metadata.name"),
    ("Fleet f", "spec.commits.signers[].name"),
    ("Hold h", "metadata.name"),
    ("Schedule s", "metadata.displayName"),
    ("Fleet f", "spec.rollout.waves[].name"),
    ("Group a", "spec.rollout.waves[].name"),
    ("Calendar c", "metadata.name"),
    ("Calendar c", "metadata.displayName"),
    ("Calendar c", "spec.description"),
    ("Package x", "metadata.displayName"),
    ("Package x", "spec.description"),
    ("Package x", "spec.bulletin"),
]


@pytest.mark.parametrize(("title", "path"), FOR_PEOPLE)
def test_a_field_for_people_changes_nothing_that_is_done(title: str, path: str) -> None:
    base = [*IN_A_ROW] if title.startswith("MachineTable") else []
    base += [("Fleet f", "spec.commits", COMMITS), ("Package x", "", PACKAGE)]
    if "rollout" in path:
        base += [(title, "spec.rollout.waves[].percent", 50)]
    one, other = ((title, path, text) for text in ("one", "two"))
    assert isinstance(effect_of(title.split(" ", maxsplit=1)[0], path), ForPeople)
    assert done_with(fleet_of(*base, one)) == done_with(fleet_of(*base, other))


def test_what_people_read_is_either_tried_here_or_of_a_kind_that_blocks() -> None:
    tried = {(title.split(" ", maxsplit=1)[0], path) for title, path in FOR_PEOPLE}
    left = {each for each in ALL if isinstance(effect_of(*each), ForPeople)} - tried
    assert [each for each in left if not isinstance(EFFECTS[each[0]].get("spec"), Blocks)] == []


BMC = {"address": "10.0.0.9", "username": "u", "password": "!secret bmc/x"}
BLOCKS = {
    "redfish": {"driver": "redfish", **BMC},
    "ipmi": {"driver": "ipmi", **BMC},
    "webhook": {"driver": "webhook", "url": "https://p.example.net"},
    "multicast": {"mode": "multicast"},
}
NEEDED: dict[str, list[Edit]] = {
    "Installer": [("OperatingSystem debian12", "", example_document("OperatingSystem")["spec"])],
    "install": [
        ("OperatingSystem debian12", "", example_document("OperatingSystem")["spec"]),
        ("Installer debian12-server", "", example_document("Installer")["spec"]),
    ],
}
STEPS: dict[str, Any] = {
    "install": {"installer": "debian12-server"},
    "firmware": {
        "method": "redfish",
        "file": {"url": "https://f.example.net/b", "sha256": "9f" * 32},
    },
    "prepareMaster": {"system": "linux"},
}
TITLES = {"Machine": "m", "Group": "a", "MachineTable": "t", "Scenario": "clone"}


def written(kind: str, path: str) -> Iterator[tuple[list[Edit], str]]:
    """Yield fleets with what blocks at a path, and the reasons why it does."""
    effect = EFFECTS[kind][path]
    assert isinstance(effect, Blocks)
    title = f"{kind} {TITLES.get(kind, 'r' if kind == 'EnrollmentRule' else 'x')}"
    last = path.rpartition(".")[2]
    base = [*IN_A_ROW] if kind == "MachineTable" else []
    base += NEEDED.get(last, []) + NEEDED.get(kind, [])
    if path == "spec":
        yield [*base, (title, "", example_document(kind)["spec"])], effect.reason
    elif last in STEPS:
        yield [*base, (title, "spec.steps", [{last: STEPS[last]}])], effect.reason
    for value, reason in effect.values.items():
        block = path.rpartition(".")[0]
        edit = (title, block, BLOCKS[value]) if value in BLOCKS else (title, path, value)
        yield [*base, edit], reason


@pytest.mark.parametrize(("kind", "path"), BLOCKING)
def test_a_field_that_blocks_plans_as_blocked_with_its_reason(kind: str, path: str) -> None:
    fleets = list(written(kind, path))
    assert fleets
    for edits, reason in fleets:
        items = plan(fleet_of(*edits), world(), NOW).items
        blocked = [each.reason for each in items if each.risk == "BLOCKED"]
        assert any(reason in each for each in blocked), (edits, blocked)


@pytest.mark.parametrize(("kind", "path"), BLOCKING)
def test_of_a_field_that_blocks_in_part_the_rest_is_shown_to_act(kind: str, path: str) -> None:
    effect = EFFECTS[kind][path]
    assert isinstance(effect, Blocks)
    values = values_of(kind, path)
    assert set(effect.values) <= set(values)
    if effect.values and len(set(values) - set(effect.values)) > 1:
        (shown,) = [where for name, where in SHOWN_BY.items() if path.endswith(name)]
        assert (ROOT / shown).exists()


@pytest.mark.parametrize(
    ("kind", "path", "effect"),
    [
        (kind, path, effect)
        for kind, effects in EFFECTS.items()
        for path, effect in effects.items()
        if isinstance(effect, PartOf)
    ],
)
def test_a_part_of_what_blocks_cannot_be_written_without_it(
    kind: str, path: str, effect: PartOf
) -> None:
    whole = EFFECTS[kind][effect.field]
    assert isinstance(whole, Blocks)
    acting = [each for each in values_of(kind, effect.field) if each not in whole.values]
    assert acting
    for value in acting:
        *block, chosen = effect.field.split(".")
        settings = {chosen: value, path.rpartition(".")[2]: EXAMPLES[path.rpartition(".")[2]]}
        edit = (f"{kind} {TITLES[kind]}", ".".join(block), settings)
        base = [*IN_A_ROW] if kind == "MachineTable" else []
        assert any(path.rpartition(".")[2] in each for each in problems_of(*base, edit))


EXAMPLES: dict[str, Any] = {
    **BMC,
    "url": "https://p.example.net",
    "token": "!secret x",
    "maxTargets": 5,
    "maxWait": "5m",
    "maxRate": "400Mbit/s",
}
