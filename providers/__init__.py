"""What touches the world, one folder each.

Leaves: a provider knows the specs and the agent's wire formats, never the
reconciler. What it needs from the control plane it names as a protocol.
"""
