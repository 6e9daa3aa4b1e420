"""A packed mixture whose weights are limited answers as it does without a limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_fixtures import TinyFolder

from expertrag.api.errors import InvalidArgument
from expertrag.llm import load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent


def _network(folder: Path, weights_mib: int) -> NativeNetwork:
    generator = load_generator(str(folder), weights_mib=weights_mib)
    assert isinstance(generator, TransformersGenerator)
    assert isinstance(generator._network, NativeNetwork)
    return generator._network


_WITH_NULLS = "qwen2_moe with null experts"


@pytest.mark.parametrize(
    "kind", ["mixtral", "olmoe", "qwen2_moe", _WITH_NULLS, "qwen3_moe", "deepseek_v2", "gpt_oss"]
)
def test_logits_are_the_same_in_less_memory(
    kind: str, tiny_folder: TinyFolder, tmp_path: Path
) -> None:
    pack_folder(str(tiny_folder(kind)), "float32", tmp_path / "packed", silent)
    with pytest.raises(
        InvalidArgument, match=r"lab.weights_mib 1 is too small for .* MiB"
    ) as caught:
        load_generator(str(tmp_path / "packed"), weights_mib=1)
    least = int(str(caught.value).split(" take ")[1].split(" ")[0])
    limited, whole = _network(tmp_path / "packed", least), _network(tmp_path / "packed", 0)
    for network in (limited, whole):
        assert ("expert_hits" in network.counters()) == (network is limited)
    logits = []
    for network in (limited, whole):
        cache = network.new_cache()
        logits.append([network.forward(list(range(3, 43)), cache).logits])
        logits[-1] += [network.forward([token], cache).logits for token in range(9)]
        network.free(cache)
    assert all(torch.equal(*both) for both in zip(*logits, strict=True))
    counters = limited.counters()
    assert counters["expert_misses"] > 0 and counters["expert_bytes_read"] > 0


def test_what_has_no_experts_to_leave_out(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="pack it first"):
        load_generator(str(tiny_folder("mixtral")), weights_mib=100)
    with pytest.raises(InvalidArgument, match="on our own engine"):
        load_generator("openai:http://127.0.0.1:9/v1#model", weights_mib=100)
    pack_folder(str(tiny_folder("llama")), "int8", tmp_path / "packed", silent)
    with pytest.raises(InvalidArgument, match="serve it without"):
        load_generator(str(tmp_path / "packed"), weights_mib=100)
