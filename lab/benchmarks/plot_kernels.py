"""Plot the figures of ``bench_kernels.py``: milliseconds by number of tokens, one panel per shape.

python lab/benchmarks/plot_kernels.py lab/results/kernels.json lab/docs/measurements/kernels.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

OURS = {"bf16": "#1f4e9c", "int8": "#c2571a", "int4": "#2b7a3d"}
RIVALS = {
    "grouped_mm bf16": ("transformers grouped_mm, bf16", "#444444", "s"),
    "zentorch bf16": ("zentorch, bf16", OURS["bf16"], "^"),
    "vLLM bf16": ("vLLM, bf16", OURS["bf16"], "v"),
    "SGLang int8": ("SGLang, int8", OURS["int8"], "^"),
    "SGLang int4": ("SGLang, int4", OURS["int4"], "^"),
    "llama.cpp BF16 bf16": ("llama.cpp, bf16", OURS["bf16"], "x"),
    "llama.cpp Q8_0 int8": ("llama.cpp, Q8_0", OURS["int8"], "x"),
    "llama.cpp Q4_1 int4": ("llama.cpp, Q4_1", OURS["int4"], "x"),
}
TITLES = {
    "olmoe": "OLMoE: 64 experts, 8 of a token",
    "qwen3-30b-a3b": "Qwen3-30B-A3B: 128 experts, 8 of a token",
    "smollm2-moe": "default model: 4 experts, 1 of a token",
}

Row = Mapping[str, Any]


def main() -> None:
    """Read JSON and write SVG."""
    source, out = map(Path, sys.argv[1:3])
    rows = json.loads(source.read_text())["rows"]
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    mpl.rcParams.update({"svg.hashsalt": "kernels", "font.size": 9, "axes.titlesize": 9})
    figure, axes = plt.subplots(1, len(shapes), figsize=(4.2 * len(shapes), 4.2), squeeze=False)
    for axis, shape in zip(axes[0], shapes, strict=True):
        panel(axis, [row for row in rows if row["shape"] == shape])
        axis.set_title(TITLES.get(shape, shape))
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(out, metadata={"Date": None})


def panel(axis: Any, rows: Sequence[Row]) -> None:
    """Draw one shape: ours as thick lines, rivals as thin ones, the bfloat16 roofline dotted."""
    for format, colour in OURS.items():
        own = {row["T"]: row["ms"] for row in rows if row["format"] == format}
        axis.plot(
            own.keys(), own.values(), "o-", color=colour, linewidth=2.2, label=f"ours, {format}"
        )
    for name, (label, colour, marker) in RIVALS.items():
        theirs = {row["T"]: row["rival_ms"] for row in rows if row["rival"] == name}
        if theirs:
            axis.plot(
                theirs.keys(), theirs.values(), color=colour, marker=marker, markersize=4,
                linewidth=0.9, alpha=0.75, linestyle="--", label=label,
            )  # fmt: skip
    roof = {row["T"]: row["ms"] * row["roofline"] for row in rows if row["format"] == "bf16"}
    axis.plot(roof.keys(), roof.values(), ":", color="black", label="roofline, bf16")
    axis.set(xscale="log", yscale="log", xlabel="tokens", ylabel="ms per layer")
    axis.set_xticks(list(roof), [str(tokens) for tokens in roof])
    axis.minorticks_off()
    axis.grid(alpha=0.25)


if __name__ == "__main__":
    main()
