"""External programs: one module for each, and the runner that starts them.

A module builds argument lists, runs them and reads what the program prints in pure
functions. Nothing here needs a compiled package.
"""
