"""OpenSSL's library in place of its program, which Windows does not have.

It is the one that Python itself comes with for TLS there (``libcrypto-3.dll``). Source: OpenSSL 3
manual pages EVP_PKEY_Q_keygen, PEM_write_bio_PKCS8PrivateKey, X509_REQ_sign.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.errors import TerminalError

_BIO_CTRL_INFO = 3
_ASCII = 0x1001  # MBSTRING_ASC


class LibCrypto:
    """The library by its name; TerminalError RW239 where it is not there or refuses."""

    def __init__(self, name: str = "libcrypto-3.dll") -> None:
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise _failed(f"{name} cannot be loaded: {error}") from error

    def make_key(self) -> bytes:
        """Return a fresh P-256 private key (PKCS #8, PEM)."""
        curve, kind = ctypes.c_char_p(b"P-256"), ctypes.c_char_p(b"EC")
        with self._freed(
            "EVP_PKEY_free", self._made("EVP_PKEY_Q_keygen", None, None, kind, curve)
        ) as key:
            return self._written(
                lambda bio: self._done(
                    "PEM_write_bio_PKCS8PrivateKey", bio, key, None, None, 0, None, None
                )
            )

    def make_request(self, key_pem: bytes, name: str) -> bytes:
        """Return a signing request (RFC 2986, PEM) for a key, with this common name."""
        with (
            self._freed("BIO_free", self._made("BIO_new_mem_buf", key_pem, len(key_pem))) as source,
            self._freed(
                "EVP_PKEY_free", self._made("PEM_read_bio_PrivateKey", source, None, None, None)
            ) as key,
            self._freed("X509_REQ_free", self._made("X509_REQ_new")) as request,
        ):
            subject = self._made("X509_REQ_get_subject_name", request)
            encoded = name.encode("ascii")
            self._done(
                "X509_NAME_add_entry_by_txt", subject, b"CN", _ASCII, encoded, len(encoded), -1, 0
            )
            self._done("X509_REQ_set_pubkey", request, key)
            self._done("X509_REQ_sign", request, key, self._made("EVP_sha256"))
            return self._written(lambda bio: self._done("PEM_write_bio_X509_REQ", bio, request))

    def _written(self, write: Callable[[ctypes.c_void_p], None]) -> bytes:
        with self._freed("BIO_free", self._made("BIO_new", self._made("BIO_s_mem"))) as bio:
            write(bio)
            place = ctypes.c_char_p()
            control = self._library.BIO_ctrl
            control.restype = ctypes.c_long
            size = control(bio, _BIO_CTRL_INFO, ctypes.c_long(0), ctypes.byref(place))
            return ctypes.string_at(place, size)

    @contextmanager
    def _freed(self, function: str, made: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
        try:
            yield made
        finally:
            self._library[function](made)

    def _made(self, function: str, *arguments: object) -> ctypes.c_void_p:
        call = self._library[function]
        call.restype = ctypes.c_void_p
        made = call(*arguments)
        if not made:
            raise _failed(f"{function} failed")
        return ctypes.c_void_p(made)

    def _done(self, function: str, *arguments: object) -> None:
        call = self._library[function]
        call.restype = ctypes.c_int
        if call(*arguments) <= 0:
            raise _failed(f"{function} failed")


def _failed(problem: str) -> TerminalError:
    return TerminalError(
        "RW239",
        f"no key can be made: OpenSSL's library: {problem}",
        "Install the agent again with the Python that its package brings",
    )
