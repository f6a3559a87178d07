"""The messages between agents and the server: attrs classes, JSON by cattrs.

Field names on the wire are the attribute names. Unknown fields are ignored, so
that an older peer can read a newer message; a missing or malformed field is an
error (``agent.wire.codec.WireError``).
"""
