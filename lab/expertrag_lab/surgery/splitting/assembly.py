"""Assemble a mixture of GLM-4-MoE's family from a dense model and the splits of its layers.

A neuron's part of the output depends on no other neuron, so the dense network is the sum of its
experts. The family's routers choose by ``sigmoid(logits) + correction``, and weigh the chosen
experts with ``scale * sigmoid(logits)``. With logits near zero and a scale of 2, all weights are
near 1, whatever the number of experts that a token uses. The order of the sigmoids is still the
order of the logits: a mixture whose tokens use all experts is the dense model.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from expertrag.llm.convert.dense import SHARED as SAME_KEYS
from expertrag.llm.convert.dense import Dense, head_dim
from expertrag_kernels.transformers import NAME, register
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.splitting.layer_split import LayerSplit
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes

LARGEST_LOGIT = 2.0**-12
"""Of the tokens that were seen.

Weights of experts then lie within 2**-13 of 1, which is less than bfloat16 rounds off. Yet float32
tells logits apart that differ by a thousandth of the largest.
"""
_SLOPE = 0.25  # of a sigmoid at zero


def assemble(
    dense: Dense, layers: Sequence[LayerSplit], sizes: SplitSizes, settings: Mapping[str, Any]
) -> Mixture:
    """Return the mixture; it has the dense model's weights in everything but feed-forward layers.

    :param settings: that are added to its configuration.
    """
    from transformers import Glm4MoeForCausalLM

    kind: Any = Glm4MoeForCausalLM  # not annotated throughout
    model: Any = dense.model
    state = {name: value for name, value in model.state_dict().items() if ".mlp." not in name}
    for number, (layer, split) in enumerate(zip(model.model.layers, layers, strict=True)):
        own = {**_experts(layer.mlp, split), **_router(split)}
        state |= {f"model.layers.{number}.mlp.{name}": value for name, value in own.items()}
    config = _config(model.config, sizes)
    config.update(dict(settings))
    with torch.device("meta"):  # allocates nothing: the weights are assigned
        made = kind(config).eval()
    made.load_state_dict(state, assign=True)
    made.tie_weights()
    made.model.rotary_emb = copy.deepcopy(model.model.rotary_emb)
    if model.generation_config is not None:
        made.generation_config = copy.deepcopy(model.generation_config)
    register()
    made.set_experts_implementation(NAME)
    return Mixture(made.requires_grad_(False), dense.tokenizer, dense.name, dense.license)


def _config(own: Any, sizes: SplitSizes) -> Any:
    from transformers import Glm4MoeConfig

    make: Any = Glm4MoeConfig  # which accepts more than it names
    same = {key: getattr(own, key) for key in SAME_KEYS}
    # the family turns half of a head unless it is told otherwise
    same["rope_parameters"] = {**own.rope_parameters, "partial_rotary_factor": 1.0}
    config = make(
        **same,
        head_dim=head_dim(own),
        attention_bias=own.model_type == "qwen2",
        use_qk_norm=own.model_type == "qwen3",
        moe_intermediate_size=sizes.width(own.intermediate_size),
        n_routed_experts=sizes.routed,
        n_shared_experts=sizes.shared,
        num_experts_per_tok=sizes.per_token,
        norm_topk_prob=False,
        routed_scaling_factor=2.0,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=0,
        num_mtp_layers=0,
    )
    config.dtype = own.dtype
    if prompts := getattr(own, "reader_prompts", None):
        config.update({"reader_prompts": prompts})
    return config


def _experts(network: Any, split: LayerSplit) -> dict[str, torch.Tensor]:
    gate, up, down = (
        part.weight.detach() for part in (network.gate_proj, network.up_proj, network.down_proj)
    )
    return {
        "experts.gate_up_proj": torch.cat([gate[split.routed], up[split.routed]], dim=1),
        "experts.down_proj": down[:, split.routed].movedim(0, 1).contiguous(),  # [E, H, W]
        "shared_experts.gate_proj.weight": gate[split.shared],
        "shared_experts.up_proj.weight": up[split.shared],
        "shared_experts.down_proj.weight": down[:, split.shared].contiguous(),
    }


def _router(split: LayerSplit) -> dict[str, torch.Tensor]:
    """Return a router, whose bias becomes a correction: the family's logits have no bias."""
    factor = LARGEST_LOGIT / split.scale.clamp(min=1e-30)
    return {
        "gate.weight": split.weight * factor,
        "gate.e_score_correction_bias": split.bias * factor * _SLOPE,
    }
