"""Export a reader as plain weights: a mixture of its experts, or one expert alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag.llm.adapters.serving import parallel_of
from expertrag.llm.base import BASE
from expertrag.llm.convert.checkpoint import mixture_config, new_folder, write_mixture, write_plain
from expertrag.llm.convert.dense import State, check_base, load_dense
from expertrag.llm.load.loading import quiet
from expertrag_lab.adapters import adapt

_BLOCK = 64
"""Layers are widened by a multiple of this, which suits kernels everywhere."""


def export(
    base: str, bundle: Path, out: Path, *, domain: str | None = None, pinned: bool = False
) -> tuple[str, ...]:
    """Add the updates of a bundle to the weights of its base model, and write them in bfloat16.

    ``config.json`` names the fingerprint of the training prompts as ``reader_prompts``, by which a
    server recognises a reader.

    :param base: folder or hub id of the model that the bundle was trained on.
    :param domain: write only this expert, as a plain Llama-type model; otherwise a Mixtral-format
        mixture with one expert for "shared", each domain and "base", named in ``config.json``.
    :param pinned: the base is known to be the right one, though its files may differ in form: each
        version of transformers writes its own ``config.json``.
    :return: names of the experts written.
    :raises Conflict: ``out`` exists, or the bundle is for other files of the base.
    :raises InvalidArgument: not a bundle, or no expert of that name.
    """
    made = load_bundle(bundle)
    names = _names(made, bundle.name, domain)
    if not pinned:
        check_base(made, base)
    with new_folder(out) as scratch:
        dense = load_dense(base, upcycled=not made.settings.parallel)
        plain = dict(dense.model.state_dict())  # before adapters are inserted, which rename layers
        card = _card(made, names, dense.license)
        settings = {"reader_prompts": made.prompts}
        with quiet():
            if made.settings.parallel:
                experts = iter([_widen(plain, made, names[0])])
            else:
                adapters = adapt(dense.model, made.settings)
                adapters.load(made.weights)
                experts = ({**plain, **adapters.merge(name)} for name in names)
            if domain is None:
                config = mixture_config(dense, len(names), 1, names)
                config.update(settings)
                write_mixture(dense, config, experts, card, scratch)
            else:
                weights = next(experts)
                inner = weights["model.layers.0.mlp.gate_proj.weight"].shape[0]
                dense.model.config.update({**settings, "intermediate_size": inner})
                write_plain(dense, weights, card, scratch)
    return names


def _names(made: Bundle, bundle: str, domain: str | None) -> tuple[str, ...]:
    """Return the names of the experts to export: of all, or of one domain.

    :raises InvalidArgument: there is no such expert, or all are parallel adapters.
    """
    experts = made.settings.experts
    if domain is not None and domain not in experts:
        raise InvalidArgument(f"there is no expert {domain!r}; choose one of {', '.join(experts)}")
    if made.settings.parallel and domain is None:
        raise InvalidArgument(
            f"{bundle} has parallel adapters for {made.base}, which are served without "
            "exporting them (`expertrag serve --reader`): name one with --domain to write a plain "
            "model"
        )
    return experts if domain is None else (domain,)


def _widen(plain: State, bundle: Bundle, domain: str) -> dict[str, torch.Tensor]:
    """Widen every feed-forward layer with the inner units of a domain's expert, or with zeros."""
    adapters = parallel_of(bundle)
    weights = dict(plain)
    width = -(-max(expert.inner_size for expert in adapters.layers.values()) // _BLOCK) * _BLOCK
    layers = {int(name.split(".")[2]) for name in plain if ".mlp." in name}
    for number in layers:
        names = [f"model.layers.{number}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        gate, up, down = (plain[name] for name in names)
        more = [gate.new_zeros(width, gate.shape[1]) for _ in names]  # down's is transposed
        if number in adapters.layers and domain != BASE:
            experts, place = adapters.layers[number], adapters.names.index(domain)
            small = (*experts.gate_up[place].chunk(2), experts.down[place].T)
            for rows, own in zip(more, small, strict=True):
                rows[: len(own)] = own
        weights |= zip(
            names,
            (torch.cat([gate, more[0]]), torch.cat([up, more[1]]), torch.cat([down.T, more[2]]).T),
            strict=True,
        )
    return {name: value.contiguous() for name, value in weights.items()}


def _card(bundle: Bundle, names: Sequence[str], licence: str) -> str:
    return f"""---
license: {licence}
base_model: {bundle.base}
tags: [retrieval-augmented-generation, mixture-of-experts]
---
# A reader on {bundle.base}, merged

{bundle.base} with the updates of a reader added to its weights by ExpertRAG: it answers from
numbered passages, cites them, and says where they do not hold the answer. Weights in bfloat16.

- Experts: {", ".join(names)}
- Prompts that it was trained with: `{bundle.prompts}`
- Router of a mixture: random; choose the expert of a whole text by its domain, and for prompts
  without passages "{BASE}", which has the weights of {bundle.base}
"""
