"""gpt-oss with experts in MXFP4, as it is published, against transformers' own reading of them."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from model_families import model_of
from model_fixtures import TinyFolder, logits_of, lowered
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.llm import load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.checkpoint import Streamed
from expertrag.llm.load.description import DESCRIPTION_FILE
from expertrag.llm.load.mxfp4_file import Mxfp4Checkpoint, is_mxfp4, weights_of
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent
from expertrag_kernels import Format, pack, unpack
from expertrag_kernels.interleaved import read_interleaved
from expertrag_kernels.layout import layer_bytes

_SIZES = {"num_local_experts": 4, "intermediate_size": 64, "sliding_window": 30}


def _codes(shape: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random blocks and scales, for weights of about the size of others in a tiny model."""
    draw = torch.Generator().manual_seed(seed)
    blocks = torch.randint(256, (*shape, 16), generator=draw, dtype=torch.uint8)
    return blocks, torch.randint(121, 126, shape, generator=draw, dtype=torch.uint8)


@pytest.fixture(scope="module")
def published(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random gpt-oss, its experts in blocks and scales."""
    folder: Path = tmp_path_factory.mktemp("mxfp4")
    model = model_of("gpt_oss", **_SIZES, vocab_size=49152, num_hidden_layers=2)
    model.bfloat16().save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm_path).save_pretrained(folder)
    path = folder / "model.safetensors"
    state = load_file(path)
    for place, name in enumerate(sorted(state)):
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, inputs, outputs = state.pop(name).shape
            blocks, scales = _codes((experts, outputs, inputs // 32), place)
            state |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    save_file(state, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def whole(published: Path) -> Any:
    """The same model loaded by transformers, which reads MXFP4 on the CPU as bfloat16."""
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(published, dtype=torch.bfloat16).eval().requires_grad_(False)


def test_weights_are_those_of_transformers() -> None:
    blocks, _ = _codes((2, 6, 3), 1)
    blocks.view(-1)[:256] = torch.arange(256, dtype=torch.uint8)  # every pair
    scales = torch.randint(20, 240, (2, 6, 3), dtype=torch.uint8)
    found = weights_of(blocks, scales)
    wanted = convert_moe_packed_tensors(blocks, scales)
    assert found.shape == (2, 96, 6)
    assert torch.equal(found, wanted)
    least = weights_of(blocks, torch.zeros_like(scales)).abs()
    assert float(least[least > 0].min()) == 2.0**-128
    assert weights_of(blocks, torch.full_like(scales, 255)).isnan().all()


def test_logits_are_those_of_transformers(published: Path, whole: Any) -> None:
    generator = load_generator(str(published), dtype="float32")
    assert isinstance(generator, TransformersGenerator)
    network = generator._network
    assert isinstance(network, NativeNetwork)
    ids = torch.randint(3, 40000, (90,), generator=torch.Generator().manual_seed(1))
    cache = network.new_cache()
    found = network.forward(ids.tolist(), cache).logits
    network.free(cache)
    with torch.inference_mode():
        wanted = copy.deepcopy(whole).float()(input_ids=ids[None]).logits[0, -1]
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_layers_are_read_one_at_a_time(published: Path, whole: Any) -> None:
    config = AutoConfig.from_pretrained(published)
    assert is_mxfp4(config)
    from_config: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        model = from_config(config, dtype=torch.bfloat16).eval()
    rotary: Any = type(model.model.rotary_emb)
    model.model.rotary_emb = rotary(model.config)
    filled = Streamed(model, Mxfp4Checkpoint(published)).hold_filled
    for format in Format:
        found = logits_of(lowered(model, format, filled=filled))
        assert torch.equal(found, logits_of(lowered(whole, format))), format
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    ("format", "most"),
    [(Format.BF16, 0.0), (Format.INT8, 0.012), (Format.INT4, 0.09), (Format.MXFP4, 0.0)],
)
def test_what_each_format_loses(whole: Any, format: Format, most: float) -> None:
    """The weights are random over all codes, with scales that differ within an output."""
    plain = read_interleaved(whole.model.layers[0].mlp.experts)
    back = unpack(pack(plain, format))
    for own, given in ((back.gate_up, plain.gate_up), (back.down, plain.down)):
        error = float((own.float() - given.float()).norm() / given.float().norm())
        assert error <= most


def test_a_packed_folder_gives_the_same_logits(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack_folder(str(published), "int8", out, silent)
    assert (out / DESCRIPTION_FILE).is_file()
    ids = list(range(3, 60))

    def logits(folder: Path) -> torch.Tensor:
        generator = load_generator(str(folder), dtype="int8")
        assert isinstance(generator, TransformersGenerator)
        cache = generator._network.new_cache()
        return generator._network.forward(ids, cache).logits

    wanted = logits(published)
    assert torch.equal(logits(out), wanted)
    (out / DESCRIPTION_FILE).unlink()  # planned by transformers' modules
    assert torch.equal(logits(out), wanted)


def _network(folder: Path, dtype: str, weights_mib: int = 0) -> NativeNetwork:
    generator = load_generator(str(folder), dtype=dtype, weights_mib=weights_mib)
    assert isinstance(generator, TransformersGenerator)
    assert isinstance(generator._network, NativeNetwork)
    return generator._network


def _logits(network: NativeNetwork) -> torch.Tensor:
    cache = network.new_cache()
    found = network.forward(list(range(3, 60)), cache).logits
    network.free(cache)
    return found


def _formats(network: NativeNetwork) -> tuple[Format, Format]:
    weights = network._lowered.weights
    return weights["layers.1.out"].format, weights["layers.1.experts"].format


@pytest.mark.parametrize(
    ("dtype", "rest", "experts", "most"),
    [
        ("auto", Format.BF16, Format.MXFP4, 0.03),
        ("mxfp4", Format.BF16, Format.MXFP4, 0.03),
        ("int8", Format.INT8, Format.MXFP4, 0.13),
        ("int4", Format.INT4, Format.MXFP4, 1.0),
        ("bfloat16", Format.BF16, Format.BF16, 0.025),
    ],
)
def test_experts_stay_as_they_are(
    published: Path, whole: Any, dtype: str, rest: Format, experts: Format, most: float
) -> None:
    """``most`` is against transformers in float32; a model 32 wide rounds coarsely."""
    network = _network(published, dtype)
    assert _formats(network) == (rest, experts)
    with torch.inference_mode():
        ids = torch.arange(3, 60)[None]
        wanted = copy.deepcopy(whole).float()(input_ids=ids).logits[0, -1]
    assert (_logits(network) - wanted).norm() <= most * wanted.norm()
    if experts is Format.MXFP4:
        config = whole.config
        sizes = config.num_local_experts, config.hidden_size, config.intermediate_size
        exact = read_interleaved(whole.model.layers[1].mlp.experts)
        back = unpack(network._lowered.weights["layers.1.experts"])
        assert torch.equal(back.gate_up, exact.gate_up.float())
        assert torch.equal(back.down, exact.down.float())
        use = network.weights()
        assert use is not None
        assert use.expert.bytes * sizes[0] == 2 * layer_bytes(experts, *sizes, biased=True)


def test_packed_as_they_are(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack_folder(str(published), "mxfp4", out, silent)
    wanted = _logits(_network(published, "mxfp4"))
    for dtype in ("auto", "mxfp4"):
        assert torch.equal(_logits(_network(out, dtype)), wanted)
    assert torch.equal(_logits(_network(out, "auto", weights_mib=8)), wanted)
    with pytest.raises(InvalidArgument, match="packed in mxfp4, and cannot be run in int8"):
        load_generator(str(out), dtype="int8")
    (out / DESCRIPTION_FILE).unlink()  # planned by transformers' modules
    assert torch.equal(_logits(_network(out, "auto")), wanted)


def test_only_experts_that_are_stored_in_it(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = str(tiny_folder("gpt_oss"))
    for use in (
        lambda: load_generator(folder, dtype="mxfp4"),
        lambda: pack_folder(folder, "mxfp4", tmp_path / "out", silent),
    ):
        with pytest.raises(InvalidArgument, match="has no experts in MXFP4"):
            use()
    assert not (tmp_path / "out").exists()


def test_missing_scales_are_reported(
    published: Path, tiny_folder: TinyFolder, tmp_path: Path
) -> None:
    assert not is_mxfp4(AutoConfig.from_pretrained(tiny_folder("gpt_oss")))
    folder = shutil.copytree(published, tmp_path / "model")
    path = folder / "model.safetensors"
    state = load_file(path)
    del state["model.layers.1.mlp.experts.down_proj_scales"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ServerError, match=r"down_proj_blocks and .*_scales do not fit together"):
        load_generator(str(folder))
