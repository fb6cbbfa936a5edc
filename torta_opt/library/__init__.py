"""A library of named instances: how each is made, the best known cost, the best proven bound."""

from torta_opt.library.entries import ENTRIES
from torta_opt.library.recipe import Recipe, sha256_of_instance
from torta_opt.library.score import Score, score
from torta_opt.library.table import Library, Row

__all__ = ["ENTRIES", "Library", "Recipe", "Row", "Score", "score", "sha256_of_instance"]
