"""Rents from price files of clouds; a price is that of an instance, not of a GPU."""
