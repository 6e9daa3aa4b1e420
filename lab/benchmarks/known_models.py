"""Popular models: whether our engine runs them, and the size of their weights.

    python lab/benchmarks/known_models.py           write the table of docs/reference/models.md
    python lab/benchmarks/known_models.py --check   fail if it is not current

Nothing is downloaded. A model is created on the meta device by transformers, with the shapes of its
published configuration, and lowered as by ``--generator``, into a decoder that only counts the
bytes of its weights. So the table reports what the engine itself accepts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from doc_figures import with_table
from results_table import head
from transformers import AutoConfig, AutoModelForCausalLM

from expertrag.llm.engine.lowering import Unsupported, lower
from expertrag.llm.load.loading import quiet
from expertrag_kernels import Format, PlainExperts
from expertrag_kernels.layout import layer_bytes, matrix_bytes
from expertrag_kernels.steps import CacheShape, SlotView

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/models.md"
IN_MXFP4 = ("gpt_oss",)
"""Kinds that are published with experts in MXFP4, which stay as they are."""


@dataclass(frozen=True, slots=True)
class Known:
    """A model: name, type in transformers, configuration values, and licence."""

    name: str
    kind: str
    licence: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """Row of a model; ``reason`` is why it is left to transformers, or empty."""

    known: Known
    parameters: int
    active: int
    reason: str
    weight_bytes: int


class _Counting:
    """A decoder that counts the bytes of packed weights, and computes nothing."""

    def __init__(self, shape: CacheShape, pages: int) -> None:
        self.shape, self.pages, self.size_bytes = shape, pages, 0

    def matrix(self, weight: torch.Tensor, format: Format) -> None:
        self.size_bytes += matrix_bytes(format, weight.shape[0], weight.shape[1])

    def experts(self, plain: PlainExperts, format: Format) -> None:
        shape = plain.num_experts, plain.hidden_size, plain.inner_size
        self.size_bytes += layer_bytes(format, *shape, biased=plain.biased)

    def slot(self, width: int) -> SlotView:
        return SlotView(0)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **options: None


def examine(known: Known) -> Row:
    """Create a model without weights, and check whether the engine runs it."""
    from_config: Any = AutoModelForCausalLM.from_config
    with quiet():
        config = AutoConfig.for_model(known.kind, **known.config)
        with torch.device("meta"):
            model = from_config(config, dtype=torch.bfloat16).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    count = _first(config, "num_local_experts", "n_routed_experts", "num_experts")
    active = parameters
    if experts:
        active -= experts - experts * config.num_experts_per_tok // count
    rotary = getattr(model.base_model, "rotary_emb", None)
    if rotary is not None:  # its angles are computed, not loaded
        model.base_model.rotary_emb = type(rotary)(config)
    try:
        published = Format.MXFP4 if known.kind in IN_MXFP4 else None
        size = packed_bytes(model, Format.INT4, published)
        return Row(known, parameters, active, "", size)
    except Unsupported as reason:
        return Row(known, parameters, active, str(reason), 2 * parameters)


def packed_bytes(model: Any, format: Format, experts: Format | None = None) -> int:
    """Bytes of a model's matrices and experts, as packed by our engine.

    :param experts: as in :func:`expertrag.llm.engine.lowering.lower`.

    :raises Unsupported: the engine does not run the model.
    """
    made: list[_Counting] = []

    def make(shape: CacheShape, pages: int) -> Any:
        made.append(_Counting(shape, pages))
        return made[-1]

    context_tokens = model.config.max_position_embeddings
    options: Any = {"cache_bytes": 1 << 30, "context_tokens": context_tokens, "make": make}
    lower(model, format, experts=experts, **options)
    return made[-1].size_bytes


def _first(config: Any, *names: str) -> int:
    found = (getattr(config, name, None) for name in names)
    return next((int(value) for value in found if value), 0)


def table() -> Iterator[str]:
    """Yield the lines of the table in Markdown."""
    yield from head("model | licence | parameters | active | runs on | its weights")
    for row in map(examine, KNOWN):
        engine = "our engine" if not row.reason else f"transformers ({row.reason})"
        form = "int4" if not row.reason else "bfloat16"
        form += ", experts in MXFP4" * (row.known.kind in IN_MXFP4)
        yield (
            f"| {row.known.name} | {row.known.licence} | {_count(row.parameters)} "
            f"| {_count(row.active)} | {engine} | {row.weight_bytes / 1e9:.1f} GB, {form} |"
        )


def _count(number: int) -> str:
    return f"{number / 1e9:.1f} B"


def main() -> int:
    """Write or check the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    found = with_table(page, "known models", table())
    if found == page:
        return 0
    print(f"{PAGE.relative_to(ROOT)} {'is not current: run make docs' if check else 'written'}")
    if not check:
        PAGE.write_text(found, encoding="utf-8")
    return int(check)


def _known(name: str, kind: str, licence: str, *shape: int, **others: Any) -> Known:
    """Describe a model by its ``_SHAPE`` and the other values of its configuration."""
    shaped = dict(zip(_SHAPE, shape, strict=True))
    return Known(name, kind, licence, {"tie_word_embeddings": False, **shaped, **others})


_SHAPE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)
KNOWN = (
    _known(
        "Llama-3.2-3B-Instruct", "llama", "Llama 3.2", 128256, 3072, 8192, 28, 24, 8, 131072,
        head_dim=128, tie_word_embeddings=True, rope_parameters={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        },
    ),
    _known(
        "Qwen3-4B", "qwen3", "Apache-2.0", 151936, 2560, 9728, 36, 32, 8, 40960,
        head_dim=128, tie_word_embeddings=True,
    ),
    _known("Qwen2.5-7B-Instruct", "qwen2", "Apache-2.0", 152064, 3584, 18944, 28, 28, 4, 32768),
    _known(
        "Mistral-7B-Instruct-v0.3", "mistral", "Apache-2.0", 32768, 4096, 14336, 32, 32, 8, 32768,
        head_dim=128, sliding_window=None,
    ),
    _known(
        "OLMoE-1B-7B-0924-Instruct", "olmoe", "Apache-2.0", 50304, 2048, 1024, 16, 16, 16, 4096,
        num_experts=64, num_experts_per_tok=8,
    ),
    _known(
        "Qwen1.5-MoE-A2.7B-Chat", "qwen2_moe", "Tongyi Qianwen",
        151936, 2048, 5632, 24, 16, 16, 8192, num_experts=60, num_experts_per_tok=4,
        moe_intermediate_size=1408, shared_expert_intermediate_size=5632,
    ),
    _known(
        "DeepSeek-V2-Lite-Chat", "deepseek_v2", "DeepSeek",
        102400, 2048, 10944, 27, 16, 16, 163840, moe_intermediate_size=1408, n_routed_experts=64,
        n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, kv_lora_rank=512,
        q_lora_rank=None, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        topk_method="greedy", rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "beta_fast": 32,
            "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
            "original_max_position_embeddings": 4096,
        },
    ),
    _known(
        "Qwen3-30B-A3B", "qwen3_moe", "Apache-2.0", 151936, 2048, 6144, 48, 32, 4, 40960,
        head_dim=128, moe_intermediate_size=768, num_experts=128, num_experts_per_tok=8,
        norm_topk_prob=True,
    ),
    _known(
        "Mixtral-8x7B-Instruct-v0.1", "mixtral", "Apache-2.0",
        32000, 4096, 14336, 32, 32, 8, 32768, num_local_experts=8, num_experts_per_tok=2,
        sliding_window=None,
    ),
    _known(
        "granite-3.1-3b-a800m-instruct", "granitemoe", "Apache-2.0",
        49155, 1536, 512, 32, 24, 8, 131072, tie_word_embeddings=True, num_local_experts=40,
        num_experts_per_tok=8, embedding_multiplier=12.0, residual_multiplier=0.22,
        attention_multiplier=0.015625, logits_scaling=6.0,
    ),
    _known(
        "GLM-4.5-Air", "glm4_moe", "MIT", 151552, 4096, 10944, 46, 96, 8, 131072, head_dim=128,
        moe_intermediate_size=1408, n_routed_experts=128, n_shared_experts=1,
        num_experts_per_tok=8, first_k_dense_replace=1, attention_bias=True,
    ),
    _known(
        "DeepSeek-V3", "deepseek_v3", "DeepSeek", 129280, 7168, 18432, 61, 128, 128, 163840,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "beta_fast": 32,
            "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 4096,
        },
    ),
    _known(
        "Phi-3.5-MoE-instruct", "phimoe", "MIT", 32064, 4096, 6400, 32, 32, 8, 131072,
        attention_bias=True, lm_head_bias=True, sliding_window=131072, rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 64,
            "long_factor": [1.0] * 64, "short_mscale": 1.243163121016122,
            "long_mscale": 1.243163121016122, "original_max_position_embeddings": 4096,
        },
    ),
    _known(
        "gpt-oss-20b", "gpt_oss", "Apache-2.0", 201088, 2880, 2880, 24, 64, 8, 131072,
        head_dim=64, num_local_experts=32, num_experts_per_tok=4, sliding_window=128,
    ),
    _known(
        "granite-4.0-h-tiny", "granitemoehybrid", "Apache-2.0",
        100352, 1536, 512, 40, 12, 4, 131072, tie_word_embeddings=True, num_local_experts=64,
        num_experts_per_tok=6, shared_intermediate_size=1024, mamba_n_heads=48, mamba_d_head=64,
        mamba_d_state=128, mamba_n_groups=1, mamba_expand=2, layer_types=[
            "attention" if number in (5, 15, 25, 35) else "mamba" for number in range(40)
        ],
    ),
)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
