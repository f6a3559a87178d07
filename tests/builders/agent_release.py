"""Releases of the agent from this source tree, and what starts an agent as its service would.

A release here has this Python instead of one of its own. All else is as in the package: the
folder of a version, its ``start``, the agent's files.
"""

import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

import agent
from agent.identity.linux.agent_bundle import collect_bundle

LIBRARY = "usr/lib/rackwright"
MAIN = """\
import sys
{before}
from agent.main import main

sys.exit(main())
"""
START = """\
#!/bin/sh
exec {python} -I -B -X utf8 "$(dirname "$0")/{library}" "$@"
"""
GOOD = ""
CRASHES = "raise SystemExit('this release is broken')"
HANGS = "import signal\nwhile True:\n    signal.pause()"
DEAF = """\
from agent.errors import TransientError
from agent.transport import Transport

def send(*_, **__):
    raise TransientError('RW557', 'this release reaches no server', 'Nothing')

Transport.send = send
"""
KILLED = """\
import sys
sys.path.insert(0, {library!r})
import os, signal
from pathlib import Path
from agent import failpoint
_log, _at = Path({log!r}), Path({at!r})

def watch(name, what):
    with _log.open('a') as log:
        log.write(f'{{name}} {{what}}\\n')
    try:
        number, kind = _at.read_text().split()
    except FileNotFoundError:
        return
    if len(_log.read_text().splitlines()) == int(number):
        if kind == 'power':
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

failpoint.watch = watch
"""
LAUNCHER = "import sys\nfrom agent.upgrade.launcher import main\nsys.exit(main())\n"


def make_release(root, version, before=GOOD):
    """Write the folder of a version below ``root``; ``before`` is done before its agent starts."""
    folder = root / "opt/rackwright-agent/versions" / version
    library = folder / LIBRARY
    source = Path(agent.__file__).parent
    shutil.copytree(
        source, library / "agent", ignore=shutil.ignore_patterns("__pycache__", "imaging")
    )
    number = version.partition("-")[0]
    (library / "agent/version.py").write_text(f'AGENT_VERSION = "{number}"\n')
    compileall.compile_dir(
        library,
        quiet=1,
        invalidation_mode=compileall.py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    (library / "rackwright-package.json").write_text(json.dumps({"version": version}))
    (library / "__main__.py").write_text(MAIN.format(before=before))
    (folder / "start").write_text(START.format(python=sys.executable, library=LIBRARY))
    (folder / "start").chmod(0o755)
    return folder


def make_bundle(library, version):
    """Write the agent of a restored system, which uses that system's Python."""
    for name, source in collect_bundle().items():
        target = library / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (library / "agent/version.py").write_text(f'AGENT_VERSION = "{version}"\n')


def make_archive(root, archive):
    """Pack what is below ``root`` as the package is packed."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(root, ".")
    return archive


class FakeServiceManager:
    """Starts the launcher again and again, as systemd does the service; at once, not after 30 s.

    Everything that it starts is one process group, which ``cut_power`` ends. Its ``/run`` is its
    own.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a unit says
        self, folder, home, arguments, log, watch="", bundle=None
    ):
        self._home, self._watch, self._bundle = home, watch, bundle
        self._program = folder / "launcher.py"
        words = [sys.executable, "-I", "-B", "-X", "utf8", str(self._program), *arguments]
        mounts = "mount -t tmpfs tmpfs /run"
        if bundle is not None:
            words = [sys.executable, "-sE", "-m", "agent.upgrade.launcher", *arguments]
            mounts += f" && mount --bind {home.parent} /opt"
        self._command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$0" "$@"', *words]
        self._log = log
        self._ends = False
        self.starts = 0
        self.refused = False
        self.process = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends = True
        self.cut_power()
        self._thread.join()

    def cut_power(self):
        with suppress(ProcessLookupError, AttributeError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _write_program(self):
        """Write what starts the launcher of the version that is the package manager's now."""
        if self._bundle is not None:
            return
        base = (self._home / "current").resolve() / LIBRARY
        path = f"import sys\nsys.path.insert(0, {str(base)!r})\n"
        self._program.write_text(f"{path}{self._watch}\n{LAUNCHER}")

    def _run(self):
        while not self._ends:
            self._write_program()
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self._bundle,
                )
                self.starts += 1
                status = self.process.wait()
                self.cut_power()  # of a service nothing is left when its first process has ended
            if status == 3:
                self.refused = True
                return
