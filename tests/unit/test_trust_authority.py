"""The certification authority: what it issues, what it keeps, what it refuses."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.errors import TrustError
from reconciler.trust.authority import Authority, ServerCredentials

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ADDRESS, OTHER_ADDRESS = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")


def signing_request(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    common_name: str = "whatever",
) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("intruder.example")]), critical=False
        )
        .sign(key, digest)
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load_or_create(tmp_path / "trust", NOW)


def agent_certificate(authority: Authority, *, machine: str = "node-0713") -> x509.Certificate:
    request = signing_request(ec.generate_private_key(ec.SECP256R1()))
    pem = authority.sign_agent(request, machine, "deploy-os", NOW, 4711)
    return x509.load_pem_x509_certificate(pem.encode())


def presented(credentials: ServerCredentials) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credentials.certificate_path.read_bytes())


def refusal(code: str, authority: Authority, request: str) -> TrustError:
    with pytest.raises(TrustError) as caught:
        authority.sign_agent(request, "node-0713", "deploy-os", NOW, 1)
    assert caught.value.code == code
    return caught.value


class TestItsOwnKey:
    def test_a_new_authority_is_the_same_after_a_restart(self, tmp_path: Path) -> None:
        first = Authority.load_or_create(tmp_path / "trust", NOW)
        second = Authority.load_or_create(tmp_path / "trust", NOW + 100 * DAY)
        assert first.authority_pem == second.authority_pem

    def test_processes_that_start_at_once_share_one_authority(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            authorities = list(
                pool.map(lambda _: Authority.load_or_create(tmp_path / "trust", NOW), range(8))
            )
        subjects = {
            x509.load_pem_x509_certificate(each.authority_pem.encode()).subject
            for each in authorities
        }
        assert len(subjects) == 1  # the subject is made from the key

    def test_two_authorities_have_different_names(self, tmp_path: Path) -> None:
        names = {
            x509.load_pem_x509_certificate(
                Authority.load_or_create(tmp_path / directory, NOW).authority_pem.encode()
            ).subject
            for directory in ("one", "two")
        }
        assert len(names) == 2

    def test_only_the_owner_can_reach_the_key(self, authority: Authority, tmp_path: Path) -> None:
        assert stat.S_IMODE((tmp_path / "trust").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "trust/authority.key").stat().st_mode) == 0o600
        assert "PRIVATE" not in authority.authority_pem

    def test_no_temporary_file_stays(self, authority: Authority, tmp_path: Path) -> None:
        authority.server_credentials(ADDRESS, NOW)
        assert sorted(path.name for path in (tmp_path / "trust").iterdir()) == [
            "authority.crt",
            "authority.key",
            "server.crt",
            "server.key",
        ]

    @pytest.mark.usefixtures("authority")
    def test_a_key_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        key = tmp_path / "trust/authority.key"
        key.chmod(0o640)
        with pytest.raises(TrustError) as caught:
            Authority.load_or_create(tmp_path / "trust", NOW)
        assert str(caught.value) == (
            f"RW500: {key} has mode 0640, so that other users may reach the private key of the"
            " certification authority. Find out who could have read it, then run:"
            f" chmod 0600 {key}."
        )

    def test_a_directory_that_others_can_enter_is_refused(self, tmp_path: Path) -> None:
        directory = tmp_path / "trust"
        directory.mkdir(mode=0o755)
        with pytest.raises(TrustError, match=r"RW500: \S+/trust has mode 0755,.*chmod 0700"):
            Authority.load_or_create(directory, NOW)
        assert list(directory.iterdir()) == []

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(
            TrustError, match=r"RW501: \S+/file/trust cannot be read or written: Not a directory\."
        ):
            Authority.load_or_create(tmp_path / "file" / "trust", NOW)

    @pytest.mark.usefixtures("authority")
    def test_a_certificate_without_its_key_is_never_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "trust/authority.key").unlink()
        with pytest.raises(TrustError, match=r"RW502: \S+/authority.key is missing"):
            Authority.load_or_create(tmp_path / "trust", NOW)
        assert not (tmp_path / "trust/authority.key").exists()

    def test_a_key_whose_certificate_was_not_yet_written_keeps_its_agents(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        agent = agent_certificate(authority)
        (tmp_path / "trust/authority.crt").unlink()
        again = Authority.load_or_create(tmp_path / "trust", NOW)
        agent.verify_directly_issued_by(
            x509.load_pem_x509_certificate(again.authority_pem.encode())
        )

    @pytest.mark.usefixtures("authority")
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("authority.key", b"", "an unencrypted private key in PEM form"),
            ("authority.key", b"\x00garbage", "an unencrypted private key in PEM form"),
            ("authority.crt", b"", "a certificate in PEM form"),
        ],
    )
    def test_a_damaged_file_is_named(
        self, tmp_path: Path, name: str, content: bytes, expected: str
    ) -> None:
        (tmp_path / "trust" / name).write_bytes(content)
        with pytest.raises(TrustError) as caught:
            Authority.load_or_create(tmp_path / "trust", NOW)
        assert (caught.value.code, caught.value.cause) == (
            "RW502",
            f"{tmp_path}/trust/{name} is not {expected}",
        )

    @pytest.mark.usefixtures("authority")
    def test_the_certificate_of_another_authority_is_refused(self, tmp_path: Path) -> None:
        other = Authority.load_or_create(tmp_path / "other", NOW)
        (tmp_path / "trust/authority.crt").write_text(other.authority_pem)
        with pytest.raises(TrustError, match=r"is not the certificate of authority\.key beside it"):
            Authority.load_or_create(tmp_path / "trust", NOW)

    @pytest.mark.usefixtures("authority")
    def test_a_key_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (tmp_path / "trust/authority.key").write_bytes(pem)
        with pytest.raises(TrustError, match=r"authority\.key is not a P-256 key"):
            Authority.load_or_create(tmp_path / "trust", NOW)

    @pytest.mark.parametrize(
        ("later", "clock"), [(4000 * DAY, "2037-10-16"), (-2 * DAY, "2026-11-01")]
    )
    @pytest.mark.usefixtures("authority")
    def test_a_clock_outside_its_validity_is_refused_with_both_dates(
        self, tmp_path: Path, later: timedelta, clock: str
    ) -> None:
        with pytest.raises(TrustError) as caught:
            Authority.load_or_create(tmp_path / "trust", NOW + later)
        assert caught.value.code == "RW503"
        assert caught.value.cause == (
            "the certification authority is valid from 2026-11-02 to 2036-10-31,"
            f" but the clock says {clock}"
        )


class TestServerCertificate:
    def test_it_names_the_address(self, authority: Authority) -> None:
        certificate = presented(authority.server_credentials(ADDRESS, NOW))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.IPAddress(ADDRESS)]

    def test_the_pin_is_the_hash_of_what_is_presented(self, authority: Authority) -> None:
        credentials = authority.server_credentials(ADDRESS, NOW)
        pem = credentials.certificate_path.read_bytes()
        der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
        assert credentials.pin == hashlib.sha256(der).hexdigest()

    def test_it_is_kept_while_it_fits(self, authority: Authority, tmp_path: Path) -> None:
        first = authority.server_credentials(ADDRESS, NOW)
        restarted = Authority.load_or_create(tmp_path / "trust", NOW + DAY)
        assert restarted.server_credentials(ADDRESS, NOW + DAY) == first

    @pytest.mark.parametrize(
        ("address", "later"),
        [(OTHER_ADDRESS, timedelta()), (ADDRESS, 336 * DAY), (ADDRESS, 400 * DAY)],
    )
    def test_it_is_reissued_when_the_address_changes_or_expiry_is_near(
        self, authority: Authority, address: IPv4Address, later: timedelta
    ) -> None:
        first = authority.server_credentials(ADDRESS, NOW)
        second = authority.server_credentials(address, NOW + later)
        assert second.pin != first.pin
        assert presented(second).not_valid_after_utc == NOW + later + timedelta(days=365)

    def test_it_is_not_reissued_with_more_than_a_month_left(self, authority: Authority) -> None:
        first = authority.server_credentials(ADDRESS, NOW)
        assert authority.server_credentials(ADDRESS, NOW + 334 * DAY).pin == first.pin

    @pytest.mark.parametrize("damaged", ["server.key", "server.crt"])
    @pytest.mark.parametrize("content", [b"", b"nonsense", None])
    def test_a_damaged_pair_is_replaced(
        self, authority: Authority, tmp_path: Path, damaged: str, content: bytes | None
    ) -> None:
        first = authority.server_credentials(ADDRESS, NOW)
        if content is None:
            (tmp_path / "trust" / damaged).unlink()
        else:
            (tmp_path / "trust" / damaged).write_bytes(content)
        assert authority.server_credentials(ADDRESS, NOW).pin != first.pin

    def test_a_pair_torn_by_a_stop_between_its_files_is_replaced(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        first = authority.server_credentials(ADDRESS, NOW)
        old = first.certificate_path.read_bytes()
        authority.server_credentials(OTHER_ADDRESS, NOW)
        first.certificate_path.write_bytes(old)  # the new key stands beside the old certificate
        again = Authority.load_or_create(tmp_path / "trust", NOW)
        assert again.server_credentials(ADDRESS, NOW).pin != first.pin

    def test_the_certificate_of_another_authority_is_replaced(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        other = Authority.load_or_create(tmp_path / "other", NOW)
        foreign = other.server_credentials(ADDRESS, NOW)
        authority.server_credentials(ADDRESS, NOW)
        for name in ("server.key", "server.crt"):
            (tmp_path / "trust" / name).write_bytes((tmp_path / "other" / name).read_bytes())
        assert authority.server_credentials(ADDRESS, NOW).pin != foreign.pin

    def test_it_never_outlives_its_authority(self, authority: Authority) -> None:
        credentials = authority.server_credentials(ADDRESS, NOW + 3600 * DAY)
        assert presented(credentials).not_valid_after_utc == NOW + 3650 * DAY

    def test_a_machine_whose_clock_is_in_another_time_zone_accepts_it(
        self, authority: Authority
    ) -> None:
        credentials = authority.server_credentials(ADDRESS, NOW)
        certificate = x509.load_pem_x509_certificate(credentials.certificate_path.read_bytes())
        root = x509.load_pem_x509_certificate(authority.authority_pem.encode())
        assert certificate.not_valid_before_utc <= NOW - 14 * HOUR
        assert root.not_valid_before_utc <= NOW - 14 * HOUR


class TestAgentCertificate:
    def test_it_carries_the_identity_that_the_server_chose(self, authority: Authority) -> None:
        certificate = agent_certificate(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert [name.value for name in names] == ["rackwright://machine/node-0713/deploy-os"]
        assert certificate.subject.rfc4514_string() == "CN=node-0713"
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        assert certificate.serial_number == 4711

    def test_it_is_valid_from_five_minutes_ago_to_the_end_of_its_lifetime(
        self, authority: Authority
    ) -> None:
        certificate = agent_certificate(authority)
        assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
        assert certificate.not_valid_after_utc == NOW + 12 * HOUR

    def test_a_name_longer_than_a_common_name_may_be_stays_whole_in_the_identity(
        self, authority: Authority
    ) -> None:
        certificate = agent_certificate(authority, machine="n" * 200)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [name.value for name in names] == [f"rackwright://machine/{'n' * 200}/deploy-os"]

    @pytest.mark.parametrize("machine", ["", "a\nb", "n" * 256])
    def test_a_name_that_no_certificate_can_carry_is_refused(
        self, authority: Authority, machine: str
    ) -> None:
        with pytest.raises(TrustError) as caught:
            agent_certificate(authority, machine=machine)
        assert str(caught.value) == (
            f"RW507: {machine!r} cannot be the name of a machine in a certificate."
            " Use 1 to 255 printable characters."
        )

    @pytest.mark.parametrize(
        "key",
        [
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ],
        ids=["P-384", "Ed25519", "RSA"],
    )
    def test_a_key_that_is_not_p256_is_refused(
        self,
        authority: Authority,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    ) -> None:
        error = refusal("RW506", authority, signing_request(key))
        assert error.cause == "the certificate request holds a key that is not P-256"

    def test_a_request_signed_by_another_key_is_refused(self, authority: Authority) -> None:
        owner, thief = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        stolen = owner.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        own = thief.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        request = x509.load_pem_x509_csr(signing_request(thief).encode())
        forged = request.public_bytes(serialization.Encoding.DER).replace(own, stolen)
        pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM)
        error = refusal("RW505", authority, pem.decode())
        assert error.cause == (
            "the certificate request is not acceptable: it is not signed by the key that it holds"
        )

    @pytest.mark.parametrize(
        "request_text",
        ["", "hello", "\ud800", "-----BEGIN CERTIFICATE"],
    )
    def test_garbage_is_refused(self, authority: Authority, request_text: str) -> None:
        error = refusal("RW505", authority, request_text)
        assert error.cause == "the certificate request is not acceptable: it cannot be parsed"

    def test_every_shortened_request_is_refused(self, authority: Authority) -> None:
        request = signing_request(ec.generate_private_key(ec.SECP256R1()))
        for length in range(0, len(request) - 30, 7):
            refusal("RW505", authority, request[:length])

    def test_an_oversized_request_is_refused(self, authority: Authority) -> None:
        error = refusal("RW505", authority, "x" * 20_001)
        assert error.cause.endswith("it is longer than 20000 characters")
