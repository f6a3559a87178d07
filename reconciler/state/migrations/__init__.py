"""Alembic migrations of the state database, oldest first; forward only."""
