"""Places where a test lets the process die or a write fail. Outside of tests they do nothing.

A failpoint stands before and after each durable write, and at each call to the outside, so that
a test can show what a crash in exactly that moment leads to. Nothing in this program sets what
happens there: no variable of the environment, no file, no message. A test that starts a process
does it in that process, before the program begins. Cf. FreeBSD fail(9).
"""

from collections.abc import Callable

watch: Callable[[str, str], None] | None = None
"""Is told the name of each failpoint that is reached, and what passes there."""


def failpoint(name: str, what: str = "") -> None:
    """Let a test act here. ``what`` tells apart what passes one failpoint."""
    if watch is not None:
        watch(name, what)
