"""Installs packages on a running system.

``engine.install_packages`` decides in which order, what is done already and when to reboot;
adapters (``adapter.Adapter``) drive the system's own programs; ``system`` looks for signs.
"""
