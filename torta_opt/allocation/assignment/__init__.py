"""The assignment program: requests of a region on its named servers, a few slots ahead.

``solve``         the assignment program to a proven optimum, or the best by a deadline
``counted``       servers alike as one, and back to named ones
``generalized``   the generalized assignment problem: files, bounds, proofs
"""
