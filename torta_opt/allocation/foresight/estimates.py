"""What finished scenarios say: means with intervals, and checks that they can be true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.foresight.kept import Row
from torta_opt.allocation.foresight.scenarios import Scenarios
from torta_opt.allocation.policies.experiment import Interval, interval
from torta_opt.io import LimitReached, VerificationFailed

UNFAIR, FEWEST = 6.0, 10  # standard errors; scenarios, below which they are not known


@dataclass(frozen=True)
class Estimate:
    """What the finished scenarios say; every figure is a mean with its interval (``controlled``).

    value         the bound for policies that cannot see ahead
    clairvoyant   the bound for those who can, on the same futures
    foresight     their difference, paired
    cost          by policy
    difference    cost − bound by policy, paired: its own penalty z, of mean zero, added
    beyond        cost − clairvoyant bound by policy, paired
    """

    scenarios: int
    value: Interval
    clairvoyant: Interval
    foresight: Interval
    cost: dict[str, Interval]
    difference: dict[str, Interval]
    beyond: dict[str, Interval]
    interrupted: bool = False


def summary(found: Scenarios, policies: Sequence[str], control: str | None) -> Estimate:
    """Means and intervals over finished scenarios. Raises LimitReached if there are not two."""
    rows = found.rows
    if len(rows) < 2:
        done = "1 scenario is" if len(rows) == 1 else f"{len(rows)} scenarios are"
        raise LimitReached(f"nonanticipative: {done} finished, but an interval needs 2")
    value, clairvoyant = (_column(rows, name) for name in ("value", "clairvoyant"))
    surprise = _column(rows, "surprise")

    def means(values: np.ndarray) -> Interval:
        return controlled(values, surprise)

    z = {name: _policy(rows, name, "z") for name in (*policies, *([control] if control else []))}
    for name, values in z.items():
        raise_if_unfair(name, values)
    cost = {name: _policy(rows, name, "cost") for name in policies}
    steady = value - z[control] if control else value
    for name, usd in cost.items():
        raise_if_beaten(name, usd + z[name] - value)
    return Estimate(
        len(rows),
        means(steady),
        means(clairvoyant),
        means(steady - clairvoyant),
        {name: means(usd) for name, usd in cost.items()},
        {name: means(usd + z[name] - value) for name, usd in cost.items()},
        {name: means(usd - clairvoyant) for name, usd in cost.items()},
        found.interrupted,
    )


def controlled(values: np.ndarray, surprise: np.ndarray, share: float = 0.95) -> Interval:
    """Mean and interval of values that go with a number of mean 0, ``surprise``.

    A line is fitted through both, and its height where the surprise is 0 is the mean, with the
    usual interval of an intercept, from N − 2 residuals (Lavenberg and Welch, A perspective on the
    use of control variables, Management Science 27(3), 1981). Below ``FEWEST`` values, or where no
    surprise differs, the plain mean and interval.
    """
    from scipy.stats import t

    count, off = len(values), surprise - surprise.mean()
    spread = float(off @ off)
    if count < FEWEST or spread == 0:
        return interval(values.tolist())
    slope = float(off @ values) / spread
    mean = float(values.mean() - slope * surprise.mean())
    left = values - mean - slope * surprise
    variance = float(left @ left) / (count - 2) * (1 / count + float(surprise.mean()) ** 2 / spread)
    half = float(t.ppf((1 + share) / 2, count - 2)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, count)


def raise_if_unfair(name: str, z: np.ndarray) -> None:
    """Raise VerificationFailed if a policy pays a penalty on average that has no mean.

    A penalty must cost nobody anything who cannot see ahead. Its mean over futures is told from 0
    only where it is ``UNFAIR`` standard errors above it, which chance hardly ever brings.
    """
    error = float(z.std(ddof=1)) / math.sqrt(len(z))
    if len(z) >= FEWEST and float(z.mean()) > UNFAIR * error and z.mean() > 0:
        raise VerificationFailed(
            f"{name}: pays {z.mean():.6g} ± {error:.2g} of penalty on average, but without "
            "foresight the mean must be 0: the forecasts of the law or the penalty are wrong"
        )


def raise_if_beaten(name: str, above: np.ndarray) -> None:
    """Raise VerificationFailed if a policy costs less than the bound on average.

    ``above`` is its cost, with its penalty, less the value of each scenario. Where scenarios are
    held to that one by one (``scenario``), this holds by itself.
    """
    error = float(above.std(ddof=1)) / math.sqrt(len(above))
    if len(above) >= FEWEST and float(above.mean()) < -UNFAIR * error:
        raise VerificationFailed(
            f"{name}: costs {-above.mean():.6g} ± {error:.2g} less than the bound on average: cost "
            "or bound is wrong"
        )


def _column(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def _policy(rows: Sequence[Row], policy: str, name: str) -> np.ndarray:
    return np.array([row["policies"][policy][name] for row in rows])
