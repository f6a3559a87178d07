"""What happens on a machine when the package is installed, upgraded and removed. Pure.

Everything is silent, works without systemd (in a chroot, in a container), and never fails
an installation because of the service. The service is enabled once, at the first installation, so
that who disabled it finds it disabled after an upgrade.
"""

from agent.identity.linux.agent_bundle import LIBRARY, UNIT
from agent.identity.linux.agent_bundle import UNIT_PATH as RESTORED_UNIT
from agent.joining import LEFTOVERS, STATE_FILES, STATE_FOLDERS, TOKEN_FILE
from agent.upgrade.places import LAUNCH_STATE
from providers.agent_package import layout

_ENABLE = f"""\
mkdir -p /{layout.CONFIG_FOLDER} /{layout.WANTS}
ln -sf /{layout.UNIT_PATH} /{layout.ENABLED}
"""

# The folders are made where there is no systemd, and go again.
_DISABLE = f"""\
rm -f /{layout.ENABLED}
rmdir /{layout.WANTS} 2>/dev/null || true
if [ ! -e /usr/lib/systemd/systemd ] && [ ! -e /lib/systemd/systemd ]; then
    rmdir /{layout.SYSTEMD}/system /{layout.SYSTEMD} 2>/dev/null || true
fi
"""

# A restored system has an agent that runs on the system's own Python. It has the same
# configuration and state, and its unit would be used before the package's.
_TAKE_OVER = f"""\
if [ -f {RESTORED_UNIT} ] && [ ! -L {RESTORED_UNIT} ] \\
    && grep -q '^WorkingDirectory={LIBRARY}$' {RESTORED_UNIT}; then
    rm -rf {RESTORED_UNIT} {LIBRARY}
fi
"""

# deb-systemd-invoke heeds policy-rc.d(8).
_START = f"""\
if [ -d /run/systemd/system ]; then
    invoke=systemctl
    if command -v deb-systemd-invoke >/dev/null; then invoke=deb-systemd-invoke; fi
    systemctl daemon-reload >/dev/null 2>&1 || true
    if systemctl --quiet is-enabled {UNIT} 2>/dev/null; then
        $invoke restart {UNIT} >/dev/null 2>&1 || true
    fi
fi
"""

_STOP = f"""\
if [ -d /run/systemd/system ]; then
    systemctl stop {UNIT} >/dev/null 2>&1 || true
fi
"""

_RELOAD = """\
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || true
fi
"""

# Versions that came by other ways than the package manager.
_REMOVE_VERSIONS = f"rm -rf /{layout.HOME}\n"

# dpkg removes it when it is empty, for no package says that it has it.
_KEEP_OPT = "mkdir -p /opt\n"

_CONFIG_FILES = ("agent.json", TOKEN_FILE, LEFTOVERS)

# File by file: a Rackwright server keeps its own state in the same folder.
_FORGET = (
    "".join(f"rm -f /{layout.CONFIG_FOLDER}/{name}\n" for name in _CONFIG_FILES)
    + "".join(f"rm -f /{layout.STATE_FOLDER}/{name}\n" for name in (*STATE_FILES, LAUNCH_STATE))
    + "".join(f"rm -rf /{layout.STATE_FOLDER}/{name}\n" for name in STATE_FOLDERS)
    + f"rmdir /{layout.CONFIG_FOLDER} /{layout.STATE_FOLDER} 2>/dev/null || true\n"
)


def deb_scripts() -> dict[str, str]:
    """Return the maintainer scripts of the deb (Debian Policy, chapter 6), by name."""
    return {
        "preinst": _script(_when("install", _ENABLE)),
        "postinst": _script(_when("configure", _TAKE_OVER + _START)),
        "prerm": _script(_when("remove", _STOP + _DISABLE)),
        "postrm": _script(
            _when("abort-install", _DISABLE)
            + _when("remove", _REMOVE_VERSIONS + _KEEP_OPT + _RELOAD)
            + _when("purge", _FORGET)
        ),
    }


def rpm_scripts() -> dict[str, str]:
    """Return the scriptlets of the rpm, by section; ``$1`` counts what will be installed."""
    first, last = '[ "$1" -eq 1 ]', '[ "$1" -eq 0 ]'
    return {
        "post": _if(first, _ENABLE) + _TAKE_OVER + _START + "exit 0\n",
        "preun": _if(last, _STOP + _DISABLE) + "exit 0\n",
        "postun": _if(last, _REMOVE_VERSIONS + _FORGET + _RELOAD) + "exit 0\n",
    }


def _script(body: str) -> str:
    return f"#!/bin/sh\nset -e\n{body}exit 0\n"


def _when(action: str, body: str) -> str:
    return _if(f'[ "$1" = {action} ]', body)


def _if(condition: str, body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"if {condition}; then\n{lines}fi\n"
