"""Tokens: random, and kept as hashes alone."""

import hashlib

from reconciler.trust import token


def test_a_token_is_made_from_32_random_bytes() -> None:
    asked: list[int] = []

    def random_text(size: int) -> str:
        asked.append(size)
        return "abc"

    assert token.mint(random_text).text == "abc"
    assert asked == [32]


def test_two_tokens_differ() -> None:
    assert token.mint().text != token.mint().text


def test_a_token_fits_the_enrollment_message() -> None:
    assert 40 <= len(token.mint().text) <= 200


def test_what_is_stored_does_not_tell_the_token() -> None:
    minted = token.mint(lambda _: "secret-text")
    assert minted.digest == hashlib.sha256(b"secret-text").hexdigest()
    assert "secret-text" not in repr(minted)


def test_only_the_token_itself_matches() -> None:
    minted = token.mint()
    assert token.matches(minted.text, minted.digest)
    assert not token.matches(minted.text + "x", minted.digest)
    assert not token.matches("", minted.digest)
    assert not token.matches(minted.digest, minted.digest)


def test_text_that_is_no_unicode_matches_nothing() -> None:
    assert not token.matches("\ud800", token.mint().digest)
