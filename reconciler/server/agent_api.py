"""HTTP for agents: enrollment, reports, work, claims, events. Mutual TLS except to enroll."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from attrs import evolve

from agent.errors import CodedError, UnwritableFileError
from agent.failpoint import failpoint
from agent.wire.enrollment import Enrollment, EnrollmentRequest
from agent.wire.evidence import MOST_PACKED
from agent.wire.power import PowerPolicy
from agent.wire.report import EXCHANGE_HEADER, InstalledSystem, Report
from agent.wire.step import Finish
from agent.wire.work import REBOOT_PREFIX, Claim, OperationEvent, Work
from providers.imaging.errors import NoSpaceError, StoreAwayError
from providers.imaging.http import in_store
from providers.imaging.store import ChunkStore
from providers.imaging.verification import Damage
from reconciler.errors import ReconcilerError, StateError, TrustError
from reconciler.loop.power_policies import POLITE, within
from reconciler.loop.reconcile import SERVER
from reconciler.server.agent_requests import answer as _answer
from reconciler.server.agent_requests import body_of as _body
from reconciler.server.agent_requests import bounded_body as _bounded
from reconciler.server.agent_requests import refusal as _refusal
from reconciler.server.authentication import Authentication
from reconciler.server.captured_names import image_of
from reconciler.server.connection_limits import UNAUTHENTICATED_BODY
from reconciler.server.contradictions import Contradictions
from reconciler.server.control_plane import ControlPlane
from reconciler.server.discovered_machines import is_discovered
from reconciler.server.enrollment import Enroller
from reconciler.server.evidence import EvidenceKeeper
from reconciler.server.machine_files import MachineFiles
from reconciler.server.notifier import Notifier
from reconciler.server.report_answers import ReportAnswers
from reconciler.server.reported_hardware import contradiction
from reconciler.server.shutdowns import told_of_restart, told_of_schedule
from reconciler.server.store_waits import StoreWaits
from reconciler.server.work_content import NotFetchedError, WorkContent
from reconciler.state.exchanges import Shown
from reconciler.state.image_checks import DAMAGED_IMAGE
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ENDED, OperationState
from reconciler.trust.identity import AgentIdentity
from specs.fleet import CompiledMachine

log = structlog.get_logger(__name__)

MAX_MANIFEST = 256 * 1024 * 1024
LONGEST_WAIT = 30
POWER_PREFIX = "power-"
"""Work with this prefix shuts the installed system down or restarts it: a schedule says so."""
_LONGEST_EXCHANGE = 64
_TOLD_BY_AGENTS = frozenset({OperationState.VERIFIED, OperationState.FAILED})


class AgentApi:
    """The routes under ``/v1`` that are not chunks."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it answers from
        self,
        plane: ControlPlane,
        enroller: Enroller,
        store: ChunkStore,
        notifier: Notifier,
        contradictions: Contradictions,
        evidence: EvidenceKeeper,
        authentication: Authentication,
        answers: ReportAnswers,
        content: WorkContent,
        files: MachineFiles,
    ) -> None:
        self._content = content
        self._files = files
        self._plane = plane
        self._enroller = enroller
        self._store = store
        self._notifier = notifier
        self._contradictions = contradictions
        self._evidence = evidence
        self._authentication = authentication
        self._answers = answers
        self._store_waits = StoreWaits(plane.reconciler.delays, plane.now())

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for an aiohttp application."""
        return [
            web.post("/v1/enroll", self.enroll),
            web.post("/v1/report", self.report),
            web.get("/v1/work", self.work),
            web.post("/v1/operations/{operation}/claim", self.claim),
            web.post("/v1/operations/{operation}/events", self.event),
            web.put("/v1/operations/{operation}/manifest", self.manifest),
            web.put(r"/v1/operations/{operation}/evidence/{attempt:\d{1,9}}/{name}", self.evidence),
            web.put(r"/v1/operations/{operation}/files/{attempt:\d{1,9}}/{sha256}", self.file),
        ]

    def authorise(self, request: web.Request, purpose: str) -> None:
        """Let only a machine at work on a suitable operation touch chunks."""
        peer = self._peer(request, "deploy-os")
        status = self._plane.at_work(self._plane.key_of_agent(peer.machine))
        wanted = "capture" if purpose == "write" else "restore"
        if status is None:
            self._ask_to_speak_first(peer)
        if status is None or status.operation.kind != wanted:
            raise _refusal(
                web.HTTPForbidden, "RW532", f"{peer.machine} is not at work on a {wanted}"
            )

    def authorise_content(self, request: web.Request, _sha256: str) -> None:
        """Let every agent fetch whole files: whoever names one knows its checksum already."""
        self._peer(request)

    def served(self, request: web.Request, error: NoSpaceError | StoreAwayError | None) -> None:
        """Note since when work waits for the image store or room in it, and that it goes on."""
        if error is None and self._store_waits.is_empty:
            return
        peer = self._peer(request, "deploy-os")
        status = self._plane.at_work(self._plane.key_of_agent(peer.machine))
        if status is None:
            return
        op_id, now = status.operation.op_id, self._plane.now()
        if error is None:
            self._store_waits.served(op_id, now)
        elif self._store_waits.refused(op_id, error, now):
            log.warning("waits", code=error.code, machine=peer.machine, cause=error.cause)

    def damaged(self, request: web.Request, damages: Sequence[Damage]) -> None:
        """Write down which images are damaged, found by the machine that restores one."""
        plane, machine = self._plane, self._peer(request, "deploy-os").machine
        plane.image_checks.record_damages(damages, damages, machine, plane.now())
        for line in dict.fromkeys(each.line for each in damages):
            log.error("image damaged", code=DAMAGED_IMAGE, machine=machine, damage=line)

    async def enroll(self, request: web.Request) -> web.Response:
        """Trade a single-use token and a key for a certificate."""
        body = await _body(request, EnrollmentRequest, UNAUTHENTICATED_BODY)
        try:
            enrollment: Enrollment = self._enroller.enroll(body, request.remote or "")
        except TrustError as error:
            raise _refusal(web.HTTPForbidden, error.code, error.cause, error.action) from error
        return _answer(enrollment)

    async def report(self, request: web.Request) -> web.Response:
        """Record what an agent says about its machine; of other hardware nothing is kept."""
        certificate, source = self._authentication.certificate(request), request.remote or ""
        peer = certificate.agent
        report = await _body(request, Report)
        if report.environment != peer.environment:
            raise _refusal(
                web.HTTPForbidden,
                "RW533",
                f"the certificate is for {peer.environment}, the report for {report.environment}",
            )
        machine = self._plane.machine_of_agent(peer.machine)
        system, finished = report.installed, ""
        if machine is None:
            self._discovered(peer, report, source)
        else:
            self._refuse_foreign(peer, machine, report, source)
            is_news = self._plane.reported(machine, report)
            # What an agent goes on saying was compared with the ledger when it was news.
            if system is not None and (is_news or not system.finished):
                finished = self._installed(machine, system)
        if system is None:
            return web.Response(status=204)
        shown = Shown(request.headers.get(EXCHANGE_HEADER, "")[:_LONGEST_EXCHANGE], report.boot_id)
        return _answer(self._answers.answer(certificate, machine, shown, source, finished))

    def _installed(self, machine: CompiledMachine, system: InstalledSystem) -> str:
        """Return when the operation that installed a system was verified; empty where it is not.

        A machine that has work is reconciled first: this very report may have ended it.
        """
        try:
            if self._plane.reconciler.has_work(machine.name):
                self._plane.reconciler.reconcile(machine.name)
        except StateError as error:  # the loop tries it again
            log.info("report not reconciled", machine=machine.name, code=error.code)
        return self._contradictions.reported(machine, system)

    def _refuse_foreign(
        self, peer: AgentIdentity, machine: CompiledMachine, report: Report, source: str
    ) -> None:
        reason = contradiction(machine, self._plane.reconciler.hardware, report.hardware)
        if not reason:
            self._answers.own(peer.machine, source)
            return
        self._answers.foreign(peer.machine, source, reason)
        action = (
            f"If this hardware is {machine.name} now, say so in its document (what it was goes "
            "into spec.hardware.formerly); else find out how that certificate came to it"
        )
        raise _foreign(peer, machine.name, reason, action)

    def _discovered(self, peer: AgentIdentity, report: Report, source: str) -> None:
        """Note how a machine is that no document has, by the hardware of its certificate.

        One that a document had when it enrolled is let be: it may be at work.
        """
        plane = self._plane
        enrolled = plane.hardware_of_agent(peer.machine)
        if not enrolled:
            return
        reason = plane.discovered.reported(enrolled, report, source, plane.reconciler.hardware)
        if reason and is_discovered(peer.machine):
            action = "Correct spec.hardware of the machine, or let this one join with a new token"
            raise _foreign(peer, peer.machine, reason, action)

    async def work(self, request: web.Request) -> web.Response:
        """Hand out armed work; without any, wait for some as long as the agent asked for."""
        peer = self._peer(request)
        wait = min(float(_number(request.query.get("wait", "0"))), LONGEST_WAIT)
        plane = self._plane
        machine = plane.machine_of_agent(peer.machine)
        key = machine.name if machine is not None else plane.key_of_agent(peer.machine)
        if machine is not None:
            plane.contact(machine, peer.environment)
        deadline = asyncio.get_running_loop().time() + wait
        with self._notifier.listening(key) as news:
            while True:
                news.clear()
                work = self._work_for(peer, key)
                if work is not None:
                    work = await self._completed(key, work)
                if work is not None:
                    return _answer(work)
                left = deadline - asyncio.get_running_loop().time()
                try:
                    await asyncio.wait_for(news.wait(), left)
                except TimeoutError:
                    return web.Response(status=204)
                self._peer(request)  # its certificate may have been revoked meanwhile

    async def _completed(self, key: str, work: Work) -> Work | None:
        """Return work with what it needs of files; None where that is not there, or never will be.

        What is not there yet is asked for again; what cannot be read ends the operation.
        """
        status = self._plane.own_operation(key, work.operation)
        if status is None or not status.operation.runs_in_system:
            return work
        try:
            return await asyncio.to_thread(self._content.complete, work, status.operation.revision)
        except NotFetchedError as error:
            log.info("work waits", machine=key, code=error.code, cause=error.cause)
        except CodedError as error:
            log.warning("work not handed out", machine=key, code=error.code, cause=error.cause)
            if status.state is OperationState.ARMED:
                self._plane.fail(status, str(error), SERVER)
        return None

    def _work_for(self, peer: AgentIdentity, key: str) -> Work | None:
        if peer.environment == "deploy-os":
            return self._plane.work(key)
        status = self._plane.reboot_wanted(key)
        if status is not None:
            return Work(
                f"{REBOOT_PREFIX}{status.operation.op_id}",
                status.attempt,
                (Finish("reboot"),),
                power=self._polite(self._plane.reconciler.armed_until(status)),
            )
        request = self._plane.power_requests.wanted(key)
        if request is not None:
            name = f"{POWER_PREFIX}{request.name}"
            return Work(name, 1, (Finish(request.action),), power=self._polite(request.closes))
        work = self._plane.work(key, in_system=True)
        if work is None:
            return None
        own = self._plane.own_operation(key, work.operation)
        seconds = own.operation.instructions.timeout_seconds if own else 0
        return evolve(work, power=within(POLITE, seconds))

    def _polite(self, ends: datetime) -> PowerPolicy:
        """Return how a system is shut down that has to be down by then."""
        return within(POLITE, (ends - self._plane.now()).total_seconds())

    async def claim(self, request: web.Request) -> web.Response:
        """Let the agent begin, once."""
        peer = self._peer(request)
        claim = await _body(request, Claim)
        operation = request.match_info["operation"]
        key = self._plane.key_of_agent(peer.machine)
        if operation.startswith(REBOOT_PREFIX):
            granted = self._plane.claim_reboot(key, claim.attempt)
        elif operation.startswith(POWER_PREFIX):
            name = operation.removeprefix(POWER_PREFIX)
            granted = peer.environment == "installed" and self._plane.power_requests.claim(
                key, name
            )
        else:
            own = self._plane.own_operation(key, operation)
            granted = (
                own is not None
                and _does(peer, own)
                and self._plane.claim(key, operation, claim.attempt)
            )
        if not granted:
            raise _refusal(
                web.HTTPConflict,
                "RW534",
                f"operation {operation}, attempt {claim.attempt}, is not for "
                f"{peer.machine} to begin",
            )
        log.info("operation claimed", machine=peer.machine, operation=operation)
        self._plane.reconciler.ask(key)
        return web.Response(status=204)

    async def event(self, request: web.Request) -> web.Response:
        """Record what the agent says about its work."""
        peer = self._peer(request)
        event = await _body(request, OperationEvent)
        operation = request.match_info["operation"]
        if operation.startswith((REBOOT_PREFIX, POWER_PREFIX)):
            self._shutdown_event(peer, operation, event)
            return web.Response(status=204)
        status = self._at_work(peer, operation, event.attempt)
        if status is None:
            ended = self._ended(peer, operation, event)
            if ended is None:
                raise _overtaken(peer, operation, event.attempt)
            # Its end may have been recorded although the answer got lost.
            if event.kind in {"done", "failed"} and ended.state in _TOLD_BY_AGENTS:
                return web.Response(status=204)
            raise _gone(ended)
        self._take_in(peer, operation, status, event)
        return web.Response(status=204)

    def _shutdown_event(self, peer: AgentIdentity, operation: str, event: OperationEvent) -> None:
        """Take in how a shutdown or restart of an installed system goes."""
        plane, key = self._plane, self._plane.key_of_agent(peer.machine)
        if event.is_refusal:
            self._contradictions.refused(key, operation.removeprefix(REBOOT_PREFIX), event)
        elif operation.startswith(POWER_PREFIX):
            told_of_schedule(plane, key, operation.removeprefix(POWER_PREFIX), event)
        else:
            ended = told_of_restart(plane, key, operation.removeprefix(REBOOT_PREFIX), event)
            if ended is not None:
                raise _gone(ended)

    def _take_in(
        self, peer: AgentIdentity, operation: str, status: OperationStatus, event: OperationEvent
    ) -> None:
        plane = self._plane
        if event.is_refusal:
            self._contradictions.refused(plane.key_of_agent(peer.machine), operation, event)
        elif event.kind == "failed":
            plane.ledger.record_progress(operation, event, plane.now())
            plane.fail(status, f"{event.code}: {event.message}. {event.action}.", peer.machine)
        elif plane.ledger.record_progress(operation, event, plane.now()) and event.kind == "done":
            last = status.operation.instructions.steps[-1]
            machine = plane.reconciler.machine_of(status.operation)
            stays = isinstance(last, Finish) and last.action == "stay"
            if machine is not None and not stays and peer.environment == "deploy-os":
                plane.left(machine)
        plane.reconciler.ask(plane.reconciler.key_of(status.operation))

    async def manifest(self, request: web.Request) -> web.Response:
        """Take in the manifest of a captured image; its proof follows."""
        peer = self._peer(request, "deploy-os")
        operation = request.match_info["operation"]
        status = self._plane.at_work(self._plane.key_of_agent(peer.machine))
        if status is None:
            self._ask_to_speak_first(peer)
        images = status.captured_images if status else ()
        if status is None or status.operation.op_id != operation or not images:
            raise _overtaken(peer, operation, 0)
        body = await _bounded(request, MAX_MANIFEST)
        try:
            image = image_of(images, request.query.get("image"))
            digest = await in_store(self._store, partial(self._store.put_manifest, body))
        except (NoSpaceError, StoreAwayError) as error:
            self.served(request, error)
            kind = (
                web.HTTPInsufficientStorage
                if isinstance(error, NoSpaceError)
                else web.HTTPServiceUnavailable
            )
            raise _refusal(kind, error.code, error.cause, error.action) from error
        except CodedError as error:
            raise _refusal(
                web.HTTPUnprocessableEntity, error.code, error.cause, error.action
            ) from error
        self._plane.captures.record(operation, image, digest)
        return web.json_response({"digest": digest}, status=201)

    async def evidence(self, request: web.Request) -> web.Response:
        """Keep what a machine sends of its own attempt: logs, disks, SMART."""
        peer = self._peer(request, "deploy-os")
        operation, name = request.match_info["operation"], request.match_info["name"]
        attempt = int(request.match_info["attempt"])
        status = self._plane.own_operation(self._plane.key_of_agent(peer.machine), operation)
        try:
            self._evidence.check(status, attempt, name)
        except ReconcilerError as error:
            raise _refusal(web.HTTPForbidden, error.code, error.cause, error.action) from error
        body = await _bounded(request, MOST_PACKED)
        try:
            await self._evidence.take(operation, attempt, name, body)
        except ValueError as error:
            raise _refusal(web.HTTPBadRequest, "RW530", str(error)) from error
        except UnwritableFileError as error:
            raise _refusal(
                web.HTTPServiceUnavailable, error.code, error.cause, error.action
            ) from error
        return web.Response(status=204)

    async def file(self, request: web.Request) -> web.Response:
        """Take in a file of a machine that the operation at work there reads."""
        peer = self._peer(request, "installed")
        operation, attempt = request.match_info["operation"], int(request.match_info["attempt"])
        status = self._at_work(peer, operation, attempt)
        if status is None:
            raise _overtaken(peer, operation, attempt)
        await self._files.take(request, status.operation, request.match_info["sha256"])
        return web.Response(status=204)

    def _at_work(self, peer: AgentIdentity, operation: str, attempt: int) -> OperationStatus | None:
        key = self._plane.key_of_agent(peer.machine)
        own = self._plane.own_operation(key, operation)
        if own is None or not _does(peer, own):
            return None
        return self._plane.started(key, operation, attempt) or self._plane.heard_after_all(
            key, operation, attempt
        )

    def _ask_to_speak_first(self, peer: AgentIdentity) -> None:
        """Have an agent come again whose work ended for silence: its next event revives that."""
        if self._plane.may_be_heard_yet(self._plane.key_of_agent(peer.machine)):
            raise _refusal(
                web.HTTPServiceUnavailable,
                "RW632",
                f"the work of {peer.machine} was taken for over, and nothing is heard of it yet",
                "Nothing is needed: it goes on once the agent says how it goes",
            )

    def _ended(
        self, peer: AgentIdentity, operation: str, event: OperationEvent
    ) -> OperationStatus | None:
        """Return the operation if this attempt was its last one, and it has ended."""
        statuses = self._plane.ledger.operations(op_id=operation)
        return next(
            (
                status
                for status in statuses
                if status.operation.machine == peer.machine
                and status.attempt == event.attempt
                and status.state in ENDED | {OperationState.INDETERMINATE}
            ),
            None,
        )

    def installed_peer(self, request: web.Request) -> AgentIdentity:
        """Return whose agent of an installed system asks; HTTPForbidden for any other client."""
        return self._peer(request, "installed")

    def _peer(self, request: web.Request, environment: str | None = None) -> AgentIdentity:
        return self._authentication.agent(request, environment)


def busy_as_unavailable(missed: Callable[[str], None]) -> Middleware:
    """Return what asks agents to come again where the database cannot be used: they do.

    ``missed`` is told the cause: a machine spoke, and nothing of it was recorded.
    """

    @web.middleware
    async def unavailable(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(request)
            failpoint("answer.before", handler.__name__)
        except StateError as error:
            missed(error.cause)
            log.warning("request not served", path=request.path, code=error.code, cause=error.cause)
            raise _refusal(
                web.HTTPServiceUnavailable, error.code, error.cause, error.action
            ) from error
        return answer

    return unavailable


def _foreign(peer: AgentIdentity, name: str, reason: str, action: str) -> web.HTTPException:
    """Return the refusal of a report of other hardware than the certificate's."""
    cause = f"the certificate is for {name}, the report is of other hardware: {reason}"
    log.error("report refused", code="RW537", machine=peer.machine, cause=cause)
    return _refusal(web.HTTPForbidden, "RW537", cause, action)


def _does(peer: AgentIdentity, status: OperationStatus) -> bool:
    """Return whether an operation is one for the system that the agent runs in."""
    return status.operation.runs_in_system == (peer.environment == "installed")


def _overtaken(peer: AgentIdentity, operation: str, attempt: int) -> web.HTTPException:
    return _refusal(
        web.HTTPConflict,
        "RW536",
        f"{peer.machine} is not at work on operation {operation}, attempt {attempt}",
        "Another attempt took over, or the operation has ended",
    )


def _gone(status: OperationStatus) -> web.HTTPException:
    """Return what an agent is told that is at work on what the server or a person has ended."""
    said = f": {status.reason}" if status.reason else ""
    return _refusal(
        web.HTTPGone,
        "RW579",
        f"the operation has ended as {status.state}{said}",
        "See `rackwright runs` on the server for who ended it and why",
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
