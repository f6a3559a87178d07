"""The package for Windows Installer, by wixl: a service, its files, and nothing left of them.

The source is WiX's (version 3), of which wixl knows a part. The properties SERVER, PIN and
TOKENFILE become values of the registry, which the service reads at its start; the token itself is
only in its file. What a removal runs, removes the agent's folder: an upgrade does not.
"""

import re
import shutil
import uuid
from pathlib import Path
from xml.sax.saxutils import quoteattr

from agent.errors import TerminalError
from agent.windows import installation
from agent.windows_service import NAME as SERVICE
from agent.windows_service import TITLE, service_arguments
from providers.agent_package.layout import NAME, PackageVersion
from providers.deploy_os import command

UPGRADE_CODE = uuid.UUID("6f2f8d0e-6a6c-4a53-9d3e-5d1c0f7b9a41")
"""The same for all versions, for ever: by it Windows Installer knows an older one."""
PROGRAM = "pythonw.exe"
_NUMBERS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})")
_REVISIONS = 1000
_MOST = 65_535
_SHELL = r"C:\Windows\System32\cmd.exe"
_FORGET = f'/c rd /s /q "{installation.FOLDER}"'
_VALUES = (("Server", "[SERVER]"), ("Pin", "[PIN]"), ("TokenFile", "[TOKENFILE]"))
_INSTALLED = "Version"
_KEY = installation.SETTINGS.partition("\\")[2]


def file_name(version: PackageVersion) -> str:
    """Return the name of the file."""
    return f"{NAME}-{version}-x64.msi"


def product_version(version: PackageVersion) -> str:
    """Return the version in numbers; RW823 where Windows Installer has no place for it.

    It compares three numbers, so that the third has the revision too: 0.2.1-7 is 0.2.1007.
    """
    numbers = _NUMBERS.fullmatch(version.version)
    last = int(numbers.group(3)) * _REVISIONS + version.revision if numbers else 0
    if numbers is None or version.revision >= _REVISIONS or last > _MOST:
        raise TerminalError(
            "RW823",
            f"{version} is no version that Windows Installer can order",
            f"Give --revision a number from 1 to {_REVISIONS - 1}",
        )
    return f"{int(numbers.group(1))}.{int(numbers.group(2))}.{last}"


def write(root: Path, version: PackageVersion, epoch: int, work: Path) -> Path:
    """Write what is below ``root`` as a package in ``work``.

    RW822 where this host has no wixl, RW823 a version, RW826 when wixl fails.
    """
    del epoch  # wixl writes the time of the build
    if shutil.which("wixl") is None:
        raise TerminalError(
            "RW822",
            "building the agent's package for Windows needs wixl, not found on this host",
            "Install: apt install wixl",
        )
    source = work / f"{NAME}.wxs"
    source.write_text(source_text(root, version), "utf-8")
    made = work / file_name(version)
    command.run(
        ["wixl", "--arch", "x64", "--output", str(made), str(source)],
        work / "wixl.log",
        code="RW826",
        action="Look at what wixl says; a full disk is the usual reason",
    )
    return made


def source_text(root: Path, version: PackageVersion) -> str:
    """Return the source for what is below ``root``. RW823."""
    number = product_version(version)
    product = uuid.uuid5(UPGRADE_CODE, str(version))
    # An upgrade has written its own version when it removes this one.
    only_at_the_end = f'REMOVE="ALL" AND INSTALLEDVERSION="{version}"'
    folders = _Folders(root, version)
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{_guid(product)}" UpgradeCode="{_guid(UPGRADE_CODE)}" Name="{TITLE}"
      Version="{number}" Language="1033" Manufacturer="Rackwright">
    <Package InstallerVersion="500" Compressed="yes" InstallScope="perMachine" Platform="x64"
        Manufacturer="Rackwright" Description="{TITLE} {version}" Languages="1033"/>
    <Media Id="1" Cabinet="agent.cab" EmbedCab="yes"/>
    <MajorUpgrade DowngradeErrorMessage="A newer version of the {TITLE} is installed."/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder">
{folders.text}    </Directory></Directory>
    <Property Id="INSTALLEDVERSION">
      <RegistrySearch Id="Version" Root="HKLM" Key="{_KEY}" Name="{_INSTALLED}" Type="raw"
          Win64="yes"/>
    </Property>
    <Property Id="Shell" Value="{_SHELL}"/>
    <CustomAction Id="ForgetState" Property="Shell" Execute="deferred" Impersonate="no"
        Return="ignore" ExeCommand={quoteattr(_FORGET)}/>
    <InstallExecuteSequence>
      <Custom Action="ForgetState" After="DeleteServices">{only_at_the_end}</Custom>
    </InstallExecuteSequence>
    <Feature Id="Agent" Level="1">
{folders.references}    </Feature>
  </Product>
</Wix>
"""


class _Folders:
    """The folders below the root as elements; each file is a component of its own.

    So Windows Installer, which removes an older version when the new one is there, knows which
    files that one alone had.
    """

    def __init__(self, root: Path, version: PackageVersion) -> None:
        self._root = root
        self._version = version
        self._components: list[str] = []
        self.text = self._folder(root, "Rackwright", "INSTALLDIR")
        self.references = "".join(
            f'      <ComponentRef Id="{name}"/>\n' for name in self._components
        )

    def _folder(self, folder: Path, name: str, identifier: str) -> str:
        below = "".join(
            self._folder(each, each.name, self._identifier("D", each))
            if each.is_dir()
            else self._component(each)
            for each in sorted(folder.iterdir())
        )
        return f'<Directory Id="{identifier}" Name={quoteattr(name)}>\n{below}</Directory>\n'

    def _component(self, path: Path) -> str:
        name = self._identifier("C", path)
        self._components.append(name)
        source = quoteattr(str(path.relative_to(self._root.parent)))
        code = _guid(uuid.uuid5(UPGRADE_CODE, path.relative_to(self._root).as_posix()))
        is_program = path == self._root / PROGRAM
        return (
            f'<Component Id="{name}" Guid="{code}" Win64="yes">'
            f'<File Id="{self._identifier("F", path)}" Name={quoteattr(path.name)}'
            f' Source={source} KeyPath="yes"/>'
            f"{_service_elements(self._version) if is_program else ''}</Component>\n"
        )

    def _identifier(self, kind: str, path: Path) -> str:
        """Return a name for a table: letters and digits, the same for the same place."""
        return f"{kind}{uuid.uuid5(UPGRADE_CODE, path.relative_to(self._root).as_posix()).hex}"


def _service_elements(version: PackageVersion) -> str:
    arguments = service_arguments(installation.CONFIG, installation.STATE, installation.LOG)
    values = "".join(
        f'<RegistryValue Root="HKLM" Key="{_KEY}" Name="{name}" Type="string" Value="{value}"/>\n'
        for name, value in (*_VALUES, (_INSTALLED, str(version)))
    )
    return (
        f'\n<ServiceInstall Id="Service" Name="{SERVICE}" DisplayName="{TITLE}"'
        f' Type="ownProcess" Start="auto" ErrorControl="normal"'
        f" Arguments={quoteattr(arguments)}/>\n"
        f'<ServiceControl Id="Control" Name="{SERVICE}" Start="install" Stop="both"'
        f' Remove="uninstall" Wait="yes"/>\n{values}'
    )


def _guid(code: uuid.UUID) -> str:
    return f"{{{str(code).upper()}}}"
