r"""What the agent's package for Windows Installer was told, and where it puts the agent.

All that the agent trusts is where only administrators write: below ``HKLM\SOFTWARE`` and
``C:\Program Files``. In ``C:\ProgramData`` every user may make folders, also before an
installation.
"""

from attrs import frozen

from agent.commands.windows.host import Windows
from agent.windows.live_registry import read_key

SETTINGS = r"HKLM\SOFTWARE\RackwrightAgent"
"""The key with what was given to the installation."""
FOLDER = r"C:\Program Files\Rackwright\data"
"""What the agent writes; the package has no file in it."""
CONFIG = rf"{FOLDER}\agent.json"
STATE = rf"{FOLDER}\state"
LOG = rf"{FOLDER}\agent.log"


@frozen
class InstallationSettings:
    """The properties SERVER, PIN and TOKENFILE; empty where they were not given."""

    server: str = ""
    pin: str = ""
    token_file: str = ""


def read_settings(windows: Windows) -> InstallationSettings:
    """Return what the installation was told. TerminalError RW237."""
    key = read_key(windows, SETTINGS)
    if key is None:
        return InstallationSettings()
    texts = (key.text(name).strip() for name in ("Server", "Pin", "TokenFile"))
    return InstallationSettings(*texts)
