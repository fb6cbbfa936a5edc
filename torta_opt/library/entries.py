"""Which instances the library has: name → recipe."""

from __future__ import annotations

from torta_opt.library.recipe import GENERATE, IMPORT, Recipe

TOPOLOGIES = ("abilene", "polska", "gabriel", "cost2")
SEEDS = (11, 12, 13)  # networks were trained on 1000 to 1015; open values chosen on seed 0
SLOTS = (12, 24, 48)
EVENTS = {  # what the preset is called, and events that fit a short horizon
    "plain": ("", {}),
    "surge": ("+surge", {"surge_slots": 8}),
    "outage": ("+outage", {"outage_slots": 8}),
}
FIG5 = (200, 500, 1000, 2000, 5000)
SMALL = (*("loading", "outage", "expiry", "hot", "switch", "residency", "negative-price", "drain"),)
PLACEMENT = (
    *("tiny", "clustered", "abovenet", "bellcanada", "gts-ce", "large", "mix"),
    *("helix-measured", "worst-case"),
)
IMPORTS = {
    "azure-2023-code": ("azure", "azure_llm_2023/AzureLLMInferenceTrace_code.csv"),
    "mooncake": ("mooncake", "mooncake_fast25/conversation_trace.jsonl"),
    "servegen-m-large": ("servegen", "servegen"),
}
IMPORT_SLOTS = 40

# Their best schedules come with the library: small ones, one of each kind.
BUNDLED = (
    *("small-hot", "small-switch", "fig5-200", "fig5-1000", "placement-tiny"),
    *("placement-clustered", "abilene-plain-s11-t12", "abilene-surge-s11-t12"),
    *("abilene-outage-s11-t12", "polska-plain-s11-t12", "gabriel-plain-s11-t12"),
    "cost2-plain-s11-t12",
)


def _paper() -> dict[str, Recipe]:
    found = {}
    for topology in TOPOLOGIES:
        for event, (ending, parameters) in EVENTS.items():
            for seed in SEEDS:
                for slots in SLOTS:
                    given = {"slots": slots, **parameters}
                    name = f"{topology}-{event}-s{seed}-t{slots}"
                    preset = f"paper/{topology}{ending}"
                    found[name] = Recipe(GENERATE, preset, None, seed, tuple(given.items()))
    return found


ENTRIES: dict[str, Recipe] = {
    **{f"small-{name}": Recipe(GENERATE, f"small/{name}") for name in SMALL},
    **{f"fig5-{size}": Recipe(GENERATE, f"fig5/{size}") for size in FIG5},
    **{f"placement-{name}": Recipe(GENERATE, f"placement/{name}") for name in PLACEMENT},
    **{
        f"import-{name}": Recipe(IMPORT, kind, trace, 0, (("slots", IMPORT_SLOTS),))
        for name, (kind, trace) in IMPORTS.items()
    },
    **_paper(),
}
