"""The running control plane: what agents and firmware talk to."""
