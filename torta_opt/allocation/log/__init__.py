"""What an operator's own system did, as a schedule: routing records and replica counts."""

from torta_opt.allocation.log.nearest import Bent, from_log

__all__ = ["Bent", "from_log"]
