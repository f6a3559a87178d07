"""The agent's part that installs packages, as a program that runs inside a test's root.

    package_agent.py ORDER.json     prints one line of JSON: results, reboot, failpoints passed

The order may let it die at a failpoint, or name the boot that the machine is in.
"""

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from agent import failpoint
from agent.commands.supervised import Supervision, wait_for_others
from agent.errors import CodedError
from agent.packages.engine import Settings, install_packages
from agent.packages.journal import PackageJournal
from agent.packages.linux import LinuxSystem
from agent.wire.codec import decode, encode
from agent.wire.package import WantedPackage

STATE = Path("/var/lib/rackwright")
LOCK = STATE / "installer.lock"


class SystemWithSaidBoot(LinuxSystem):
    """A real system, but for its boot: a container's never changes."""

    said = "first"

    def boot(self):
        return self.said


def answer(said):
    sys.stdout.write(f"{json.dumps(said)}\n")


def main():
    order = json.loads(Path(sys.argv[1]).read_text())
    wanted = [decode(WantedPackage, json.dumps(package).encode()) for package in order["wanted"]]
    passed = []

    def die_there(name, what):
        del what
        passed.append(name)
        if len(passed) == order.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    failpoint.watch = die_there
    STATE.mkdir(parents=True, exist_ok=True)
    supervision = Supervision(silence=order.get("silence", 60), lock=LOCK)
    system = SystemWithSaidBoot(supervision)
    system.said = order.get("boot", "first")

    try:
        outcome = install_packages(
            wanted,
            system,
            PackageJournal(STATE / "packages.json"),
            run=order.get("run", "run-1"),
            fetch=lambda file: Path("/srv/files", file.name),
            settings=Settings(attempts=order.get("attempts", 3)),
            others_ended=partial(wait_for_others, LOCK, 60, time.sleep),
        )
    except CodedError as error:
        answer({"error": error.code, "cause": error.cause})
        return
    results = [json.loads(encode(result)) for result in outcome.results]
    answer({"results": results, "reboot": outcome.reboot, "passed": passed})


if __name__ == "__main__":
    main()
