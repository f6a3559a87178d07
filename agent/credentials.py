"""The agent's key and certificate in its state directory.

``agent.key`` and ``agent.csr`` are made before the token is sent and stay as they
are, so that an enrollment whose answer was lost is repeated with the same request:
the server can tell that from a second machine using the same token.

A renewal makes another key. Key and certificate of it are in one file, ``agent.pem``, which
counts instead of the first ones once it is there: whenever the agent is killed, it has a key and
a certificate that belong together. ``next.*`` is a renewal that is not yet shown to work.
"""

import re
from pathlib import Path

from attrs import evolve, frozen

from agent.commands import openssl
from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from agent.wire.enrollment import Enrollment
from agent.wire.renewal import RenewedCertificate

_MODE = 0o600
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*-----", re.DOTALL)
"""RFC 7468, sections 10 and 13."""


@frozen
class Credentials:
    """Who this agent is: the machine's name and the files for mutual TLS."""

    machine: str
    key: Path
    certificate: Path
    authority: Path


@frozen
class CredentialStore:
    """The state directory: tmpfs in the Deploy-OS, ``/var/lib/rackwright`` in a system."""

    directory: Path

    @property
    def _key(self) -> Path:
        return self.directory / "agent.key"

    @property
    def _next_key(self) -> Path:
        return self.directory / "next.key"

    @property
    def _pair(self) -> Path:
        return self.directory / "agent.pem"

    @property
    def authority(self) -> Path:
        """The certificates of the authority that is trusted (PEM)."""
        return self.directory / "authority.crt"

    @property
    def _enrollment(self) -> Path:
        return self.directory / "enrollment.json"

    def signing_request(self) -> str:
        """Return the PEM signing request, making key and request where there are none."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        request = self.directory / "agent.csr"
        if not request.exists():
            write_atomically(self._key, openssl.make_key(), _MODE)
            write_atomically(request, openssl.make_request(self._key), _MODE)
        return request.read_text("ascii")

    def save(self, enrollment: Enrollment) -> Credentials:
        """Keep the server's answer; the last file written makes it valid."""
        write_atomically(self.directory / "agent.crt", enrollment.certificate.encode(), _MODE)
        write_atomically(self.authority, enrollment.authority.encode(), _MODE)
        self._pair.unlink(missing_ok=True)  # of an earlier enrollment
        write_atomically(self._enrollment, encode(enrollment), _MODE)
        return self._credentials(enrollment)

    def load(self) -> Credentials | None:
        """Return the credentials of an earlier enrollment, None where there was none."""
        try:
            enrollment = decode(Enrollment, self._enrollment.read_bytes())
        except (OSError, WireError):
            return None
        credentials = self._credentials(enrollment)
        return credentials if credentials.key.exists() else None

    def _credentials(self, enrollment: Enrollment) -> Credentials:
        is_renewed = self._pair.exists()
        return Credentials(
            machine=enrollment.machine,
            key=self._pair if is_renewed else self._key,
            certificate=self._pair if is_renewed else self.directory / "agent.crt",
            authority=self.authority,
        )

    # --- renewal ------------------------------------------------------------------

    def next_request(self) -> str:
        """Return the PEM signing request for the next key, made where there is none."""
        if self._is_next_key_in_use():
            self.discard_next()
        request = self.directory / "next.csr"
        if not request.exists():
            write_atomically(self._next_key, openssl.make_key(), _MODE)
            write_atomically(request, openssl.make_request(self._next_key), _MODE)
        return request.read_text("ascii")

    def _is_next_key_in_use(self) -> bool:
        """Return whether the agent was killed between a renewal and the end of its cleaning up."""
        if not (self._pair.exists() and self._next_key.exists()):
            return False
        return self._next_key.read_bytes() in self._pair.read_bytes()

    def stage(self, present: Credentials, renewed: RenewedCertificate) -> Credentials:
        """Keep a certificate for the next key; nothing uses it until ``take``."""
        pair, authority = self.directory / "next.pem", self.directory / "next-authority.crt"
        write_atomically(pair, self._next_key.read_bytes() + renewed.certificate.encode(), _MODE)
        write_atomically(authority, renewed.authority.encode(), _MODE)
        return evolve(present, key=pair, certificate=pair, authority=authority)

    def take(self, staged: Credentials) -> Credentials:
        """Use the staged key and certificate from now on; the earlier ones are gone then."""
        write_atomically(self.authority, staged.authority.read_bytes(), _MODE)
        write_atomically(self._pair, staged.key.read_bytes(), _MODE)
        for name in ("agent.key", "agent.csr", "agent.crt"):
            (self.directory / name).unlink(missing_ok=True)
        self.discard_next()
        return evolve(staged, key=self._pair, certificate=self._pair, authority=self.authority)

    def discard_next(self) -> None:
        """Forget the next key: the renewal after this begins anew."""
        for name in ("next.csr", "next.key", "next.pem", "next-authority.crt"):
            (self.directory / name).unlink(missing_ok=True)

    def replace(self, present: Credentials, renewed: RenewedCertificate) -> Credentials:
        """Use another certificate for the present key."""
        key = _PRIVATE_KEY.search(present.key.read_bytes())
        write_atomically(self.authority, renewed.authority.encode(), _MODE)
        pair = (key[0] if key else b"") + b"\n" + renewed.certificate.encode()
        write_atomically(self._pair, pair, _MODE)
        return evolve(present, key=self._pair, certificate=self._pair)
