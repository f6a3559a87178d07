"""What most commands begin with: the compiled fleet and the embedded state."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import one_line
from reconciler.compiled.cache import FleetCache
from reconciler.compiled.compile_files import Busy, fleet_of_files
from reconciler.compiled.compiled_files import kept_base
from reconciler.compiled.source import SourceFiles, files_of_revision, files_of_tree
from reconciler.errors import ReconcilerError, SourceError, StateError, TrustError
from reconciler.git.commit_policy import Accept, Decision, Refuse
from reconciler.git.location import (
    RemoteRepository,
    no_machine_note,
    open_revision,
    open_source,
    parse_location,
    subfolder_notice,
)
from reconciler.git.repository import find_repository, is_in_git
from reconciler.git.tree import Commit, SourceTree
from reconciler.git.worktree import read_worktree, uncommitted_files
from reconciler.planning.approvals import MissingApprovals
from reconciler.planning.planner import plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.views.busy import busy
from reconciler.views.diagnostic_list import plain
from specs.diagnostics.codes import Code

if TYPE_CHECKING:
    import asyncio

    from providers.imaging.store import ChunkStore
    from reconciler.app.revision_policy import RevisionPolicy
    from reconciler.git.other_files import RepositoryFile
    from reconciler.git.revision import Revision
    from reconciler.planning.plan import Plan
    from reconciler.state.database import Database
    from reconciler.state.image_store import ImageStores
    from reconciler.state.images import CheckSignature
    from reconciler.state.observed import ObservedImage
    from reconciler.state.witness import ObserveOnly
    from specs.compile.context import CompileContext
    from specs.fleet import CompiledCommits, CompiledFleet


_REMOTE_INTERVAL = 30.0
"""Seconds between two looks at a repository behind a URL."""


_MOST_LOOKED_AT = 5_000
"""Files that are read to tell people what is not committed: 0.2 s."""
_NAMED = 3


class InvalidRepositoryError(ReconcilerError):
    """The repository has errors (RW901); ``listing`` has each on lines of its own."""

    def __init__(self, what: str, listing: str, note: str = "") -> None:
        action = "Correct them; nothing else was done"
        super().__init__("RW901", f"{what}\n{listing}", f"{action}; {note}" if note else action)
        self.what = what
        self.listing = listing
        self.note = note

    def of(self, revision: str) -> "InvalidRepositoryError":
        """Return the error with the revision that has it, where there are two."""
        return InvalidRepositoryError(f"{revision}: {self.what}", self.listing, self.note)


class Project:
    """One repository at one revision beside one state directory; everything is opened lazily."""

    def __init__(self, repo: str, ref: str | None, state: Path) -> None:
        self.repo = repo
        self._ref = ref
        self.state = state

    @cached_property
    def ref(self) -> str | None:
        """The ref to read: HEAD where a directory in Git was named without one.

        What acts on machines acts on commits; None reads a directory outside Git as
        it is.
        """
        place = parse_location(self.repo)
        if self._ref is not None or isinstance(place, RemoteRepository):
            return self._ref
        if is_in_git(place):
            return "HEAD"  # without its commits, nothing may be acted on
        try:
            find_repository(place)  # a bare one
        except SourceError:
            return None
        return "HEAD"

    @cached_property
    def revision(self) -> "Revision | None":
        """The commit, before its files are read; None where files outside Git are read."""
        return open_revision(self.repo, self.ref, cache=self.state / "sources")

    @cached_property
    def uncommitted(self) -> tuple[str, ...]:
        """The files that are not as in HEAD, where HEAD is read for want of another ref."""
        place = parse_location(self.repo)
        if self._ref is not None or self.ref is None or isinstance(place, RemoteRepository):
            return ()
        try:
            return uncommitted_files(place, _MOST_LOOKED_AT)
        except SourceError:
            return ()  # a remark is not worth an error: the commit can be read

    @property
    def uncommitted_notice(self) -> str:
        """What is not in the revision, in one line for people; empty where all is."""
        if not self.uncommitted:
            return ""
        files = ", ".join(self.uncommitted[:_NAMED])
        more = len(self.uncommitted) - _NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        number = len(self.uncommitted)
        what = "1 uncommitted file is" if number == 1 else f"{number:,} uncommitted files are"
        return f"note: {what} not looked at: {files}{rest}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of what is read, a line for each."""
        found = [self.uncommitted_notice]
        with suppress(ReconcilerError):  # whoever needs the fleet hears of it
            if not self.fleet.machines:
                found.append(no_machine_note(self.repo))
        return tuple(filter(None, found))

    @cached_property
    def source(self) -> SourceTree:
        """The repository's files at the revision."""
        return read_worktree(Path(self.repo)) if self.revision is None else self.revision.read()

    def read_files(self, revision: str, path: str) -> "tuple[RepositoryFile, ...]":
        """Return any files of a revision, for machines; raises as ``git.other_files``."""
        from reconciler.git.other_files import reader_of  # noqa: PLC0415 - servers only

        def opened(commit: str) -> "Revision | None":
            return open_revision(self.repo, commit, cache=self.state / "sources")

        return reader_of(self.repo, opened)(revision, path)

    @property
    def describe(self) -> str:
        """Which revision it is, in one line for people."""
        return self.source.describe if self.revision is None else self.revision.describe

    @cached_property
    def _cache(self) -> FleetCache:
        return FleetCache.of_state(self.state)

    async def watch(self, stop: "asyncio.Event") -> AsyncIterator[SourceTree | SourceError]:
        """Yield every new revision, or why there is none, until ``stop`` is set."""
        place = parse_location(self.repo)
        if not isinstance(place, RemoteRepository):
            from reconciler.git.watch import watch  # noqa: PLC0415 - slow to load

            async for found in watch(place, stop, self.ref):
                yield found
            return
        import asyncio  # noqa: PLC0415 - slow to load

        last: str | None = self.source.revision
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _REMOTE_INTERVAL)
                return
            try:
                tree = await asyncio.to_thread(
                    open_source, self.repo, self.ref, cache=self.state / "sources"
                )
            except SourceError as error:
                last = None
                yield error
                continue
            if tree.revision != last:
                last = tree.revision
                yield tree

    @cached_property
    def fleet(self) -> "CompiledFleet":
        """The compiled fleet; InvalidRepositoryError (RW901) carries every problem's text.

        Where values come from may be left out: ``whole_fleet`` has it.
        """
        if self.revision is None:
            return self._compiled(files_of_tree(self.source), self.source.revision)
        return self._compiled(files_of_revision(self.revision), self.revision.commit.id)

    def _compiled(
        self, files: SourceFiles, revision: str, shown: Busy | None = busy
    ) -> "CompiledFleet":
        fleet = fleet_of_files(files, revision, self._cache, shown)
        return self._explained(files, revision)[0] if fleet is None else fleet

    @property
    def whole_fleet(self) -> "CompiledFleet":
        """The fleet with the origin of every value; raises as ``fleet``."""
        return self._everything[0]

    @property
    def documents(self) -> "CompileContext":
        """Every document of the fleet, with its places; raises as ``fleet``."""
        return self._everything[1]

    @cached_property
    def _everything(self) -> "tuple[CompiledFleet, CompileContext]":
        return self._explained(files_of_tree(self.source), self.source.revision)

    def _explained(
        self, files: SourceFiles, revision: str
    ) -> "tuple[CompiledFleet, CompileContext]":
        """Return all files compiled at once; InvalidRepositoryError (RW901) lists problems."""
        from specs.compile.fleet import compile_fleet  # noqa: PLC0415 - slow to load

        result = compile_fleet(files.everything(), revision)
        if result.fleet is None:
            errors = [each for each in result.diagnostics if each.severity == "error"]
            is_lacking = any(each.code == Code.UNKNOWN_REFERENCE for each in errors)
            note = self.subfolder_notice if is_lacking else ""
            what = f"the repository has {len(errors)} error(s)"
            raise InvalidRepositoryError(what, plain(result.diagnostics), note)
        return result.fleet, result.context

    @property
    def subfolder_notice(self) -> str:
        """Which part of a Git repository is read, as a clause; empty where all of it is."""
        return subfolder_notice(self.repo)

    @cached_property
    def display_names(self) -> Mapping[str, str]:
        """What people call machines, by their names; empty where the repository cannot be read.

        For what is shown of the past: it has to be shown beside a broken repository, too.
        """
        try:
            machines = self.fleet.machines
        except ReconcilerError:
            return {}
        return {name: each.display_name for name, each in machines.items() if each.display_name}

    @cached_property
    def revision_policy(self) -> "RevisionPolicy":
        """What tells which revisions may be acted on."""
        from reconciler.app.revision_policy import RevisionPolicy  # noqa: PLC0415 - slow to load
        from reconciler.state.accepted_revisions import AcceptedRevisions  # noqa: PLC0415

        revisions = AcceptedRevisions(self.database_path, lambda: self.database)
        return RevisionPolicy(self.repo, self.state / "sources", revisions, self._known_policy)

    def _known_policy(self, tree: str) -> "CompiledCommits | None":
        """Return what a fleet that was compiled before says of signers."""
        known = kept_base(self._cache, tree)
        return None if known is None else known.settings.commits

    @cached_property
    def decision(self) -> Decision:
        """Whether the revision may be acted on; raises as ``fleet``."""
        return self.revision_policy.judge(self._commit, self.fleet.settings.commits)

    @property
    def _commit(self) -> "Commit | None":
        return None if self.revision is None else self.revision.commit

    @property
    def notice(self) -> str:
        """What a reviewer should know before it is applied; nothing where all is as usual."""
        observes = str(self.observe_only) if self.observe_only else ""
        return " · ".join(filter(None, (observes, self._notice_of_commit)))

    @property
    def _notice_of_commit(self) -> str:
        if isinstance(self.decision, Refuse):
            return f"for review only, this commit is not acceptable: {self.decision.error}"
        if self.decision.first and self.decision.signed:
            return (
                f"not accepted yet: the first commit here, {self.decision.reason}, a signer that "
                "it lists itself. Nothing else vouches for it: compare before it is applied"
            )
        return f"not accepted yet: {self.decision.reason}" if self.decision.signed else ""

    @property
    def announcement(self) -> str:
        """Which revision it is, and whether it may be acted on, in one line for people."""
        return " · ".join(filter(None, (self.describe, self.notice)))

    def judge(self, tree: SourceTree) -> "tuple[CompiledFleet, Decision]":
        """Return the fleet of another revision of the source, and whether it may be acted on.

        Raises InvalidRepositoryError (RW901).
        """
        fleet = self._compiled(files_of_tree(tree), tree.revision, None)
        return fleet, self.revision_policy.judge(tree.own_commit, fleet.settings.commits)

    def require_acceptable(self) -> Accept:
        """Return why the revision may be acted on; raise why not where it may not be."""
        if isinstance(self.decision, Refuse):
            raise self.decision.error
        return self.decision

    def accept(self, actor: str, now: datetime) -> None:
        """Remember that the revision is acted on.

        It is judged anew: another one may have been accepted while a person read the plan.
        """
        decision = self.revision_policy.judge(self._commit, self.fleet.settings.commits)
        if isinstance(decision, Refuse):
            raise decision.error
        self.take_over(self.fleet, self._commit, actor, decision.reason, now)

    def take_over(
        self,
        fleet: "CompiledFleet",
        commit: "Commit | None",
        actor: str,
        reason: str,
        now: datetime,
    ) -> None:
        """Remember that a revision of the source is acted on, and what it protects.

        Protection first: whatever happens between the two, there is too much of it. Its approval
        rules come into force where there are none.
        """
        from reconciler.loop.approval_rules import begin_rules  # noqa: PLC0415 - slow to load
        from reconciler.state.protections import Protections  # noqa: PLC0415 - slow to load

        machines = fleet.machines.values()
        Protections(self.database).remember(machines, commit.id if commit else "", now)
        begin_rules(self.database, fleet, actor, now)
        self.revision_policy.accept(commit, actor, reason, now)

    def hold(self) -> ReconcilerError | None:
        """Go on with the last accepted revision where the present one may not be acted on.

        Returns why, None where the present one may be. Raises that where none was
        accepted before, and StateError where the state cannot tell.
        """
        try:
            if isinstance(self.decision, Accept):
                return None
            error: ReconcilerError = self.decision.error
        except (SourceError, InvalidRepositoryError) as refused:
            error = refused
        except StateError:
            raise  # says nothing about the commit
        except Exception as defect:  # noqa: BLE001 - one commit must not keep a server from starting
            error = defective_commit(defect)
        try:
            revision = self.revision_policy.last_revision()
        except SourceError as missing:
            raise error from missing
        if revision is None:
            raise error
        for name in ("source", "fleet", "_everything"):
            self.__dict__.pop(name, None)
        self.revision = revision
        self.decision = Accept("it is the last accepted commit")
        return error

    @property
    def database_path(self) -> Path:
        """Where the state database is, or will be."""
        return self.state / "rackwright.db"

    @property
    def has_state(self) -> bool:
        """Whether there is a state database: looking makes none."""
        return self.database_path.exists()

    def require_state(self) -> None:
        """Raise RW972 where there is no state database, for commands that only read it."""
        if not self.has_state and _can_be_made(self.database_path):
            raise ReconcilerError(
                "RW972",
                f"there is no state database in {self.state}",
                "Name with --state or RACKWRIGHT_STATE the directory that `rackwright serve` uses; "
                "in a new one, nothing was approved yet",
            )

    @cached_property
    def database(self) -> "Database":
        """The state database, created and migrated as needed.

        Where this user may not write to it, it can be read as it is.
        """
        from reconciler.state.database import open_database  # noqa: PLC0415 - slow to load

        return open_database(self.database_path, or_read=True)

    @cached_property
    def observe_only(self) -> "ObserveOnly | None":
        """Why nothing may begin on any machine; None where it may. Makes no database."""
        from reconciler.state.witness import Witnesses  # noqa: PLC0415 - slow to load

        witnesses = Witnesses(self.state)
        if not witnesses.read():
            return None
        from reconciler.state.ledger_guard import observe_only_of  # noqa: PLC0415 - likewise
        from reconciler.state.ledger_lines import LedgerLines  # noqa: PLC0415 - likewise

        return observe_only_of(
            witnesses, lambda: LedgerLines(self.database) if self.has_state else None
        )

    def require_ledger(self) -> None:
        """Refuse to begin anything while the fleet is observe-only (StateError RW741)."""
        if self.observe_only is not None:
            raise self.observe_only.error()

    def require_store(self) -> None:
        """Raise as ``store`` where it cannot be used, before anything else is done."""
        _ = self.store

    @cached_property
    def store(self) -> "ChunkStore":
        """The image store. Looking makes none: ReconcilerError RW972 where there never was one.

        Raises as ``made_store``, too.
        """
        if self._has_store:
            return self.made_store()
        raise ReconcilerError(
            "RW972",
            f"there is no image store in {self.state}",
            "Name with --state or RACKWRIGHT_STATE the directory that `rackwright serve` uses; "
            "the first backup or `rackwright image import` makes one",
        )

    def made_store(self) -> "ChunkStore":
        """Return the image store, made where there never was one: for what stores images.

        StoreAwayError (RW444) where there was one that is away, OtherStoreError (RW445).
        """
        from providers.imaging.store import ChunkStore  # noqa: PLC0415 - slow to load
        from providers.imaging.store_identity import ANSWER_SECONDS, found_in_time  # noqa: PLC0415
        from reconciler.state.image_store import present_store  # noqa: PLC0415 - likewise

        root = self.state / "store"
        present = present_store(
            root, self.image_stores, utc_now(), lambda place: found_in_time(place, ANSWER_SECONDS)
        )
        return ChunkStore(root, identity=present.identity)

    @property
    def image_stores(self) -> "ImageStores | None":
        """Which image store belongs to the state; None where there is no database."""
        if not self.has_state:
            return None
        from reconciler.state.image_store import ImageStores  # noqa: PLC0415 - slow to load

        return ImageStores(self.database)

    @property
    def _has_store(self) -> bool:
        """Whether there is an image store, or was one."""
        if (self.state / "store").is_dir():
            return True
        stores = self.image_stores
        return stores is not None and bool(stores.known())

    @cached_property
    def _images(self) -> "tuple[Mapping[str, ObservedImage], str]":
        """The images, and why nothing is known of them."""
        if not self._has_store:
            return {}, ""
        from providers.imaging.errors import StoreAwayError  # noqa: PLC0415 - slow to load
        from reconciler.state.images import observed_images  # noqa: PLC0415 - likewise

        try:
            return observed_images(self.store, self._signature_check), ""
        except StoreAwayError as error:
            return {}, f"{error.code}: {error.cause}"
        except OSError as error:  # it went away in this moment
            return {}, f"the image store cannot be read: {error.strerror}"

    @property
    def _signature_check(self) -> "CheckSignature | None":
        """What says what a signature is worth; None where the keys cannot be read.

        Nothing is known of signatures then. The server refuses what is not good all the same.
        """
        from reconciler.trust.image_keys import ImageKeys  # noqa: PLC0415 - slow to load

        try:
            return ImageKeys.read(self.state / "trust").check
        except TrustError:
            return None

    def observed(self, now: datetime) -> Observed:
        """Return the world as it was last heard of."""
        return self.observed_of(None, FleetHardware(self.fleet.machines.values()), now)

    def observed_of(
        self, names: Collection[str] | None, hardware: FleetHardware, now: datetime
    ) -> Observed:
        """Return what is known of some machines of the fleet, and of others maybe too.

        ``hardware`` is that of the whole fleet; without ``names`` all of it is meant.
        """
        images, problem = self._images
        if not self.has_state and _can_be_made(self.database_path):
            return Observed(images=images, store_problem=problem)
        from reconciler.state.world import observe, observe_few  # noqa: PLC0415 - slow to load

        machines = self.fleet.machines
        found = None
        if names is not None:
            found = observe_few(self.database, names, machines, images, now, hardware)
        found = found or observe(self.database, machines.values(), images, now, hardware)
        return replace(found, store_problem=problem)

    def plan(self, now: datetime) -> "Plan":
        """Return the plan of this moment, with the approvals that it needs and does not need."""
        observed = self.observed(now)
        made = self.with_requirements(plan(self.fleet, observed, now), now)
        if not made.to_apply:
            return made
        from reconciler.app.unattended_work import with_unattended  # noqa: PLC0415 - likewise

        return with_unattended(made, observed, self.fleet)

    def with_requirements(self, made: "Plan", now: datetime) -> "Plan":
        """Return a plan of this revision with the approvals that it needs."""
        if not self.has_state and not self.fleet.settings.approvals.persons:
            return made
        from reconciler.app.approvals import PlanApprovals  # noqa: PLC0415 - slow to load

        return PlanApprovals(self, now).with_requirements(made)

    def missing_approvals(self, now: datetime) -> MissingApprovals:
        """Return which approvals are missing of work on the fleet; none without rules."""
        if not self.has_state and not self.fleet.settings.approvals.persons:
            return MissingApprovals()
        from reconciler.app.approvals import PlanApprovals  # noqa: PLC0415 - slow to load

        return PlanApprovals(self, now).missing()


def _can_be_made(path: Path) -> bool:
    """Return whether nothing but its absence keeps a file from being read."""
    return next(each for each in path.absolute().parents if each.exists()).is_dir()


def defective_commit(error: Exception) -> ReconcilerError:
    """Return the refusal of a commit at which something unforeseen happened."""
    return ReconcilerError(
        "RW792",
        f"the commit could not be judged: {one_line(error)}",
        "This is a defect of Rackwright: report it; a later commit is looked at again",
    )


def utc_now() -> datetime:
    """Return the present time; the one place where commands read the clock."""
    return datetime.now(UTC)
