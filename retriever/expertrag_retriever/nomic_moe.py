"""NomicBERT with mixture-of-experts layers, as in nomic-ai/nomic-embed-text-v2-moe.

transformers (5.24) mistakes such a model for its own NomicBERT, which has no experts. Loading drops
half of the weights and leaves random ones in their place. :func:`loadable` makes it load correctly
without code from the hub. Other NomicBERT models still use the class of transformers.

Names and formulas are as in the public model. Every second layer, starting with the second, has E
experts, of which the router's K most probable process a token. Their weights are probabilities over
all E experts and do not sum to 1. The bias is added once. **Tested only with tiny random weights of
this layout**, against the formulas; the public weights were not available.

    N texts, L tokens, T = N * L, E experts, K experts of a token, H hidden, F inner, A heads
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.nomic_bert.configuration_nomic_bert import NomicBertConfig
from transformers.models.nomic_bert.modeling_nomic_bert import (
    NomicBertRotaryEmbedding,
    apply_rotary_pos_emb,
)

from expertrag_retriever.errors import EmbedderError

_ONLY: dict[str, object] = {  # the only supported variant, by the names of the hub's file
    "activation_function": "gelu",
    "causal": False,
    "expert_choice_router": False,
    "moe_normalize_expert_weights": False,
    "num_shared_experts": 0,
    "parallel_block": False,
    "prenorm": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "use_rms_norm": False,
}

_Rotation = tuple[torch.Tensor, torch.Tensor]  # cosines and sines


class NomicMoeConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Settings under the names of the hub's file, and under the names of transformers."""

    model_type = "nomic_bert"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "intermediate_size": "n_inner",
        "layer_norm_eps": "layer_norm_epsilon",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: int = 250048
    type_vocab_size: int = 1
    n_embd: int = 768
    n_inner: int = 3072
    n_layer: int = 12
    n_head: int = 12
    n_positions: int = 2048
    num_experts: int = 8
    moe_top_k: int = 2
    moe_every_n_layers: int = 2
    layer_norm_epsilon: float = 1e-5
    rotary_emb_base: float = 10000.0
    qkv_proj_bias: bool = True
    mlp_fc1_bias: bool = True
    mlp_fc2_bias: bool = True
    initializer_range: float = 0.02
    pad_token_id: int = 1
    rope_parameters: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.rope_parameters = {"rope_type": "default", "rope_theta": float(self.rotary_emb_base)}
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a config file; one without experts yields the class of transformers.

        :raises EmbedderError: an unsupported variant.
        """
        if not config_dict.get("num_experts"):
            return NomicBertConfig.from_dict(config_dict, **kwargs)
        for key, value in _ONLY.items():
            if config_dict.get(key, value) not in (value, None):
                raise EmbedderError(
                    f"a NomicBERT with experts must have {key} {value!r}, not "
                    f"{config_dict[key]!r}: use a model of the type of nomic-embed-text-v2-moe"
                )
        return super().from_dict(config_dict, **kwargs)

    def has_experts(self, layer: int) -> bool:
        """Whether a layer has experts; with every second layer, the first to have them is 1."""
        return self.moe_every_n_layers > 0 and layer % self.moe_every_n_layers == 1


class _Attention(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.heads = config.n_head
        self.Wqkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.qkv_proj_bias)
        self.out_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.qkv_proj_bias)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, rotation: _Rotation) -> torch.Tensor:
        split = self.Wqkv(x).unflatten(2, (3, self.heads, -1))  # [N, L, 3, A, H / A]
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each [N, A, L, H / A]
        query, key = apply_rotary_pos_emb(query, key, *rotation)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: torch.Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class _Dense(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.n_embd, config.n_inner, bias=config.mlp_fc1_bias)
        self.fc2 = nn.Linear(config.n_inner, config.n_embd, bias=config.mlp_fc2_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _ExpertWeights(nn.Module):
    """w1, w2: (E * F, H); the rows of each expert are contiguous."""

    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        rows = config.num_experts * config.n_inner
        self.w1 = nn.Parameter(torch.empty(rows, config.n_embd))
        self.w2 = nn.Parameter(torch.empty(rows, config.n_embd))


class _Experts(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.inner = config.n_inner
        self.mlp = _ExpertWeights(config)
        self.bias = nn.Parameter(torch.empty(config.n_embd))

    def forward(self, x: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Sum the ``chosen`` experts (T, K) of each token of x (T, H), weighted (T, K)."""
        out = torch.zeros_like(x)
        for expert in torch.unique(chosen).tolist():
            rows = slice(expert * self.inner, (expert + 1) * self.inner)
            tokens, slots = (chosen == expert).nonzero(as_tuple=True)
            inner = F.gelu(x[tokens] @ self.mlp.w1[rows].T)  # [t, F]
            own = inner @ self.mlp.w2[rows]  # [t, H]
            out = out.index_add(0, tokens, own * weights[tokens, slots, None].to(own.dtype))
        return out + self.bias


class _Sparse(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.top_k = config.moe_top_k
        gate = nn.Linear(config.n_embd, config.num_experts, bias=False)
        self.router = nn.ModuleDict({"layer": gate})
        self.experts = _Experts(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(0, 1)  # [T, H]
        probabilities = self.router["layer"](tokens).softmax(dim=-1, dtype=torch.float32)  # [T, E]
        weights, chosen = probabilities.topk(self.top_k, dim=-1)  # [T, K]
        out: torch.Tensor = self.experts(tokens, chosen, weights).view_as(x)
        return out


class _Layer(nn.Module):
    def __init__(self, config: NomicMoeConfig, number: int) -> None:
        super().__init__()
        self.attn = _Attention(config)
        self.mlp = _Sparse(config) if config.has_experts(number) else _Dense(config)
        self.norm1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.norm2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, rotation: _Rotation) -> torch.Tensor:
        x = self.norm1(x + self.attn(x, mask, rotation))
        out: torch.Tensor = self.norm2(x + self.mlp(x))
        return out


class NomicMoeModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """The encoder; its parameters have the names used in the hub's file."""

    config_class = NomicMoeConfig

    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config.vocab_size, config.n_embd),
                "token_type_embeddings": nn.Embedding(config.type_vocab_size, config.n_embd),
            }
        )
        self.emb_ln = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.rotary = NomicBertRotaryEmbedding(config)  # type: ignore[arg-type]
        layers = [_Layer(config, number) for number in range(config.n_layer)]
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(layers)})
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Encode ids (N, L) to hidden states (N, L, H)."""
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        x = self.embeddings["word_embeddings"](input_ids)
        x = self.emb_ln(x + self.embeddings["token_type_embeddings"](token_type_ids))
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        rotation = self.rotary(x, positions)
        mask = attention_mask[:, None, None, :].bool()  # [N, 1, 1, L]
        for layer in self.encoder["layers"].children():
            x = layer(x, mask, rotation)
        return BaseModelOutput(last_hidden_state=x)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, _ExpertWeights):
            init.normal_(module.w1, std=self.config.initializer_range)
            init.normal_(module.w2, std=self.config.initializer_range)
        elif isinstance(module, _Experts):
            init.zeros_(module.bias)


@contextmanager
def loadable() -> Iterator[None]:
    """Register these classes with transformers within the block, so that such models load."""
    before = CONFIG_MAPPING["nomic_bert"]
    AutoModel.register(NomicMoeConfig, NomicMoeModel, exist_ok=True)
    AutoConfig.register("nomic_bert", NomicMoeConfig, exist_ok=True)
    try:
        yield
    finally:
        AutoConfig.register("nomic_bert", before, exist_ok=True)
