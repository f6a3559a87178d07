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

from reconciler.loop.budgets import Budget, Limit
from reconciler.loop.decide import (
    CONTACT_MAX_AGE,
    GRANT_LIFETIME,
    MAX_ATTEMPTS,
    QUARANTINE_LOOK,
    REPORT_LIMIT,
    SILENCE,
    WAKE_INTERVAL,
    Arm,
    End,
    Verify,
    WaitForBudget,
    WaitUntil,
    Wake,
    WorkView,
    decide,
)
from reconciler.planning.planner import plan
from reconciler.state.observed import Capture, ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState, permits
from reconciler.state.work_begun import Impact

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
FULL = Limit(Budget("", Impact.DESTRUCTIVE, 1, 10), of_the_hour=False)


def no_limit(_operation, _impact):
    return None


def decided(*statuses, seen=None, now=LATER, captures=(), limit_of=no_limit):
    return decide(WorkView(statuses, seen or ObservedMachine(), captures), limit_of, now)


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


def test_work_that_harms_nobody_asks_no_budget():
    status = a_status(CAPTURE, _S.APPROVED, attempt=0)
    found = decided(status, limit_of=lambda _operation, _impact: FULL)
    assert found == Arm(status, 1, "its turn came", None)


def test_work_that_interrupts_a_running_system_says_so():
    status = a_status(CAPTURE, _S.APPROVED, attempt=0)
    found = decided(status, seen=ObservedMachine(installed_contact=NOW))
    reason = "its turn came; the system that may be running there is interrupted"
    assert found == Arm(status, 1, reason, Impact.DISRUPTIVE)


@pytest.mark.parametrize(("state", "attempt"), [(_S.APPROVED, 0), (_S.ARMED, 1)])
def test_a_quarantined_machine_is_neither_armed_nor_woken_and_looked_at_again(state, attempt):
    seen = ObservedMachine(quarantine="token used twice")
    found = decided(a_status(RESTORE, state, attempt=attempt), seen=seen)
    assert found == WaitUntil(LATER + QUARANTINE_LOOK)


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
    assert decision.reason == "nobody used the boot grant for 15 minutes"


def test_a_machine_that_never_boots_over_the_network_fails_with_the_last_sign():
    status = a_status(RESTORE, _S.ARMED, attempt=MAX_ATTEMPTS)
    decision = decided(status, now=NOW + GRANT_LIFETIME + timedelta(seconds=1))
    assert isinstance(decision, End)
    assert decision.state is _S.FAILED
    assert decision.reason == (
        "RW611: the machine did not boot over the network in 5 attempts of 15 minutes; its "
        "firmware never asked for a network boot. Check its power, its boot order and its "
        "network port."
    )


def test_a_machine_that_restarts_in_the_middle_resumes_with_a_new_attempt():
    status = a_status(RESTORE, _S.STARTED, step=1, last_event_at=NOW + timedelta(seconds=5))
    seen = ObservedMachine(boot_request=NOW + timedelta(seconds=10))
    decision = decided(status, seen=seen)
    assert isinstance(decision, Arm)
    assert decision.attempt == 2
    assert decision.reason == (
        "the machine restarted (network boot request at 12:00:10 UTC) before step 2 was done; "
        "the same work resumes"
    )


def test_the_boot_request_that_led_to_the_start_is_no_restart():
    seen = ObservedMachine(boot_request=NOW - timedelta(seconds=20))
    assert decided(a_status(RESTORE, _S.STARTED), seen=seen) == WaitUntil(NOW + SILENCE + MOMENT)


def test_a_machine_that_restarts_again_and_again_fails():
    status = a_status(RESTORE, _S.STARTED, attempt=MAX_ATTEMPTS)
    decision = decided(status, seen=ObservedMachine(boot_request=LATER))
    assert isinstance(decision, End)
    assert decision.state is _S.FAILED
    assert decision.reason.startswith("RW612: the machine restarted during each of 5 attempts")


def test_silence_during_a_restore_is_indeterminate_and_during_a_capture_a_failure():
    quiet = NOW + SILENCE + timedelta(seconds=1)
    restore = decided(a_status(RESTORE, _S.STARTED), now=quiet)
    reading = decided(a_status(CAPTURE, _S.STARTED), now=quiet)
    assert restore.state is _S.INDETERMINATE
    assert restore.reason == "RW613: nothing was heard since 12:00:00 UTC."
    assert reading.state is _S.FAILED
    assert "nothing was written" in reading.reason


def test_a_scenario_that_outlives_its_time_limit_ends():
    late = NOW + timedelta(seconds=RESTORE.instructions.timeout_seconds + 1)
    status = a_status(RESTORE, _S.STARTED, last_event_at=late)
    decision = decided(status, now=late)
    assert decision.state is _S.INDETERMINATE
    assert decision.reason == "RW613: its time limit passed."


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
