"""Laws of demand: the random process an instance is drawn from, its futures and its forecasts."""

from torta_opt.allocation.law.base import DemandLaw, Path
from torta_opt.allocation.law.registry import LAWS, law_of

__all__ = ["LAWS", "DemandLaw", "Path", "law_of"]
