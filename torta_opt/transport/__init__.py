"""Optimal transport: one slot, many slots with switching costs, batches; each with a CVXPY twin."""
