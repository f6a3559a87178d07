"""The package as an rpm, by rpmbuild."""

import shutil
from pathlib import Path, PurePosixPath

from agent.errors import TerminalError
from providers.agent_package import layout
from providers.agent_package.layout import NAME, PackageVersion
from providers.agent_package.scripts import rpm_scripts
from providers.deploy_os import command

_MACROS = {
    # Nothing is made of the files: they are packed as they are.
    "__os_install_post": "%{nil}",
    "_build_id_links": "none",
    "debug_package": "%{nil}",
    # What every rpm since 4.8 can read.
    "_binary_payload": "w6.gzdio",
    "_binary_filedigest_algorithm": "8",
    # Equal files, equal bytes.
    "_buildhost": "localhost",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "source_date_epoch_from_changelog": "0",
}


def file_name(version: PackageVersion) -> str:
    """Return the name that rpmbuild gives the file."""
    return f"{NAME}-{version}.x86_64.rpm"


def write(root: Path, version: PackageVersion, epoch: int, work: Path) -> Path:
    """Write what is below ``root`` as an rpm in ``work``.

    RW822 where this host has no rpmbuild, RW826 when that fails.
    """
    if shutil.which("rpmbuild") is None:
        raise TerminalError(
            "RW822",
            "building the agent's package as an rpm needs rpmbuild, not found on this host",
            "Install: apt install rpm",
        )
    top = work / "rpmbuild"
    top.mkdir()
    spec = top / f"{NAME}.spec"
    spec.write_text(spec_text(version, root), "utf-8")
    macros = {**_MACROS, "_topdir": str(top), "_rpmdir": str(work), "_rpmfilename": "%{NAME}.rpm"}
    defined = [word for name, text in macros.items() for word in ("--define", f"{name} {text}")]
    command.run(
        ["rpmbuild", "-bb", "--target", "x86_64-linux", *defined, str(spec)],
        work / "rpmbuild.log",
        environment={"SOURCE_DATE_EPOCH": str(epoch), "HOME": str(top)},
        code="RW826",
        action="Look at what rpmbuild says; a full disk is the usual reason",
    )
    return (work / f"{NAME}.rpm").rename(work / file_name(version))


def spec_text(version: PackageVersion, root: Path) -> str:
    """Return the spec file for what is below ``root``.

    The unit's folders are those of systemd's package too; they are named so that none is left
    where there is no systemd.
    """
    parents = PurePosixPath(layout.UNIT_PATH).parents
    folders = [str(path) for path in reversed(parents) if "systemd" in path.parts]
    listed = "".join(f"%dir /{folder}\n" for folder in folders)
    scripts = "".join(f"%{name}\n{text}\n" for name, text in rpm_scripts().items())
    return f"""\
Name: {NAME}
Version: {version.version}
Release: {version.revision}
Summary: Rackwright's agent for machines that run already
License: Various
AutoReqProv: no

%description
It reports the machine to its Rackwright server and does the work that was approved there. It
carries its own Python and C library.

%install
cp -a "{root}/." "%{{buildroot}}/"

{scripts}
%files
%defattr(-,root,root)
{listed}/{layout.HOME}
/{layout.LAUNCHER}
/{layout.UNIT_PATH}
"""
