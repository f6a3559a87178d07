"""Whether a second key with one token is an alarm. Pure.

One of the two is a stranger's, and nothing in the requests tells which: whoever saw the token saw
the machine's hardware too. What does tell is where the token was sent, how late the second comes,
and whether the first was heard as the machine. See decision 0038.
"""

from reconciler.state.grants import Token


def first_may_be_a_stranger(token: Token, source: str, *, is_valid: bool, is_heard: bool) -> bool:
    """Return whether a used token may have been used by a stranger, and now by its machine.

    ``source`` is where the second comes from, ``is_valid`` whether the token would still be
    good, ``is_heard`` whether an agent reported as the machine since it was used. The hardware
    that the second names is the machine's.
    """
    sent_to = token.sent_to
    if sent_to and source == sent_to and token.used_from != sent_to:
        return True
    if not is_heard:
        return True
    if sent_to and token.used_from == sent_to and source != sent_to:
        return False
    return is_valid
