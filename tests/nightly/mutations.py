"""Each rule that keeps work from happening twice is taken away: the tests must turn red.

    make nightly
    .venv/bin/python tests/nightly/mutations.py [NAME ...]

A mutation replaces one text of one module in a copy of the sources; the copy's own tests run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click

ROOT = Path(__file__).parents[2]
COPIED = (
    "agent",
    "providers",
    "reconciler",
    "specs",
    "tests",
    "pyproject.toml",
    ".ci",
    "deploy-os",
)
LEDGER, CONTROL = "reconciler/state/ledger.py", "reconciler/server/control_plane.py"
ANY_ORDER = ("tests/unit/test_loop_any_order.py",)
POWER_CUT = ("tests/protocol/test_crashes.py", "-k", "on_the_medium")


class Mutation(NamedTuple):
    """A rule that is taken away."""

    name: str
    path: str
    before: str
    after: str
    tests: tuple[str, ...] = ANY_ORDER
    also: tuple[str, str, str] | None = None
    """A second rule that would do for the first: path, before and after."""


MUTATIONS = (
    Mutation(
        "commits do not wait for the medium",
        "reconciler/state/database.py",
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=OFF",
        POWER_CUT,
    ),
    Mutation(
        "whole files do not wait for the medium",
        "agent/whole_file.py",
        "            os.fsync(descriptor)\n    except",
        "    except",
        POWER_CUT,
    ),
    Mutation(
        "an earlier attempt is heard",
        CONTROL,
        "            or status.state is not OperationState.STARTED\n"
        "            or status.attempt != attempt\n",
        "            or status.state is not OperationState.STARTED\n",
    ),
    Mutation(
        "the same work has another id each time",
        "reconciler/state/operation.py",
        "    return blake2b(text.encode(), digest_size=16).hexdigest()",
        "    return __import__('uuid').uuid4().hex",
        also=(
            "reconciler/planning/approval_lapse.py",
            "    if operation.op_id != operation_id(",
            "    if not operation.op_id and operation.op_id != operation_id(",
        ),
    ),
    Mutation(
        "a grant is claimed without a look at the newest commit",
        CONTROL,
        "            if self.reconciler.why_not_now(status.operation):\n"
        "                return False\n"
        "            if not",
        "            if not",
    ),
    Mutation(
        "whoever moves an operation need not know where it stands",
        LEDGER,
        "if state is not before or attempt < current_attempt:",
        "if False:",
    ),
    Mutation(
        "no budget is full",
        "reconciler/loop/budgets.py",
        "            if len(at_work) >= budget.at_once and work.machine not in at_work:",
        "            if False:",
    ),
    Mutation(
        "who waits is not told that there is room",
        "reconciler/loop/reconcile.py",
        "        if self._budgets.end(op_id):\n            self._release()",
        "        self._budgets.end(op_id)",
    ),
)


def replace(path: Path, before: str, after: str) -> None:
    """Replace the text, which has to be there once."""
    text = path.read_text("utf-8")
    if text.count(before) != 1:
        raise SystemExit(f"{path.name} is written otherwise now: correct the mutation")
    path.write_text(text.replace(before, after), "utf-8")


def failed(folder: Path, tests: tuple[str, ...]) -> str:
    """Return the summary of the tests where they fail, empty where they pass."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/pytest"), "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    reasons = re.findall(r"^E +(.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not reasons:
        raise SystemExit(f"the tests did not run:\n{done.stdout}{done.stderr}")
    return reasons[0][:150]


def main() -> None:
    """Try all mutations, or those named; the exit code is how many no test noticed."""
    wanted = set(sys.argv[1:])
    unnoticed = 0
    for mutation in MUTATIONS:
        if wanted and mutation.name not in wanted:
            continue
        with TemporaryDirectory(prefix="rackwright-mutation-") as name:
            folder = Path(name)
            for each in COPIED:
                source = ROOT / each
                copy = shutil.copytree if source.is_dir() else shutil.copy
                copy(source, folder / each)
            (folder / ".venv").symlink_to(ROOT / ".venv")
            replace(folder / mutation.path, mutation.before, mutation.after)
            if mutation.also is not None:
                path, before, after = mutation.also
                replace(folder / path, before, after)
            reason = failed(folder, mutation.tests)
        unnoticed += not reason
        click.echo(f"{'noticed' if reason else 'NOT NOTICED'}: {mutation.name}  {reason}")
    raise SystemExit(min(unnoticed, 1))


if __name__ == "__main__":
    main()
