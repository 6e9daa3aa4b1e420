"""Merge a reader's updates into plain weights: a mixture of its experts, or one expert alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expertrag.errors import InvalidArgument
from expertrag.experts.checkpoint import mixture_config, new_folder, write_mixture, write_plain
from expertrag.experts.dense import load_dense
from expertrag.generation.base import BASE
from expertrag.generation.fingerprint import fingerprint
from expertrag.generation.loading import model_files, quiet
from expertrag.reader.adapters import adapt
from expertrag.reader.bundle import Bundle, load_bundle


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
    files = model_files(base)
    if not pinned:
        made.check_base(fingerprint(files.folder, files.gguf))
    with new_folder(out) as scratch:
        dense = load_dense(base)
        plain = dict(dense.model.state_dict())  # before the updates, whose layers are named apart
        adapters = adapt(dense.model, made.settings)
        adapters.load(made.weights)
        card = _card(made, names, dense.license)
        told = {"reader_prompts": made.prompts}
        with quiet():
            if domain is not None:
                dense.model.config.update(told)
                write_plain(dense, {**plain, **adapters.merged(domain)}, card, scratch)
                return names
            config = mixture_config(dense, len(names), 1, names)
            config.update(told)
            experts = ({**plain, **adapters.merged(name)} for name in names)
            write_mixture(dense, config, experts, card, scratch)
    return names


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
