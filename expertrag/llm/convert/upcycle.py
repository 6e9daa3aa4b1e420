"""Turn a dense Llama-type model into a Mixtral-format mixture of experts, without loss.

Sparse upcycling (Komatsuzaki et al., 2023): every expert starts as a copy of the dense
feed-forward network. Mixtral renormalises the weights of the chosen experts to sum to 1, so any
routing gives the dense output until the experts are trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag.llm.convert.checkpoint import (
    ROUTER_SEED,
    ROUTER_STD,
    mixture_config,
    new_folder,
    write_mixture,
)
from expertrag.llm.convert.dense import Dense, load_dense
from expertrag.llm.load.loading import quiet


def upcycle(
    base: str | Path,
    out: Path,
    *,
    num_experts: int = 4,
    experts_per_token: int = 1,
    names: Sequence[str] = (),
) -> None:
    """Write dense model ``base`` as a Mixtral checkpoint of ``num_experts`` equal experts.

    :param base: folder, GGUF file or hub id of a Llama-type model.
    :param out: folder to create; it appears whole or not at all.
    :param names: of the experts, one each; stored in ``config.json`` as ``expert_names``.
    :raises InvalidArgument: if the numbers of experts or names do not fit, or ``base`` is not a
        Llama-type model.
    :raises Conflict: if ``out`` exists.
    :raises ServerError: if the files of ``base`` are damaged.
    """
    if not 1 <= experts_per_token <= num_experts:
        raise InvalidArgument(
            f"experts_per_token must be in 1..num_experts; got {experts_per_token} of {num_experts}"
        )
    if names and len(set(names)) != num_experts:
        raise InvalidArgument(f"{num_experts} experts need as many distinct names; got {names}")
    with new_folder(out) as scratch:
        dense = load_dense(base)
        config = mixture_config(dense, num_experts, experts_per_token, names)
        card = _card(dense, num_experts, experts_per_token, names)
        with quiet():
            write_mixture(dense, config, [dense.model.state_dict()] * num_experts, card, scratch)


def _card(dense: Dense, experts: int, chosen: int, names: Sequence[str]) -> str:
    named = f" ({', '.join(names)})" if names else ""
    return f"""---
license: {dense.license}
base_model: {dense.name}
tags: [mixture-of-experts, upcycled]
---
# {dense.name}, upcycled

A Mixtral-format mixture of experts made by ExpertRAG from the dense model {dense.name}.

- Base: {dense.name} (licence: {dense.license}), weights rounded to bfloat16
- Experts: {experts} in each layer{named}, {chosen} per token, all the dense feed-forward network
- Router: random (normal, standard deviation {ROUTER_STD}, seed {ROUTER_SEED})

The outputs equal the dense model's; the experts differ only once they are trained.
"""
