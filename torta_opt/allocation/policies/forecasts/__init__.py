"""Forecasts with a spread: several slots ahead, as quantiles and as paths, by region and class."""

from torta_opt.allocation.policies.forecasts.base import INFORMATION, Forecast, PathForecaster
from torta_opt.allocation.policies.forecasts.registry import (
    PATH_FORECASTERS,
    Given,
    path_forecaster,
)

__all__ = [
    "INFORMATION",
    "PATH_FORECASTERS",
    "Forecast",
    "Given",
    "PathForecaster",
    "path_forecaster",
]
