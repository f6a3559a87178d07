"""Tokens that persons make, and the agents that joined by them. Kept for good, and only added to.

The token itself is nowhere in the database, only its hash.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, insert, select

from reconciler.state import schema
from reconciler.state.database import Database

_TOKEN, _END, _JOIN = schema.join_token, schema.join_token_end, schema.agent_join
_USED = (
    select(func.count())
    .where(_JOIN.c.token_id == _TOKEN.c.token_id)
    .scalar_subquery()
    .label("used")
)
_KNOWN = select(
    _TOKEN, _USED, _END.c.at.label("revoked_at"), _END.c.actor.label("revoked_by")
).outerjoin(_END, _END.c.token_id == _TOKEN.c.token_id)


class JoinToken(NamedTuple):
    """A person's leave for up to ``uses`` agents to join until ``expires``."""

    token_id: str
    digest: str
    at: datetime
    actor: str
    reason: str
    group: str
    """Where machines are adopted that no enrollment rule matches; empty for nowhere."""
    uses: int
    expires: datetime
    used: int = 0
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def left(self) -> int:
        """Return how many agents may still join, were it not for the time."""
        return 0 if self.revoked_at is not None else max(0, self.uses - self.used)

    def is_live(self, now: datetime) -> bool:
        """Return whether an agent may join by it now."""
        return self.left > 0 and now <= self.expires


class Join(NamedTuple):
    """A key that was certified for a person's token."""

    token_id: str
    used_by: str
    """Digest of the certificate request."""
    machine: str
    """The name in the certificate."""
    identities: tuple[str, ...]
    """The hardware that it is for."""
    source: str
    used_at: datetime


class JoinTokens:
    """Persons' tokens and joins on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: JoinToken) -> None:
        """Keep a new token."""
        kept = {column.name: getattr(token, column.name) for column in _TOKEN.columns}
        with self._database.writing() as connection:
            connection.execute(insert(_TOKEN).values(**kept))

    def of_digest(self, digest: str) -> JoinToken | None:
        """Return the token with this hash; None where no person made it."""
        with self._database.reading() as connection:
            row = connection.execute(_KNOWN.where(_TOKEN.c.digest == digest)).first()
        return None if row is None else JoinToken(*row)

    def of_id(self, token_id: str) -> JoinToken | None:
        """Return the token of this id."""
        with self._database.reading() as connection:
            row = connection.execute(_KNOWN.where(_TOKEN.c.token_id == token_id)).first()
        return None if row is None else JoinToken(*row)

    def all(self) -> tuple[JoinToken, ...]:
        """Return all tokens, the newest first."""
        query = _KNOWN.order_by(_TOKEN.c.at.desc(), _TOKEN.c.token_id)
        with self._database.reading() as connection:
            return tuple(JoinToken(*row) for row in connection.execute(query))

    def joins(self) -> Mapping[str, tuple[Join, ...]]:
        """Return who joined by each token, by its id, the first of each first."""
        found: defaultdict[str, list[Join]] = defaultdict(list)
        query = select(_JOIN).order_by(_JOIN.c.used_at, _JOIN.c.used_by)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                join = Join(*row)
                found[join.token_id].append(
                    join._replace(identities=tuple(str(join.identities).split(" ")))
                )
        return {token_id: tuple(each) for token_id, each in found.items()}

    def has_joined(self, token_id: str, used_by: str) -> bool:
        """Return whether this very certificate request used the token before."""
        query = select(_JOIN.c.machine).where(
            _JOIN.c.token_id == token_id, _JOIN.c.used_by == used_by
        )
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def join(self, new: Join) -> bool:
        """Write down that a key is certified; False where the token has no use left.

        Whoever asks again with the same request, because the answer got lost, uses nothing up.
        Ten that come at the same instant get no more than there are uses.
        """
        with self._database.writing() as connection:
            known = connection.execute(_KNOWN.where(_TOKEN.c.token_id == new.token_id)).first()
            token = None if known is None else JoinToken(*known)
            if token is None or token.revoked_at is not None:
                return False
            again = select(_JOIN.c.machine).where(
                _JOIN.c.token_id == new.token_id, _JOIN.c.used_by == new.used_by
            )
            if connection.execute(again).first() is not None:
                return True
            if not token.left:
                return False
            values = {**new._asdict(), "identities": " ".join(new.identities)}
            connection.execute(insert(_JOIN).values(**values))
        return True

    def revoke(self, token_id: str, actor: str, reason: str, at: datetime) -> bool:
        """Let nobody join by the token any more; False where it was revoked before."""
        with self._database.writing() as connection:
            ended = select(_END.c.at).where(_END.c.token_id == token_id)
            if connection.execute(ended).first() is not None:
                return False
            connection.execute(
                insert(_END).values(token_id=token_id, at=at, actor=actor, reason=reason)
            )
        return True
