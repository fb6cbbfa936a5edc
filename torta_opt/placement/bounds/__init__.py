"""Bounds on the delay of every schedule, and the proofs that come with them."""
