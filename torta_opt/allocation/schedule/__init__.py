"""What an answer is: schedule file, evaluate, verify, step."""

from torta_opt.allocation.schedule.data import NO_MODEL, Command, Schedule
from torta_opt.allocation.schedule.document import load_schedule, save_schedule
from torta_opt.allocation.schedule.evaluate import Evaluation, evaluate
from torta_opt.allocation.schedule.verify import RULES, Verification, Violation, verify

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
