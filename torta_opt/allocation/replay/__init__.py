"""A schedule played request by request inside the slots: how far response is from the modelled one."""

from torta_opt.allocation.replay.report import Replay, replay

__all__ = ["Replay", "replay"]
