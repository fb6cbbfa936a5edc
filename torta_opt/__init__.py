"""Proven optimality gaps for geo-distributed GPU-inference scheduling."""
