"""Measured, modelled or stated service of a model on a server: profiles, and their readers."""
