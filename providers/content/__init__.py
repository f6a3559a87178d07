"""Whole files by their SHA-256: what packages consist of, and where it comes from.

``store`` keeps them, ``download`` fetches them from the web and goes on where a transfer broke
off, ``http`` hands them out to agents, ``files`` fetches those that documents name.
"""
