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

from reconciler.loop.follow_up import (
    GRANT_LIFETIME,
    MAX_ATTEMPTS,
    PROOF_LIFETIME,
    SILENCE,
    Arm,
    End,
    Prove,
    Wake,
    follow_up,
)
from reconciler.planning.planner import plan
from reconciler.state.beginning import Beginning
from reconciler.state.observed import Capture, ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState, permits

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


def decide(status, seen=None, now=LATER, **world):
    machine = NODE if status.operation is RESTORE else GOLDEN
    return follow_up(
        a_fleet(NODE, GOLDEN),
        observed({machine.name: seen or ObservedMachine()}, operations=(status,), **world),
        now,
    )


def test_an_approved_operation_is_armed_with_its_first_attempt():
    (decision,) = decide(a_status(RESTORE, _S.APPROVED, attempt=0))
    assert isinstance(decision, Arm)
    assert decision.attempt == 1


def test_a_quarantined_machine_is_not_armed():
    seen = ObservedMachine(quarantine="token used twice")
    assert decide(a_status(RESTORE, _S.APPROVED, attempt=0), seen) == ()


def test_no_more_destructive_operations_are_armed_than_the_budget_lets():
    pairs = [clone(number) for number in range(1, 6)]
    approved = tuple(a_status(operation, _S.APPROVED, attempt=0) for _, operation in pairs)
    fleet = a_fleet(*(machine for machine, _ in pairs), at_once=2)
    assert len(follow_up(fleet, observed(operations=approved), NOW)) == 2


def test_the_hourly_budget_holds_after_the_work_has_ended():
    starts = tuple(
        Beginning(f"{minute}", NOW - timedelta(minutes=minute), True, f"mac:{minute}", ())  # noqa: FBT003 - destructive
        for minute in (50, 40, 30)
    )
    world = observed(operations=(a_status(RESTORE, _S.APPROVED, attempt=0),), beginnings=starts)
    assert follow_up(a_fleet(NODE, per_hour=3), world, NOW) == ()
    assert len(follow_up(a_fleet(NODE, per_hour=4), world, NOW)) == 1
    assert len(follow_up(a_fleet(NODE, per_hour=3), world, NOW + timedelta(minutes=11))) == 1


def test_captures_do_not_use_the_destructive_budget():
    running = a_status(RESTORE, _S.STARTED)
    waiting = a_status(CAPTURE, _S.APPROVED, attempt=0)
    decisions = follow_up(a_fleet(NODE, GOLDEN), observed(operations=(running, waiting)), LATER)
    assert [type(decision) for decision in decisions] == [Arm]


def test_a_machine_does_one_operation_at_a_time():
    hardware = {"hardware": NODE.hardware_identity, "macs": NODE.macs, "uuid": NODE.uuid}
    other = replace(CAPTURE, machine=NODE.name, **hardware)
    world = observed(
        operations=(a_status(RESTORE, _S.STARTED), a_status(other, _S.APPROVED, attempt=0))
    )
    assert follow_up(a_fleet(NODE), world, LATER) == ()


def test_an_armed_machine_is_woken():
    (decision,) = decide(a_status(RESTORE, _S.ARMED))
    assert isinstance(decision, Wake)


def test_an_armed_machine_whose_agent_waits_in_ram_is_not_woken():
    assert decide(a_status(RESTORE, _S.ARMED), ObservedMachine(ramdisk_contact=NOW)) == ()


def test_a_grant_that_nobody_used_is_given_anew():
    (decision,) = decide(
        a_status(RESTORE, _S.ARMED), now=NOW + GRANT_LIFETIME + timedelta(seconds=1)
    )
    assert isinstance(decision, Arm)
    assert decision.attempt == 2
    assert decision.reason == "nobody used the boot grant for 15 minutes"


def test_a_machine_that_never_boots_over_the_network_fails_with_the_last_sign():
    status = a_status(RESTORE, _S.ARMED, attempt=MAX_ATTEMPTS)
    (decision,) = decide(status, now=NOW + GRANT_LIFETIME + timedelta(seconds=1))
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
    (decision,) = decide(status, seen)
    assert isinstance(decision, Arm)
    assert decision.attempt == 2
    assert decision.reason == (
        "the machine restarted (network boot request at 12:00:10 UTC) before step 2 was done; "
        "the same work resumes"
    )


def test_the_boot_request_that_led_to_the_start_is_no_restart():
    seen = ObservedMachine(boot_request=NOW - timedelta(seconds=20))
    assert decide(a_status(RESTORE, _S.STARTED), seen) == ()


def test_a_machine_that_restarts_again_and_again_fails():
    status = a_status(RESTORE, _S.STARTED, attempt=MAX_ATTEMPTS)
    (decision,) = decide(status, ObservedMachine(boot_request=LATER))
    assert isinstance(decision, End)
    assert decision.state is _S.FAILED
    assert decision.reason.startswith("RW612: the machine restarted during each of 5 attempts")


def test_silence_during_a_restore_is_indeterminate_and_during_a_capture_a_failure():
    quiet = NOW + SILENCE + timedelta(seconds=1)
    (restore,) = decide(a_status(RESTORE, _S.STARTED), now=quiet)
    (reading,) = decide(a_status(CAPTURE, _S.STARTED), now=quiet)
    assert restore.state is _S.INDETERMINATE
    assert restore.reason == "RW613: nothing was heard since 12:00:00 UTC."
    assert reading.state is _S.FAILED
    assert "nothing was written" in reading.reason


def test_a_scenario_that_outlives_its_time_limit_ends():
    late = NOW + timedelta(seconds=RESTORE.timeout_seconds + 1)
    status = a_status(RESTORE, _S.STARTED, last_event_at=late)
    (decision,) = decide(status, now=late)
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
    assert decide(status, seen[0]) == ()
    (decision,) = decide(status, seen[1])
    assert decision.state is _S.VERIFIED
    assert decision.reason == "node-01 started from its own disk and its agent reported"


def test_the_reboot_into_the_clone_is_no_restart_of_the_work():
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    assert decide(status, ObservedMachine(boot_request=LATER)) == ()


def test_a_clone_that_never_reports_fails():
    status = a_status(RESTORE, _S.STARTED, steps_done=True, last_event_at=NOW)
    (decision,) = decide(status, now=NOW + PROOF_LIFETIME + timedelta(seconds=1))
    assert decision.state is _S.FAILED
    assert decision.reason.startswith("RW614: the disk was written and read back, but")


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (None, Prove),
        ("", _S.VERIFIED),
        ("e2fsck found errors", _S.FAILED),
    ],
)
def test_a_capture_is_verified_once_its_image_is_proved(proof, expected):
    status = a_status(CAPTURE, _S.STARTED, steps_done=True, last_event_at=NOW)
    captured = Capture(CAPTURE.op_id, "debian12", "a" * 64, proof)
    (decision,) = decide(status, captures=(captured,))
    if expected is Prove:
        assert isinstance(decision, Prove)
    else:
        assert decision.state is expected


@pytest.mark.parametrize("before", OperationState)
def test_only_evidence_of_a_restart_leads_back_from_started(before):
    back = {_S.PLANNED, _S.APPROVED, _S.ARMED}
    allowed = {after for after in back if permits(before, after)}
    forward = {
        _S.PLANNED: {_S.APPROVED},
        _S.APPROVED: {_S.ARMED},
        _S.ARMED: {_S.ARMED},
        _S.STARTED: {_S.ARMED},
    }
    assert allowed == forward.get(before, set())
