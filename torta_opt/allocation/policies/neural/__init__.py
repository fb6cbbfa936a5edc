"""Learned networks and their weight files."""
