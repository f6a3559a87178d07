"""Which form of the state database this version reads and writes."""

CURRENT_REVISION = "0005"
"""The newest migration; a database that has it needs no look at Alembic, which is slow to load."""
