"""The embedded certification authority: one P-256 key that signs the server and its agents.

The key can be rolled over (``roll``): the authority keeps its name, agents get certificates of
the new key, and those of the earlier one are accepted until it is retired (``retire``). A link,
the new key's certificate signed by the earlier key, leads agents that only know the earlier one
to the new one (RFC 4210, section 4.4; it is self-issued, so that it does not count in a path's
length, RFC 5280, section 6.1.4).

Clocks: the server's own clock decides about agents' certificates, so a machine
with a wrong clock is still let in. The other way round the machine's clock
decides about the server's certificate. Real-time clocks kept in local time are up
to 14 hours off, which ``_BACKDATED_FOR_MACHINES`` covers. One that fell back to its
epoch is not covered: such an agent must rely on the pin, which knows no time, and
set its clock from the server's ``Date`` header.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.wire.agent_release import SIGNED_PREFIX
from providers.imaging.image_signature import ImageSignature
from reconciler.errors import TrustError
from reconciler.trust.identity import LIFETIME, AgentIdentity, Environment
from reconciler.trust.image_keys import ImageKeys, signed_bytes
from reconciler.trust.private_directory import PrivateDirectory
from reconciler.trust.rollover import (
    EARLIER_FILES,
    EarlierKeys,
    begin_rollover,
    finish_rollover,
    key_id,
    read_earlier,
    write_earlier,
)
from reconciler.trust.signing_request import requested_key

_AUTHORITY_LIFETIME = timedelta(days=3650)
_SERVER_LIFETIME = timedelta(days=365)
_SERVER_RENEWAL = timedelta(days=30)
_BACKDATED: Final = timedelta(minutes=5)  # other reconcilers' clocks, and steps of our own
_BACKDATED_FOR_MACHINES: Final = timedelta(days=1)
_LONGEST_COMMON_NAME = 64  # ub-common-name, RFC 5280 appendix A.1


@dataclass(frozen=True, slots=True)
class ServerCredentials:
    """What a TLS server of this authority presents.

    ``pin`` is the SHA-256 of the certificate's DER form in hex, as enrollment credentials
    carry it; a new certificate has a new pin, so credentials minted before are void.
    """

    certificate_path: Path
    key_path: Path
    pin: str


class Authority:
    """The authority of one state directory. Its key never leaves the process."""

    def __init__(
        self,
        directory: PrivateDirectory,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        earlier: EarlierKeys,
    ) -> None:
        self._directory = directory
        self._key = key
        self._certificate = certificate
        self._earlier = earlier

    @classmethod
    def load_or_create(cls, directory: Path, now: datetime) -> Self:
        """Return the authority kept in ``directory``; a new one when it holds none.

        Raises ``TrustError``: RW500 when others may reach the key, RW501 when a file
        cannot be accessed, RW502 when a file is damaged, missing or of another
        authority, RW503 when the authority is not valid at ``now``.
        """
        private = PrivateDirectory(directory)
        authority = cls(private, *_loaded(private, now))
        authority._refuse_outside_validity(now)
        return authority

    def reload(self, now: datetime) -> None:
        """Take over what another process did: a key that was rolled over or retired.

        Raises as ``load_or_create``; everything is as before then.
        """
        self._key, self._certificate, self._earlier = _loaded(self._directory, now)

    def roll(self, now: datetime) -> None:
        """Make a new key, which signs from now on; the present one is accepted until retired.

        Its private half is gone afterwards. Agents that are told of the new certificate before
        the retirement notice nothing; the others ask to come back.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        first, last = now - _BACKDATED_FOR_MACHINES, now + _AUTHORITY_LIFETIME
        name = self._certificate.subject
        certificate = _root(key, name, name, first, last).sign(key, hashes.SHA256())
        # The earlier key's word for the new one holds as long as the earlier one would have.
        until = self._certificate.not_valid_after_utc
        link = (
            _root(key, name, name, first, until)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        earlier = self._earlier
        begin_rollover(
            self._directory,
            _key_pem(key),
            certificate,
            EarlierKeys(
                accepted=(self._certificate, *earlier.accepted),
                retired=earlier.retired,
                links=(link, *earlier.links),
            ),
        )
        self.reload(now)

    def retire(self, now: datetime) -> tuple[str, ...]:
        """Accept agents of earlier keys no more; return the ids of those keys.

        Agents that still have a certificate of theirs ask to come back.
        """
        earlier = self._earlier
        retired = tuple(key_id(each) for each in earlier.accepted)
        if retired:
            write_earlier(
                self._directory,
                EarlierKeys((), (*earlier.accepted, *earlier.retired), earlier.links),
            )
            self.reload(now)
        return retired

    @property
    def authority_pem(self) -> str:
        """The certificates that agents trust: the present key's, then those not yet retired."""
        return "".join(_pem(each).decode() for each in (self._certificate, *self._earlier.accepted))

    @property
    def trusted_pem(self) -> str:
        """The certificates of all keys, retired ones too: whose signatures can be checked."""
        retired = "".join(_pem(each).decode() for each in self._earlier.retired)
        return self.authority_pem + retired

    @property
    def key_id(self) -> str:
        """The id of the key that signs: SHA-1 of its public half in hex (RFC 5280, 4.2.1.2)."""
        return key_id(self._certificate)

    @property
    def since(self) -> datetime:
        """When the key that signs was made."""
        return self._certificate.not_valid_before_utc + _BACKDATED_FOR_MACHINES

    @property
    def expires(self) -> datetime:
        """Until when the key that signs is valid."""
        return self._certificate.not_valid_after_utc

    @property
    def accepted_key_ids(self) -> frozenset[str]:
        """The ids of the keys whose agents are let in."""
        return frozenset(map(key_id, (self._certificate, *self._earlier.accepted)))

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Return whether a key of this authority signed it, also one that is retired by now."""
        earlier = self._earlier
        return any(
            _is_issued_by(certificate, each)
            for each in (self._certificate, *earlier.accepted, *earlier.retired)
        )

    def files_version(self) -> tuple[int, ...]:
        """Return what changes when another process rolls a key over or retires one."""
        return self._directory.version("authority.crt", *EARLIER_FILES)

    def server_credentials(self, address: IPv4Address, now: datetime) -> ServerCredentials:
        """Return the server's certificate for ``address``.

        The one on disk is kept while it fits and has more than 30 days left;
        otherwise a new key and certificate replace it.
        """
        self._refuse_outside_validity(now)
        name = x509.IPAddress(address)
        kept = self._kept_server_certificate(name, now) or self._issue_server(name, now)
        return ServerCredentials(
            certificate_path=self._directory.path / "server.crt",
            key_path=self._directory.path / "server.key",
            pin=hashlib.sha256(kept.public_bytes(serialization.Encoding.DER)).hexdigest(),
        )

    def is_server_certificate_due(self, address: IPv4Address, now: datetime) -> bool:
        """Return whether ``server_credentials`` would make a new certificate."""
        return self._kept_server_certificate(x509.IPAddress(address), now) is None

    def sign_agent(
        self,
        csr_pem: str,
        machine: str,
        environment: Environment,
        now: datetime,
        serial: int,
    ) -> str:
        """Return the PEM client certificate of ``machine`` for the key in ``csr_pem``.

        Nothing but the key is taken from the request. ``serial`` is a positive integer
        below 2**159 that this authority never signed before.
        Raises ``TrustError``: RW505 for a malformed request, RW506 for a key that is
        not P-256, RW507 for a machine's name that a certificate cannot carry.
        """
        self._refuse_outside_validity(now)
        key = requested_key(csr_pem)
        last = self._until(now + LIFETIME[environment])
        uri = x509.UniformResourceIdentifier(AgentIdentity(machine, environment).uri())
        certificate = self._signed(
            _builder(_name(machine), key, serial, now - _BACKDATED, last)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return _pem(certificate).decode()

    def sign_release(self, manifest: bytes) -> bytes:
        """Return the signature (ECDSA with SHA-256, DER) of the manifest of an agent's release.

        What is signed begins as nothing else does that this key signs.
        """
        return self._key.sign(SIGNED_PREFIX + manifest, ec.ECDSA(hashes.SHA256()))

    def sign_image(self, digest: str, now: datetime) -> ImageSignature:
        """Return the signature of the image whose manifest has this digest."""
        at = now.astimezone(UTC).isoformat(timespec="seconds")
        made = self._key.sign(signed_bytes(digest, at), ec.ECDSA(hashes.SHA256()))
        return ImageSignature(self.key_id, at, made.hex())

    @property
    def image_keys(self) -> ImageKeys:
        """The keys whose signatures of images are good."""
        return ImageKeys((self._certificate, *self._earlier.accepted), self._earlier.retired)

    def _refuse_outside_validity(self, now: datetime) -> None:
        first, last = self._certificate.not_valid_before_utc, self._certificate.not_valid_after_utc
        if not first <= now <= last:
            raise TrustError(
                "RW503",
                f"the certification authority is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d},"
                f" but the clock says {now.astimezone(UTC):%Y-%m-%d}",
                f"Set the clock; if it is right, move {self._directory.path} away so that a new"
                " authority is made, and let every agent enroll again",
            )

    def _until(self, wanted: datetime) -> datetime:
        return min(wanted, self._certificate.not_valid_after_utc)

    def _kept_server_certificate(
        self, name: x509.IPAddress, now: datetime
    ) -> x509.Certificate | None:
        """Return the certificate on disk while it fits its key, this authority, name and time."""
        key_pem, pem = self._directory.read("server.key"), self._directory.read("server.crt")
        if key_pem is None or pem is None:
            return None
        try:
            key = serialization.load_pem_private_key(key_pem, password=None)
            certificate = x509.load_pem_x509_certificate(pem)
            certified = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound):
            # Unlike the authority it holds nothing that cannot be made anew.
            return None
        renewal = certificate.not_valid_after_utc - _SERVER_RENEWAL
        fits = (
            any(
                _is_issued_by(certificate, each)
                for each in (self._certificate, *self._earlier.accepted)
            )
            and key.public_key() == certificate.public_key()
            and list(certified.value) == [name]
            and certificate.not_valid_before_utc <= now < renewal
        )
        return certificate if fits else None

    def _issue_server(self, name: x509.IPAddress, now: datetime) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        first = max(now - _BACKDATED_FOR_MACHINES, self._certificate.not_valid_before_utc)
        last = self._until(now + _SERVER_LIFETIME)
        certificate = self._signed(
            _builder(
                _name("rackwright server"),
                key.public_key(),
                x509.random_serial_number(),
                first,
                last,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        # A stop between the two leaves a pair that does not match: issued anew next time.
        chain = b"".join(map(_pem, (certificate, *self._earlier.links)))
        self._directory.replace("server.key", _key_pem(key))
        self._directory.replace("server.crt", chain)
        return certificate

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return (
            builder.issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


def _loaded(
    directory: PrivateDirectory, now: datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate, EarlierKeys]:
    finish_rollover(directory)
    key = _authority_key(directory)
    return key, _authority_certificate(directory, key, now), read_earlier(directory)


def _authority_key(directory: PrivateDirectory) -> ec.EllipticCurvePrivateKey:
    path = directory.path / "authority.key"
    # Asked first: another process that is making the two writes the key before it.
    certificate = directory.read("authority.crt")
    pem = directory.read(path.name)
    if pem is None:
        if certificate is not None:
            raise TrustError(
                "RW502",
                f"{path} is missing, but the certificate of its authority is there",
                f"Restore the key from a backup; if it is lost, move {directory.path} away so"
                " that a new authority is made, and let every agent enroll again",
            )
        directory.create(path.name, _key_pem(ec.generate_private_key(ec.SECP256R1())))
        pem = directory.read(path.name) or b""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _damaged(path, "an unencrypted private key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _damaged(path, "a P-256 key")
    return key


def _authority_certificate(
    directory: PrivateDirectory, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    path = directory.path / "authority.crt"
    pem = directory.read(path.name)
    if pem is None:
        # Also after a stop between key and certificate: same key, same name, same trust root.
        certificate = _self_signed(key, now)
        directory.replace(path.name, _pem(certificate))
        return certificate
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise _damaged(path, "a certificate in PEM form") from error
    if certificate.public_key() != key.public_key():
        raise _damaged(path, "the certificate of authority.key beside it")
    return certificate


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    public = key.public_key()
    fingerprint = hashlib.sha256(
        public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()
    # Two authorities never share a name, so that no verifier tries the wrong key.
    name = f"rackwright authority {fingerprint[:16]}"
    first, last = now - _BACKDATED_FOR_MACHINES, now + _AUTHORITY_LIFETIME
    return _root(key, _name(name), _name(name), first, last).sign(key, hashes.SHA256())


def _root(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    first: datetime,
    last: datetime,
) -> x509.CertificateBuilder:
    return (
        _builder(subject, key.public_key(), x509.random_serial_number(), first, last)
        .issuer_name(issuer)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    first: datetime,
    last: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(first.astimezone(UTC).replace(microsecond=0))
        .not_valid_after(last.astimezone(UTC).replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _damaged(path: Path, expected: str) -> TrustError:
    return TrustError(
        "RW502",
        f"{path} is not {expected}",
        "Restore the directory from a backup; if there is none, move it away so that a new"
        " authority is made, and let every agent enroll again",
    )
