"""Builds the Deploy-OS: the small Linux in RAM that network-booted machines run.

``build.build`` is the one way in. What the system is made of is data, the recipe in
``deploy-os/``; this package takes Debian packages apart accordingly and writes the
kernel, the RAM disk and the boot loaders that bring them to a machine.
"""
