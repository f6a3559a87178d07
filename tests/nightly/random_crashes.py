"""A server is killed in random moments while it clones many machines, again and again.

    make nightly
    PYTHONPATH=.:tests .venv/bin/python tests/nightly/random_crashes.py --moments 300 --seed 7

Machines are simulated, server and agents are real. Each time all machines are done they get a new
run token, until the server was killed often enough; then everything has to come to an end, and
what each machine went through is compared with the ledger, and each disk with the image.
"""

import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import click
from builders.crash_site import CrashSite, broken_promises, crash_site

from reconciler.state.operation_states import ACTIVE, OperationState

EARLY, START = 0.2, 2.0
"""How often the server is killed before it serves, and within how many seconds."""
LONGEST = 6.0
"""Seconds from when it serves to its end."""
END = 3600.0
"""Seconds within which all work comes to an end once nobody kills the server any more."""


def under_way(site: CrashSite) -> int:
    """Return how many operations have not ended."""
    return sum(status.state in ACTIVE for status, _ in site.ledger().values())


def clone_all(site: CrashSite, run: int, machines: int) -> None:
    """Ask for all machines to be cloned once more, and approve it."""
    fleet = site.fleet / "fleet.yaml"
    text = fleet.read_text("utf-8")
    old, new = (f"scenario: clone-golden, run: {each}}}" for each in (run - 1, run))
    if old in text:
        fleet.write_text(text.replace(old, new), "utf-8")
        site.commit(f"Run {run}")
    with site.start("apply", f"--yes={machines}") as apply:
        site.until(lambda: under_way(site) > 0 or apply.poll() is not None)
        apply.kill()  # it would only watch


def kill_at_random(site: CrashSite, machines: int, moments: int, source: random.Random) -> int:
    """Kill the server in as many moments; return how often all machines were cloned."""
    run = 0
    while site.kills < moments:
        site.serve()
        if source.random() < EARLY:
            sleep(source.uniform(0, START))
            site.kill()
            continue
        site.until_served()
        if under_way(site) == 0 and site.states("capture") == {"golden": "verified"}:
            run += 1
            clone_all(site, run, machines)
        site.start_stranded()
        sleep(source.uniform(0, LONGEST))
        site.kill()
        if site.kills % 10 == 0:
            click.echo(f"{site.kills} moments, {run} rounds, {under_way(site)} under way")
    return run


@click.command()
@click.option("--machines", default=50, show_default=True)
@click.option("--moments", default=300, show_default=True)
@click.option("--seed", default=None, type=int, help="Repeats a run as far as time does.")
def main(machines: int, moments: int, seed: int | None) -> None:
    """Kill, look, and print what was found."""
    seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
    click.echo(f"seed {seed}, {machines} machines, {moments} moments, {datetime.now(UTC):%FT%TZ}")
    began = monotonic()
    with TemporaryDirectory(prefix="rackwright-crashes-") as folder:
        consoles = Path(folder) / "consoles"
        consoles.mkdir()
        with crash_site(Path(folder), consoles, machines) as site:
            site.work_on(lambda: site.states("capture") == {"golden": "verified"}, seconds=END)
            site.work_on(lambda: under_way(site) == 0, seconds=END)
            site.kill()
            site.kills = 0
            rounds = kill_at_random(site, machines, moments, random.Random(seed))  # noqa: S311
            site.work_on(lambda: under_way(site) == 0, seconds=END)
            broken = broken_promises(site)
            ends = [status for status, _ in site.ledger().values()]
            resumed = sum(each.attempt > 1 for each in ends)
            states = {
                str(state): count
                for state in OperationState
                if (count := sum(each.state is state for each in ends))
            }
            click.echo(
                f"{site.kills} kills in {(monotonic() - began) / 60:.0f} min, {rounds} rounds, "
                f"{len(ends)} operations: {states}, {resumed} of them in more than one attempt"
            )
            for status in ends:
                if status.state not in {OperationState.VERIFIED, OperationState.CANCELLED}:
                    click.echo(f"{status.operation.machine} {status.state}: {status.reason}")
    for each in broken:
        click.echo(f"BROKEN {each}", err=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
