"""Certificates of agents: which were issued, which are revoked, and who asks to come back."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from attrs import frozen
from sqlalchemy import Row, bindparam, func, insert, select, update

from reconciler.state import schema
from reconciler.state.database import Database

Origin = Literal["enrollment", "renewal", "return", "seen"]
"""How the server knows of a certificate. ``seen``: it was shown, and no record has it; so are
those that were issued before there were records, or after the backup that was restored."""

_CERTIFICATE = schema.agent_certificate
_REVOCATION = schema.agent_revocation
_RETURN = schema.agent_return
_BY_SERIAL = select(_CERTIFICATE).where(_CERTIFICATE.c.serial == bindparam("serial"))
"""Asked for with each word of an agent, so that it is not made anew each time."""


@frozen
class IssuedCertificate:
    """One certificate of an agent."""

    serial: str
    """In hex."""
    machine: str
    environment: str
    key: str
    """SHA-256 of its public key in hex."""
    authority_key: str
    """The id of the authority's key that signed it, in hex."""
    origin: Origin
    issued: datetime
    expires: datetime
    used_at: datetime | None = None
    """When an agent showed it for the first time."""
    revoked_at: datetime | None = None


class Revocation(NamedTuple):
    """A person's word that a machine's certificates are not to be accepted any more."""

    machine: str
    at: datetime
    actor: str
    reason: str


class ReturnRequest(NamedTuple):
    """An agent that asks to come back with a certificate that is not accepted any more."""

    serial: str
    machine: str
    asked_at: datetime
    last_at: datetime
    source: str
    why: str
    """Why it is not let in by itself, as a clause."""
    accepted_at: datetime | None
    actor: str
    reason: str


class AgentCertificates:
    """Certificates, revocations and requests to come back, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, serial: str) -> IssuedCertificate | None:
        """Return the record of a certificate; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(_BY_SERIAL, {"serial": serial}).first()
        return None if row is None else _issued(row)

    def record(self, certificate: IssuedCertificate) -> IssuedCertificate:
        """Keep a certificate; return it as it is kept.

        One that no record has, and that is older than a revocation of its machine, is revoked.
        """
        with self._database.writing() as connection:
            revoked = certificate.revoked_at
            if certificate.origin == "seen":
                revoked = connection.execute(
                    select(func.max(_REVOCATION.c.at)).where(
                        _REVOCATION.c.machine == certificate.machine,
                        _REVOCATION.c.at >= certificate.issued,
                    )
                ).scalar()
            values = {
                **{column: getattr(certificate, column) for column in _columns()},
                "revoked_at": revoked,
            }
            connection.execute(insert(_CERTIFICATE).prefix_with("OR IGNORE").values(values))
            return _issued(connection.execute(_BY_SERIAL, {"serial": certificate.serial}).one())

    def note_use(self, serial: str, at: datetime) -> None:
        """Keep that an agent showed a certificate for the first time."""
        with self._database.writing() as connection:
            connection.execute(
                update(_CERTIFICATE)
                .where(_CERTIFICATE.c.serial == serial, _CERTIFICATE.c.used_at.is_(None))
                .values(used_at=at)
            )

    def all(self) -> tuple[IssuedCertificate, ...]:
        """Return all of installed agents, by machine, the newest of each machine first."""
        query = (
            select(_CERTIFICATE)
            .where(_CERTIFICATE.c.environment == "installed")
            .order_by(_CERTIFICATE.c.machine, _CERTIFICATE.c.issued.desc())
        )
        with self._database.reading() as connection:
            return tuple(map(_issued, connection.execute(query)))

    def of_machine(self, machine: str) -> tuple[IssuedCertificate, ...]:
        """Return those of one name's installed agents, the newest first."""
        query = (
            select(_CERTIFICATE)
            .where(_CERTIFICATE.c.machine == machine, _CERTIFICATE.c.environment == "installed")
            .order_by(_CERTIFICATE.c.issued.desc())
        )
        with self._database.reading() as connection:
            return tuple(map(_issued, connection.execute(query)))

    def knows(self, machine: str) -> bool:
        """Return whether a machine ever had a certificate, or traded in a token before."""
        tokens = schema.enrollment_token
        query = (
            select(_CERTIFICATE.c.serial)
            .where(_CERTIFICATE.c.machine == machine)
            .union_all(
                select(tokens.c.digest).where(
                    tokens.c.machine == machine, tokens.c.used_at.is_not(None)
                )
            )
            .limit(1)
        )
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    # --- revocation ---------------------------------------------------------------

    def revoke(self, revocation: Revocation) -> int:
        """Revoke all certificates of a machine; return how many were not revoked before.

        Its requests to come back go too.
        """
        with self._database.writing() as connection:
            connection.execute(insert(_REVOCATION).values(revocation._asdict()))
            connection.execute(_RETURN.delete().where(_RETURN.c.machine == revocation.machine))
            return connection.execute(
                update(_CERTIFICATE)
                .where(
                    _CERTIFICATE.c.machine == revocation.machine,
                    _CERTIFICATE.c.revoked_at.is_(None),
                )
                .values(revoked_at=revocation.at)
            ).rowcount

    def revocation(self, machine: str) -> Revocation | None:
        """Return who revoked the certificates of a machine last, and why."""
        query = (
            select(*(_REVOCATION.c[name] for name in Revocation._fields))
            .where(_REVOCATION.c.machine == machine)
            .order_by(_REVOCATION.c.sequence.desc())
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Revocation(*row)

    # --- coming back --------------------------------------------------------------

    def ask_to_return(
        self, certificate: IssuedCertificate, at: datetime, source: str, why: str
    ) -> ReturnRequest:
        """Keep that an agent asks to come back; return the request as it is now."""
        with self._database.writing() as connection:
            known = connection.execute(
                select(_RETURN).where(_RETURN.c.serial == certificate.serial)
            ).first()
            if known is None:
                found = ReturnRequest(
                    certificate.serial, certificate.machine, at, at, source, why, None, "", ""
                )
                connection.execute(insert(_RETURN).values(found._asdict()))
                return found
            connection.execute(
                update(_RETURN)
                .where(_RETURN.c.serial == certificate.serial)
                .values(last_at=at, source=source, why=why)
            )
            return _request(known)._replace(last_at=at, source=source, why=why)

    def returns(self) -> tuple[ReturnRequest, ...]:
        """Return the agents that ask to come back and are not accepted, by machine."""
        query = select(_RETURN).where(_RETURN.c.accepted_at.is_(None)).order_by(_RETURN.c.machine)
        with self._database.reading() as connection:
            return tuple(map(_request, connection.execute(query)))

    def accept_return(self, serial: str, at: datetime, actor: str, reason: str) -> bool:
        """Keep a person's word that an agent may come back; False where it asks no more."""
        with self._database.writing() as connection:
            return bool(
                connection.execute(
                    update(_RETURN)
                    .where(_RETURN.c.serial == serial, _RETURN.c.accepted_at.is_(None))
                    .values(accepted_at=at, actor=actor, reason=reason)
                ).rowcount
            )

    def end_return(self, machine: str) -> None:
        """Forget the requests of a machine: its agent is there again."""
        with self._database.writing() as connection:
            connection.execute(_RETURN.delete().where(_RETURN.c.machine == machine))


def _columns() -> tuple[str, ...]:
    return tuple(column.name for column in _CERTIFICATE.columns)


def _issued(row: Row[Any]) -> IssuedCertificate:
    return IssuedCertificate(*(row._mapping[name] for name in _columns()))  # noqa: SLF001 - SQLAlchemy's public API


def _request(row: Row[Any]) -> ReturnRequest:
    return ReturnRequest(*(row._mapping[name] for name in ReturnRequest._fields))  # noqa: SLF001 - likewise
