"""Boot grants and the single-use tokens that go with them."""

from datetime import datetime
from json import dumps, loads
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Select, bindparam, insert, select, update

from providers.netboot.decision import Grant
from reconciler.state import schema
from reconciler.state.database import Database

_TOKEN = schema.enrollment_token
_BY_DIGEST = select(_TOKEN).where(_TOKEN.c.digest == bindparam("digest"))
_LAST_ENROLLED = (
    select(_TOKEN)
    .where(_TOKEN.c.machine == bindparam("machine"), _TOKEN.c.used_at.is_not(None))
    .order_by(_TOKEN.c.used_at.desc())
    .limit(1)
)
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
                )
            )

    def token(self, digest: str) -> Token | None:
        """Return what this hash stands for."""
        return self._token(_BY_DIGEST, digest=digest)

    def last_enrolled(self, machine: str) -> Token | None:
        """Return the token that was last traded for a certificate of this name."""
        return self._token(_LAST_ENROLLED, machine=machine)

    def _token(self, query: Select[tuple[Any, ...]], **values: str) -> Token | None:
        with self._database.reading() as connection:
            row = connection.execute(query, values).first()
        if row is None:
            return None
        return Token(
            digest=row.digest,
            operation=row.op_id,
            attempt=row.attempt,
            machine=row.machine,
            environment=row.environment,
            expires=row.expires,
            void=row.void,
            used_by=row.used_by or "",
        )

    def use_token(self, digest: str, used_by: str, at: datetime) -> bool:
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
                    .values(used_at=at, used_by=used_by)
                ).rowcount
            )
