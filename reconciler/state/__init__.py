"""Durable state: SQLite through SQLAlchemy, with migrations."""
