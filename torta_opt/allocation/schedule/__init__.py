"""Schedules of allocation: data, file, verify, evaluate, step."""

from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.allocation.schedule.document import load_schedule, save_schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.verify import RULES, verify
from torta_opt.results import Evaluation, Verification, Violation

__all__ = [
    "NO_MODEL",
    "RULES",
    "Command",
    "Evaluation",
    "Schedule",
    "Verification",
    "Violation",
    "evaluate",
    "load_schedule",
    "save_schedule",
    "verify",
]
