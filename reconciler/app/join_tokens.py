"""Tokens that persons make so that agents can join."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from reconciler.errors import ReconcilerError
from reconciler.state.database import Database
from reconciler.state.join_tokens import JoinToken, JoinTokens
from reconciler.trust.token import new_token, token_digest
from specs.diagnostics.nearest import NearestNames
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import Duration

if TYPE_CHECKING:
    from reconciler.app.project import Project

MOST_USES = 10_000
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=30)
_ID_BYTES = 4


class Terms(NamedTuple):
    """What a token is good for."""

    uses: int
    lifetime: timedelta
    group: str


class NewToken(NamedTuple):
    """A token at the only moment at which its text is known."""

    text: str
    token: JoinToken

    def __repr__(self) -> str:
        """Return which token it is, without its text."""
        return f"NewToken({self.token.token_id})"


class Endpoint(NamedTuple):
    """Where agents find the server: base URL, and the SHA-256 of its certificate in hex."""

    url: str
    pin: str


def terms_of(project: "Project", uses: int, expires: str, group: str) -> Terms:
    """Return checked terms; ReconcilerError RW981 says which is not possible."""
    if not 1 <= uses <= MOST_USES:
        raise _impossible(f"--uses is {uses:,}", f"1 to {MOST_USES:,} agents may join by a token")
    try:
        seconds = Duration.SCALE.parse(expires)
    except InvalidValue as error:
        raise _impossible(f"--expires is {expires}", f"Give a time: {error.hint}") from error
    if not SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        raise _impossible(f"--expires is {expires}", "A token is good for 5m to 30d")
    if group and group not in project.fleet.groups:
        nearest = NearestNames().find(group, project.fleet.groups)
        action = f"Did you mean {nearest}?" if nearest else "Name a group of the repository"
        raise _impossible(f"there is no group {group}", action)
    return Terms(uses, timedelta(seconds=seconds), group)


def make_token(  # noqa: PLR0913, PLR0917 - who, what for, and where ids come from
    database: Database,
    terms: Terms,
    actor: str,
    reason: str,
    now: datetime,
    new_text: Callable[[], str] = new_token,
    new_id: Callable[[], str] = lambda: secrets.token_hex(_ID_BYTES),
) -> NewToken:
    """Make a token; only its hash is kept."""
    text = new_text()
    expires = now + terms.lifetime
    made = JoinToken(
        new_id(), token_digest(text), now, actor, reason, terms.group, terms.uses, expires
    )
    JoinTokens(database).add(made)
    return NewToken(text, made)


def revoke_token(database: Database, token_id: str, actor: str, reason: str, now: datetime) -> str:
    """Let nobody join by a token any more; return its whole id, of which the beginning is enough.

    ReconcilerError RW983 where no token, or more than one, is called so, or it was revoked.
    """
    known = JoinTokens(database)
    found = [each for each in known.all() if token_id and each.token_id.startswith(token_id)]
    if len(found) != 1:
        called = f"{len(found):,} tokens have ids that begin" if found else "no id begins"
        raise ReconcilerError(
            "RW983",
            f"{called} with {token_id!r}",
            "`rackwright agent token ls --all` lists all",
        )
    (token,) = found
    if not known.revoke(token.token_id, actor, reason, now):
        raise ReconcilerError(
            "RW983",
            f"token {token.token_id} was revoked before, by {token.revoked_by or 'somebody'}",
            "Nothing is needed",
        )
    return token.token_id


def endpoint_of(state: Path, port: int) -> Endpoint:
    """Return where agents find the server of a state directory.

    ReconcilerError RW982 where there is no certificate yet, or it cannot be read.
    """
    path = state / "trust" / "server.crt"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        address = next(iter(names.get_values_for_type(x509.IPAddress)))
    except (OSError, ValueError, StopIteration, x509.ExtensionNotFound) as error:
        raise ReconcilerError(
            "RW982",
            f"the server's certificate {path} cannot be read: {error or 'it names no address'}",
            "Start `rackwright serve` once, and run this as its user",
        ) from error
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Endpoint(f"https://{ip_address(str(address))}:{port}", hashlib.sha256(der).hexdigest())


def _impossible(cause: str, action: str) -> ReconcilerError:
    return ReconcilerError("RW981", cause, action)
