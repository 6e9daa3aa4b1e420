"""Plot the figures of ``bench_generation.py``: tokens per second of one text, 8 and 16 at once.

python lab/benchmarks/plot_generation.py lab/results/generation.json \
    lab/docs/measurements/generation.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

PARTS = {"single": "one text", "concurrent_8": "8 at once", "concurrent_16": "16 at once"}
KINDS = {"ours": "ours", "llama.cpp dense": "llama.cpp, dense", "llama.cpp mixture": "llama.cpp"}
FORMATS = {"bf16": "#1f4e9c", "int8": "#c2571a", "int4": "#2b7a3d"}


def main() -> None:
    """Read JSON and write SVG."""
    source, out = map(Path, sys.argv[1:3])
    found = json.loads(source.read_text())
    mpl.rcParams.update({"svg.hashsalt": "generation", "font.size": 9, "axes.titlesize": 9})
    figure, axes = plt.subplots(1, len(PARTS), figsize=(12, 3.6), sharey=True)
    for axis, (part, title) in zip(axes, PARTS.items(), strict=True):
        names = ["transformers", *reversed(KINDS.values())]
        for place, kind in enumerate(reversed(KINDS), start=1):
            for number, (format, colour) in enumerate(FORMATS.items()):
                value = found[part][f"{kind} {format}"]["tokens_per_s"]
                axis.barh(place + 0.27 - 0.27 * number, value, 0.25, color=colour)
                axis.text(value + 1, place + 0.27 - 0.27 * number, f"{value:.0f}", va="center")
        value = found[part]["transformers bf16"]["tokens_per_s"]
        axis.barh(0.27, value, 0.25, color=FORMATS["bf16"])
        axis.text(value + 1, 0.27, f"{value:.0f}", va="center")
        axis.set(title=title, xlabel="tokens a second, all texts", yticks=(0.27, 1, 2, 3))
        axis.set_yticklabels(names)
        axis.spines[["top", "right"]].set_visible(False)
    handles = [Patch(color=colour) for colour in FORMATS.values()]
    figure.legend(handles, FORMATS, loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
