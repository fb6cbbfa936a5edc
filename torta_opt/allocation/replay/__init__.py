"""A schedule played request by request inside the slots: how far modelled response is from it."""

from torta_opt.allocation.replay.report import Replay, replay

__all__ = ["Replay", "replay"]
