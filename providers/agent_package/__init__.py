"""Builds packages of the agent that carry their own Python, for machines that run already.

``build.build`` is the one way in. What the carried runtime is made of is data: ``recipe.toml``
names Debian packages and which of their files are kept, ``debian.lock.toml`` has the packages'
versions and hashes. The runtime has the C library and the loader that its programs were
linked against, so that a host's own do not matter. ``layout`` says where everything lies on
a machine, ``scripts`` what happens at installation and removal.
"""
