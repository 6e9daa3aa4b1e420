"""Models read layer by layer, compared with the same models loaded whole by transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from model_families import FAMILIES, model_of
from model_fixtures import TinyFolder, logits_of, lowered
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.lowering import Filled
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.checkpoint import NotStreamed, Streamed
from expertrag.llm.load.safetensors_file import SafetensorsCheckpoint
from expertrag_kernels import Format


def _whole(folder: Path, dtype: torch.dtype) -> Any:
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(folder, dtype=dtype).eval()


def _outline(folder: Path, dtype: torch.dtype) -> Any:
    from_config: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        model = from_config(AutoConfig.from_pretrained(folder), dtype=dtype)
    rotary: Any = type(model.model.rotary_emb)
    model.model.rotary_emb = rotary(model.config)
    return model


def _streamed(folder: Path, dtype: torch.dtype) -> tuple[Any, Filled]:
    model = _outline(folder, dtype)
    return model, Streamed(model, SafetensorsCheckpoint(folder)).hold_filled


def _saved(folder: Path, kind: str, **change: Any) -> Path:
    model_of(kind, **change).save_pretrained(folder)
    return folder


def _rename(folder: Path, old: str, new: str) -> None:
    path = folder / "model.safetensors"
    state = {name.replace(old, new): value for name, value in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_whole_model(family: str, tmp_path: Path) -> None:
    kind, change = FAMILIES[family]
    folder = _saved(tmp_path, kind, **change)
    for format, dtype in (
        (Format.F32, torch.float32),
        (Format.BF16, torch.bfloat16),
        (Format.INT8, torch.bfloat16),
        (Format.INT4, torch.bfloat16),
    ):
        model, filled = _streamed(folder, dtype)
        found = logits_of(lowered(model, format, filled=filled))
        assert torch.equal(found, logits_of(lowered(_whole(folder, dtype), format))), format


@pytest.mark.parametrize("kind", ["mixtral", "olmoe", "granitemoeshared", "phimoe"])
@pytest.mark.parametrize("form", ["sharded", "merged", "of the base model"])
def test_forms_of_checkpoints(kind: str, form: str, tmp_path: Path) -> None:
    model = model_of(kind, **FAMILIES[kind][1])
    model.save_pretrained(tmp_path, max_shard_size="20KB" if form == "sharded" else "1GB")
    if form == "sharded":
        assert len(list(tmp_path.glob("*.safetensors"))) > 3
    elif form == "merged":  # as transformers holds them, and as it may save them
        save_file(model.state_dict(), tmp_path / "model.safetensors")
    else:
        _rename(tmp_path, "model.", "")
    names = SafetensorsCheckpoint(tmp_path).shapes
    assert any(".experts.gate_up_proj" in name for name in names) is (form == "merged")
    model, filled = _streamed(tmp_path, torch.float32)
    wanted = logits_of(lowered(_whole(tmp_path, torch.float32), Format.F32))
    assert torch.equal(logits_of(lowered(model, Format.F32, filled=filled)), wanted)


def test_one_layer_is_filled_at_a_time(tmp_path: Path) -> None:
    folder = _saved(tmp_path, "olmoe", num_experts=5)
    model, filled = _streamed(folder, torch.float32)
    seen = []

    @contextmanager
    def watching(module: nn.Module) -> Iterator[None]:
        with filled(module):
            seen.append({n.split(".layers.")[-1].split(".")[0] for n in _held(model)})
            yield

    lowered(model, Format.F32, filled=watching)
    assert seen == [{"lm_head"}, {"model"}, {"0"}, {"1"}, {"2"}, {"model"}]
    assert not _held(model)


def _held(model: nn.Module) -> list[str]:
    return [name for name, weight in model.named_parameters() if not weight.is_meta]


def test_a_checkpoint_that_cannot_be_streamed_names_the_reason(tmp_path: Path) -> None:
    folder = _saved(tmp_path, "mixtral", num_local_experts=5)
    path = folder / "model.safetensors"
    whole = load_file(path)
    first, router = "model.layers.1.", "model.layers.1.block_sparse_moe.gate.weight"
    assert router in whole
    for state, reason in (
        ({k: v for k, v in whole.items() if k != router}, r"mlp\.gate\.weight is missing"),
        ({k: v for k, v in whole.items() if ".experts.4.w3" not in k}, "gate_up_proj is missing"),
        ({k: v for k, v in whole.items() if not k.startswith(first)}, "is missing"),
        ({**whole, router: whole[router][:, :-1].contiguous()}, r"gate\.weight is \(5, 31\)"),
        ({**whole, router: whole[router].to(torch.float8_e4m3fn)}, "is missing"),
        ({**whole, f"{first}mlp.gate.weight": whole[router].clone()}, "is stored twice"),
        (
            {k.replace("experts.4.w2", "experts.9.w2"): v for k, v in whole.items()},
            "belongs to no expert",
        ),
    ):
        save_file(state, path, metadata={"format": "pt"})
        with pytest.raises(NotStreamed, match=reason):
            _streamed(folder, torch.float32)
    path.unlink()
    with pytest.raises(NotStreamed, match=r"there is no model\.safetensors"):
        _streamed(folder, torch.float32)


def test_tied_embeddings_stored_twice_are_left_to_transformers(tmp_path: Path) -> None:
    folder = _saved(tmp_path, "llama", tie_word_embeddings=True)
    path = folder / "model.safetensors"
    whole = load_file(path)
    (words,) = [name for name, value in whole.items() if value.shape == (301, 32)]
    twice = {**whole, "lm_head.weight": whole[words] * 2, "model.embed_tokens.weight": whole[words]}
    save_file(twice, path, metadata={"format": "pt"})
    with pytest.raises(NotStreamed, match=r"embed_tokens\.weight is stored twice"):
        _streamed(folder, torch.float32)


def test_a_model_loaded_whole_runs_on_the_engine(
    tiny_folder: TinyFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(tiny_folder("mixtral"), tmp_path / "model")
    whole = load_file(folder / "model.safetensors")
    whole["lm_head.weight"] = whole["model.embed_tokens.weight"] * 2
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    generator = TransformersGenerator.load(str(folder), dtype="float32")
    assert isinstance(generator._network, NativeNetwork)
    (line,) = [r.message for r in caplog.records if r.name.startswith("expertrag")]
    assert line.endswith("packed: model.embed_tokens.weight is stored twice")


def test_an_index_names_the_files(tmp_path: Path) -> None:
    model_of("qwen3").save_pretrained(tmp_path, max_shard_size="20KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert SafetensorsCheckpoint(tmp_path).shapes.keys() == index["weight_map"].keys()
