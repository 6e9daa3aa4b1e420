"""Write a mixture whose experts were changed: a checkpoint of transformers that says what was done.

``config.json`` lists the steps as ``expertrag_surgery``, the last one last; the model card tells
the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.surgery.mixture import Mixture
from expertrag_index.types import Progress, silent

KEY = "expertrag_surgery"
"""In ``config.json``: a list of the steps, each with the fields of :class:`SurgeryStep`."""

_DONE = {"prune": "pruned", "merge": "merged"}


@dataclass(frozen=True, slots=True)
class SurgeryStep:
    """What was done to the experts of a mixture.

    :param kind: ``prune`` or ``merge``.
    :param source: fingerprint of the model before, for which the profile was made.
    :param method: measure by which experts were chosen, or ``names``.
    :param domains: whose use of the experts was counted, or whose experts stayed.
    :param denominators: ``keep`` or ``renormalise``; see :class:`Denominators`.
    :param experts: of each layer: those of the model before that were kept or, merged, the groups
        that became one, the dominant expert of each first.
    """

    kind: str
    source: str
    method: str
    domains: Sequence[str]
    denominators: str
    experts: Sequence[Sequence[int | Sequence[int]]]


@dataclass(frozen=True, slots=True)
class MixtureSize:
    """The size of a mixture; experts are those of a layer, null ones included."""

    experts: int
    experts_per_token: int
    parameters: int
    bytes: int

    @classmethod
    def of(cls, mixture: Mixture) -> MixtureSize:
        """Measure a mixture; tied weights count once."""
        weights = list(mixture.model.parameters())
        return cls(
            mixture.num_experts,
            mixture.top_k,
            sum(weight.numel() for weight in weights),
            sum(weight.numel() * weight.element_size() for weight in weights),
        )


@dataclass(frozen=True, slots=True)
class ChangedMixture:
    """What was written: where, the last step, and the sizes before and after it."""

    model: Path
    step: SurgeryStep
    before: MixtureSize
    after: MixtureSize


def recorded(mixture: Mixture, step: SurgeryStep) -> dict[str, Any]:
    """Return the setting of a configuration that tells a mixture's earlier steps and a new one."""
    earlier: Sequence[Mapping[str, Any]] = getattr(mixture.model.config, KEY, None) or ()
    plain = {**asdict(step), "method": str(step.method), "denominators": str(step.denominators)}
    return {KEY: [*earlier, plain]}


def write_changed(
    changed: Mixture, before: Mixture, out: Path, progress: Progress = silent
) -> ChangedMixture:
    """Write a changed mixture, with its tokenizer and a model card.

    :param before: the mixture that it was made from.
    :param out: folder to create; it appears whole or not at all.
    :raises Conflict: ``out`` exists.
    """
    step = SurgeryStep(**getattr(changed.model.config, KEY)[-1])
    made = ChangedMixture(out, step, MixtureSize.of(before), MixtureSize.of(changed))
    with new_folder(out) as scratch:
        progress("write model", 0, 1)
        changed.save(scratch, _card(made, changed))
        progress("write model", 1, 1)
    return made


def _card(made: ChangedMixture, mixture: Mixture) -> str:
    step, done = made.step, _DONE[made.step.kind]
    numbers = [layer.number for layer in mixture.layers]
    rows = [
        f"| {number} | {_told(experts)} |"
        for number, experts in zip(numbers, step.experts, strict=True)
    ]
    column = "experts kept" if step.kind == "prune" else "groups, the dominant expert first"
    return "\n".join(
        [
            "---",
            f"license: {mixture.license}",
            f"base_model: {mixture.name}",
            f"tags: [mixture-of-experts, {done}]",
            "---",
            f"# {mixture.name}, {done}",
            "",
            f"{mixture.name} with {made.after.experts} of {made.before.experts} routed experts in "
            f"each layer ({done} by ExpertRAG), for its use by the domains below.",
            "",
            f"- Made from: {mixture.name}, files with fingerprint `{step.source}`",
            f"- Experts chosen by: {step.method}",
            f"- Domains: {', '.join(step.domains)}",
            f"- Denominators of routers: {step.denominators}",
            f"- Experts per token: {made.after.experts_per_token}; before: "
            f"{made.before.experts_per_token}",
            f"- Parameters: {made.after.parameters:,} in {made.after.bytes:,} bytes; before: "
            f"{made.before.parameters:,} in {made.before.bytes:,}",
            "",
            f"| layer | {column} |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _told(experts: Sequence[int | Sequence[int]]) -> str:
    return ", ".join(
        str(each) if isinstance(each, int) else "+".join(map(str, each)) for each in experts
    )
