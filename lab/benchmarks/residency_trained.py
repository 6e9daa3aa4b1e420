"""A mixture with trained routers for residency.py, whose experts are as large as OLMoE's.

The mixture of ``fixture_moe.py`` has small experts, which any memory holds. Each gets more neurons
until it has as many weights as one of OLMoE. Their rows of gate and up and their columns of down
are zero, so the model computes what it did, and only reading takes longer. The text is held-out:
``STAY`` tokens of each domain, one after the other, and before them a prompt of the first. Routing
and predictions are those of the trained mixture, packed in int4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from residency_model import HIDDEN, INNER, PROMPT, Mixture

from expertrag_kernels import Format, load_packed, save_packed
from expertrag_kernels.decoder import Decoder

STAY = 48
TOKENS = 6 * STAY
WEIGHTS, _PROGRAM, _TEXT = "packed.safetensors", "program.json", "text.json"
_CACHE_BYTES, _CONTEXT = 16 << 20, 1024
_DRAWN = 20  # texts of a domain; a few are as long as what is used


def write_model(source: Path, data: Path, folder: Path) -> None:
    """Write the widened model and its text, for ``planned``.

    :param source: folder that ``fixture_moe.py`` has written.
    :param data: folder of data sets.
    :raises SystemExit: the mixture has null experts.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from expertrag.llm.load.loading import quiet

    with quiet():
        load: Any = AutoModelForCausalLM.from_pretrained  # unannotated
        model = load(source, dtype=torch.bfloat16).eval()
        tokenizer = AutoTokenizer.from_pretrained(source)
    if getattr(model.config, "num_null_experts", 0):
        raise SystemExit(f"{source} has null experts, which no memory holds: give one without")
    widen(model, HIDDEN * INNER // model.config.hidden_size)
    save(model, held_out(data, tokenizer), folder)


@torch.no_grad()
def widen(model: Any, inner: int) -> None:
    """Give all routed experts neurons that are zero, until each has ``inner``."""
    for layer in model.model.layers:
        experts = layer.mlp.experts
        gate_up, down = padded(experts.gate_up_proj, experts.down_proj, inner)
        experts.gate_up_proj = torch.nn.Parameter(gate_up)
        experts.down_proj = torch.nn.Parameter(down)


def padded(
    gate_up: torch.Tensor, down: torch.Tensor, inner: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights of experts with neurons that are zero, ``inner`` in all.

    :param gate_up: (E, 2 I, H).
    :param down: (E, H, I).
    """
    gate, up = gate_up.chunk(2, dim=1)
    more = inner - gate.shape[1]
    gate, up = (torch.nn.functional.pad(part, (0, 0, 0, more)) for part in (gate, up))
    return torch.cat([gate, up], dim=1), torch.nn.functional.pad(down, (0, more))


def save(model: Any, text: list[int], folder: Path) -> None:
    """Pack a model in int4; write its weights, its steps and a text."""
    from expertrag.llm.engine.lowering import lower
    from expertrag.llm.engine.program import Program, recording_decoder

    with torch.no_grad():
        lowered = lower(
            model,
            Format.INT4,
            cache_bytes=_CACHE_BYTES,
            context_tokens=_CONTEXT,
            make=recording_decoder,
        )
    program = Program.of(lowered, scaling=1.0, polar=False)
    (folder / _PROGRAM).write_text(json.dumps(program.as_json()), encoding="utf-8")
    (folder / _TEXT).write_text(json.dumps(text), encoding="utf-8")
    save_packed(lowered.weights, folder / WEIGHTS)


def held_out(data: Path, tokenizer: Any) -> list[int]:
    """Return the tokens of the text: of test splits, which the fixture was not trained on."""
    from fixture_texts import texts_of

    found: list[int] = []
    for texts in texts_of(data, "test", _DRAWN).values():
        own = [
            token
            for tokens in tokenizer(texts).input_ids
            for token in (*tokens, tokenizer.eos_token_id)
        ]
        found += own[: STAY if found else PROMPT + STAY]
    return found


def planned(folder: Path, *, limited: bool) -> Mixture:
    """Plan the model on mapped weights, without importing transformers.

    :param limited: map the experts only, as ``lab.weights_mib`` does.
    """
    from expertrag.llm.engine.program import Program

    packed = load_packed(folder / WEIGHTS, mapped=not limited, mixtures_mapped=limited)
    program = Program.read(json.loads((folder / _PROGRAM).read_bytes()))
    lowered = program.plan(packed, cache_bytes=_CACHE_BYTES, context_tokens=_CONTEXT)
    experts = next(packed[name] for name in packed if name.endswith(".experts"))
    return Mixture(
        cast("Decoder", lowered.decoder),
        lowered.routers,
        cast("Any", experts).num_experts,
        lowered.top_k,
        torch.tensor(json.loads((folder / _TEXT).read_bytes())),
    )
