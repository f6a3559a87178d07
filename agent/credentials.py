"""The agent's key and certificate in its state directory.

``agent.key`` and ``agent.csr`` are made before the token is sent and stay as they
are, so that an enrollment whose answer was lost is repeated with the same request:
the server can tell that from a second machine using the same token.
"""

from pathlib import Path

from attrs import frozen

from agent.commands import openssl
from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from agent.wire.enrollment import Enrollment

_MODE = 0o600


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
        write_atomically(self.directory / "authority.crt", enrollment.authority.encode(), _MODE)
        write_atomically(self._enrollment, encode(enrollment), _MODE)
        return self._credentials(enrollment)

    def load(self) -> Credentials | None:
        """Return the credentials of an earlier enrollment, None where there was none."""
        try:
            enrollment = decode(Enrollment, self._enrollment.read_bytes())
        except (OSError, WireError):
            return None
        return self._credentials(enrollment) if self._key.exists() else None

    def _credentials(self, enrollment: Enrollment) -> Credentials:
        return Credentials(
            machine=enrollment.machine,
            key=self._key,
            certificate=self.directory / "agent.crt",
            authority=self.directory / "authority.crt",
        )
