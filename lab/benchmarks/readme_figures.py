"""The most telling figures of lab/results, a row of README's table each (doc_figures.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from results_file import figures_of, report_of
from results_table import head

Row = tuple[str, str, str]
"""What was measured, the figure, the command that reproduces it."""

SOURCES = (
    "search",
    "experts",
    "evaluation",
    "reference",
    "answers",
    "mixed",
    "grounding",
    "kernels",
    "kernel_quality",
    "generation",
    "generation_limits",
    "server_start",
)
SETS = ("squad2", "hotpotqa", "popqa", "tatqa")
FORMATS = ("bf16", "int8", "int4")


def load_results(name: str) -> Any:
    """Return the figures of a file that is a source of the table."""
    assert name in SOURCES, name
    return figures_of(name)


def readme_table(model: str) -> Iterator[str]:
    """Write the table.

    :param model: name of the large default model.
    """
    yield from head("what | figure | command")
    for row in (*_search(), *_answers(model), *_layers(), *_generation()):
        yield f"| {' | '.join(row)} |"


def _search() -> Iterator[Row]:
    chunks, experts = load_results("search"), load_results("experts")["macro"]
    whole = report_of(load_results("evaluation"), "retrieval")
    documents = {mode: means["nDCG@10"] for mode, means in whole["mean"].items()}
    for what, means, sets, command in (
        ("chunks", chunks["means"], len(chunks["rows"]), "bench-search"),
        ("whole documents", documents, len(whole["datasets"]), "eval-full"),
    ):
        yield (
            f"hybrid search over {what}, nDCG@10, mean of {sets} test splits",
            "**{hybrid:.3f}** (dense {dense:.3f}, BM25 {bm25:.3f})".format(**means),
            f"`make lab-{command} DATA=…`",
        )
    yield (
        "embedding experts, nDCG@10, mean over their domains",
        ", ".join(f"{k} {v['base']:.3f} -> **{v['router']:.3f}**" for k, v in experts.items()),
        "`make lab-eval-experts DATA=…`",
    )
    checks = load_results("reference")["checks"]
    passed = sum(check["passed"] for check in checks)
    command = "`make lab-eval-reference DATA=…`"
    yield "published figures reproduced", f"{passed} of {len(checks)}", command


def _answers(model: str) -> Iterator[Row]:
    parts, command = (
        load_results("answers")["figures"],
        "`make lab-eval-answers DATA=…`",
    )
    by = {item["name"]: item["after"] for part in parts.values() for item in part}

    def each(what: str) -> str:
        return ", ".join(f"{name} {by[f'{name}, {what}']['mean']:.2f}" for name in SETS)

    right = f"{each('contains')}, pubmedqa {by['pubmedqa, verdict']['mean']:.2f}"
    yield f"right answers of `{model}`", right, command
    yield "its citations that hold the answer", each("citations that hold the answer"), command
    abstention = "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**by["AUROC of abstention"])
    yield "its abstention, AUROC", abstention, command
    yield (
        "AUTO compared with ALWAYS: right answers; share of the searches, of the time",
        f"{by['auto: right, less those of always']['mean']:+.3f}; "
        f"{by['auto: searches']['mean']:.2f}, {by['auto: seconds by those of always']['mean']:.2f}",
        command,
    )
    mixed = load_results("mixed")["figures"][f"answers, {model}"]
    by = {item["name"]: item["after"] for item in mixed}
    kinds = (f"{kind}: right by auto, less those by always" for kind in ("answerable", "general"))
    yield (
        "the same over many sources: right answers to questions about them; to others",
        "; ".join(f"{by[kind]['mean']:+.3f}" for kind in kinds),
        "`make lab-eval-mixed DATA=…`",
    )
    yield (
        "grounding, true against false claims",
        "AUROC {AUROC:.3f}, precision {precision:.3f}, recall {recall:.3f}".format(
            **load_results("grounding")["all"]
        ),
        "`make lab-bench-grounding DATA=…`",
    )


def _layers() -> Iterator[Row]:
    """Speed of the embedder; speed and precision of a layer of the language model."""
    yield (
        "embedding, compared with `SentenceTransformer.encode`",
        f"{load_results('search')['speed']['ratio']:.1f} times the documents per second",
        "`make lab-bench-search DATA=…`",
    )
    rows = [row for row in load_results("kernels")["rows"] if row["shape"] != "smollm2-moe"]
    plain = (
        (name, [r["ratio"] for r in rows if (r["format"], r["rival"]) == (name, "grouped_mm bf16")])
        for name in FORMATS
    )
    large = [r["ratio"] for r in rows if r["T"] >= 64 and r["rival"].startswith("llama.cpp")]
    yield (
        "MoE layer of OLMoE and Qwen3-30B-A3B, compared with transformers' bf16; "
        "with llama.cpp, 64 tokens up",
        f"{', '.join(f'{name} {_times(ratios)}' for name, ratios in plain)}; {_times(large)}",
        "`make lab-bench-kernels`",
    )
    formats = load_results("kernel_quality")["formats"]
    yield (
        "perplexity of the small default model (int4 in an older layout)",
        ", ".join(f"{name} {formats[name]['increase']:+.2%}" for name in FORMATS),
        "`make lab-eval-kernels DATA=…`",
    )


def _generation() -> Iterator[Row]:
    for what, part in (("1 sequence", "single"), ("8 sequences", "concurrent_8")):
        ratios = {
            k: v.get("ratio_tokens_per_s") for k, v in load_results("generation")[part].items()
        }
        same = [v for k, v in ratios.items() if "llama.cpp" in k and "without minima" not in k]
        yield (
            f"tokens per second of the small default model, {what}, vs transformers; llama.cpp",
            f"{_times([ratios['transformers bf16']])}; {_times(same)}",
            "`make lab-bench-generation DATA=…`",
        )
    limits, rivals = (
        load_results("generation_limits")[k] for k in ("limits", "llama.cpp, 1 texts")
    )
    kinds = (f"ratio: {kind}_tokens_per_s" for kind in ("prompt", "written"))
    yield (
        "the large one in int4: share of the int8 peak in prefill, of the bandwidth in decode; "
        "both compared with llama.cpp",
        "{prompt_share_of_peak:.2f}, {share_of_bandwidth:.2f}; ".format(**limits)
        + ", ".join(_times([rivals[kind]]) for kind in kinds),
        "`make lab-bench-limits DATA=…`",
    )
    yield (
        "its server: seconds until ready, resident memory",
        "{seconds[here][ready]:.1f} s, {memory_mb[here][ready][resident]:.0f} MB".format(
            **load_results("server_start")
        ),
        "`make lab-bench-server-start STORE=…`",
    )


def _times(ratios: Iterable[float]) -> str:
    found = [f"{ratio:.1f}" for ratio in sorted(ratios)]
    return f"{' to '.join(dict.fromkeys((found[0], found[-1])))} times"
