"""What the distance of a policy is made of: foresight, and the layers of its decisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torta_opt.families import family_of
from torta_opt.family import Family, Request, unwatched
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.io.status import INTERRUPTED
from torta_opt.results import GapReport, GapResult

if TYPE_CHECKING:
    from torta_opt.family import Watch
    from torta_opt.solvers import Limits

Instance = Any  # an instance of any family


def with_parts(
    report: GapReport,
    instance: Instance,
    *,
    foresight: Mapping[str, Any] | None = None,
    attribute: bool = False,
    seed: int = 0,
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> GapReport:
    """A report with what the distances of its policies are made of.

    Parameters
    ----------
    report, instance
        The report, and the instance that it is about.
    foresight
        Options of the bound ``nonanticipative``; None: it is not computed.
    attribute
        Whether to swap the layers of each policy for the clairvoyant's, one after the other.
    seed, limits, watch
        As for ``gap``.

    Returns
    -------
    GapReport
        Policies that know the future, and schedules of a user, stay as they are. After Ctrl-C it
        has what was finished, and ``status`` is ``"interrupted"``; where a limit came before two
        futures were finished, ``left_out`` says so.

    Raises
    ------
    InvalidInput
        If the demand of the instance has no known law, or a policy has no layers.

    Examples
    --------
    >>> import torta_opt
    >>> from torta_opt.gaps import with_parts
    >>> instance = torta_opt.generate("small/loading")
    >>> report = with_parts(torta_opt.gap(instance, "lcp"), instance, attribute=True)
    >>> first = report.results[0]
    >>> parts = first.attribution.servers_first
    >>> abs(parts.total - (first.cost - report.bound.value)) < 1e-9
    True
    """
    family = family_of(instance)
    request = Request(
        seed=seed, limits=limits, watch=watch or unwatched, options=dict(foresight or {})
    )
    online = [
        each.policy for each in report.results if each.feasible and _is_online(family, each.policy)
    ]
    try:
        if attribute:
            parts = family.attribution(instance, online, report.bound, request)
            report = _with(report, lambda each: {"attribution": parts.get(each.policy)})
        if foresight is not None:
            bound, found = family.foresight(instance, online, request)
            report = _with(report, lambda each: {"foresight": found.get(each.policy)})
            status = INTERRUPTED if bound.interrupted else report.status
            report = dataclasses.replace(report, nonanticipative=bound, status=status)
    except KeyboardInterrupt:
        return dataclasses.replace(report, status=INTERRUPTED)
    except LimitReached as error:  # what was compared before is there all the same
        left_out = {**report.left_out, "nonanticipative": str(error)}
        return dataclasses.replace(report, left_out=left_out)
    return report


def _with(report: GapReport, parts: Callable[[GapResult], dict[str, Any]]) -> GapReport:
    """The report with further fields of its results."""
    results = tuple(dataclasses.replace(each, **parts(each)) for each in report.results)
    return dataclasses.replace(report, results=results)


def _is_online(family: Family, name: str) -> bool:
    """Whether a name in a report is that of a policy; a schedule of a user may have any name."""
    try:
        return not family.method(name).knows_future
    except InvalidInput:
        return False
