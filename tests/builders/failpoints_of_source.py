"""Which durable writes the source has, by the function that writes: read, not run."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGES = {
    "writing": "transaction",
    "write_atomically": "file",
    "create_atomically": "file",
    "write_whole": "file",
}
"""What a failpoint is called in whatever writes by this function."""

ROUTES = (
    *("enroll", "report", "work", "claim", "event", "evidence"),
    *("missing", "put_chunk", "manifest"),
)
KILLED_AT = {
    "accepted_revisions.AcceptedRevisions.add": "transaction",
    "boots.Boots._write": "transaction",
    "captures.Captures.record": "transaction",
    "certificates.AgentCertificates.note_use": "transaction",
    "certificates.AgentCertificates.end_return": "transaction",
    "certificates.AgentCertificates.record": "transaction",
    "captures.Captures.record_restore_test": "transaction",
    "control_plane.ControlPlane.claim": "transaction",
    "exchanges.Exchanges.keep": "transaction",
    "faults.Faults.forget": "transaction",
    "grants.Grants.store_token": "transaction",
    "grants.Grants.use_token": "transaction",
    "leases.StoredLeases.put": "transaction",
    "ledger.Ledger.move": "transaction",
    "ledger.Ledger.record_progress": "transaction",
    "machines.Machines.forget_contact": "transaction",
    "machines.Machines._write": "transaction",
    "private_directory.PrivateDirectory.create": "file",
    "private_directory.PrivateDirectory.replace": "file",
    "protections.Protections.remember": "transaction",
    "reconcile.Reconciler._arm": "transaction",
    "service.Service._test": "restore-test",
    "service.Service.wake": "wake",
    "run_evidence.RunEvidence.record": "transaction",
    "run_evidence.RunEvidence.write": "file",
    "stored_chunks.StoredChunks.put": "file",
    "store.ChunkStore.put_manifest": "file",
    "store.ChunkStore.record_restore_test": "file",
    "store.ChunkStore.record_signature": "file",
    "image_names.ImageNames.tag": "file",
    "witness.Witnesses._write": "file",
}
"""What the server writes and asks for in an apply, and by what failpoints it passes there."""
POINTS = {
    *(
        f"{writer}:{kind}.{side}"
        for writer, kind in KILLED_AT.items()
        for side in ("before", "after")
    ),
    *(f"store.ChunkStore.put_manifest:image.{side}" for side in ("before", "after")),
    *(f"{route}:answer.before" for route in (*ROUTES, "get_manifest", "get_chunk")),
}
NOT_KILLED_AT = {
    "agents.retire_authority": "a person's command",
    "agents.roll_authority": "a person's command",
    "accept_ledger.accept_ledger": "a person's command",
    "image_events.ImageEvents.record": "a person's command; retention looks again in an hour",
    "image_names.ImageNames.tag_together": "of several disks; tests end it at each write",
    "image_names.ImageNames._finish_moving": "likewise",
    "store.ChunkStore._mend": "of files that are damaged; mended again",
    "store.ChunkStore.renew_record": "likewise",
    "image_checks.ImageChecks.record": "of scrubs and a person's command; verified again",
    "image_checks.ImageChecks.keep": "of scrubs; gone on with",
    "image_checks.ImageScrubs.begin": "of scrubs; gone on with",
    "image_checks.ImageScrubs.record": "of scrubs; gone on with",
    "image_store.ImageStores.record": "once, and a person's command",
    "store_identity.write_identity": "once, before there is anything to lose",
    "image_names.ImageNames.forget": "a person's command; retention looks again in an hour",
    "image_names.ImageNames.pin": "a person's command",
    "approval.approve": "what begins unattended, or by a schedule",
    "approval_rules.begin_rules": "the first commit that has approval rules",
    "approvals.PlanApprovals._record": "a person's command; `apply` is killed before and after it",
    "approvals.PlanApprovals.take_over_by_hand": "a person's command",
    "approvals.PlanApprovals.withdraw": "a person's command",
    "breakers.Breakers._write": "after failures, and a person's command",
    "cancel.Cancellations.cancel": "a person's command",
    "certificates.AgentCertificates.accept_return": "a person's command",
    "certificates.AgentCertificates.ask_to_return": "of agents that were away for a month",
    "certificates.AgentCertificates.revoke": "a person's command",
    "control_plane.ControlPlane.heard_after_all": "after ten minutes of silence",
    "control_plane.ControlPlane._proved_after_all": "after ten minutes of silence",
    "delays.Delays.record": "only when work happens to wait as the loop looks at it",
    "discovered_agents.DiscoveredAgents.put": "of machines that no document has",
    "edited_file.write_output": "a person's command, of the repository or a report",
    "exchanges.Exchanges.forget": "a machine that is installed again",
    "faults.Faults.end": "something failed before; the full disk has it",
    "faults.Faults.record": "something failed before; the full disk has it",
    "hand_results.Results._save": "a person's command, of a file that a machine brought",
    "join_tokens.JoinTokens.add": "a person's command",
    "join_tokens.JoinTokens.join": "of agents that were not installed here; asked for again",
    "join_tokens.JoinTokens.revoke": "a person's command",
    "ledger.Ledger.plan": "nothing calls it but tests",
    "inventories.Inventories.add_items": "agents of installed systems; sent again",
    "inventories.Inventories.record": "agents of installed systems; sent again",
    "inventories.Inventories.remove": "what no machine has any more",
    "inventories.Inventories.still_so": "agents of installed systems; sent again",
    "machines.Machines.clear_quarantine": "a person's command",
    "package_mirrors.PackageMirrors._put": "of package sources; mirrored again",
    "package_mirrors.PackageMirrors.forget": "of package sources; forgotten again",
    "package_mirrors.PackageMirrors.record": "of package sources; mirrored again",
    "machines.Machines.set_quarantine": "a token was used twice, which is an alarm",
    "reboot_locks.RebootLocks.release": "of machines that restart by themselves; they ask again",
    "reboot_locks.RebootLocks.take": "of machines that restart by themselves; they ask again",
    "updates.UpdateRecords.notify": "a person's command",
    "updates.UpdateRecords.prune": "what is too old; pruned again",
    "updates.UpdateRecords.record": "agents of installed systems; sent again",
    "resolve.Resolutions.resolve": "a person's command",
    "rollouts.Rollouts.conclude": "of rollouts; begun again from what is written",
    "rollouts.Rollouts.end": "of rollouts; begun again from what is written",
    "rollouts.Rollouts.halt": "of rollouts; begun again from what is written",
    "rollouts.Rollouts.open_wave": "of rollouts; begun again from what is written",
    "rollouts.Rollouts.resume": "a person's command",
    "rollouts.abort": "a person's command",
    "run_evidence.RunEvidence.forget": "what is kept too long",
    "schedule_history.ScheduleHistory.end": "of schedules; begun again from what is written",
    "schedule_history.ScheduleHistory.follow_names": "of renamed machines; done again",
    "schedule_history.ScheduleHistory.forget": "of schedules; begun again from what is written",
    "schedule_history.ScheduleHistory.handle": "of schedules; begun again from what is written",
    "schedule_history.ScheduleHistory.record": "of schedules; begun again from what is written",
    "schedule_history.ScheduleHistory.tell": "of schedules; the agent says it again",
    "store_place.StorePlace.write_whole": "hands on what others write",
    "simulate._commit": "of the simulated rack",
}

SOMETIMES = {f"delays.Delays.record:transaction.{side}" for side in ("before", "after")}
"""Where an apply passes only when its machines happen to come in a certain order."""

_BESIDE = (
    "image_checks.ImageChecks.keep:transaction",
    "image_checks.ImageChecks.record:transaction",
    "image_checks.ImageScrubs.begin:transaction",
    "image_checks.ImageScrubs.record:transaction",
    "image_store.ImageStores.record:transaction",
    "store_identity.write_identity:file",
)
BESIDE = {f"{point}.{side}" for point in _BESIDE for side in ("before", "after")}
"""What is written of the image store itself, beside all work and at moments of its own: who is
killed there may never pass a failpoint that was due at that moment."""

_FULL = ("transaction.before", "file.before", "image.before", "restore-test.before")
WRITES = {point for point in POINTS if point.partition(":")[2] in _FULL}
"""Where there may be no room."""


def writers(*folders: str) -> dict[str, str]:
    """Return ``module.Class.function`` → what it writes by, of all modules in these folders."""
    found = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name, call in _calls(ast.parse(path.read_text()), ()):
                if call in STAGES:
                    found[f"{path.stem}.{name}"] = STAGES[call]
    return found


def _calls(node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield function and name of each call; what only hands ``writing()`` on does not write."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(child, (*path, child.name))
        elif isinstance(child, ast.Return) and isinstance(child.value, ast.Call):
            name = _name(child.value)
            if name != "writing":
                yield from _calls(child, path)
        else:
            if isinstance(child, ast.Call):
                yield ".".join(path), _name(child)
            yield from _calls(child, path)


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
