"""Policies: they decide slot by slot. One file each."""
