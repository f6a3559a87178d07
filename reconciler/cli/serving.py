"""What commands need that serve: what must be true before, and logs.

Logs are lines for people on a terminal, JSON for whatever collects them.
"""

import logging
import os
import sys
from pathlib import Path

import structlog

from providers.deploy_os import result
from reconciler.errors import ReconcilerError


def require_able_to_serve(boot_files: Path) -> None:
    """Refuse early: RW909 without root, RW859 without a built Deploy-OS."""
    if os.geteuid() != 0:
        raise ReconcilerError(
            "RW909",
            "DHCP and TFTP need the ports 67 and 69, which only root may open",
            "Run the command as root; `plan`, `status` and `validate` do not need it",
        )
    result.load(boot_files)


def configure_log(*, quiet: bool = False, json: bool = False) -> None:
    """Send logs to standard error; ``quiet`` keeps only warnings and worse."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
