"""Images that operations brought in, until they are proved and named."""

from sqlalchemy import update
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Capture


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
