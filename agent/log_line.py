"""Log records as single lines, with the seconds since the machine started."""

import logging
import sys
import time


class LineFormatter(logging.Formatter):
    """``[   12.345] INFO agent.enroll: enrolled machine=node-0713``.

    The stamp is the kernel's (CLOCK_MONOTONIC), so that lines can be read beside the
    kernel's own. Whatever a message contains stays on its line: control characters,
    which could come from a server or a disk's model name, are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text} | {self.formatException(record.exc_info)}"
        safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        return f"[{time.monotonic():12.3f}] {record.levelname} {record.name}: {safe}"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send the agent's log to standard error.

    In the Deploy-OS that is every console of the machine (its init joins them), in an
    installed system the journal.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # urllib3 announces each quick retry; the agent says once what it waits for.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
