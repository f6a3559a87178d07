"""A Windows whose programs are Wine's: real registry, services and Windows Installer.

Wine's start program passes on the lowest 8 bits of an exit status, so a batch file writes
the whole one down.
"""

import os
import subprocess
from pathlib import Path
from secrets import token_hex

from attrs import frozen

from agent.commands.runner import Completed, run_command
from agent.errors import MissingCommandError

_NO_SUCH_PROGRAM = 9009  # of cmd.exe
_STATUS_BATCH = b"@echo off\r\n%*\r\n>C:\\status\\%CALL% echo %errorlevel%\r\n"


@frozen
class WineWindows:
    """``prefix`` has its registry and drives; ``inside`` enters the namespaces that it is in."""

    prefix: Path
    inside: tuple = ()

    @property
    def drive(self):
        return self.prefix / "drive_c"

    @property
    def scratch(self):
        return self.drive / "scratch"

    @property
    def environment(self):
        return {
            "HOME": str(self.prefix.parent),
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",  # or a first start asks to download them
        }

    def run(self, argv, *, timeout=60.0):
        # On a busy computer Wine's cmd.exe may not find what is there; nothing began then.
        for _ in range(3):
            done = self._run(argv, timeout)
            if done.status != _NO_SUCH_PROGRAM:
                return done
            if not (self.drive / "windows/system32" / argv[0]).exists():
                break
        raise MissingCommandError(argv[0])

    def _run(self, argv, timeout):
        call = token_hex(8)
        done = run_command(
            [*self.inside, "wine", "cmd.exe", "/c", r"C:\status.bat", *argv],
            accept=None,
            timeout=timeout,
            environment={**self.environment, "CALL": call},
        )
        status = self.drive / "status" / call
        try:
            whole = int(status.read_text("ascii")) & 0xFFFF_FFFF
        except FileNotFoundError:
            raise AssertionError(f"{argv} left no status: {done}") from None
        status.unlink()
        return Completed(whole, done.stdout, done.stderr)

    def local(self, path):
        drive, _, rest = path.partition("\\")
        root = Path("/") if drive.upper() == "Z:" else self.drive
        return root.joinpath(*rest.split("\\"))

    def native(self, path):
        try:
            return "C:\\" + str(path.relative_to(self.drive)).replace("/", "\\")
        except ValueError:
            return "Z:" + str(path).replace("/", "\\")

    def start(self):
        """Make the prefix; return what has to stay, or each program starts the services anew."""
        self.prefix.mkdir(parents=True)
        environment = {**os.environ, **self.environment}
        nothing = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        # Not through a pipe: Wine's services would keep it open.
        init = [*self.inside, "wine", "wineboot.exe", "--init"]
        subprocess.run(init, env=environment, check=True, timeout=300, **nothing)
        # Its services are about to end, and who comes meanwhile would have none.
        for option in ("-k", "-w"):
            command = [*self.inside, "wineserver", option]
            subprocess.run(command, env=environment, check=False, timeout=60)
        self.scratch.mkdir()
        (self.drive / "status").mkdir()
        (self.drive / "status.bat").write_bytes(_STATUS_BATCH)
        staying = subprocess.Popen(
            [*self.inside, "wine", "cmd.exe", "/c", "pause"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        staying.stdout.read(1)  # its services are there, and hold none of the pipes of others
        return staying

    def stop(self, staying):
        environment = {**os.environ, **self.environment}
        command = [*self.inside, "wineserver", "-k"]
        subprocess.run(command, env=environment, check=False, timeout=30)
        with staying:
            staying.kill()


def msi_source(name, number, *, version="1.0.0", family="F", condition="1"):
    """Return what wixl makes a Windows Installer package of, with one file."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Name="{name}" Id="{product_code(number)}" UpgradeCode="{upgrade_code(family)}"
      Language="1033" Version="{version}" Manufacturer="Example">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"
        Manufacturer="Example" Languages="1033"/>
    <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
    <MajorUpgrade DowngradeErrorMessage="a newer version is installed"/>
    <Condition Message="this machine is not supported">{condition}</Condition>
    <Property Id="GREETING" Value="hello"/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder">
      <Directory Id="INSTALLDIR" Name="{name}">
        <Component Id="C1" Guid="{product_code(number + 1000)}" Win64="yes">
          <File Id="F1" Name="probe.txt" Source="probe.txt" KeyPath="yes"/>
          <RegistryValue Root="HKLM" Key="Software\\Example\\{name}" Name="Greeting"
            Type="string" Value="[GREETING]"/>
        </Component>
      </Directory>
    </Directory></Directory>
    <Feature Id="Main" Level="1"><ComponentRef Id="C1"/></Feature>
  </Product>
</Wix>
"""


def product_code(number):
    return f"{{1B0D0F5A-2222-4333-8444-{number:012d}}}"


def upgrade_code(family):
    return f"{{1B0D0F5A-5555-4666-8777-{family:>012}}}"


def make_msi(folder, file, *arguments, **options):
    """Make a Windows Installer package; ``msi_source`` says of what."""
    folder.mkdir(exist_ok=True)
    (folder / "probe.txt").write_text("a file of the package\n", "ascii")
    source = folder / f"{file}.wxs"
    source.write_text(msi_source(*arguments, **options), "utf-8")
    made = folder / file
    subprocess.run(
        ["wixl", "--arch", "x64", "--output", made, source],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return made
