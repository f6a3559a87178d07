"""The agent's version: a constant, because an installed copy has no package metadata."""

AGENT_VERSION = "0.3.0"
