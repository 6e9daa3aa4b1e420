"""The model card of a mixture that was split from a dense model."""

from __future__ import annotations

from collections.abc import Iterator

from expertrag_lab.surgery.card_text import markdown
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.splitting.pre_gate import FOLDER
from expertrag_lab.surgery.splitting.split_report import SplitReport


def split_card(report: SplitReport, mixture: Mixture) -> str:
    """Return the text of the card."""
    return "\n".join([*_head(report, mixture), *_describe_measures(report), *_layers(report), ""])


def _head(report: SplitReport, mixture: Mixture) -> Iterator[str]:
    sizes, size = report.sizes, report.size
    domains = ", ".join(f"{n:,} {markdown(name)}" for name, n in report.domains.items())
    yield from (
        "---",
        f"license: {mixture.license}",
        f"base_model: {mixture.name}",
        "tags: [mixture-of-experts, split]",
        "---",
        f"# {mixture.name}, split into experts",
        "",
        f"The feed-forward networks of {mixture.name}, each split into {sizes.experts} experts by "
        "ExpertRAG: no weight was trained but the routers'.",
        "",
        f"- Made from: {mixture.name}, files with fingerprint `{report.source}`",
        f"- Experts of a layer: {sizes.shared} shared ones, and {sizes.routed} of which a token "
        f"uses {sizes.per_token}; {report.width} neurons each",
        f"- Neurons that a token uses: {sizes.active:.0%}. `num_experts_per_tok` in `config.json` "
        f"may be set to any number up to {sizes.routed}, with which the mixture is the dense model",
        f"- Parameters: {size.parameters:,} in {size.bytes:,} bytes",
        f"- Prompts by domain: {domains}",
        "",
    )


def _describe_measures(report: SplitReport) -> Iterator[str]:
    loss, gate = report.loss, report.pre_gate
    yield from (
        f"On held-out prompts with answers ({loss.prompts:,} of them, {loss.tokens:,} tokens):",
        "",
        "| model | loss, nats a token |",
        "|---|---|",
        f"| dense | {loss.dense:.4f} |",
        f"| all experts | {loss.all_experts:.4f} |",
        f"| {report.sizes.per_token} experts per token | {loss.chosen_experts:.4f} |",
        "",
    )
    if gate is not None:
        yield from (
            f"`{FOLDER}/` has a pre-gate of {gate.parameters:,} parameters, which expects the "
            f"experts of all layers from the tokens alone. Of the experts that the routers choose, "
            f"it expects {gate.pre_gate:.1%}; the most frequent ones of each layer are "
            f"{gate.frequent:.1%}.",
            "",
        )


def _layers(report: SplitReport) -> Iterator[str]:
    yield from (
        "Share of the contributions of a layer's routed experts (norms of their outputs) that a "
        "token's experts have, on tokens that the routers were not fitted on:",
        "",
        "| layer | chosen by the router | the largest | the same for all tokens |",
        "|---|---|---|---|",
    )
    for number, kept in enumerate(report.layers):
        yield f"| {number} | {kept.router:.3f} | {kept.best:.3f} | {kept.frequent:.3f} |"
