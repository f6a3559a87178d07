"""Desired state: what the YAML in Git means.

Pure: no socket, no subprocess, no clock, no database. Input is text and names
of files, output is a ``CompiledFleet`` or a list of problems with positions.
"""
