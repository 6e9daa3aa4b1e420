"""The card of a gate: README.md in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expertrag_retriever.gate.bundle import GateBundle

CARD = "README.md"


def write_card(bundle: GateBundle, folder: Path) -> None:
    """Write the card of the gate in ``folder``."""
    (folder / CARD).write_text(card_text(bundle), encoding="utf-8")


def card_text(bundle: GateBundle) -> str:
    """Return the card as Markdown."""
    card, figures = bundle.card, bundle.card["figures"]
    needs = bundle.needs
    rows = ", ".join(f"{name} (`{digest[:16]}`)" for name, digest in card["rows"].items())
    generator = (
        f", and {needs.generator} (`{needs.generator_fingerprint}`)" if needs.generator else ""
    )
    answered = ", ".join(f"`{digest}`" for digest in card.get("answered_by", ()))
    whose = f", answers of the language model {answered}" if answered else ""
    tried = "\n".join(
        f"| {item['model']} | {item['loss']:.4f} | {_settings(item['settings'])} |"
        for item in card["tried"]
    )
    trials = (
        " Candidates (loss: 1 - correlation of predicted and true gain; a mixture within one\n"
        "standard error of the best is preferred):\n\n"
        f"| model | loss | settings |\n|---|---|---|\n{tried}"
        if tried
        else ""
    )
    return f"""# {bundle.version}

A retrieval gate of ExpertRAG. It predicts the probability that the answer with retrieval is right
and the closed-book answer is wrong, from the signals {", ".join(card["signals"])}.

| rows | never | always | oracle | this gate | retrieval rate | AUC(benefit) | ECE(benefit) |
|---|---|---|---|---|---|---|---|
| {figures["rows"]:,} | {figures["never"]:.3f} | {figures["always"]:.3f} | {figures["oracle"]:.3f} \
| {figures["accuracy"]:.3f} | {figures["retrieval_rate"]:.2f} | {figures["auc_benefit"]:.3f} \
| {figures["ece_benefit"]:.3f} |

Figures are measured on {card["figures_are_of"]}. Threshold {bundle.threshold:.3f}: a retrieval must
gain {card["cost"]:g} of accuracy on average; the threshold is capped where a wasted search costs
less than a missed one. Seed {card["seed"]}.

Fitted on {rows}{whose}. Its signals come from {needs.embedder} (base model
`{needs.embedder_fingerprint}`){generator}; other models are rejected.

The model is `{bundle.predictor.model.name}`.{trials}
{_passages(card)}"""


def _passages(card: Mapping[str, Any]) -> str:
    """Describe how well retrieved passages are judged, if the gate judges them."""
    if "passages" not in card:
        return ""
    judge = card["passages"]
    return f"""
Before a STRICT answer, the gate predicts whether the passages hold the answer. On
{judge["rows"]:,} questions, {judge["sufficient"]:.0%} of them with such passages: AUROC
{judge["auc"]:.3f} (similarity of the best passage alone: {judge["auc_similarity"]:.3f}), ECE
{judge["ece"]:.3f}, measured on rows that the model had not seen.
"""


def _settings(settings: object) -> str:
    if not isinstance(settings, dict):
        return str(settings)
    return ", ".join(f"{name} {_settings(value)}" for name, value in settings.items())
