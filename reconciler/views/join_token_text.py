"""Persons' tokens, and who joined by them, for people and programs."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from reconciler.state.join_tokens import Join, JoinToken
from reconciler.views.age import ago, duration
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted

_MOST_NAMED = 5


def token_lines(token: JoinToken, joins: Sequence[Join], now: datetime) -> Iterator[str]:
    """Yield what is known of a token: a line about it, one with its reason, one with who joined."""
    group = f", group {token.group}" if token.group else ""
    made = f"made {ago(token.at, now)} by {token.actor}"
    yield for_terminal(f"{token.token_id}  {made}, {_state(token, now)}{group}")
    if token.reason:
        yield for_terminal(f"  reason: {token.reason}")
    if joins:
        names = [f"{each.machine} from {each.source}" for each in joins[:_MOST_NAMED]]
        more = len(joins) - len(names)
        names += [f"{more:,} more"] if more else []
        yield for_terminal(f"  joined: {', '.join(names)}")


def _state(token: JoinToken, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"revoked {ago(token.revoked_at, now)} by {token.revoked_by}"
    if now > token.expires:
        return f"expired {ago(token.expires, now)}"
    left = f"{token.left:,} of {counted(token.uses, 'use')} left"
    return f"{left}, for {duration((token.expires - now).total_seconds())} more"


def token_document(token: JoinToken, joins: Sequence[Join], now: datetime) -> dict[str, Any]:
    """Return all that is known of a token, for JSON; nothing of its secret."""
    return {
        "id": token.token_id,
        "madeAt": token.at.isoformat(),
        "madeBy": token.actor,
        "reason": token.reason,
        "group": token.group,
        "uses": token.uses,
        "left": token.left if now <= token.expires else 0,
        "expires": token.expires.isoformat(),
        "revokedAt": token.revoked_at and token.revoked_at.isoformat(),
        "revokedBy": token.revoked_by,
        "joined": [
            {
                "machine": each.machine,
                "hardware": list(each.identities),
                "source": each.source,
                "at": each.used_at.isoformat(),
            }
            for each in joins
        ],
    }
