"""Write models as checkpoints that transformers loads: a mixture of experts, or a plain model.

E experts, H hidden, I inner
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import Conflict
from expertrag.llm.convert.dense import SHARED, Dense, State, head_dim
from expertrag_common.durable import fsync_folder
from expertrag_retriever.publish import scratch_folder

if TYPE_CHECKING:
    import torch
    from transformers import MixtralConfig, PretrainedConfig, PreTrainedModel

ROUTER_STD = 0.02  # as transformers initialises weights
ROUTER_SEED = 0

_FEED_FORWARD = ("gate", "up", "down")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write to, which becomes ``out`` if the block ends without an error.

    :raises Conflict: ``out`` exists.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    with scratch_folder(out) as scratch:
        yield scratch
        make_publishable(scratch)
        os.replace(scratch, out)


def mixture_config(
    dense: Dense, num_experts: int, experts_per_token: int, names: Sequence[str] = ()
) -> MixtralConfig:
    """Make the configuration of a mixture, with the ``names`` of its experts if there are any."""
    from transformers import MixtralConfig

    own = dense.model.config
    config = MixtralConfig(
        **{key: getattr(own, key) for key in SHARED},
        head_dim=head_dim(own),
        sliding_window=getattr(own, "sliding_window", None),
        num_local_experts=num_experts,
        num_experts_per_tok=experts_per_token,
    )
    if names:
        config.update({"expert_names": list(names)})
    return config


def write_mixture(
    dense: Dense, config: MixtralConfig, experts: Iterable[State], card: str, folder: Path
) -> None:
    """Write a mixture in bfloat16.

    :param experts: the weights of a dense model for each expert, taken one at a time; all but the
        feed-forward layers come from the first one.
    """
    from transformers import MixtralForCausalLM

    _write(dense, MixtralForCausalLM, config, _mix(experts, config), card, folder)


def write_plain(dense: Dense, weights: State, card: str, folder: Path) -> None:
    """Write a model of the architecture of ``dense`` with other weights, in bfloat16."""
    state = {key: value.bfloat16() for key, value in weights.items()}
    _write(dense, type(dense.model), dense.model.config, state, card, folder)


def _write(
    dense: Dense,
    kind: Callable[[Any], PreTrainedModel],
    config: PretrainedConfig,
    state: State,
    card: str,
    folder: Path,
) -> None:
    import torch

    with torch.device("meta"):  # allocates nothing: the weights are assigned
        model = kind(config)
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.config.dtype = torch.bfloat16
    if dense.model.generation_config is not None:
        model.generation_config = dense.model.generation_config
    model.save_pretrained(folder)
    tokenizer = dense.tokenizer
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _mix(experts: Iterable[State], config: MixtralConfig) -> dict[str, torch.Tensor]:
    """Make Mixtral's state from Llama's: only the feed-forward layers have other names."""
    import torch

    state: dict[str, torch.Tensor] = {}
    parts: dict[str, list[torch.Tensor]] = {}  # of all experts, by their name in the mixture
    for expert in experts:
        if not state:
            state = {key: value.bfloat16() for key, value in expert.items() if ".mlp." not in key}
        for layer in range(config.num_hidden_layers):
            mlp = f"model.layers.{layer}.mlp."
            gate, up, down = (expert[f"{mlp}{part}_proj.weight"] for part in _FEED_FORWARD)
            gate_up = torch.cat([gate, up]).bfloat16()  # [2I, H]
            parts.setdefault(f"{mlp}experts.gate_up_proj", []).append(gate_up)
            parts.setdefault(f"{mlp}experts.down_proj", []).append(down.bfloat16())  # [H, I]
    for name in list(parts):
        state[name] = torch.stack(parts.pop(name))  # [E, …]
    generator = torch.Generator().manual_seed(ROUTER_SEED)
    for layer in range(config.num_hidden_layers):
        router = torch.empty(config.num_local_experts, config.hidden_size)  # [E, H]
        router.normal_(std=ROUTER_STD, generator=generator)
        state[f"model.layers.{layer}.mlp.gate.weight"] = router.bfloat16()
    return state


def make_publishable(folder: Path) -> None:
    """Make the files durable, with the permissions that the umask gives."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o777 & ~umask)
            fsync_folder(path)
            continue
        path.chmod(0o666 & ~umask)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o777 & ~umask)
