"""The steps of an operation: one file each, a function of the step and its context."""
