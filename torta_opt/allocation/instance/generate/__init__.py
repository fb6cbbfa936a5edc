"""Generated instances: presets by name, and instances on a user's own topology."""

from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.presets import (
    generate,
    generate_from_topology,
    preset_names,
)

__all__ = ["PaperParameters", "generate", "generate_from_topology", "preset_names"]
