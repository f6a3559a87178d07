"""Installed agents and their certificates: who is there, who asks to come back, whom to refuse."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Literal, NamedTuple

from sqlalchemy import insert, select

from reconciler.app.cancel import require_reason
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from reconciler.server.discovered_machines import is_discovered
from reconciler.state import schema
from reconciler.state.certificates import (
    AgentCertificates,
    IssuedCertificate,
    ReturnRequest,
    Revocation,
)
from reconciler.state.database import Database
from reconciler.state.grants import Grants
from reconciler.state.hardware import FleetHardware
from reconciler.trust.authority import Authority

AgentState = Literal["valid", "expired", "waits", "revoked"]
_SHORT = 12
_NAMED = 5


class Word(NamedTuple):
    """What a person says about agents is kept so."""

    actor: str
    reason: str
    at: datetime


class Agent(NamedTuple):
    """One installed agent."""

    name: str
    """Its machine's; of a machine that no document has, the name that its certificate has."""
    state: AgentState
    """``waits``: it asks to come back, and nobody has accepted that."""
    expires: datetime
    """Of its newest certificate."""
    contact: datetime | None
    """When it was heard last; None where it never was."""
    detail: str
    """What there is to say besides, as a clause; may be empty."""


class AuthorityKey(NamedTuple):
    """One key of the authority, as agents are concerned."""

    key: str
    is_present: bool
    """Whether it signs."""
    agents: int
    """Installed agents whose newest certificate is by this key and has not expired."""


def agents(project: Project, now: datetime) -> tuple[Agent, ...]:
    """Return all installed agents that ever had a certificate, by name."""
    store = AgentCertificates(project.database)
    waiting = {
        name: tuple(each) for name, each in groupby(store.returns(), lambda one: one.machine)
    }
    contacts = _contacts(project.database)
    names = _names(project, store)
    found = [(names.get(newest.machine, newest.machine), newest) for newest in _newest(store)]
    return tuple(
        _agent(newest, waiting.get(newest.machine, ()), contacts.get(name), store, now)._replace(
            name=name
        )
        for name, newest in sorted(found, key=lambda each: each[0])
    )


def accept_return(project: Project, name: str, word: Word, serial: str = "") -> ReturnRequest:
    """Let the agent of this name come back that asks to.

    ReconcilerError RW984 where none asks, RW985 where several do and ``serial`` names none.
    """
    require_reason(word.reason)
    store = AgentCertificates(project.database)
    known = {name, *_certified_as(project, store, name)}
    asking = [each for each in store.returns() if each.machine in known]
    found = [each for each in asking if each.serial.startswith(serial.lower())]
    if not found:
        what = f" with the serial {serial}" if serial and asking else ""
        raise ReconcilerError(
            "RW984",
            f"no agent of {name}{what} asks to come back",
            "See `rackwright agent ls` for those that do",
        )
    if len(found) > 1:
        listed = ", ".join(f"{each.serial[:_SHORT]} from {each.source}" for each in found[:_NAMED])
        raise ReconcilerError(
            "RW985",
            f"{len(found)} agents ask to come back as {name}: {listed}",
            "Find out which one is the machine, and name it with --serial",
        )
    store.accept_return(found[0].serial, word.at, word.actor, word.reason)
    return found[0]


def revoke(project: Project, name: str, word: Word) -> int:
    """Refuse all certificates of an agent from its next request on; return how many there are.

    ReconcilerError RW984 where no agent ever had this name.
    """
    require_reason(word.reason)
    store = AgentCertificates(project.database)
    certified = [each for each in (name, *_certified_as(project, store, name)) if store.knows(each)]
    if not certified:
        raise ReconcilerError(
            "RW984",
            f"no agent of {name} ever had a certificate here",
            "See `rackwright agent ls` for the names that agents have",
        )
    return sum(
        store.revoke(Revocation(each, word.at, word.actor, word.reason)) for each in certified
    )


# --- the authority --------------------------------------------------------------------


def authority_keys(project: Project, now: datetime) -> tuple[AuthorityKey, ...]:
    """Return the keys whose agents are let in, the one that signs first."""
    authority = _authority(project, now)
    newest = (each for each in _newest(AgentCertificates(project.database)))
    users = Counter(
        each.authority_key for each in newest if each.revoked_at is None and now <= each.expires
    )
    present = authority.key_id
    others = sorted(authority.accepted_key_ids - {present})
    return tuple(AuthorityKey(each, each == present, users[each]) for each in (present, *others))


def roll_authority(project: Project, word: Word) -> str:
    """Give the authority another key; return its id."""
    require_reason(word.reason)
    with project.database.writing() as connection:  # one rollover at a time
        authority = _authority(project, word.at)
        authority.roll(word.at)
        connection.execute(
            insert(schema.authority_event).values(
                what="roll", key=authority.key_id, at=word.at, actor=word.actor, reason=word.reason
            )
        )
    return authority.key_id


def retire_authority(project: Project, word: Word, *, although_used: bool) -> tuple[str, ...]:
    """Accept no certificate by an earlier key any more; return the ids of those keys.

    ReconcilerError RW985 where agents have certificates by them, unless ``although_used``.
    """
    require_reason(word.reason)
    left = [
        each for each in authority_keys(project, word.at) if not each.is_present and each.agents
    ]
    if left and not although_used:
        count = sum(each.agents for each in left)
        raise ReconcilerError(
            "RW985",
            f"{count:,} agent(s) still have a certificate by an earlier key of the authority",
            "Wait for a day, in which those that are there get another one; with --yes the rest "
            "has to ask to come back",
        )
    with project.database.writing() as connection:
        retired = _authority(project, word.at).retire(word.at)
        for key in retired:
            connection.execute(
                insert(schema.authority_event).values(
                    what="retire", key=key, at=word.at, actor=word.actor, reason=word.reason
                )
            )
    return retired


def _authority(project: Project, now: datetime) -> Authority:
    return Authority.load_or_create(project.state / "trust", now)


def _names(project: Project, store: AgentCertificates) -> dict[str, str]:
    """Return by the name of a certificate which machine has the hardware that it is for.

    Only of agents that joined before a document had their hardware: the certificates of all others
    have the machine's name.
    """
    grants = Grants(project.database)
    joined = {
        newest.machine: token.identities
        for newest in _newest(store)
        if is_discovered(newest.machine)
        and (token := grants.last_enrolled(newest.machine)) is not None
    }
    if not joined:
        return {}
    hardware = FleetHardware(project.fleet.machines.values())
    owners = {name: hardware.owner(identities) for name, identities in joined.items()}
    return {name: owner for name, owner in owners.items() if owner is not None}


def _certified_as(project: Project, store: AgentCertificates, machine: str) -> list[str]:
    """Return under which other names agents of a machine have their certificates."""
    return [name for name, owner in _names(project, store).items() if owner == machine]


def _newest(store: AgentCertificates) -> Iterator[IssuedCertificate]:
    """Yield the newest certificate of each installed agent."""
    for _, certificates in groupby(store.all(), lambda each: each.machine):
        yield next(certificates)


def _agent(
    newest: IssuedCertificate,
    waiting: tuple[ReturnRequest, ...],
    contact: datetime | None,
    store: AgentCertificates,
    now: datetime,
) -> Agent:
    state: AgentState = "valid" if now <= newest.expires else "expired"
    detail = ""
    if newest.revoked_at is not None:
        by = store.revocation(newest.machine)
        state, detail = "revoked", f"by {by.actor}: {by.reason}" if by else ""
    elif waiting:
        said = (f"{each.serial[:_SHORT]} from {each.source}: {each.why}" for each in waiting)
        state, detail = "waits", "; ".join(said)
    return Agent(newest.machine, state, newest.expires, contact, detail)


def _contacts(database: Database) -> dict[str, datetime]:
    """Return when agents were heard last, by the name that they had then."""
    table = schema.machine_observation
    with database.reading() as connection:
        rows = connection.execute(
            select(
                table.c.installed_name,
                table.c.installed_at,
                table.c.contact_name,
                table.c.contact_environment,
                table.c.contact_at,
            )
        ).all()
    found: dict[str, datetime] = {}
    for row in rows:
        heard = [(row.installed_name, row.installed_at)]
        if row.contact_environment == "installed":
            heard.append((row.contact_name, row.contact_at))
        for name, at in heard:
            if name and at and (name not in found or found[name] < at):
                found[name] = at
    return found
