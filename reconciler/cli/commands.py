"""``rackwright`` and the names of its commands, which are imported when they are asked for."""

import click

from reconciler.cli.lazy_group import LazyGroup

_COMMANDS = {
    "accept": "Go on from a commit that was refused for its history or its signature.",
    "adopt": "Turn discovered machines into documents of the repository.",
    "agent": "Bring agents to running machines; let them join or come back, or refuse them.",
    "apply": "Carry out exactly one plan and watch it to its end.",
    "approvals": "List what waits for approvals, who gave which, and until when.",
    "approve": "Approve a plan without watching it.",
    "breaker": "List what holds back new work after failures, and let it go on.",
    "cancel": "Stop work that has not ended, at any step.",
    "clear": "Lift quarantines.",
    "deploy-os": "Build the RAM system that machines boot over the network.",
    "diff": "Show what one commit wants otherwise than another, and why.",
    "exec": "Run a command once on installed systems, for a reason that is kept.",
    "explain": "Say where each value of a document comes from, or what an error code means.",
    "export": "Write the machines of a repository as CSV.",
    "file": "List, get, put and remove files of installed systems.",
    "fmt": "Lay out YAML files in one way, without a change of meaning.",
    "get": "Show one machine: condition, hardware, disks, boots, history.",
    "image": "List, verify, name, keep, delete, export and import disk images.",
    "import": "Turn lists and files of other systems into documents.",
    "init": "Write a small fleet to start from.",
    "inventory": "Search, show and export what is installed on machines.",
    "lab": "Run a rack of virtual or simulated machines.",
    "ledger": "Verify the history of all work, or accept it as it is.",
    "lock": "List which machines may restart by themselves, and release one that is gone.",
    "message": "Show a line to the people at machines.",
    "migrate": "Bring documents to the apiVersion that this version reads.",
    "package": "Make, sign and mirror repositories of packages.",
    "plan": "Show what separates the fleet from its repository.",
    "resolve": "Say how operations ended of which nobody knows.",
    "rollout": "Show how far waves of work are; halt, resume or abort them.",
    "run": "Run a scenario on some machines by hand, for a reason that is kept.",
    "runs": "List what was approved, by whom and why, and how it went.",
    "schedule": "Show what schedules did and will do.",
    "schema": "Print the JSON Schema of documents, for editors.",
    "serve": "Run the control plane: netboot, agents, reconcile loop.",
    "status": "Show every machine: wanted, observed, and when.",
    "updates": "Show what machines install by themselves, and ask them to look now.",
    "validate": "Check a repository and report every problem at once.",
}


@click.group(
    cls=LazyGroup,
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="rackwright", message="rackwright %(version)s")
def cli() -> None:
    """Turn a Git repository of YAML into machines.

    Desired state lives in Git; `plan` shows what separates the fleet from it,
    `apply` carries out exactly that plan, `serve` keeps it so.
    """
