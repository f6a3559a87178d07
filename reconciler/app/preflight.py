"""What must be true before this process may serve; asked before anything is changed."""

import os
from pathlib import Path

from reconciler.errors import ReconcilerError


def require_able_to_serve(boot_files: Path) -> None:
    """Refuse early: RW909 without root, RW859 without a built Deploy-OS."""
    if os.geteuid() != 0:
        raise ReconcilerError(
            "RW909",
            "DHCP and TFTP need the ports 67 and 69, which only root may open",
            "Run the command as root; `plan`, `status` and `validate` do not need it",
        )
    from providers.deploy_os import result  # noqa: PLC0415 - not needed to refuse

    result.load(boot_files)
