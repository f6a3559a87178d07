"""Alembic's entry: migrate over the connection that ``open_database`` hands in."""

from alembic import context

from reconciler.state.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
