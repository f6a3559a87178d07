"""Approving plans by the rules in force: ``apply``, ``run`` and ``approve`` of one project."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from reconciler.app.persons_in_git import PersonsInGit
from reconciler.app.rollouts import begin_within, require_health_checks
from reconciler.errors import ReconcilerError
from reconciler.loop.approval import approve_within, require_consistent
from reconciler.loop.approval_rules import rules_as_text, rules_in_force, rules_of_text
from reconciler.planning.approvals import (
    MissingApprovals,
    Requirement,
    Subject,
    Waiting,
    approves_revision,
    person_of,
    requirements,
    rule_of,
    strictest,
    why_not,
)
from reconciler.planning.item import PlanItem, Risk
from reconciler.state.approval_records import ApprovalRequest, GivenApproval
from reconciler.state.approvals import (
    Approvals,
    ApprovedRevision,
    approve_revision_within,
    ask_within,
    given_within,
    say_within,
)
from reconciler.state.ledger import Ledger
from reconciler.state.operation import Operation, Start
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import Run, run_of
from reconciler.views.approval_text import missing_lines
from reconciler.views.plan_words import requirement_clause
from specs.fleet import CompiledApprovalRule, CompiledApprovals, CompiledPerson, Trigger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.app.project import Project
    from reconciler.planning.plan import Plan

_SHORT = 12


class Approver(NamedTuple):
    """Who gives a command."""

    login: str
    actor: str
    """The login and the computer, for the history."""


class Answer(NamedTuple):
    """What became of an approval."""

    run: Run | None
    """What may begin now; None where approvals are missing, or there is nothing to begin."""
    requirements: tuple[Requirement, ...]

    @property
    def complete(self) -> bool:
        """Return whether no approval is missing."""
        return not any(each.missing for each in self.requirements)


class PlanApprovals:
    """Judges and records approvals at one moment."""

    def __init__(self, project: "Project", now: datetime) -> None:
        self._project = project
        self._now = now
        self._wrote: dict[str, frozenset[str]] = {}
        """By revision, who wrote what changed since the last approved one."""

    @cached_property
    def _git(self) -> PersonsInGit:
        return PersonsInGit(self._project, self.rules.persons)

    @cached_property
    def _approvals(self) -> Approvals:
        return Approvals(self._project.database)

    @cached_property
    def _approved(self) -> ApprovedRevision | None:
        return self._approvals.approved_revision() if self._project.has_state else None

    @cached_property
    def rules(self) -> CompiledApprovals:
        """The rules in force."""
        return rules_in_force(self._approved, self._project.fleet)

    # --- what is needed -------------------------------------------------------------

    def subject_of(  # noqa: PLR0913 - what is approved, and on what terms
        self,
        plan: "Plan",
        items: Iterable[PlanItem],
        kind: Literal["apply", "run"],
        reason: str,
        digest: str = "",
        *,
        trigger: Trigger | Literal[""] = "",
        not_before: datetime | None = None,
    ) -> Subject:
        """Return what approving these items of a plan of the project's revision means.

        ``digest`` is that of the plan which was reviewed, where that is an earlier one. What
        somebody asked for already, the same work of the same revision, is the same subject.
        """
        require_consistent(plan)
        found = self._subject(plan, items, kind, reason, digest)
        return found._replace(
            request=found.request._replace(trigger=trigger, not_before=not_before)
        )

    def _subject(
        self,
        plan: "Plan",
        items: Iterable[PlanItem],
        kind: Literal["apply", "run"],
        reason: str,
        digest: str = "",
    ) -> Subject:
        rules = rules_as_text(self._project.fleet.settings.approvals)
        request = ApprovalRequest(
            digest or plan.digest, kind, plan.revision, rules, self._now, reason
        )
        operations = tuple((item.operation, item.risk) for item in items if item.operation)
        return Subject(self._asked_for(request, operations), operations)

    def _asked_for(
        self, request: ApprovalRequest, operations: Collection[tuple[Operation, Risk]]
    ) -> ApprovalRequest:
        if not self._project.has_state:
            return request
        wanted = {operation.op_id for operation, _ in operations}
        for each in self._approvals.waiting() if wanted else ():
            is_of_it = (each.kind, each.revision) == (request.kind, request.revision)
            if is_of_it and self._approvals.op_ids(each.digest) == wanted:
                return each
        return request

    def requirements(
        self, subject: Subject, given: Iterable[GivenApproval] | None = None
    ) -> tuple[Requirement, ...]:
        """Return what has to be met before the subject may begin; nothing without rules.

        SourceError or ReconcilerError RW963 where it cannot be told who wrote what.
        """
        return requirements(
            self.rules,
            subject.risks,
            self._given(subject) if given is None else given,
            self._authors_of(subject),
            self._now,
            changes_rules=self._changes_rules(subject.request),
        )

    def with_requirements(self, plan: "Plan") -> "Plan":
        """Return a plan with what has to be met before it may begin.

        Where nobody can tell who wrote it, everybody counts as its author: approving it says why.
        """
        if strictest(self.rules) is None:
            return plan
        subject = self._subject(plan, plan.to_apply, "apply", "")
        return replace(plan, requirements=self._requirements_to_show(subject))

    def _requirements_to_show(self, subject: Subject) -> tuple[Requirement, ...]:
        try:
            return self.requirements(subject)
        except ReconcilerError:
            everybody = frozenset(each.name for each in self.rules.persons)
            self._wrote[subject.request.revision] = everybody
            return self.requirements(subject)

    def _changes_rules(self, request: ApprovalRequest) -> bool:
        return strictest(self.rules) is not None and rules_of_text(request.rules) != self.rules

    def _authors(
        self, revision: str, rules: Iterable[CompiledApprovalRule | None]
    ) -> frozenset[str]:
        """Return who wrote what changed since the last approved revision, where a rule asks.

        ReconcilerError RW963 where that cannot be told.
        """
        if self._approved is None or not any(each and each.exclude_author for each in rules):
            return frozenset()
        if revision not in self._wrote:
            self._wrote[revision] = self._git.authors(self._approved.revision, revision)
        return self._wrote[revision]

    def _authors_of(self, subject: Subject) -> frozenset[str]:
        rules = [rule_of(self.rules, risk) for risk in subject.risks]
        if self._changes_rules(subject.request):
            rules.append(strictest(self.rules))
        return self._authors(subject.request.revision, rules)

    def _by_tags(self, request: ApprovalRequest) -> list[GivenApproval]:
        said = self._approvals.said(request.digest) if self._project.has_state else ()
        return self._git.approvals_by_tags(request, (each.tag for each in said), self._now)

    # --- approving ------------------------------------------------------------------

    def require_may(self, subject: Subject, approver: Approver) -> None:
        """Refuse who may approve nothing of it, unless tags approve all of it already.

        ReconcilerError: RW961 for a login that nobody has who may approve, RW962 for a person
        whose approval would count for nothing, RW963 where nobody knows who wrote it, RW658
        where a health check of its rollout cannot be run here.
        """
        self._require_health_checks(subject)
        tags = self._by_tags(subject.request)
        needed = self.requirements(subject, [*self._given(subject), *tags])
        if all(not each.missing for each in needed):
            return
        self._person(needed, subject, approver)

    def _require_health_checks(self, subject: Subject) -> None:
        operations = (operation for operation, _ in subject.operations)
        require_health_checks(self._project.state, self._project.fleet, operations)

    def _given(self, subject: Subject) -> tuple[GivenApproval, ...]:
        return self._approvals.given(subject.request.digest) if self._project.has_state else ()

    def _person(
        self, needed: Iterable[Requirement], subject: Subject, approver: Approver
    ) -> CompiledPerson:
        person = person_of(self.rules, approver.login)
        others = ", ".join(dict.fromkeys(name for each in needed for name in each.may))
        ask = f"Ask {others}" if others else "Nobody else may either: see spec.approvals"
        if person is None:
            raise ReconcilerError(
                "RW961",
                f"the login {approver.login} belongs to nobody who may approve this plan",
                ask,
            )
        reason = why_not(person, needed, self._authors_of(subject))
        if reason:
            raise ReconcilerError("RW962", f"{person.name} may not approve this: {reason}", ask)
        return person

    def give(self, subject: Subject, approver: Approver, reason: str) -> Answer:
        """Record an approval and, once none is missing, let the work begin: one transaction.

        Raises as ``require_may``, and StateError RW704 when an operation was approved meanwhile.
        """
        request = subject.request
        said = self._by_tags(request)
        needed = self.requirements(subject, [*self._given(subject), *said])
        if any(each.missing for each in needed):
            person = self._person(needed, subject, approver)
            said.append(
                GivenApproval(
                    request.digest,
                    person.name,
                    withdrawn=False,
                    means="login",
                    tag="",
                    at=self._now,
                    actor=approver.actor,
                    reason=reason,
                )
            )
        return self._record(subject, said, approver, reason)

    def count_tags(self, actor: str) -> tuple[Answer, ...]:
        """Record the signed tags on plans that wait for approvals, and let begin what they allow.

        Whoever looks needs no right: the tags approve. Raises as ``give``.
        """
        waiting = self._approvals.waiting() if self._project.has_state else ()
        tagged = [(request, tags) for request in waiting if (tags := self._by_tags(request))]
        if not tagged:
            return ()
        plan = self._project.plan(self._now)
        answers = []
        for request, tags in tagged:
            subject, _ = self.subject_asked_for(request, plan)
            answers.append(self._record(subject, tags, Approver("", actor), ""))
        return tuple(answers)

    def _record(
        self, subject: Subject, said: Iterable[GivenApproval], approver: Approver, reason: str
    ) -> Answer:
        request, ledger = subject.request, Ledger(self._project.database)
        is_ruled = bool(self.requirements(subject, ()))
        with ledger.writing() as connection:
            if is_ruled:
                for operation, _ in subject.operations:
                    ledger.plan_within(connection, operation, self._now, approver.actor)
                risks = [(operation.op_id, risk.value) for operation, risk in subject.operations]
                ask_within(connection, request, risks)
            for each in said:
                say_within(connection, each)
            given = given_within(connection, request.digest)
            answer = Answer(None, self.requirements(subject, given))
            if not answer.complete:
                return answer
            counted = {name for each in answer.requirements for name, _ in each.given}
            by = ", ".join(each.person for each in given if each.person in counted)
            run = self._begin(
                connection, ledger, subject, by or approver.actor, reason, answer.requirements
            )
            self._take_over(connection, request, given, approver)
        return answer._replace(run=run)

    def _begin(  # noqa: PLR0913, PLR0917 - what begins, and by whose word
        self,
        connection: "Connection",
        ledger: Ledger,
        subject: Subject,
        actor: str,
        reason: str,
        needed: Iterable[Requirement],
    ) -> Run | None:
        request = subject.request
        self._require_health_checks(subject)
        until = {each.rule: each.until for each in needed}
        expires = {
            operation.op_id: until.get(rule)
            for operation, risk in subject.operations
            if (rule := rule_of(self.rules, risk)) is not None
        }
        run = run_of(
            request.kind,
            actor,
            self._now,
            reason or request.reason,
            request.revision,
            request.digest,
        )
        work = [
            (operation, self._start(request, operation, risk))
            for operation, risk in subject.operations
        ]
        made = approve_within(connection, ledger, work, run, expires)
        if made is not None:
            begin_within(connection, self._project.fleet, made, [each for each, _ in work])
        return made

    def _start(self, request: ApprovalRequest, operation: Operation, risk: Risk) -> Start:
        scenario = self._project.fleet.scenarios.get(operation.scenario)
        own = scenario.trigger if scenario is not None else "now"
        return Start(risk is not Risk.SAFE, request.trigger or own, request.not_before)

    def _take_over(
        self,
        connection: "Connection",
        request: ApprovalRequest,
        given: Iterable[GivenApproval],
        approver: Approver,
    ) -> None:
        """Put the rules of the plan's revision in force, where the strictest rule is met."""
        approved = self._approved
        if approved is not None and approved.revision == request.revision:
            return
        try:
            authors = self._authors(request.revision, [strictest(self.rules)])
        except ReconcilerError:
            return  # nobody can tell whether its authors approved it
        if not approves_revision(self.rules, given, authors, self._now):
            return
        if approved is not None and self._git.goes_back(approved.revision, request.revision):
            return
        because = f"plan {request.digest[:_SHORT]} was approved"
        approve_revision_within(
            connection,
            ApprovedRevision(request.revision, request.rules, self._now, approver.actor, because),
        )

    # --- by digest --------------------------------------------------------------------

    def asked_for(self, name: str) -> ApprovalRequest | None:
        """Return what was asked for, by the digest or its beginning; None where nothing was.

        ReconcilerError RW968 where several begin so.
        """
        found = self._approvals.named(name) if self._project.has_state else ()
        if len(found) > 1:
            raise ReconcilerError(
                "RW968",
                f"several plans that were to be approved begin with {name}",
                "Write more of the digest: `rackwright approvals` lists them",
            )
        return found[0] if found else None

    def subject_asked_for(
        self, request: ApprovalRequest, plan: "Plan"
    ) -> tuple[Subject, list[tuple[str, str]]]:
        """Return what of it can be approved still, and what cannot with the reason, by machine.

        Work of documents is compared with the plan of this moment. Work by hand is not in it;
        the server compares it with what is wanted before it begins.
        """
        asked = self._approvals.operations(request.digest)
        waiting = [each for each in asked if each.state is OperationState.PLANNED]
        refused = [
            (each.operation.machine, f"it is {each.state} already")
            for each in asked
            if each.state is not OperationState.PLANNED
        ]
        if request.kind == "run":
            found = [(each.operation, Risk(each.risk)) for each in waiting]
            return Subject(request, tuple(found)), refused
        present = {item.operation.op_id: item for item in plan.items if item.operation}
        about = {item.machine: item for item in plan.items}
        chosen = []
        for each in waiting:
            item = present.get(each.operation.op_id)
            if item is not None and item.starts and item.operation is not None:
                chosen.append((item.operation, item.risk))
                continue
            now = about.get(each.operation.machine)
            why = f"it is {now.risk} now: {now.reason}" if now else "nothing is to be done there"
            refused.append((each.operation.machine, why))
        return Subject(request, tuple(chosen)), refused

    def waiting(self) -> tuple[Waiting, ...]:
        """Return what waits to be approved or to be armed, with who approved it; newest first.

        What nobody's approval holds for any more is left out.
        """
        if not self._project.has_state:
            return ()
        return tuple(filter(None, map(self._waiting, self._approvals.waiting())))

    def _waiting(self, request: ApprovalRequest) -> Waiting | None:
        asked = self._approvals.operations(request.digest)
        approved = [each for each in asked if each.state is OperationState.APPROVED]
        planned = [each for each in asked if each.state is OperationState.PLANNED]
        subject = Subject(
            request, tuple((each.operation, Risk(each.risk)) for each in approved or planned)
        )
        given = self._approvals.given(request.digest)
        needed = self._requirements_to_show(subject)
        if not approved and not any(each.given for each in needed):
            return None
        return Waiting(subject, given, needed, is_approved=bool(approved))

    def missing(self) -> MissingApprovals:
        """Return which approvals are missing, in words: for work at large, and of each plan."""
        if strictest(self.rules) is None:
            return MissingApprovals()
        bare = requirements(self.rules, set(Risk), (), (), self._now)
        by_rule = {each.rule: requirement_clause(each) for each in bare}
        by_risk = {
            risk: by_rule[rule] for risk in Risk if (rule := rule_of(self.rules, risk)) is not None
        }
        pending = [each for each in self.waiting() if not each.is_approved]
        by_operation = {
            operation.op_id: requirement_clause(need)
            for each in pending
            for need in each.requirements
            for operation, risk in each.subject.operations
            if rule_of(self.rules, risk) == need.rule
        }
        return MissingApprovals(tuple(missing_lines(pending)), by_risk, by_operation)

    def withdraw(self, request: ApprovalRequest, approver: Approver, reason: str) -> int:
        """Take back an approval; return how many approved operations are planned again.

        What was armed goes on: `cancel` stops it. ReconcilerError RW964 where the present user
        did not approve it.
        """
        ledger = Ledger(self._project.database)
        person = person_of(self.rules, approver.login)
        with ledger.writing() as connection:
            given = given_within(connection, request.digest)
            mine = next((each for each in given if person and each.person == person.name), None)
            if mine is None:
                raise ReconcilerError(
                    "RW964",
                    f"the login {approver.login} did not approve plan {request.digest[:_SHORT]}",
                    "Whoever approved it can withdraw it: `rackwright approvals` says who",
                )
            say_within(
                connection,
                mine._replace(
                    withdrawn=True,
                    means="login",
                    tag="",
                    at=self._now,
                    actor=approver.actor,
                    reason=reason,
                ),
            )
            asked = self._approvals.operations(request.digest)
            back = [each for each in asked if each.state is OperationState.APPROVED]
            for each in back:
                ledger.move_within(
                    connection,
                    each.operation.op_id,
                    OperationState.APPROVED,
                    OperationState.PLANNED,
                    attempt=each.status.attempt,
                    at=self._now,
                    actor=approver.actor,
                    reason=f"RW641: {mine.person} withdrew the approval: {reason}",
                )
        return len(back)

    def take_over_by_hand(self, approver: Approver, reason: str) -> None:
        """Put the rules of the project's revision in force without approvals, and keep why."""
        fleet = self._project.fleet
        rules = rules_as_text(fleet.settings.approvals)
        by_hand = ApprovedRevision(
            fleet.revision, rules, self._now, approver.actor, f"by hand: {reason}"
        )
        with self._project.database.writing() as connection:
            approve_revision_within(connection, by_hand)
