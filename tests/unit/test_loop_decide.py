from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    a_status,
    an_image,
    an_installed_system,
    observed,
    ramdisk,
)

from reconciler.loop.budgets import Limit
from reconciler.loop.decide import (
    CONTACT_MAX_AGE,
    QUARANTINE_LOOK,
    RESTART_SILENCE,
    Arm,
    End,
    Verify,
    WaitForBudget,
    WaitUntil,
    Wake,
    WorkView,
    decide,
    unproved_restart,
)
from reconciler.planning.planner import plan
from reconciler.state.observed import Capture, ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState, permits
from reconciler.state.work_begun import Impact
from specs.fleet import Budget, Waits

WAITS = Waits()
GRANT_LIFETIME = timedelta(seconds=WAITS.grant_seconds)
REPORT_LIMIT = timedelta(seconds=WAITS.proof_seconds)
SILENCE = timedelta(seconds=WAITS.silence_seconds)
WAKE_INTERVAL = timedelta(seconds=WAITS.wake_seconds)
MAX_ATTEMPTS = WAITS.attempts
_S = OperationState
LATER = NOW + timedelta(seconds=30)


def clone(number: int):
    """Return a machine and its planned restore."""
    machine = a_machine(number, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk(machine.name))}, (an_image(),))
    return machine, plan(a_fleet(machine), world, NOW).items[0].operation


def capture(number: int):
    """Return a machine and its planned capture."""
    machine = a_machine(number, "capture-golden")
    return machine, plan(a_fleet(machine), observed(), NOW).items[0].operation


NODE, RESTORE = clone(1)
GOLDEN, CAPTURE = capture(2)


MOMENT = timedelta(microseconds=1)
FULL = Limit(Budget("fleet", "", "destructive", 1, 10), "1 at once")


def no_limit(_operation, _impact):
    return None


def decided(*statuses, seen=None, now=LATER, captures=(), limit_of=no_limit, **known):
    view = WorkView(statuses, seen or ObservedMachine(), captures, **known)
    return decide(view, limit_of, now)


def test_a_machine_without_work_is_left_alone():
    assert decided() == WaitUntil(None)


def test_an_approved_operation_is_armed_with_its_first_attempt():
    status = a_status(RESTORE, _S.APPROVED, attempt=0)
    assert decided(status) == Arm(status, 1, "its turn came", Impact.DESTRUCTIVE)


def test_what_a_budget_holds_waits_for_it():
    status = a_status(RESTORE, _S.APPROVED, attempt=0)
    found = decided(status, limit_of=lambda _operation, _impact: FULL)
    assert found == WaitForBudget(status, Impact.DESTRUCTIVE, FULL)


def test_waiting_for_a_budget_is_no_time_out():
    status = a_status(RESTORE, _S.APPROVED, attempt=0)
    late = NOW + timedelta(seconds=100 * RESTORE.instructions.timeout_seconds)
    found = decided(status, now=late, limit_of=lambda _operation, _impact: FULL)
    assert isinstance(found, WaitForBudget)
    begun = replace(a_status(RESTORE, _S.STARTED), at=late)
    assert isinstance(decided(begun, now=late + timedelta(seconds=1)), WaitUntil)


def test_work_that_harms_nobody_waits_for_a_budget_too():
    status = a_status(CAPTURE, _S.APPROVED, attempt=0)
    found = decided(status, limit_of=lambda _operation, _impact: FULL)
    assert found == WaitForBudget(status, Impact.SAFE, FULL)
    assert decided(status) == Arm(status, 1, "its turn came", Impact.SAFE)


def test_work_that_interrupts_a_running_system_says_so():
    status = a_status(CAPTURE, _S.APPROVED, attempt=0)
    found = decided(status, seen=ObservedMachine(installed_contact=NOW))
    reason = "its turn came; the system that may be running there is interrupted"
    assert found == Arm(status, 1, reason, Impact.DISRUPTIVE)


@pytest.mark.parametrize(
    ("state", "attempt", "why"),
    [(_S.APPROVED, 0, "the end of its quarantine: token used twice"), (_S.ARMED, 1, "")],
)
def test_a_quarantined_machine_is_neither_armed_nor_woken_and_looked_at_again(state, attempt, why):
    seen = ObservedMachine(quarantine="token used twice")
    found = decided(a_status(RESTORE, state, attempt=attempt), seen=seen)
    assert found == WaitUntil(LATER + QUARANTINE_LOOK, why)


def test_armed_work_of_a_quarantined_machine_ends_with_its_grant():
    seen = ObservedMachine(quarantine="token used twice")
    status = a_status(RESTORE, _S.ARMED)
    over = status.at + GRANT_LIFETIME + MOMENT
    near = over - timedelta(seconds=1)
    assert decided(status, seen=seen, now=near) == WaitUntil(over)
    assert decided(status, seen=seen, now=over) == End(
        status,
        _S.FAILED,
        "RW615: nothing was begun before its boot grant was over, for the machine is in "
        "quarantine: token used twice. End it, then give the assignment a new run token.",
    )


def test_a_machine_does_one_operation_at_a_time():
    first, second = a_status(CAPTURE, _S.APPROVED, attempt=0), a_status(RESTORE, _S.STARTED)
    assert decided(first, second) == WaitUntil(NOW + SILENCE + MOMENT)


def test_of_several_approved_operations_the_first_is_armed():
    statuses = [a_status(each, _S.APPROVED, attempt=0) for each in (RESTORE, CAPTURE)]
    assert decided(*statuses).status is statuses[0]


def test_an_armed_machine_is_woken():
    status = a_status(RESTORE, _S.ARMED)
    assert decided(status) == Wake(status, LATER + WAKE_INTERVAL)
    nearly = NOW + GRANT_LIFETIME - timedelta(seconds=1)
    assert decided(status, now=nearly) == Wake(status, NOW + GRANT_LIFETIME + MOMENT)


def test_an_armed_machine_whose_agent_waits_in_ram_is_not_woken():
    seen = ObservedMachine(ramdisk_contact=NOW)
    gone = NOW + CONTACT_MAX_AGE
    assert decided(a_status(RESTORE, _S.ARMED), seen=seen) == WaitUntil(gone)
    assert isinstance(decided(a_status(RESTORE, _S.ARMED), seen=seen, now=gone), Wake)


def test_a_grant_that_nobody_used_is_given_anew():
    decision = decided(a_status(RESTORE, _S.ARMED), now=NOW + GRANT_LIFETIME + timedelta(seconds=1))
    assert isinstance(decision, Arm)
    assert decision.attempt == 2
    assert decision.reason == "nobody used the boot grant for 15m (waits.grant)"


def test_a_machine_that_never_boots_over_the_network_fails_with_the_last_sign():
    status = a_status(RESTORE, _S.ARMED, attempt=MAX_ATTEMPTS)
    decision = decided(status, now=NOW + GRANT_LIFETIME + timedelta(seconds=1))
    assert isinstance(decision, End)
    assert decision.state is _S.FAILED
    assert decision.reason == (
        "RW611: the machine did not boot over the network with any of 5 boot grants "
        "(waits.attempts) of 15m (waits.grant); its firmware never asked for a network boot. "
        "Check its power, its boot order and its network port."
    )


def test_only_grants_that_nobody_used_count_as_boots_that_failed():
    status = a_status(RESTORE, _S.ARMED, attempt=7)
    over = NOW + GRANT_LIFETIME + timedelta(seconds=1)
    assert isinstance(decided(status, now=over, claimed_attempts=3), Arm)
    assert isinstance(decided(status, now=over, claimed_attempts=2), End)


ASKED = NOW + timedelta(seconds=10)


def at_work(**changes):
    return a_status(
        RESTORE, _S.STARTED, step=1, last_event_at=NOW + timedelta(seconds=5), **changes
    )


def test_a_machine_that_restarts_in_the_middle_resumes_with_a_new_attempt():
    silent = ASKED + RESTART_SILENCE
    assert decided(at_work(), restart_asked=ASKED, now=silent) == WaitUntil(silent + MOMENT)
    decision = decided(at_work(), restart_asked=ASKED, now=silent + MOMENT)
    assert isinstance(decision, Arm)
    assert decision.attempt == 2
    assert decision.reason == (
        "the machine restarted (network boot request at 12:00:10 UTC, and its agent is silent) "
        "before step 2 was done; the same work resumes"
    )


def test_a_boot_request_that_came_shortly_before_the_server_heard_again_waits_for_silence():
    since = ASKED + timedelta(minutes=2)
    decision = decided(at_work(), restart_asked=ASKED, hears_since=since, now=since)
    assert decision == WaitUntil(since + RESTART_SILENCE + MOMENT)


def test_requests_however_many_put_no_end_off():
    latest = NOW + timedelta(seconds=5) + SILENCE + RESTART_SILENCE
    asked = latest - timedelta(seconds=1)
    assert decided(at_work(), restart_asked=asked, now=asked) == WaitUntil(latest + MOMENT)


def test_a_boot_is_in_doubt_until_the_agent_at_work_is_silent():
    def unproved(status, now, **known):
        return unproved_restart(WorkView((status,), ObservedMachine(), **known), now)

    silent = ASKED + RESTART_SILENCE
    said = "an agent at work was heard on this machine moments ago"
    assert unproved(at_work(), ASKED, restart_asked=ASKED) == said
    assert unproved(at_work(steps_done=True), ASKED, restart_asked=ASKED) == ""
    assert unproved(at_work(), ASKED) == "", "heard since: it did not restart"
    assert unproved(a_status(RESTORE, _S.ARMED), silent) == ""


def test_a_boot_is_in_doubt_while_an_agent_waits_for_work():
    status = a_status(RESTORE, _S.ARMED)
    view = WorkView((status,), ObservedMachine(ramdisk_contact=NOW))
    gone = NOW + CONTACT_MAX_AGE
    said = "an agent that waits for work was heard on this machine moments ago"
    assert unproved_restart(view, gone - MOMENT) == said
    assert unproved_restart(view, gone) == ""


def test_the_boot_request_that_led_to_the_start_is_no_restart():
    seen = ObservedMachine(boot_request=NOW - timedelta(seconds=20))
    assert decided(a_status(RESTORE, _S.STARTED), seen=seen) == WaitUntil(NOW + SILENCE + MOMENT)


def test_a_machine_that_restarts_again_and_again_fails():
    silent = ASKED + RESTART_SILENCE + MOMENT
    known = {"restart_asked": ASKED, "now": silent}
    decision = decided(at_work(attempt=9), claimed_attempts=MAX_ATTEMPTS, **known)
    assert isinstance(decision, End)
    assert decision.state is _S.FAILED
    assert decision.reason == (
        "RW612: the machine restarted during each of 5 attempts (waits.attempts). Look at its "
        "console, memory and power supply."
    )
    assert isinstance(decided(at_work(attempt=9), claimed_attempts=MAX_ATTEMPTS - 1, **known), Arm)


def test_silence_during_a_restore_is_indeterminate_and_during_a_capture_a_failure():
    quiet = NOW + SILENCE + timedelta(seconds=1)
    restore = decided(a_status(RESTORE, _S.STARTED, last_event_at=NOW), now=quiet)
    reading = decided(a_status(CAPTURE, _S.STARTED, last_event_at=NOW), now=quiet)
    assert restore.state is _S.INDETERMINATE
    assert restore.reason == (
        "RW613: nothing was heard within 10m (waits.silence) since 12:00:00 UTC."
    )
    assert reading.state is _S.FAILED
    assert "nothing was written" in reading.reason


def test_what_was_claimed_and_not_begun_is_granted_anew_until_all_attempts_are_used():
    quiet = NOW + SILENCE + timedelta(seconds=1)
    status = a_status(RESTORE, _S.STARTED, attempt=2)
    again = decided(status, now=quiet, claimed_attempts=2)
    assert (type(again), again.attempt) == (Arm, 3)
    assert again.reason.endswith("the agent claimed the work and began nothing; it is granted anew")
    last = decided(status, now=quiet, claimed_attempts=MAX_ATTEMPTS)
    assert last.state is _S.FAILED
    assert "In this last of 5 attempts (waits.attempts) the agent began nothing" in last.reason


def test_a_scenario_that_outlives_its_time_limit_ends():
    late = NOW + timedelta(seconds=RESTORE.instructions.timeout_seconds + 1)
    status = a_status(RESTORE, _S.STARTED, last_event_at=late)
    decision = decided(status, now=late)
    assert decision.state is _S.INDETERMINATE
    assert decision.reason == "RW633: its time limit passed (options.timeout)."


def test_the_clone_is_verified_only_by_the_agent_that_this_operation_installed():
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    wrong = an_installed_system(NODE, "other")
    right = an_installed_system(NODE, RESTORE.op_id)
    seen = [
        ObservedMachine(installed=TimedReport(a_report(NODE, installed=system), LATER))
        for system in (wrong, right)
    ]
    assert decided(status, seen=seen[0]) == WaitUntil(NOW + REPORT_LIMIT + MOMENT)
    decision = decided(status, seen=seen[1])
    assert decision.state is _S.VERIFIED
    assert decision.reason == "node-01 started from its own disk and its agent reported"


def test_the_reboot_into_the_clone_is_no_restart_of_the_work():
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    found = decided(status, seen=ObservedMachine(boot_request=LATER))
    assert found == WaitUntil(NOW + REPORT_LIMIT + MOMENT)


def test_a_clone_that_never_reports_fails():
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    decision = decided(status, now=NOW + REPORT_LIMIT + timedelta(seconds=1))
    assert decision.state is _S.FAILED
    assert decision.reason.startswith("RW614: the disk was written and read back, but")


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (None, Verify),
        ("", _S.VERIFIED),
        ("e2fsck found errors", _S.FAILED),
    ],
)
def test_a_capture_is_verified_once_its_image_is_proved(proof, expected):
    status = a_status(CAPTURE, _S.STARTED, steps_done=True, last_event_at=NOW)
    captured = Capture(CAPTURE.op_id, "debian12", "a" * 64, proof)
    decision = decided(status, captures=(captured,))
    if expected is Verify:
        assert isinstance(decision, Verify)
    else:
        assert decision.state is expected


def test_a_run_whose_second_image_cannot_be_restored_says_that_no_name_was_moved():
    status = a_status(CAPTURE, _S.STARTED, steps_done=True, last_event_at=NOW)
    captures = (
        Capture(CAPTURE.op_id, "sys", "a" * 64, ""),
        Capture(CAPTURE.op_id, "data", "d" * 64, "partition 1: bad"),
        Capture("f" * 32, "other", "e" * 64, "of other work"),
    )
    decision = decided(status, captures=captures)
    assert (decision.state, decision.reason) == (
        _S.FAILED,
        (
            "RW471: image data cannot be restored: partition 1: bad. No name of the 2 images that "
            "belong together was moved"
        ),
    )


# --- a server that was away -------------------------------------------------------------

BACK = NOW + timedelta(hours=3)
"""The server was away, or its clock was set, and it hears again since."""
WAITING = {
    "armed": (a_status(RESTORE, _S.ARMED), GRANT_LIFETIME, Arm),
    "armed for the last time": (
        a_status(RESTORE, _S.ARMED, attempt=MAX_ATTEMPTS),
        GRANT_LIFETIME,
        End,
    ),
    "claimed": (a_status(RESTORE, _S.STARTED), SILENCE, Arm),
    "at work": (a_status(RESTORE, _S.STARTED, last_event_at=NOW), SILENCE, End),
    "reading": (a_status(CAPTURE, _S.STARTED, last_event_at=NOW), SILENCE, End),
    "done": (
        a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW),
        REPORT_LIMIT,
        End,
    ),
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("away", [timedelta(hours=3), timedelta(days=1), -timedelta(days=1)])
def test_silence_counts_from_when_the_server_could_hear(name, away):
    status, wait, ends = WAITING[name]
    back = NOW + away
    for now in (back, back + wait):
        found = decided(status, now=now, hears_since=back)
        assert isinstance(found, Wake | WaitUntil)
        assert now < found.again <= back + wait + MOMENT
    assert isinstance(decided(status, now=back + wait + MOMENT, hears_since=back), ends)


def test_a_time_limit_counts_anew_once_the_server_hears_again():
    limit = timedelta(seconds=RESTORE.instructions.timeout_seconds)
    now = BACK + limit
    status = a_status(RESTORE, _S.STARTED, last_event_at=now)
    assert isinstance(decided(status, now=now, hears_since=BACK), WaitUntil)
    assert isinstance(decided(status, now=now + MOMENT, hears_since=BACK), End)


def test_a_proof_that_came_after_the_clock_was_set_back_counts():
    back = NOW - timedelta(days=1)
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    system = an_installed_system(NODE, RESTORE.op_id)
    at = back + timedelta(seconds=10)
    seen = ObservedMachine(installed=TimedReport(a_report(NODE, installed=system), at))
    assert decided(status, seen=seen, now=at, hears_since=back).state is _S.VERIFIED


def test_a_contact_from_the_future_keeps_no_machine_from_being_woken():
    seen = ObservedMachine(ramdisk_contact=NOW + timedelta(days=1))
    assert isinstance(decided(a_status(RESTORE, _S.ARMED), seen=seen), Wake)


@pytest.mark.parametrize("before", OperationState)
def test_only_evidence_of_a_restart_leads_back_from_started(before):
    back = {_S.PLANNED, _S.APPROVED, _S.ARMED}
    allowed = {after for after in back if permits(before, after)}
    forward = {
        _S.PLANNED: {_S.APPROVED},
        _S.APPROVED: {_S.ARMED, _S.PLANNED},
        _S.ARMED: {_S.ARMED, _S.PLANNED},
        _S.STARTED: {_S.ARMED},
    }
    assert allowed == forward.get(before, set())
