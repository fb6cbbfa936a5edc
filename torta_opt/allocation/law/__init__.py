"""Laws of demand: random processes that arrivals are drawn from, their futures and forecasts."""

from torta_opt.allocation.law.base import DemandLaw, Path
from torta_opt.allocation.law.registry import LAWS, law_of

__all__ = ["LAWS", "DemandLaw", "Path", "law_of"]
