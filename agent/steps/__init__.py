"""The steps of an operation."""
