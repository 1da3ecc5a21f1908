"""The audit of the rules against the operations themselves."""
