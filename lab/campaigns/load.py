"""Load: a server keeps its promises to others whatever some callers do, and through restarts.

    make lab-campaign-load ARGS="--json FILE"

Each scenario runs a server in a process of its own, with real stores and embeddings; its language
model counts at a set speed (``PacedGenerator`` of the tests), so that capacity is known.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import results_file
import served_store
from load_callers import LoadResult
from load_limits import deadlines, fairness, overload
from load_rates import rates
from load_restarts import compactions, kills, restarts, swaps
from load_streams import cancels, slow_readers
from load_uploads import large_messages, stalled_senders, stalled_upsert

CODE = (
    "expertrag/serving",
    "expertrag/runtime",
    "expertrag/auth",
    "expertrag/client",
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    "index/expertrag_index",
    *(
        f"lab/campaigns/load{part}.py"
        for part in ("", "_callers", "_limits", "_rates", "_restarts")
    ),
    *(f"lab/campaigns/{part}.py" for part in ("load_streams", "load_uploads", "served")),
)
MODEL = "PacedGenerator, all-minilm-l6-v2, 18 documents"

SCENARIOS: Mapping[str, Callable[[Path, Path, float], LoadResult]] = {
    "overload": overload,
    "fairness": fairness,
    "deadlines": deadlines,
    "cancels": cancels,
    "slow_readers": slow_readers,
    "large_messages": large_messages,
    "stalled_upsert": stalled_upsert,
    "stalled_senders": stalled_senders,
    "rates": rates,
    "restarts": restarts,
    "kills": kills,
    "swaps": swaps,
    "compactions": compactions,
}
"""Each takes a store that it may change, a folder to work in, and its size."""


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="these scenarios")
    parser.add_argument("--size", type=float, default=1.0, help="share of the full size")
    given = parser.parse_args()
    names = given.only or list(SCENARIOS)
    body = results_file.read(given.json)
    broken = 0
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        found = run(name, given.size)
        broken += len(found["findings"])
        body[name] = found
        results_file.write(given.json, body, CODE, [name])
        shown = {key: value for key, value in found.items() if key != "findings"}
        print(f"{name}: {shown}", file=sys.stderr)
        for problem in found["findings"]:
            print(f"broken promise: {name}: {problem}", file=sys.stderr)
    return bool(broken)


def run(name: str, size: float) -> dict[str, Any]:
    """Run a scenario; return its figures."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        served_store.build(work / "store", served_store.topics())
        found = SCENARIOS[name](work / "store", work, size)
    return {
        "model": MODEL,
        **found.figures,
        "broken": len(found.broken),
        "findings": found.broken,
        "load_average": round(os.getloadavg()[0], 1),
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
