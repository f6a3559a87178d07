"""The first lines of an agent that carries its own Python: ``__main__.py`` of its folder.

The carried C library reads files of the host that were made for the host's. What would have
it load the host's libraries is kept from it here, before anything is looked up.
"""

import ctypes
import os
import sys
from pathlib import Path

_NAME_SERVICES = {
    "aliases": "files",
    "ethers": "files",
    "group": "files",
    "gshadow": "files",
    "hosts": "files dns",
    "initgroups": "files",
    "netgroup": "files",
    "networks": "files",
    "passwd": "files",
    "protocols": "files",
    "publickey": "files",
    "rpc": "files",
    "services": "files",
    "shadow": "files",
}
"""For each database what the C library has built in (since 2.34), in place of what
nsswitch.conf(5) names: its modules (sss, systemd, mymachines) are libraries of the host."""

_HOST_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def choose_name_services() -> None:
    """Fix where names are looked up; glibc then never reads nsswitch.conf(5)."""
    configure = ctypes.CDLL(None)["__nss_configure_lookup"]
    for database, services in _NAME_SERVICES.items():
        configure(database.encode(), services.encode())


def choose_programs(version: Path) -> None:
    """Put the carried programs before the host's, and the host's OpenSSL settings aside."""
    os.environ["PATH"] = f"{version}/usr/sbin:{version}/usr/bin:{_HOST_PROGRAMS}"
    os.environ["OPENSSL_CONF"] = os.devnull


def start() -> int:
    """Run the agent; return its exit status."""
    choose_name_services()
    choose_programs(Path(__file__).resolve().parents[3])
    from agent.main import main  # noqa: PLC0415 - only now: it loads OpenSSL

    return main()


if __name__ == "__main__":
    sys.exit(start())
