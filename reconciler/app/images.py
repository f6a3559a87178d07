"""Images as people handle them: what one is, who needs it, names, pins, removal, garbage."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from agent.imaging import manifest as manifest_format
from providers.imaging.collection import Collected
from providers.imaging.errors import BadNameError
from providers.imaging.image_record import ImageSet, Pin, RestoreTest, SetMember
from providers.imaging.image_signature import CheckedSignature
from providers.imaging.imported_system import ImportedSystem
from providers.imaging.reference import FoundImage, find_image
from providers.imaging.restore_test import run_restore_test
from providers.imaging.shrinking import Request, Stage, shrink_image
from providers.imaging.store import ChunkStore
from providers.imaging.transfer import ExportFormat, export_image, import_image
from providers.imaging.verification import (
    Damage,
    Progress,
    Verified,
    take_out_of_use,
    verify_images,
)
from providers.imaging.work_folder import Leftovers, remove_leftovers, work_folder
from reconciler.app.agents import Word
from reconciler.app.cancel import require_keepable, require_reason
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError, StateError, TrustError
from reconciler.server.image_keeper import ImageKeeper, Pruned
from reconciler.state.captures import Captures
from reconciler.state.image_checks import ImageCheck, ImageChecks
from reconciler.state.image_events import Act, ImageEvent, ImageEvents
from reconciler.state.image_needs import ImageNeeds
from reconciler.state.image_store import ImageStores, made_store
from reconciler.trust.authority import Authority
from reconciler.trust.image_keys import ImageKeys
from reconciler.views.image_details import CapturedWith, ImageDetails, ImageName, Use
from reconciler.views.image_shrinking import SmallerImage
from specs.fleet import BackupStep, CompiledFleet, RestoreStep
from specs.types.name import MACHINE, of_machine

_WORK = "image-work"
"""The folder in the state directory where restore tests and imports have their files."""
_DIGITS = re.compile(r"[0-9a-f]{8,64}")
_NAMED = 3


# --- looking --------------------------------------------------------------------------


def image_details(project: Project, reference: str, fleet: CompiledFleet | None) -> ImageDetails:
    """Return all about an image; raises as ``find_image``, and RW972."""
    store = project.store
    found = find_image(store, reference)
    digest = found.digest
    names = _names(store, digest)
    shown = found.name or (names[0].name if names else "")
    data = store.get_manifest(digest)
    facts = store.facts(digest)
    return ImageDetails(
        digest=digest,
        manifest=manifest_format.decode(data),
        manifest_size=len(data),
        record=facts.record or store.record(digest),
        restore_test=facts.restore_test,
        damage=facts.damage,
        signature=_checked(project, digest),
        pin=store.names.pin_of(digest),
        names=names,
        generations=store.generations(shown) if shown else (),
        captured=Captures(project.database).of_manifest(digest) if project.has_state else (),
        together=_captured_with(store, shown, digest),
        events=ImageEvents(project.database).of_image(digest) if project.has_state else (),
        check=ImageChecks(project.database).of_image(digest) if project.has_state else None,
        uses=None if fleet is None else _uses_of_names(fleet, [each.name for each in names]),
    )


def _checked(project: Project, digest: str) -> CheckedSignature:
    keys = ImageKeys.read(project.state / "trust")
    return keys.check(digest, project.store.signature_of(digest))


def image_uses(fleet: CompiledFleet, name: str) -> Iterator[Use]:
    """Yield the steps of a fleet's scenarios that restore or write the image of this name."""
    for scenario in fleet.scenarios.values():
        given = fleet.machines_with(scenario.name)
        for step in scenario.steps:
            if not isinstance(step, BackupStep | RestoreStep):
                continue
            action = "restore" if isinstance(step, RestoreStep) else "backup"
            if step.image == name:
                yield Use(scenario.name, action, name, given)
            elif MACHINE in step.image:
                of_name = [each for each in fleet.machines if of_machine(step.image, each) == name]
                if of_name:
                    machines = tuple(sorted(set(of_name) & set(given)))
                    yield Use(scenario.name, action, name, machines)


def _uses_of_names(fleet: CompiledFleet, names: Collection[str]) -> tuple[Use, ...]:
    return tuple(dict.fromkeys(use for name in names for use in image_uses(fleet, name)))


def _captured_with(store: ChunkStore, name: str, digest: str) -> tuple[CapturedWith, ...]:
    """Return what was captured together with an image of a name, by set, the newest first."""
    return tuple(
        CapturedWith(
            each.run,
            each.machine,
            each.at,
            member.name,
            member.digest,
            _names_of_member(store, each, member),
            store.manifest_path(member.digest).exists(),
        )
        for each in store.names.sets_of(digest, name)
        for member in each.others(name, digest)
    )


def _names_of_member(
    store: ChunkStore, captured: ImageSet, member: SetMember
) -> tuple[ImageName, ...]:
    """Return the names that lead to a member of a set: an equal disk's lead to its image, too."""

    def leads(name: str) -> bool:
        own = SetMember(name, member.digest)
        if own in captured.members:
            return own == member
        is_of_set = captured in store.names.sets_of(member.digest, name)
        return is_of_set and captured.member(name, member.digest) == member

    return tuple(each for each in _names(store, member.digest) if leads(each.name))


def _names(store: ChunkStore, digest: str) -> tuple[ImageName, ...]:
    """Return all names that lead to an image, those that point to it now first."""
    found = (
        ImageName(tag.name, number)
        for tag in store.names.tags()
        for number, entry in enumerate(tag.generations)
        if entry.digest == digest
    )
    return tuple(sorted(found, key=lambda each: (each.generation > 0, each)))


# --- verifying ------------------------------------------------------------------------


class Findings(NamedTuple):
    """What a verification found."""

    verified: Verified
    unwritten: str
    """Why some of what is damaged could not be taken out of use; empty where all was."""
    unkept: str
    """Why the state database does not know of it; empty where it does."""
    whole_again: frozenset[str]
    """Images that were damaged, are undamaged now, and need a restore test to be restored."""


def verify(
    project: Project,
    references: Collection[str],
    word: Word,
    progress: Progress,
    *,
    everything: bool,
) -> Findings:
    """Read every chunk of some images, or of all, and take what is damaged out of use.

    Returns what was found, which is kept. Raises as ``find_image``; ReconcilerError RW993 where it
    is not clear which are meant.
    """
    if bool(references) == everything:
        raise ReconcilerError(
            "RW993", "no image is named, or some are and --all is said", "Name images, or say --all"
        )
    store = project.store
    digests = {find_image(store, each).digest for each in references} or store.expected()
    found = verify_images(store, digests, progress)
    at = word.at.astimezone(UTC).isoformat(timespec="seconds")
    unwritten = take_out_of_use(store, found.damages, at)
    whole = digests - {each.image for each in found.damages}
    unkept = _keep_checks(project, found.damages, whole, word)
    again = frozenset(each for each in whole if _was_damaged(store, each))
    return Findings(found, unwritten, unkept, again)


def _was_damaged(store: ChunkStore, digest: str) -> bool:
    tested = store.restore_test(digest)
    return tested is not None and tested.found_damage


def _keep_checks(
    project: Project, damages: Collection[Damage], whole: Collection[str], word: Word
) -> str:
    """Keep how images were; return why that could not be, empty where it was."""
    if not project.has_state:
        return ""
    checks = ImageChecks(project.database)
    try:
        checks.record(ImageCheck(each, word.at, word.actor, 0, "") for each in whole)
        checks.record_damages(damages, damages, word.actor, word.at)
    except StateError as error:
        return error.cause
    return ""


def test_image(project: Project, digest: str, word: Word) -> RestoreTest:
    """Run the restore test of an image, which says whether it can be restored from then on.

    A record that is gone or damaged is written again first. One that passes has read every chunk:
    the image counts as verified.
    """
    project.store.renew_record(digest)
    with work_folder(project.state / _WORK) as work:
        tested = run_restore_test(project.store, digest, work)
    if tested.ok:
        _keep_checks(project, (), (digest,), word)
    return tested


class AcceptedStore(NamedTuple):
    """A store that is used from now on."""

    root: Path
    images: int


def accept_image_store(project: Project, word: Word) -> AcceptedStore:
    """Use the store that lies there from now on, or make an empty one.

    Raises RW972 where there is no state, StoreAwayError where its folder cannot be used.
    """
    require_reason(word.reason)
    project.require_state()
    root = project.state / "store"
    store = ChunkStore(root, identity=made_store(root))
    ImageStores(project.database).record(store.identity, word.actor, word.reason, word.at)
    return AcceptedStore(root, len(store.image_digests()))


# --- names and pins -------------------------------------------------------------------


def tag_image(project: Project, reference: str, name: str, word: Word) -> str:
    """Let a name point to an image from now on; return its digest.

    Raises as ``find_image``, and BadNameError.
    """
    require_keepable(word.reason)
    found = find_image(project.store, reference)
    _require_new_name(project.store, name)
    project.store.names.tag(name, found.digest)
    _record(project, "tag", found.digest, [name], word)
    return found.digest


def _require_new_name(store: ChunkStore, name: str) -> None:
    """Raise BadNameError for what is no name, and for a new one that reads as a digest's digits.

    A name goes before digits: with such a one, they would not mean their image any more.
    """
    store.names.require_name(name)
    if _DIGITS.fullmatch(name) and all(tag.name != name for tag in store.names.tags()):
        raise BadNameError(
            name,
            "it reads as the first digits of a digest",
            "Use another name, such as one with a letter beyond f or a '-'",
        )


def pin_image(project: Project, reference: str, word: Word) -> str:
    """Keep an image until it is unpinned; return its digest. Raises as ``find_image``."""
    require_reason(word.reason)
    digest = find_image(project.store, reference).digest
    at = word.at.astimezone(UTC).isoformat(timespec="seconds")
    project.store.names.pin(digest, Pin(word.actor, at, word.reason))
    _record(project, "pin", digest, [""], word)
    return digest


def unpin_image(project: Project, reference: str, word: Word) -> str:
    """End the pin of an image; return its digest.

    Raises as ``find_image``; ReconcilerError RW989 where it is not pinned.
    """
    require_keepable(word.reason)
    digest = find_image(project.store, reference).digest
    if not project.store.names.unpin(digest):
        raise ReconcilerError(
            "RW989",
            f"image {digest[:12]} is not pinned",
            "See with `rackwright image ls --all` which images are",
        )
    _record(project, "unpin", digest, [""], word)
    return digest


def _record(project: Project, what: Act, digest: str, names: Collection[str], word: Word) -> None:
    ImageEvents(project.database).record(
        *(ImageEvent(what, digest, name, word.at, word.actor, word.reason) for name in names)
    )


# --- removing -------------------------------------------------------------------------


class Removed(NamedTuple):
    """Generations that a name has no more."""

    name: str
    digests: tuple[str, ...]
    left: int
    """How many generations it still has."""
    together: tuple[str, ...]
    """References to what was captured together with one of them, and still has a name."""


def remove_image(
    project: Project, reference: str, word: Word, *, whole_name: bool, force: bool
) -> tuple[Removed, ...]:
    """Take an image out of the name that it was found by, or out of all where a digest was given.

    With ``whole_name``, all generations of the name go. The images stay until they are collected.

    Raises as ``find_image``; PinnedImageError; ReconcilerError RW993 where ``whole_name`` is said
    of something else than a name, RW990 where work needs it, RW991 where documents restore from
    it, RW992 where it is the newest of its name that can be restored, or the newest such without
    losses, unless ``force``.
    """
    require_keepable(word.reason)
    store = project.store
    found = find_image(store, reference)
    if whole_name and found.name != reference:
        raise ReconcilerError(
            "RW993",
            f"{reference} is one image, and --all removes a name with all its generations",
            "Give a name, or leave --all away",
        )
    chosen = _chosen(store, found, whole_name=whole_name)
    for name, digests in chosen.items():
        _require_removable(project, name, digests, force=force)
    for name, digests in chosen.items():
        store.names.forget(name, digests)
        for digest in digests:
            _record(project, "remove", digest, [name], word)
    removed = []
    for name, digests in chosen.items():
        left = [tag for tag in store.names.tags() if tag.name == name]
        generations = len(left[0].generations) if left else 0
        removed.append(Removed(name, digests, generations, _still_named(store, name, digests)))
    return tuple(removed)


def _still_named(store: ChunkStore, name: str, removed: Collection[str]) -> tuple[str, ...]:
    """Return what belongs to the newest set of an image removed from a name, and has a name."""
    found: dict[str, None] = {}
    for digest in removed:
        for each in store.names.sets_of(digest, name)[:1]:
            for member in each.others(name, digest):
                names = _names_of_member(store, each, member)
                found.update(dict.fromkeys(one.reference for one in names))
    return tuple(found)


def _chosen(
    store: ChunkStore, found: FoundImage, *, whole_name: bool
) -> dict[str, tuple[str, ...]]:
    """Return by name which generations are meant, the newest first."""
    if not found.name:
        return {each.name: (found.digest,) for each in _names(store, found.digest)}
    if not whole_name:
        return {found.name: (found.digest,)}
    generations = store.names.tag_of(found.name).generations
    return {found.name: tuple(each.digest for each in generations)}


def _require_removable(
    project: Project, name: str, digests: tuple[str, ...], *, force: bool
) -> None:
    store = project.store
    needing = ImageNeeds(project.database).restoring(digests) if project.has_state else ()
    if needing:
        listed = ", ".join(
            f"{each.operation.op_id[:12]} of {each.operation.machine} ({each.state})"
            for each in needing[:_NAMED]
        )
        raise ReconcilerError(
            "RW990",
            f"{len(needing):,} operation(s) that have not ended restore from {name}: {listed}",
            "Wait until they have ended, or cancel them with `rackwright cancel`",
        )
    generations = store.generations(name)
    if generations[0].digest in digests:
        _require_unused(project, name)
    if force:
        return
    good = [each for each in generations if each.restore_test == "proven"]
    whole = [each for each in good if not each.unreadable_bytes]
    for newest, what in ((good[:1], ""), (whole[:1], ", with all that its disk had")):
        if newest and newest[0].digest in digests:
            raise ReconcilerError(
                "RW992",
                f"{newest[0].digest[:12]} is the newest image of {name} that can be restored{what}",
                "With --force it is removed all the same",
            )


def _require_unused(project: Project, name: str) -> None:
    for fleet in _fleets(project):
        restoring = [use for use in image_uses(fleet, name) if use.action == "restore"]
        if not restoring:
            continue
        scenarios = ", ".join(use.scenario for use in restoring[:_NAMED])
        machines = len({machine for use in restoring for machine in use.machines})
        raise ReconcilerError(
            "RW991",
            f"at commit {fleet.revision[:12]}, documents restore from {name}: scenario "
            f"{scenarios}, {machines:,} machine(s)",
            "Take the restore step out of the documents first, and have that commit accepted",
        )


def _fleets(project: Project) -> Iterator[CompiledFleet]:
    """Yield the fleet at the revision, and at the commit that is acted on where that is another."""
    yield project.fleet
    if not project.has_state or project.revision is None:
        return
    last = project.revision_policy.last_revision()
    if last is not None and last.commit.id != project.revision.commit.id:
        yield project.judge(last.read())[0]


# --- retention and garbage ------------------------------------------------------------


def prune_images(project: Project, now: datetime, *, dry_run: bool) -> tuple[Pruned, ...]:
    """Drop the generations that the documents do not keep, or only say which.

    StateError RW741 while the ledger may not be the one that was written: nobody knows then what
    is under way. Raises as ``Project.require_acceptable``.
    """
    project.require_acceptable()
    return _keeper(project, now).prune(project.fleet, dry_run=dry_run)


def collect_garbage(
    project: Project, now: datetime, *, dry_run: bool
) -> tuple[Collected, Leftovers]:
    """Delete the images and chunks that nobody needs, or only say which.

    What killed commands left in their work folders goes, too. StateError RW741 as
    ``prune_images``. Raises as ``collect`` of the store.
    """
    keeper = _keeper(project, now)
    left = remove_leftovers(project.state / _WORK, dry_run=dry_run)
    return keeper.collect(dry_run=dry_run), left


def _keeper(project: Project, now: datetime) -> ImageKeeper:
    project.require_ledger()
    return ImageKeeper(project.store, project.database, lambda: now)


# --- files ----------------------------------------------------------------------------


def export_to_file(
    project: Project, reference: str, target: Path, file_format: ExportFormat
) -> str:
    """Write an image to a new file; return its digest.

    Raises as ``find_image`` and ``providers.imaging.transfer.export_image``.
    """
    digest = find_image(project.store, reference).digest
    with _export_folder(project, target, file_format) as work:
        export_image(project.store, digest, target, file_format, work)
    return digest


def _sign_new(project: Project, digest: str, word: Word) -> str:
    """Sign an image that was made and tested here; return why it is not, empty where it is."""
    try:
        authority = Authority.load_or_create(project.state / "trust", word.at)
    except TrustError as error:
        return str(error)
    project.store.record_signature(digest, authority.sign_image(digest, word.at))
    return ""


class Imported(NamedTuple):
    """An image of a disk's file."""

    digest: str
    restore_test: RestoreTest
    system: ImportedSystem
    unsigned: str
    """Why it is not signed; empty where it is, or where its restore test failed."""


@contextmanager
def _export_folder(project: Project, target: Path, file_format: ExportFormat) -> Iterator[Path]:
    """Provide the folder for what qemu-img reads: the target's where the state is read-only."""
    if file_format == "raw" or not os.access(project.state, os.W_OK):
        yield target.parent
        return
    with work_folder(project.state / _WORK) as work:
        yield work


def import_from_file(  # noqa: PLR0913, PLR0917 - what an import needs
    project: Project,
    file: Path,
    file_format: str,
    name: str,
    word: Word,
    progress: Progress,
    *,
    look: bool,
) -> Imported:
    """Store a disk's file as an image, test it, and let ``name`` point to it if it passed.

    With ``look``, what is installed is looked at as a capture does. Raises BadNameError and as
    ``providers.imaging.transfer.import_image``.
    """
    require_keepable(word.reason)
    store = project.made_store()
    _require_new_name(store, name)
    with work_folder(project.state / _WORK) as work:
        digest, system = import_image(store, file, file_format, work, progress, look=look)
    tested = test_image(project, digest, word)
    unsigned = _sign_new(project, digest, word) if tested.ok else ""
    if tested.ok:
        store.names.tag(name, digest)
        _record(project, "import", digest, [name], word)
    return Imported(digest, tested, system, unsigned)


def shrink_to_name(  # noqa: PLR0913, PLR0917 - what a shrunk image and its name need
    project: Project,
    reference: str,
    name: str,
    request: Request,
    word: Word,
    stage: Stage,
    *,
    dry_run: bool,
) -> SmallerImage:
    """Make an image that fits a smaller disk, test it, and let ``name`` point to it if it passed.

    With ``dry_run`` only say what it would be. Raises as ``find_image``, BadNameError, and as
    ``providers.imaging.shrinking.shrink_image``.
    """
    require_keepable(word.reason)
    store = project.store
    _require_new_name(store, name)
    origin = find_image(store, reference).digest
    if any(tag.name == name and tag.digest == origin for tag in store.names.tags()):
        raise BadNameError(
            name,
            "it is the name of the image that it would be made of",
            "Give the new image another name",
        )
    with work_folder(project.state / _WORK) as work:
        shrunk = shrink_image(store, origin, request, work, stage, dry_run=dry_run)
    if dry_run:
        return SmallerImage(origin, shrunk, None)
    with stage("testing the new image"):
        tested = test_image(project, shrunk.digest, word)
    unsigned = _sign_new(project, shrunk.digest, word) if tested.ok else ""
    if tested.ok:
        store.names.tag(name, shrunk.digest)
        made = f"made from {reference} ({origin[:12]})"
        said = word._replace(reason=f"{made}: {word.reason}" if word.reason else made)
        _record(project, "shrink", shrunk.digest, [name], said)
    return SmallerImage(origin, shrunk, tested, unsigned)
