"""Numbers that no schedule can beat."""
