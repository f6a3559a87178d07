"""The agent as it is installed in a restored system: Python files and a systemd unit."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.config import AgentConfig
from agent.errors import TerminalError
from agent.identity.linux.image_tree import ImageTree
from agent.wire.codec import encode

LIBRARY = "/usr/lib/rackwright"
CONFIG = "/etc/rackwright/agent.json"
UNIT = "rackwright-agent.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
COMMAND = "/usr/local/bin/rackwright-agent"
"""By which a person at the machine puts a restart off, and the like."""

_PACKAGES = ("agent", "attr", "attrs", "cattrs", "typing_extensions", "urllib3")
_OPTIONAL = ("exceptiongroup",)
_LEFT_OUT = ("agent/imaging/",)  # needs compiled packages, and has no use in a running system


Bundle = dict[str, Path]
"""The files to install: path below the library directory, and where it is now."""


def collect_bundle() -> Bundle:
    """Return the running agent and the pure-Python packages that it needs.

    TerminalError RW469 where one of them cannot be found as files.
    """
    bundle: Bundle = {}
    for package in (*_PACKAGES, *_OPTIONAL):
        found = dict(_package_files(package))
        if not found and package in _PACKAGES:
            raise TerminalError(
                "RW469",
                f"the package {package} is here without its Python sources, "
                "so the agent cannot be installed",
                "Build the Deploy-OS with the sources of its Python packages",
            )
        bundle |= found
    return {name: path for name, path in bundle.items() if not name.startswith(_LEFT_OUT)}


def _package_files(package: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return
    for place in spec.submodule_search_locations or ():
        top = Path(place)
        for path in sorted(top.rglob("*")):
            if path.suffix == ".py" or path.name == "py.typed":
                yield f"{package}/{path.relative_to(top).as_posix()}", path
    if spec.submodule_search_locations is None and spec.origin and Path(spec.origin).is_file():
        yield f"{package}.py", Path(spec.origin)


def unit_text(command: str, *, folder: str = "/", conditions: Sequence[str] = ()) -> str:
    """Return the systemd.service(5) unit that runs the agent by this command.

    ``folder`` is the working directory; of ``conditions``, absolute paths, one has to exist, or
    the service stays inactive, which is no failure. Status 3 means that the server refused the
    agent for good: its token is spent, and trying again would only raise alarms. Homes are seen
    read-only, for ``ProtectHome=yes`` takes ``/run/user`` away, where the sessions are that show
    notifications. Settings have the names that systemd 219 knows too.
    """
    required = "".join(f"ConditionPathExists=|{path}\n" for path in conditions)
    return f"""\
[Unit]
Description=Rackwright agent
Wants=network-online.target
After=network-online.target
{required}
[Service]
WorkingDirectory={folder}
ExecStart={command}
StateDirectory=rackwright
StateDirectoryMode=0700
Restart=always
RestartSec=30
RestartPreventExitStatus=3
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=read-only
RuntimeDirectory=rackwright
RuntimeDirectoryMode=0755
ProtectSystem=full
ReadWriteDirectories=-/etc/rackwright

[Install]
WantedBy=multi-user.target
"""


def command_text(python: str) -> str:
    """Return the shell script that runs the agent's commands for people."""
    return f"""\
#!/bin/sh
cd {LIBRARY} && exec {python} -sE -m agent.upgrade.launcher "$@"
"""


def install_agent(tree: ImageTree, bundle: Bundle, python: str, config: AgentConfig) -> None:
    """Install the agent in place of any that the image had, enabled for the next boot."""
    tree.remove_tree(LIBRARY)
    for name, source in bundle.items():
        tree.write(f"{LIBRARY}/{name}", source.read_bytes())
    tree.write(CONFIG, encode(config) + b"\n", 0o600)
    command = f"{python} -sE -m agent.upgrade.launcher service --config {CONFIG}"
    tree.write(UNIT_PATH, unit_text(command, folder=LIBRARY).encode())
    tree.write(COMMAND, command_text(python).encode(), 0o755)
    tree.link(f"/etc/systemd/system/multi-user.target.wants/{UNIT}", UNIT_PATH)
