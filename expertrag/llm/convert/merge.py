"""Merge a reader's updates into plain weights: a mixture of its experts, or one expert alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import Bundle, load_bundle
from expertrag.llm.adapters.serving import beside_of
from expertrag.llm.adapters.trainable import adapt
from expertrag.llm.base import BASE
from expertrag.llm.convert.checkpoint import mixture_config, new_folder, write_mixture, write_plain
from expertrag.llm.convert.dense import State, load_dense, weights_of
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import quiet

_BLOCK = 64
"""A layer that is made wider is so by a multiple of this, which kernels everywhere like."""


def merge(
    base: str, bundle: Path, out: Path, *, domain: str | None = None, pinned: bool = False
) -> tuple[str, ...]:
    """Write the model that a bundle makes of its base, in bfloat16.

    The fingerprint of the prompts that it was trained with stands in ``config.json`` as
    ``reader_prompts``: so a server knows a reader.

    :param base: folder or hub id of the model that the bundle was trained on.
    :param domain: write this expert alone, as a plain Llama-type model; else a Mixtral-format
        mixture, one expert for "general", each domain and "base", whose names stand in
        ``config.json``.
    :param pinned: the base is known for the right one, and its files may differ in form: each
        version of transformers writes a ``config.json`` of its own.
    :return: names of the experts written.
    :raises Conflict: ``out`` exists, or the bundle is for other files of the base.
    :raises InvalidArgument: no bundle, or no expert of that name.
    """
    made = load_bundle(bundle)
    names = made.settings.experts if domain is None else (domain,)
    if not set(names) <= set(made.settings.experts):
        raise InvalidArgument(
            f"no expert is called {domain!r}; there are: {', '.join(made.settings.experts)}"
        )
    if made.settings.beside and domain is None:
        raise InvalidArgument(
            f"{bundle.name} has small experts beside {made.base}, which is served with all of them "
            "as it is (`expertrag serve --reader`): name one with --domain to write it into a "
            "plain model"
        )
    files = weights_of(base)
    if not pinned:
        made.check_base(fingerprint(files.folder, files.gguf))
    with new_folder(out) as scratch:
        dense = load_dense(base, upcycled=not made.settings.beside)
        plain = dict(dense.model.state_dict())  # before the updates, whose layers are named apart
        card = _card(made, names, dense.license)
        told: dict[str, object] = {"reader_prompts": made.prompts}
        with quiet():
            if made.settings.beside:
                widened = _widened(plain, made, names[0])
                told["intermediate_size"] = widened["model.layers.0.mlp.gate_proj.weight"].shape[0]
                dense.model.config.update(told)
                write_plain(dense, widened, card, scratch)
                return names
            adapters = adapt(dense.model, made.settings)
            adapters.load(made.weights)
            if domain is not None:
                dense.model.config.update(told)
                write_plain(dense, {**plain, **adapters.merged(domain)}, card, scratch)
                return names
            config = mixture_config(dense, len(names), 1, names)
            config.update(told)
            experts = ({**plain, **adapters.merged(name)} for name in names)
            write_mixture(dense, config, experts, card, scratch)
    return names


def _widened(plain: State, bundle: Bundle, domain: str) -> dict[str, torch.Tensor]:
    """Give every feed-forward layer the inner units of a domain's expert, or units of zeros."""
    beside = beside_of(bundle)
    found = dict(plain)
    width = -(-max(expert.inner_size for expert in beside.layers.values()) // _BLOCK) * _BLOCK
    layers = {int(name.split(".")[2]) for name in plain if ".mlp." in name}
    for number in layers:
        names = [f"model.layers.{number}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        gate, up, down = (plain[name] for name in names)
        more = [gate.new_zeros(width, gate.shape[1]) for _ in names]  # down's turned
        if number in beside.layers and domain != BASE:
            experts, place = beside.layers[number], beside.names.index(domain)
            small = (*experts.gate_up[place].chunk(2), experts.down[place].T)
            for rows, own in zip(more, small, strict=True):
                rows[: len(own)] = own
        found |= zip(
            names,
            (torch.cat([gate, more[0]]), torch.cat([up, more[1]]), torch.cat([down.T, more[2]]).T),
            strict=True,
        )
    return {name: value.contiguous() for name, value in found.items()}


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
