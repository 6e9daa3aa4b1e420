"""Write a mixture whose experts were changed: a checkpoint of transformers that says what was done.

``config.json`` lists the steps as ``expertrag_surgery``, the last one last; the model card tells
the last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.engine.families import light_neurons
from expertrag.llm.load.light_file import LIGHT_FILE
from expertrag.llm.load.low_rank_file import LOW_RANK_FILE, SURGERY_KEY
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.card_text import markdown
from expertrag_lab.surgery.mixture import Mixture

_DONE = {
    "prune": "pruned",
    "merge": "merged",
    "light": "with light experts",
    "low-rank": "with low-rank experts",
    "split": "split",
}


@dataclass(frozen=True, slots=True)
class SurgeryStep:
    """What was done to the experts of a mixture.

    :param kind: ``prune``, ``merge``, ``light`` or ``low-rank``.
    :param source: fingerprint of the model before, for which the profile was made.
    :param method: measure by which experts were chosen, or ``names``; how light experts were made;
        or the shape of low-rank ones.
    :param domains: whose use of the experts was counted, whose experts stayed, or whose prompts
        were fitted to.
    :param denominators: ``keep`` or ``renormalise``; see :class:`Denominators`.
    :param experts: of each layer: the experts of the model before that were kept or, merged, the
        groups that became one, the dominant expert of each first.
    """

    kind: str
    source: str
    method: str
    domains: Sequence[str]
    denominators: str
    experts: Sequence[Sequence[int | Sequence[int]]]


@dataclass(frozen=True, slots=True)
class MixtureSize:
    """Size of a mixture; expert counts are per layer and exclude null and light experts."""

    experts: int
    experts_per_token: int
    parameters: int
    bytes: int

    @classmethod
    def of(cls, mixture: Mixture) -> MixtureSize:
        """Measure a mixture; tied weights count once."""
        weights = mixture.parameters
        return cls(
            mixture.num_experts - mixture.null_experts,
            mixture.top_k - mixture.light_experts,
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


def record_of(mixture: Mixture, step: SurgeryStep) -> dict[str, Any]:
    """Return the setting of a configuration that tells a mixture's earlier steps and a new one."""
    earlier: Sequence[Mapping[str, Any]] = getattr(mixture.model.config, SURGERY_KEY, None) or ()
    plain = {**asdict(step), "method": str(step.method), "denominators": str(step.denominators)}
    return {SURGERY_KEY: [*earlier, plain]}


def write_changed(
    changed: Mixture, before: Mixture, out: Path, progress: Progress = silent
) -> ChangedMixture:
    """Write a changed mixture, with its tokenizer and a model card.

    :param before: the mixture that it was made from.
    :param out: folder to create; it appears whole or not at all.
    :raises Conflict: ``out`` exists.
    """
    step = SurgeryStep(**getattr(changed.model.config, SURGERY_KEY)[-1])
    made = ChangedMixture(out, step, MixtureSize.of(before), MixtureSize.of(changed))
    with new_folder(out) as scratch:
        progress("write model", 0, 1)
        changed.save(scratch, _card(made, changed))
        progress("write model", 1, 1)
    return made


def _card(made: ChangedMixture, mixture: Mixture) -> str:
    done = _DONE[made.step.kind]
    told = {"light": _light_lines, "low-rank": _low_rank_lines}.get(made.step.kind, _fewer_lines)
    return "\n".join(
        [
            "---",
            f"license: {mixture.license}",
            f"base_model: {json.dumps(mixture.name)}",  # YAML reads some names as numbers
            f"tags: [mixture-of-experts, {done}]",
            "---",
            f"# {mixture.name}, {done}",
            "",
            *told(made, mixture),
            *_earlier_lines(mixture),
            "",
        ]
    )


def _fewer_lines(made: ChangedMixture, mixture: Mixture) -> Iterator[str]:
    """Yield the lines of a card about experts that were dropped or merged."""
    step = made.step
    yield (
        f"{mixture.name} with {made.after.experts} of {made.before.experts} routed experts in "
        f"each layer ({_DONE[step.kind]} by ExpertRAG), for its use by the domains below."
    )
    yield ""
    yield f"- Made from: {mixture.name}, files with fingerprint `{step.source}`"
    yield f"- Experts chosen by: {step.method}"
    yield f"- Domains: {markdown(', '.join(step.domains))}"
    yield f"- Denominators of routers: {step.denominators}"
    yield from _size_lines(made)
    yield ""
    column = "experts kept" if step.kind == "prune" else "groups, the dominant expert first"
    yield f"| layer | {column} |"
    yield "|---|---|"
    for layer, experts in zip(mixture.layers, step.experts, strict=True):
        yield f"| {layer.number} | {_join(experts)} |"


def _earlier_lines(mixture: Mixture) -> Iterator[str]:
    """Yield the lines of a card about the steps before the last one."""
    *earlier, _ = getattr(mixture.model.config, SURGERY_KEY)
    if earlier:
        yield ""
        yield "Earlier changes, the first one first:"
        yield ""
    for step in earlier:
        yield f"- {_DONE[step['kind']]}, from files `{step['source']}`"


def _light_lines(made: ChangedMixture, mixture: Mixture) -> Iterator[str]:
    """Yield the lines of a card about light experts."""
    light = mixture.light_experts
    others = "other one, of the least weight" if light == 1 else f"other {light}, of least weights"
    yield (
        f"{mixture.name}, of whose experts a token uses {made.after.experts_per_token}, instead of "
        f"{made.before.experts_per_token}. In place of the {others}, `{LIGHT_FILE}` has three "
        f"vectors and {light_neurons(mixture.model.config)} neurons of each expert, which scale "
        "what the experts read and add to their output (after Compressed Experts, He et al. 2025)."
    )
    yield ""
    yield (
        "ExpertRAG reads the file. transformers does not: there, this is the model that it was "
        "made from, with all of its experts, with the same answers and no faster."
    )
    if mixture.low_rank:
        yield ""
        yield f"Its experts are of low rank: ExpertRAG also reads `{LOW_RANK_FILE}`."
    yield ""
    yield f"- Made from: {mixture.name}, files with fingerprint `{made.step.source}`"
    yield f"- Trained by: {made.step.method}; all other weights are as before"
    yield f"- Domains of the prompts: {markdown(', '.join(made.step.domains))}"
    yield from _size_lines(made)


def _low_rank_lines(made: ChangedMixture, mixture: Mixture) -> Iterator[str]:
    """Yield the lines of a card about low-rank experts."""
    yield (
        f"{mixture.name} with experts of low rank, in `{LOW_RANK_FILE}`: {made.step.method} (after "
        "MC-SMoE, Li et al. 2024)."
    )
    yield ""
    yield (
        "ExpertRAG reads the file; `expertrag llm pack` leaves out what it replaces. transformers "
        "reads the products, which are also in the checkpoint: the same answers but for rounding, "
        "as large and as slow as before."
    )
    yield ""
    yield f"- Made from: {mixture.name}, files with fingerprint `{made.step.source}`"
    domains = markdown(", ".join(made.step.domains))
    yield f"- Domains of the prompts that it was calibrated with: {domains}"
    yield from _size_lines(made)


def _size_lines(made: ChangedMixture) -> Iterator[str]:
    after, before = made.after, made.before
    yield f"- Experts per token: {after.experts_per_token}; before: {before.experts_per_token}"
    yield (
        f"- Parameters: {after.parameters:,} in {after.bytes:,} bytes; before: "
        f"{before.parameters:,} in {before.bytes:,}"
    )


def _join(experts: Sequence[int | Sequence[int]]) -> str:
    return ", ".join(
        str(each) if isinstance(each, int) else "+".join(map(str, each)) for each in experts
    )
