"""Bounds: numbers that no schedule can beat, and their certificates."""
