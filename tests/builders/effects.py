"""What each field of each kind does: it acts, it is for people, or it blocks with a reason.

A field that validates must do one of the three, so that nobody relies on one that nothing
reads. What blocks compiles to a reason, and plans as BLOCKED with it. A test walks all fields
of all models, and shows for each that it does what is said here.

Paths are those of documents, ``[]`` for each item of a list. A field that blocks covers what is
below it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from specs.compile.unsupported import DRIVERS, FIELDS, STEPS, Blocks
from specs.fleet import MACHINE_FIELDS
from specs.machine_fields import MachineField


class Acts(NamedTuple):
    """Something outside ``specs`` does other work for another value."""

    on: str
    """What it changes, for people."""


class ForPeople(NamedTuple):
    """It is shown, and nothing else depends on it."""

    where: str = "shown beside the name"


class PartOf(NamedTuple):
    """It can be written only beside the values of another field that block."""

    field: str


Effect = Acts | ForPeople | Blocks | PartOf

_SHOWN = {"metadata.displayName": ForPeople()}
_NAME = {"metadata.name": ForPeople("references and messages")}


def _selector(at: str, acts: str) -> dict[str, Effect]:
    return {f"{at}.{part}": Acts(acts) for part in ("machines", "groups", "labels")}


def _power(at: str) -> dict[str, Effect]:
    settings = ("address", "username", "password", "url", "token")
    return {
        f"{at}.driver": Blocks(values=DRIVERS),
        **{f"{at}.{each}": PartOf(f"{at}.driver") for each in settings},
    }


def _disk(at: str) -> dict[str, Effect]:
    acts = Acts("which disk is read or written")
    return {f"{at}.{part}": acts for part in ("role", "wwn", "serial", "path")}


def _machine() -> dict[str, Effect]:
    """Return the effects of what ``CompiledMachine`` declares."""
    effects: dict[str, Effect] = {}
    for field in MACHINE_FIELDS:
        if field.said.form == "power":
            effects |= _power(".".join(field.place))
        elif field.said.for_people:
            effects[field.said.at] = ForPeople()
        else:
            for part in ("[].scenario", "[].run") if field.said.form == "assign" else ("",):
                effects[field.said.at + part] = Acts(f"CompiledMachine.{field.attribute}")
    return effects


_MACHINE: Mapping[str, Effect] = {
    **_machine(),
    "spec.hardware.serial": ForPeople("explain, export and what a branch changes"),
}


def _in_a_row(at: str, fields: Iterable[MachineField]) -> dict[str, Effect]:
    """Return the effects of a machine's fields by the paths of a row's."""
    found: dict[str, Effect] = {}
    for field in fields:
        place = ".".join(field.place)
        if field.said.form == "power":
            found |= _power(f"{at}.{field.column}")
        else:
            found[f"{at}.{field.column}"] = _MACHINE[place]
    return found


_IN_ROWS = [field for field in MACHINE_FIELDS if field.said.in_rows]
_SHARED = [
    field
    for field in MACHINE_FIELDS
    if field.said.handed_down or field.said.form in {"power", "labels"}
]
"""What levels above a machine say too."""


def _in_a_group() -> dict[str, Effect]:
    places = tuple(".".join(field.place) for field in _SHARED if field.path[0] == "spec")
    return {path: _MACHINE[path] for path in _MACHINE if path.startswith((*places, "spec.assign"))}


_WAITS = {
    f"spec.waits.{part}": Acts("how long a machine at work is waited for")
    for part in ("grant", "silence", "proof", "wake", "attempts")
}


def _windows() -> dict[str, Effect]:
    acts = Acts("when work may begin")
    parts = [f"{word}[].{each}" for word in ("allow", "deny") for each in ("days", "begin", "end")]
    named = ("timeZone", *parts, "holidays.dates", "holidays.calendars")
    return {f"spec.windows.{each}": acts for each in named}


def _rollout() -> dict[str, Effect]:
    at = "spec.rollout"
    healthy = Acts("when the next wave may begin")
    return {
        f"{at}.waves[].name": ForPeople("plans and messages"),
        f"{at}.waves[].percent": Acts("in which wave a machine is"),
        **_selector(f"{at}.waves[].select", "in which wave a machine is"),
        **{f"{at}.health.{each}": healthy for each in ("soak", "within", "url", "command")},
        f"{at}.maxFailures": Acts("when the rollout halts"),
    }


_FILES = (
    *("copy[].source", "copy[].target", "copy[].owner", "copy[].group", "copy[].mode"),
    "remove",
)
_RUN = ("command", "success", "timeout", "silence", "session")
_PACKAGE = ("type", "version", "requires", "reboot", "exclusive")
_TARGET = ("family", "versions", "architecture", "language")
_FILE = ("url", "sha256")
_SETUP = (
    *("by", "package", "command", "arguments", "success"),
    *("rebootNeeded", "timeout", "session"),
)
_SIGNS = (
    *("file.path", "file.version", "registry.key", "registry.name", "registry.value"),
    *("package.name", "package.version", "command.command", "command.status", "command.output"),
)
_STEPS = {f"spec.steps[].{step}": Blocks(reason) for step, reason in STEPS.items()}

BUDGET_FIELDS = {
    "work": ("atOnce", "perMinute"),
    "imaging": ("atOnce",),
    "destructive": ("atOnce", "perHour"),
    "disruptive": ("atOnce", "perHour"),
}

_REST: Mapping[str, Mapping[str, Effect]] = {
    "Calendar": {
        "metadata.name": ForPeople("references"),
        **_SHOWN,
        "spec.dates": Acts("when work may begin"),
        "spec.description": ForPeople("the document"),
    },
    "DeployOS": _NAME,
    "EnrollmentRule": {
        "metadata.name": Acts("the order of rules with equal numbers"),
        "spec.order": Acts("which rule is asked first"),
        **{
            f"spec.match.{part}": Acts("which machines it means")
            for part in ("names", "addresses", "macs", "uuids", "serials", "vendors", "relays")
        },
        "spec.group": Acts("where `adopt` puts the machine"),
        "spec.network": Acts("where `adopt` puts the machine"),
    },
    "Fleet": {
        **_NAME,
        **{
            f"spec.budgets.{scope}{kind}.{part}": Acts("how many machines are at work")
            for scope in ("", "groups[].", "networks[].", "scenarios[].")
            for kind, parts in BUDGET_FIELDS.items()
            for part in parts
        },
        **{
            f"spec.budgets.{scope}s[].{scope}": Acts("whose machines the limits count")
            for scope in ("group", "network", "scenario")
        },
        **{
            f"spec.breaker.{scope}{part}": Acts("when no new work begins")
            for scope in ("", "groups[].")
            for part in ("failures", "percent", "within")
        },
        "spec.breaker.groups[].group": Acts("whose failures the breaker counts"),
        "spec.observation.maxAge": Acts("what is UNKNOWN"),
        "spec.runs.keep": Acts("how long the logs of runs are kept"),
        "spec.runs.maxSize": Acts("how many logs of runs are kept"),
        "spec.images.scrub.enabled": Acts("whether the image store is scrubbed"),
        "spec.images.scrub.every": Acts("when the image store is scrubbed"),
        "spec.images.signatures": Acts("whether unsigned images are restored"),
        "spec.images.scrub.maxRate": Acts("how fast the image store is scrubbed"),
        "spec.agents.returnWithin": Acts("which agents come back by themselves"),
        "spec.commits.verify": Acts("which commits are acted on"),
        "spec.commits.signers[].name": ForPeople("messages about signatures"),
        "spec.commits.signers[].key": Acts("which commits are acted on"),
        **_WAITS,
        **{
            f"spec.approvals.persons[].{part}": Acts("whose approvals count")
            for part in ("name", "logins", "keys", "emails", "roles")
        },
        **{
            f"spec.approvals.{risk}.{part}": Acts("what work may begin")
            for risk in ("safe", "disruptive", "destructive")
            for part in ("roles", "persons", "excludeAuthor", "expires")
        },
        "spec.defaults.network": Acts("the network of machines that name none"),
        **_windows(),
        **_rollout(),
        "spec.defaults.drift": Acts("whether installed systems are compared"),
        "spec.rebootLock.enabled": Acts("whether machines may ask before they restart"),
        "spec.rebootLock.plainHttp": Acts("on which ports they may"),
    },
    "Group": {
        "metadata.name": Acts("which machines are below it"),
        **_SHOWN,
        "spec.labels": Acts("which selectors mean its machines"),
        **_WAITS,
        **_in_a_group(),
        **_windows(),
        **_rollout(),
    },
    "Hold": {
        "metadata.name": ForPeople("messages about what is held"),
        **_selector("spec.select", "which machines get no new work"),
        "spec.until": Acts("how long they get no new work"),
        "spec.owner": Acts("what the plan says"),
        "spec.reason": Acts("what the plan says"),
    },
    "Image": {
        "metadata.name": Acts("which content of the store it is"),
        **_SHOWN,
        "spec.description": ForPeople("image ls --repo"),
        "spec.alertAfter": Acts("when status says that a backup is too old"),
        "spec.retention.last": Acts("which generations are kept"),
        "spec.retention.daily": Acts("which generations are kept"),
        "spec.retention.weekly": Acts("which generations are kept"),
        "spec.retention.monthly": Acts("which generations are kept"),
    },
    "Installer": _NAME,
    "Machine": _MACHINE,
    "MachineTable": {
        **_NAME,
        **_in_a_row("spec.rows[]", _IN_ROWS),
        **_in_a_row("spec.defaults", _SHARED),
        "spec.defaults.group": Acts("the group of the machines"),
        "spec.csv": Acts("more machines"),
    },
    "Network": {
        "metadata.name": Acts("whose leases are kept"),
        "spec.subnet": Acts("which addresses are leased"),
        "spec.gateway": Acts("what machines are told"),
        "spec.nameservers": Acts("what machines are told"),
        "spec.domain": Acts("what machines are told"),
        "spec.dhcp.mode": Acts("whether addresses are leased"),
        "spec.dhcp.range": Acts("which addresses are leased"),
        "spec.dhcp.lease": Acts("how long addresses are leased"),
    },
    "OperatingSystem": {
        **_NAME,
        "spec.description": ForPeople("the document"),
    },
    "Package": {
        "metadata.name": Acts("what results and other packages call it"),
        **_SHOWN,
        "spec.description": ForPeople("the document"),
        "spec.bulletin": ForPeople("the document"),
        "spec.urgency": Acts("which update policies bring it"),
        **{f"spec.{each}": Acts("when and where it is installed") for each in _PACKAGE},
        **{f"spec.targets[].{each}": Acts("on which systems") for each in _TARGET},
        **{f"spec.files[].{each}": Acts("what is brought to the machine") for each in _FILE},
        **{f"spec.setup.{each}": Acts("how it is installed") for each in _SETUP},
        **{f"spec.detect[].{each}": Acts("whether it is there") for each in _SIGNS},
    },
    "PackageSource": {
        "metadata.name": Acts("which source is asked first, of equal numbers"),
        "spec.url": Acts("where packages are mirrored from"),
        "spec.order": Acts("which source a package is taken from"),
        "spec.signers": Acts("which lists of packages are believed"),
        "spec.login.username": Acts("how one logs in"),
        "spec.login.password": Acts("how one logs in"),
        "spec.proxy": Acts("how the server is reached"),
        **{
            f"spec.schedule.{each}": Acts("when it is mirrored")
            for each in (
                *("at", "cron", "timeZone", "window", "missed"),
                *("holidays.dates", "holidays.calendars", "holidays.action"),
            )
        },
        "spec.maxRate": Acts("how fast it is mirrored"),
        "spec.keepFree": Acts("whether there is room"),
    },
    "Scenario": {
        "metadata.name": Acts("what runs once for each run token"),
        **_SHOWN,
        **{
            f"spec.delivery.{each}": PartOf("spec.delivery.mode")
            for each in ("maxTargets", "maxWait", "maxRate")
        },
        "spec.options.trigger": Acts("when the work begins"),
        **_WAITS,
        "spec.options.after": Acts("what the machine does at last"),
        "spec.options.timeout": Acts("when the run has failed"),
        "spec.options.onError": Acts("what the machine does after a failure"),
        "spec.options.onErrorDelay": Acts("how long it waits before that"),
        "spec.steps[].timeout": Acts("when the step has failed"),
        **_selector("spec.targets[].select", "which machines have it run"),
        "spec.targets[].run": Acts("what they have run"),
        "spec.steps[].backup.image": Acts("what the content is called"),
        **_disk("spec.steps[].backup.disk"),
        "spec.steps[].backup.mode": Acts("whether every sector is read"),
        "spec.steps[].backup.onBadSector": Acts("what becomes of sectors that cannot be read"),
        "spec.steps[].backup.repair": Acts("whether file systems are repaired on the disk"),
        "spec.steps[].restore.image": Acts("what is written"),
        **_disk("spec.steps[].restore.disk"),
        "spec.steps[].restore.identity": Acts("whether the system becomes this machine's"),
        "spec.steps[].backup.partitions": Acts("which partitions are read"),
        "spec.steps[].restore.partitions": Acts("which partitions are written"),
        "spec.steps[].restore.bootCode": Acts("whether boot code is written with partitions"),
        "spec.steps[].restore.grow": Acts("what takes the free space of the disk"),
        **{f"spec.steps[].run.{each}": Acts("what is run, and how") for each in _RUN},
        **{f"spec.steps[].files.{each}": Acts("what is brought or removed") for each in _FILES},
        "spec.steps[].upgradeAgent.version": Acts("which release of the agent is brought"),
        "spec.steps[].upgradeAgent.healthWithin": Acts("when the old agent is used again"),
        "spec.steps[].packages.install": Acts("what is installed"),
        "spec.steps[].packages.when": Acts("when the work begins"),
        "spec.steps[].packages.countdown": Acts("how long people are warned before"),
        "spec.steps[].packages.skippable": Acts("whether people may put it off"),
    },
    "Schedule": {
        "metadata.name": Acts("the run tokens of its work"),
        **_SHOWN,
        **_selector("spec.select", "on which machines it acts"),
        "spec.action.scenario": Acts("what is run"),
        "spec.action.power": Acts("how machines are switched"),
        **{
            f"spec.when.{each}": Acts("when it acts")
            for each in (
                *("at", "cron", "timeZone", "window", "missed"),
                *("holidays.dates", "holidays.calendars", "holidays.action"),
            )
        },
        "spec.startInterval": Acts("when each machine begins"),
        "spec.jitter": Acts("when each machine begins"),
        "spec.approved": Acts("whether disks are overwritten"),
    },
    "UpdatePolicy": {
        "metadata.name": Acts("which of equal ones counts"),
        **_selector("spec.select", "which machines install by themselves"),
        "spec.order": Acts("which of several counts"),
        "spec.packages": Acts("what is installed"),
        "spec.urgency": Acts("what else is installed"),
        **{
            f"spec.checks.{each}": Acts("when machines look for what is missing")
            for each in ("at", "atStartup", "onNotice", "onUrgency")
        },
        "spec.install.when": Acts("when it is installed"),
        "spec.install.confirm": Acts("whether people are asked first"),
        "spec.install.countdown": Acts("how long people are warned of a restart"),
        "spec.install.deadline": Acts("how long people may put it off"),
        **{
            f"spec.install.windows[].{each}": Acts("when it may begin")
            for each in ("days", "begin", "end")
        },
        "spec.install.timeZone": Acts("when it may begin"),
        "spec.limits.machines": Acts("how many fetch at one time"),
        "spec.limits.maxRate": Acts("how fast each fetches"),
    },
}
"""What does not block."""

EFFECTS: Mapping[str, Mapping[str, Effect]] = {
    kind: {
        **_REST[kind],
        **FIELDS.get(kind, {}),
        **(_STEPS if kind == "Scenario" else {}),
    }
    for kind in _REST
}


def effect_of(kind: str, path: str) -> Effect | None:
    """Return what a field does; of one below a field that blocks, that. None where nobody knows."""
    effects = EFFECTS[kind]
    if path in effects:
        return effects[path]
    while "." in path:
        path = path.rpartition(".")[0]
        above = effects.get(path)
        if isinstance(above, Blocks):
            return above
    return None
