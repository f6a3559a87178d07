"""The software of a simulated system: a list in a file, which any package can be added to."""

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import define, frozen

from agent.commands.ended import Ended
from agent.errors import CodedError
from agent.inspection.host_paths import HostPaths, read_line
from agent.packages.adapter import Adapter, SystemFacts
from agent.whole_file import write_atomically
from agent.wire.package import ADAPTERS, PackageSign, Sign, WantedPackage

SOFTWARE = Path("var/lib/software.json")
"""Below the folder of a system: what is installed, by name, with its version."""
NEWEST = "newest"
"""The version of what was installed without saying which."""


@frozen
class SimulatedSoftware:
    """A system on which every adapter installs by adding to a list.

    A package whose name begins with ``broken`` fails, and one that begins with ``hollow`` succeeds
    without being there.
    """

    folder: Path
    paths: HostPaths

    def facts(self) -> SystemFacts:
        """Return that it is Debian 12."""
        return SystemFacts(("debian",), ("12",), "amd64")

    def boot(self) -> str:
        """Return the simulated boot."""
        return read_line(self.paths.proc / "sys/kernel/random/boot_id")

    def adapters(self) -> Mapping[str, Adapter]:
        """Return the adapters of all systems."""
        return dict.fromkeys(ADAPTERS, SimulatedAdapter(self))

    def reboot_pending(self) -> bool:
        """Return that nothing but packages wants a restart."""
        return False

    def detects(self, sign: Sign) -> bool:
        """Return whether the list has it; only signs of packages are known."""
        if not isinstance(sign, PackageSign):
            return False
        found = self.installed().get(sign.name)
        return found is not None and sign.version in {"", found}

    def installed(self) -> dict[str, str]:
        """Return what is installed, by name."""
        try:
            found: dict[str, str] = json.loads((self.folder / SOFTWARE).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def add(self, name: str, version: str) -> None:
        """Add software to the list."""
        path = self.folder / SOFTWARE
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({**self.installed(), name: version}).encode())


@define
class SimulatedAdapter:
    """Installs by adding to the list of software."""

    software: SimulatedSoftware
    success: frozenset[int] = frozenset()
    reboot_needed: frozenset[int] = frozenset()

    def repair(self) -> None:
        """Do nothing: the list is written whole."""

    def check(self, wanted: WantedPackage, files: Mapping[str, Path]) -> None:
        """Find no reason against it."""

    def install(self, wanted: WantedPackage, files: Mapping[str, Path]) -> Ended:
        """Add it to the list, unless its name says that it fails."""
        del files
        if wanted.name.startswith("broken"):
            return Ended(100, f"simulated: {wanted.name} cannot be installed\n")
        if not wanted.name.startswith("hollow"):
            self.software.add(wanted.software_name, wanted.version or NEWEST)
        return Ended(0, f"simulated: {wanted.name}\n")

    def failure(self, wanted: WantedPackage, ended: Ended) -> CodedError | None:
        """Return that nobody knows."""
        del wanted, ended
        return None

    def version(self, wanted: WantedPackage) -> str:
        """Return the version in the list."""
        return self.software.installed().get(wanted.software_name, "")
