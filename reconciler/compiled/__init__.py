"""Fleets of tens of thousands of machines: compiled by several processes, kept in shards.

A shard is the machines of one group. It is named by its content, so that a commit that
touches one machine leaves all other shards, and whatever was worked out from them, as
they are.
"""
