"""The pure core: what has to happen, decided from desired and observed state alone.

No socket, no subprocess, no clock, no database.
"""
