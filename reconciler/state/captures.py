"""Images that operations brought in, until they are proved and named; and by which they came."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Capture
from reconciler.state.operation_body import decode_operation
from reconciler.state.operation_states import OperationState


class CapturedFrom(NamedTuple):
    """The work that brought an image in."""

    machine: str
    operation: str
    scenario: str
    image: str
    """The name that it was captured for."""


class Captures:
    """Captured manifests on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, operation: str, image: str, manifest: str) -> None:
        """Note that ``operation`` brought in ``manifest`` for ``image``; it is not tested yet."""
        values = {"manifest": manifest, "proof": None}
        statement = upsert(schema.capture).values(op_id=operation, image=image, **values)
        with self._database.writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["op_id", "image"], set_=values)
            )

    def record_restore_test(self, capture: Capture, problem: str) -> None:
        """Record the outcome of the restore test: empty when the image can be restored."""
        table = schema.capture
        with self._database.writing() as connection:
            connection.execute(
                update(table)
                .where(
                    table.c.op_id == capture.operation,
                    table.c.image == capture.image,
                    table.c.manifest == capture.manifest,
                )
                .values(proof=problem)
            )

    def of_manifest(self, manifest: str) -> tuple[CapturedFrom, ...]:
        """Return which work brought an image in, the newest first."""
        operation, capture = schema.operation, schema.capture
        query = (
            select(operation.c.machine, operation.c.op_id, operation.c.body, capture.c.image)
            .join(capture, capture.c.op_id == operation.c.op_id)
            .where(capture.c.manifest == manifest)
            .order_by(operation.c.planned_at.desc())
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(
            CapturedFrom(row.machine, row.op_id, decode_operation(row.body).scenario, row.image)
            for row in rows
        )

    def newest(self) -> dict[tuple[str, str], datetime]:
        """Return by name and manifest when an operation that brought it in was verified last.

        A disk that did not change is the same image in each of its backups.
        """
        capture, ledger = schema.capture, schema.ledger
        query = (
            select(capture.c.image, capture.c.manifest, func.max(ledger.c.at))
            .join(ledger, ledger.c.op_id == capture.c.op_id)
            .where(ledger.c.state == OperationState.VERIFIED.value, capture.c.proof == "")
            .group_by(capture.c.image, capture.c.manifest)
        )
        with self._database.reading() as connection:
            return {(name, digest): at for name, digest, at in connection.execute(query)}
