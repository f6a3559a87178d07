"""Tokens: random, and kept as hashes alone."""

import hashlib

from reconciler.trust.token import new_token, token_digest


def test_two_tokens_differ() -> None:
    assert new_token() != new_token()


def test_a_token_has_32_random_bytes_and_fits_the_enrollment_message() -> None:
    assert 32 * 8 / 6 <= len(new_token()) <= 200


def test_what_is_stored_is_a_hash_of_the_token() -> None:
    assert token_digest("secret-text") == hashlib.sha256(b"secret-text").hexdigest()


def test_text_that_is_no_unicode_is_no_token() -> None:
    assert token_digest("\ud800") != token_digest(new_token())
