"""The independent checker of certificates: it knows instances, and neither programs nor solvers."""
