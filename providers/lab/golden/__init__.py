"""A small Debian 12 on a bootable disk, made from packages: the rack's golden machine.

The root file system is built once per recipe and kept as a tar; every disk is then
made from it without loop devices or mounts, so that a build that is killed leaves
nothing but a ``.partial`` file.
"""
