"""What a report says, in sentences that a planner can quote."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torta_opt.io.text import money

NEGLIGIBLE = 5e-4  # of a cost: "nothing"


def verdict(document: dict[str, Any], own: Iterable[str] = ()) -> str:
    """How much of the cost could be saved, at least and at most.

    The first sentence is about the schedules in ``own``, or about the cheapest schedule that is
    dearer than another one; the last is about the cheapest schedule. Where policies were run on
    futures, a sentence says how much could be saved without seeing ahead, on average.

    Parameters
    ----------
    document
        The document of a report.
    own
        Names of schedules that the reader brought.
    """
    valid = [each for each in document["results"] if each["feasible"] and each["cost"] is not None]
    broken = [each["policy"] for each in document["results"] if not each["feasible"]]
    if not valid:
        return "No schedule keeps every rule, so nothing can be said about savings."
    best = min(valid, key=lambda each: each["cost"])
    others = [each for each in valid if each is not best and each["gap_at_least"]]
    brought = [each for each in valid if each["policy"] in set(own)]
    about = brought or sorted(others, key=lambda each: each["cost"])[:1]
    sentences = [part for each in about for part in (_savings(each), *on_average(each, document))]
    if best not in about:
        sentences.append(_cheapest(best))
    if broken:
        sentences.append(f"No number is given for {', '.join(broken)}: a rule is broken.")
    return " ".join(sentences)


def _savings(result: dict[str, Any]) -> str:
    name, cost = result["policy"], money([result["cost"]])[0]
    least, most = result["gap_at_least"], result["gap"]
    if most is None:
        return f"{name} costs {cost} $."
    if most < NEGLIGIBLE:
        return f"{name} costs {cost} $, and nothing can be saved: it is optimal."
    if not least or least < NEGLIGIBLE:
        return f"{name} costs {cost} $, of which at most {_up(most)} could be saved."
    return (
        f"{name} costs {cost} $, of which at least {_down(least)} and at most {_up(most)} "
        "could be saved by a scheduler that knows the demand beforehand."
    )


def on_average(result: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What could be saved without seeing ahead; nothing where the policy was not run on futures.

    The upper end of the interval of cost − bound over the mean cost: *at most* holds for both.
    """
    found, bound = result.get("foresight"), document.get("nonanticipative")
    if not found or not bound or found["cost"]["mean"] <= 0:
        return []
    most = min(1.0, max(0.0, found["difference"]["interval"][1] / found["cost"]["mean"]))
    return [
        f"Averaged over {bound['scenarios']} futures, at most {_up(most)} of the cost of "
        f"{result['policy']} could be saved without seeing ahead (an estimate, the upper end of a "
        "95 % interval)."
    ]


def _cheapest(result: dict[str, Any]) -> str:
    name, cost = result["policy"], money([result["cost"]])[0]
    if result["gap"] is None:
        return f"The cheapest schedule is that of {name}."
    within = (
        "optimal" if result["gap"] < NEGLIGIBLE else f"within {_up(result['gap'])} of the optimum"
    )
    return f"The cheapest schedule, {name} with {cost} $, is {within}."


def _up(share: float) -> str:
    """Rounded up: *at most* stays true."""
    return f"{math.ceil(round(1000 * share, 6)) / 10:.1f} %"


def _down(share: float) -> str:
    """Rounded down: *at least* stays true."""
    return f"{math.floor(round(1000 * share, 6)) / 10:.1f} %"
