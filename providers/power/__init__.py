"""Turning machines on and off."""
