"""Giving a restored system an identity of its own, before it is started."""
