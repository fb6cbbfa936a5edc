"""A schedule played request by request inside the slots: how far off modelled responses are."""

from torta_opt.allocation.replay.report import Replay, replay

__all__ = ["Replay", "replay"]
