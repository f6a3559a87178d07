"""The control plane: Git source, observed state, plan, ledger, loop, API and command line."""
