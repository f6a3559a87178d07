"""The append-only record of work that changes machines."""
