"""Active and total weights of every kind of model, against counts by hand."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from model_families import FAMILIES, model_of
from model_fixtures import TinyFolder, lowered
from reader_samples import write_llama, write_reader

from expertrag.llm import load_generator
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.packing import pack_folder
from expertrag.llm.weights import Amount, WeightUse, weight_use
from expertrag_index.types import silent
from expertrag_kernels import Format
from expertrag_kernels.torch_decoder import TorchDecoder

_IN_TORCH = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)

_TABLE = 301 * 32
_GROUPED = 2 * 32 * 32 + 2 * 16 * 32 + 2 * 32  # query and output, key and value, two norms
_LATENT = 48 * 32 + 20 * 32 + 16 + 80 * 16 + 32 * 48 + 2 * 32
_DENSE = 3 * 32 * 48
_NARROW = 3 * 32 * 24

# family: what every token uses of all layers, one expert of each layer with a router, experts
BY_HAND = {
    "llama": (3 * (_GROUPED + _DENSE), 0, 0),
    "llama with biases": (3 * (_GROUPED + _DENSE + 64 + 32), 0, 0),
    "mixtral": (3 * (_GROUPED + 5 * 32), 3 * _DENSE, 5),
    # biases of query, key and value; a shared expert with a gate
    "qwen2_moe": (3 * (_GROUPED + 64 + 5 * 32 + 3 * 32 * 40 + 32), 3 * _NARROW, 5),
    # norms of queries and keys; the second layer is dense
    "qwen3_moe, some layers dense": (
        3 * (_GROUPED + 2 * 8) + 2 * 5 * 32 + _DENSE, 2 * _NARROW, 5,
    ),
    # the first layer is dense; two shared experts
    "deepseek_v2": (3 * _LATENT + _DENSE + 2 * (8 * 32 + 2 * _NARROW), 2 * _NARROW, 8),
    "granitemoeshared": (3 * (_GROUPED + 5 * 32 + 3 * 32 * 40), 3 * _DENSE, 5),
}  # fmt: skip


def _use(model: Any, format: Format = Format.F32, **options: Any) -> WeightUse:
    made = lowered(model, format, **options)
    return weight_use(made.weights, made.top_k, {}, Amount())


@pytest.mark.parametrize("family", BY_HAND)
def test_active_weights_are_those_counted_by_hand(family: str) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    body, expert, experts = BY_HAND[family]
    tied = bool(change.get("tie_word_embeddings"))
    use = _use(model)
    assert (use.body.parameters, use.expert.parameters) == (body + 32, expert)  # the last norm
    assert (use.experts, use.top_k) == (experts, 2 if experts else 0)
    total = use.total.parameters
    assert total == sum(weight.numel() for weight in model.parameters())
    row = 0 if tied else 32
    assert use.active().parameters == body + 32 + 2 * expert + _TABLE + row
    assert use.active(1).parameters == body + 32 + bool(experts) * expert + _TABLE + row
    assert use.capacity_gain() == total / use.active().parameters
    if not experts:
        assert use.capacity_gain() == pytest.approx(1 if tied else (total / (total - _TABLE + 32)))
    in_torch = _use(model, make=_IN_TORCH)
    assert in_torch.active() == Amount(use.active().parameters, 4 * use.active().parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_weights_of_a_model_are_counted(family: str) -> None:
    kind, change = FAMILIES[family]
    model = model_of(kind, **change)
    corrections = [
        buffer for name, buffer in model.named_buffers() if name.endswith("correction_bias")
    ]
    weights = [*model.parameters(), *corrections]
    use = _use(model)
    null_experts = change.get("num_null_experts", 0) * use.expert.parameters  # are not packed
    assert use.total.parameters == sum(weight.numel() for weight in weights) - null_experts
    assert use.top_k == (2 if use.experts else 0)


def test_bytes_follow_the_format() -> None:
    model = model_of("mixtral", num_local_experts=5, hidden_size=128, head_dim=32)
    sizes = {format: _use(model, format).expert.bytes for format in Format}
    exact = _use(model).expert.parameters * 4 * 64 / 48  # padded to 64 inner units
    assert sizes[Format.F32] == exact
    assert sizes[Format.BF16] == exact / 2
    assert exact / 4 < sizes[Format.INT8] < exact / 3.5
    assert exact / 8 < sizes[Format.INT4] < exact / 5


def test_distinct_experts_of_a_step() -> None:
    use = WeightUse(Amount(), Amount(), expert=Amount(1, 1), experts=4, top_k=2)
    assert use.distinct(2, 1) == 2
    assert use.distinct(2, 2) == 3  # of the second token, half are new
    assert use.distinct(2, 100) == pytest.approx(4)
    assert WeightUse(Amount(), Amount()).distinct(0, 5) == 0


def test_a_packed_model_says_the_same(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = str(tiny_folder("qwen2_moe"))
    pack_folder(folder, "int8", tmp_path / "packed", silent)
    packed = load_generator(str(tmp_path / "packed")).weights()
    assert packed is not None
    assert packed.top_k == 2
    assert packed == load_generator(folder, dtype="int8").weights()


def test_a_sequence_with_its_own_expert_uses_one(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder("mixtral"), tmp_path / "named")
    change_json(folder / "config.json", expert_names=["law", "shared", "art", "science", "base"])
    use = load_generator(str(folder), dtype="float32").weights()
    assert use is not None
    assert (use.experts, use.top_k) == (5, 1)
    assert use.distinct(1, 100) == 1


def test_a_reader_adds_the_updates_of_one_domain(smollm_path: Path, tmp_path: Path) -> None:
    base = write_llama(tmp_path / "base", smollm_path)
    bundle = write_reader(tmp_path / "reader", base, domains=("legal", "science"))
    dense = load_generator(str(base), dtype="bfloat16").weights()
    generator = load_generator(str(base), dtype="bfloat16", adapters=load_adapters(bundle))
    use = generator.weights()
    assert use is not None and dense is not None
    rank = 3 * (32 + 48) * 2  # gate, up and down of two layers
    assert use.active() == dense.active() == dense.total
    assert {name: some.parameters for name, some in use.adapters.items()} == {
        "shared": 2 * rank, "legal": 3 * rank, "science": 3 * rank,
    }  # fmt: skip
    assert use.total.parameters == dense.total.parameters + 4 * rank
    own = use.active(adapter="legal")
    assert own.parameters == dense.total.parameters + 3 * rank
    assert own.bytes == dense.total.bytes + 2 * 3 * rank


def test_only_models_on_our_engine_are_counted(tiny_left: TransformersGenerator) -> None:
    assert tiny_left.weights() is None
