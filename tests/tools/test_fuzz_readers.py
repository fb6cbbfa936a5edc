"""No module reads a file without a target of the fuzzer, or a reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from fuzz_targets import TARGETS

PACKAGE = Path(__file__).parents[2] / "torta_opt"
READS = {  # functions that read a file, ours and others'
    *("open", "read_text", "read_bytes", "read_csv", "read_document", "read_object", "read_json"),
    "read_json_lines",
    *("read_table", "read_csv_columns", "open_lines", "load_tensors", "load_fitted", "fromfile"),
    *("genfromtxt", "loadtxt", "read_gml", "read_graphml", "parse_gml", "parse_graphml"),
}
TRACES = "allocation/instance/imports"
PROFILES = "allocation/profiles"
TARGETS_OF = {  # of each module that reads what a user gives
    "allocation/assignment/generalized.py": ["generalized"],
    "allocation/foresight/kept.py": ["futures"],
    "allocation/instance/carbon.py": ["carbon"],
    "allocation/instance/document.py": ["instance"],
    "allocation/instance/weights_file.py": ["weights"],
    f"{TRACES}/azure.py": ["trace-azure"],
    f"{TRACES}/blis.py": ["trace-blis"],
    f"{TRACES}/burstgpt.py": ["trace-burstgpt"],
    f"{TRACES}/electricity.py": ["electricity"],
    f"{TRACES}/gpu_prices.py": ["rents"],
    f"{TRACES}/kinds.py": ["trace-azure", "trace-mooncake"],
    f"{TRACES}/latency.py": ["latency"],
    f"{TRACES}/mooncake.py": ["trace-mooncake"],
    f"{TRACES}/qwen.py": ["trace-qwen"],
    f"{TRACES}/servegen.py": ["trace-folder"],
    f"{TRACES}/tables_reader.py": ["tables"],
    "allocation/learning/checkpoint.py": ["checkpoint"],
    "allocation/log/records.py": ["log"],
    "allocation/policies/experiment/table.py": ["comparison"],
    "allocation/policies/fleet_values.py": ["networks", "fleet-network"],
    "allocation/policies/neural/files.py": ["network-card"],
    "allocation/policies/server_scores.py": ["server-scores"],
    "allocation/policies/torta.py": ["network-card"],
    "allocation/profiles/document.py": ["profile-file"],
    **{
        f"{PROFILES}/{kind}.py": [f"profile-{kind}"]
        for kind in (
            *("aibrix", "aiconfigurator", "aiperf", "guidellm", "inference_perf", "inferencex"),
            *("inferno", "llmd_planner", "vllm"),
        )
    },
    "allocation/replay/requests.py": ["requests"],
    "allocation/schedule/document.py": ["schedule"],
    "allocation/search/start_network.py": ["fleet-start"],
    "allocation/site/demand.py": ["site"],
    "allocation/site/files.py": ["site", "site-files"],
    "allocation/site/prices/ec2instances.py": ["prices-ec2instances"],
    "api.py": ["instance", "placement", "certificate", "placement-certificate"],
    "cli/inputs.py": ["printed"],
    "io/topology.py": ["gml", "graphml"],
    "library/table.py": ["library"],
    "placement/instance/network.py": ["graph"],
    "placement/online/events.py": ["arrivals"],
}
NOT_GIVEN = {  # what these read is not a user's, or only its bytes are taken
    f"{TRACES}/csv_rows.py": "what the importers read with",
    f"{TRACES}/small_csv.py": "what importers of small tables read with",
    f"{TRACES}/text.py": "what the importers read with",
    f"{PROFILES}/reading.py": "what the readers of profiles read with",
    "allocation/policies/weight_files.py": "what the readers of weights read with",
    "allocation/site/template.py": "files of the package",
    "cli/provenance.py": "bytes for a hash",
    "doctor.py": "/proc",
    "io/files.py": "what readers of documents read with",
    "io/streams.py": "/dev/null",
    "io/writing.py": "what is written",
    "parallel/deadline.py": "/proc",
    "report/page.py": "files of the package",
    "solvers/files.py": "what a solver has just written",
    "solvers/pdlp.py": "/dev/null",
}


CALL = re.compile(rf"\b(?:{'|'.join(sorted(READS))})\(")


def readers() -> set[str]:
    """Modules with a call of a name in READS."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if not CALL.search(text):
            continue
        calls = (n.func for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call))
        names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
        if names & READS:
            found.add(path.relative_to(PACKAGE).as_posix())
    return found


def test_every_module_that_reads_a_file_has_a_target_or_a_reason() -> None:
    assert sorted(readers() - NOT_GIVEN.keys()) == sorted(TARGETS_OF)
    assert sorted(NOT_GIVEN) == sorted(NOT_GIVEN.keys() & readers())
    assert {name for names in TARGETS_OF.values() for name in names} <= TARGETS.keys()


def test_every_price_list_and_trace_has_a_target() -> None:
    from torta_opt.allocation.instance.imports import readers as traces
    from torta_opt.allocation.site.prices import offers

    kinds = {f"prices-{kind}" for kind in offers.READERS}
    assert kinds <= TARGETS.keys()
    known = {f"trace-{kind}" for kind in traces.IMPORTERS} - {"trace-servegen"}  # is a folder
    assert known | {"trace-folder"} <= TARGETS.keys()
