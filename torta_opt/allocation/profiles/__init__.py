"""Measured and modelled service of a model on a server: profiles, and their readers."""
