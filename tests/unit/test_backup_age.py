"""`status` says where the newest backup that can be restored is older than its document allows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.app.backup_age import overdue_backups
from reconciler.app.project import Project
from reconciler.planning.backup_age import OverdueBackup, backup_limits, overdue
from reconciler.state.captures import Captures
from reconciler.state.observed import Capture
from reconciler.state.operation_states import OperationState
from tests.unit.test_image_commands import FAILED, Desk

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NAME = "backup-node-01"


@pytest.fixture
def desk(tmp_path: Path) -> "Desk":
    desk = Desk(tmp_path)
    document = desk.repo / "fleet.yaml"
    own = 'metadata: {name: "backup-{machine}"}'
    document.write_text(document.read_text().replace(own, own + "\nspec: {alertAfter: 26h}"))
    yield desk
    desk.database.close()


def alarms(desk: Desk, at: datetime) -> list[tuple[str, str, str]]:
    project = Project(str(desk.repo), None, desk.state)
    found = overdue_backups(project, project.observed(at), at)
    return [(each.subject, each.code, each.cause) for each in found]


def test_the_limit_is_that_of_each_machine_that_backs_up(desk: Desk) -> None:
    fleet = Project(str(desk.repo), None, desk.state).fleet
    assert backup_limits(fleet) == {NAME: 26 * HOUR}


def test_none_is_as_bad_as_an_old_one_and_a_new_one_is_good() -> None:
    limits = dict.fromkeys(("a", "b", "c", "d"), 26 * HOUR)
    newest = {"a": NOW - 26 * HOUR, "b": NOW - 26 * HOUR - timedelta(seconds=1), "d": NOW + HOUR}
    assert overdue(limits, newest, NOW) == (
        OverdueBackup("b", newest["b"], 26 * HOUR),
        OverdueBackup("c", None, 26 * HOUR),
    )


def test_a_backup_that_is_too_old_or_missing_is_an_alarm(desk: Desk) -> None:
    now = datetime.now(UTC)  # the store has the clock of the machine
    missing = "there is no backup that can be restored, alertAfter is 26 h"
    assert alarms(desk, now) == [(f"image/{NAME}", "RW994", missing)]
    desk.store_image(1, NAME)
    assert alarms(desk, now + 25 * HOUR) == []
    late = now + 31 * HOUR + timedelta(minutes=5)
    assert [cause for _, _, cause in alarms(desk, late)] == [
        "the newest backup that can be restored is 31 h old, alertAfter is 26 h"
    ]
    desk.store_image(2, NAME, FAILED)
    assert alarms(desk, now + 25 * HOUR) == []  # the one before it is good
    desk.store.names.forget(NAME, [desk.store.names.tag_of(NAME).generations[1].digest])
    assert [cause for _, _, cause in alarms(desk, now)] == [missing]


def test_a_backup_of_a_disk_that_did_not_change_is_a_new_one(desk: Desk) -> None:
    digest = desk.store_image(1, NAME)
    later = datetime.now(UTC) + 40 * HOUR
    op_id = desk.work("capture-golden", digest, OperationState.VERIFIED, later)
    captures = Captures(desk.database)
    captures.record(op_id, NAME, digest)
    assert alarms(desk, later + HOUR)
    captures.record_restore_test(Capture(op_id, NAME, digest, None), "")
    assert alarms(desk, later + HOUR) == []
