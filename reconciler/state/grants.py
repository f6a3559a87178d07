"""Boot grants and the single-use tokens that go with them."""

from datetime import datetime
from json import dumps, loads
from typing import Any

from attrs import frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    bindparam,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)

from providers.netboot.decision import Grant
from reconciler.state import schema
from reconciler.state.database import Database

_TOKEN = schema.enrollment_token
_JOIN = schema.agent_join
_OF_BOOTS = select(_TOKEN, null().label("identities"))
_BY_DIGEST = _OF_BOOTS.where(_TOKEN.c.digest == bindparam("digest"))
_JOINED: dict[str, ColumnElement[Any]] = {
    "digest": literal(""),
    "op_id": literal(""),
    "attempt": literal(0),
    "machine": _JOIN.c.machine,
    "environment": literal("installed"),
    "expires": _JOIN.c.used_at,
    "used_at": _JOIN.c.used_at,
    "used_by": _JOIN.c.used_by,
    "used_from": _JOIN.c.source,
    "sent_to": literal(""),
    "void": literal(value=False),
    "identities": _JOIN.c.identities,
}
"""What a join has of the columns of ``enrollment_token``."""
_LAST_TOKEN = (
    _OF_BOOTS.where(_TOKEN.c.machine == bindparam("machine"), _TOKEN.c.used_at.is_not(None))
    .order_by(_TOKEN.c.used_at.desc())
    .limit(1)
    .subquery()
)
_LAST_JOIN = (
    select(*(column.label(name) for name, column in _JOINED.items()))
    .where(_JOIN.c.machine == bindparam("machine"))
    .order_by(_JOIN.c.used_at.desc())
    .limit(1)
    .subquery()
)
_EITHER = union_all(
    select(_LAST_TOKEN), select(*(_LAST_JOIN.c[each.name] for each in _LAST_TOKEN.c))
).subquery()
_LAST_ENROLLED = select(_EITHER).order_by(_EITHER.c.used_at.desc()).limit(1)
"""Asked for with each word of an agent, so that it is not made anew each time."""


@frozen
class Token:
    """What a token stands for. The token itself is nowhere in the database, only its hash."""

    digest: str
    operation: str
    attempt: int
    machine: str
    environment: str
    expires: datetime
    void: bool = False
    used_by: str = ""
    """Digest of the certificate request that it was traded for; empty while unused."""
    used_at: datetime | None = None
    used_from: str = ""
    """The address that it was traded from; empty while unused."""
    sent_to: str = ""
    """The address that its boot script was sent to; empty for other tokens."""
    identities: tuple[str, ...] = ()
    """The hardware of an agent that joined by a person's token, which no operation names."""


class Grants:
    """Grants and tokens on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue_within(self, connection: Connection, grant: Grant) -> None:
        """Store a grant in the transaction that arms its operation."""
        connection.execute(
            insert(schema.boot_grant).values(
                op_id=grant.operation,
                attempt=grant.attempt,
                macs=dumps(grant.macs),
                uuid=grant.uuid,
                machine=grant.machine,
                expires=grant.expires,
            )
        )

    def unclaimed(self, armed: dict[str, int]) -> tuple[Grant, ...]:
        """Return the unclaimed grants of these operations at exactly these attempts."""
        table = schema.boot_grant
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table).where(table.c.op_id.in_(list(armed)), table.c.claimed_at.is_(None))
            ).all()
        return tuple(
            Grant(
                operation=row.op_id,
                attempt=row.attempt,
                machine=row.machine,
                macs=tuple(loads(row.macs)),
                uuid=row.uuid,
                expires=row.expires,
            )
            for row in rows
            if armed[row.op_id] == row.attempt
        )

    def claim_within(
        self, connection: Connection, operation: str, attempt: int, at: datetime
    ) -> bool:
        """Use the grant up; False when it is used up or does not exist."""
        table = schema.boot_grant
        return bool(
            connection.execute(
                update(table)
                .where(
                    table.c.op_id == operation,
                    table.c.attempt == attempt,
                    table.c.claimed_at.is_(None),
                )
                .values(claimed_at=at)
            ).rowcount
        )

    def store_token(self, token: Token) -> None:
        """Remember a new token's hash; unused earlier ones of the same attempt become void."""
        table = schema.enrollment_token
        with self._database.writing() as connection:
            connection.execute(
                update(table)
                .where(
                    table.c.op_id == token.operation,
                    table.c.attempt == token.attempt,
                    table.c.environment == token.environment,
                    table.c.used_at.is_(None),
                )
                .values(void=True)
            )
            connection.execute(
                insert(table).values(
                    digest=token.digest,
                    op_id=token.operation,
                    attempt=token.attempt,
                    machine=token.machine,
                    environment=token.environment,
                    expires=token.expires,
                    void=False,
                    sent_to=token.sent_to,
                )
            )

    def token(self, digest: str) -> Token | None:
        """Return what this hash stands for."""
        return self._token(_BY_DIGEST, digest=digest)

    def last_enrolled(self, machine: str) -> Token | None:
        """Return what was last traded for a certificate of this name.

        That is the token of an operation, or a join by a person's token, which has no operation
        but ``identities``.
        """
        return self._token(_LAST_ENROLLED, machine=machine)

    def _token(self, query: Executable, **values: str) -> Token | None:
        with self._database.reading() as connection:
            row = connection.execute(query, values).first()
        return None if row is None else _read(row)

    def use_token(self, digest: str, used_by: str, used_from: str, at: datetime) -> bool:
        """Use the token up; False for whoever comes second, even at the same instant.

        Whoever asks again with the same request, because the answer got lost, is first.
        """
        table = schema.enrollment_token
        with self._database.writing() as connection:
            return bool(
                connection.execute(
                    update(table)
                    .where(
                        table.c.digest == digest,
                        table.c.used_at.is_(None) | (table.c.used_by == used_by),
                        table.c.void.is_(False),
                    )
                    .values(used_at=at, used_by=used_by, used_from=used_from)
                ).rowcount
            )


def _read(row: Row[Any]) -> Token:
    return Token(
        digest=row.digest,
        operation=row.op_id,
        attempt=row.attempt,
        machine=row.machine,
        environment=row.environment,
        expires=row.expires,
        void=row.void,
        used_by=row.used_by or "",
        used_at=row.used_at,
        used_from=row.used_from,
        sent_to=row.sent_to,
        identities=tuple(row.identities.split(" ")) if row.identities else (),
    )
