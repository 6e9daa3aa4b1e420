"""GGUF files on our engine, compared with the same files loaded whole by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf_files import write_gguf
from model_families import FAMILIES, model_of
from model_fixtures import logits_of, lowered
from transformers import AutoTokenizer

from expertrag.api.errors import NotFound, ServerError
from expertrag.api.types import Sampling
from expertrag.llm import Message, load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.lowering import lower
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.checkpoint import Streamed
from expertrag.llm.load.loading import ModelFiles, model_files
from expertrag.llm.load.source import ModelSource
from expertrag_kernels import Format, PackedExperts, unpack

_WHOLE = Format.F32, torch.float32


@pytest.fixture(autouse=True)
def _without_tokenizer(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "short_tokenizer" not in request.fixturenames:  # files with weights alone have none
        monkeypatch.setattr("expertrag.llm.load.gguf_file.GGUFFile.tokenizer", lambda _: None)


def _source(path: Path) -> ModelSource:
    return ModelSource(ModelFiles(path.parent, path.name))


def _streamed(path: Path, format: Format, dtype: torch.dtype) -> Any:
    source = _source(path)
    model = source.outline(dtype)
    filled = Streamed(model, source.checkpoint(model)).hold_filled
    return lowered(model, format, filled=filled)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe"])
def test_logits_are_those_of_the_whole_model(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(model_of(kind, **FAMILIES[kind][1]), path, Type.F16)
    for format, dtype in (_WHOLE, (Format.BF16, torch.bfloat16), (Format.INT4, torch.float32)):
        wanted = lowered(_source(path).whole("it", dtype), format)
        assert torch.equal(logits_of(_streamed(path, format, dtype)), logits_of(wanted)), format


@pytest.mark.parametrize("kind", ["llama", "mistral", "mixtral", "qwen3_moe", "qwen2_moe"])
def test_logits_are_those_of_the_model_that_was_written(kind: str, tmp_path: Path) -> None:
    model = model_of(kind, **FAMILIES[kind][1])  # transformers knows no mistral and no mixtral
    write_gguf(model, tmp_path / "model.gguf")
    found = logits_of(_streamed(tmp_path / "model.gguf", *_WHOLE))
    assert torch.equal(found, logits_of(lowered(model, Format.F32)))


def test_rotary_factors_of_a_file_are_applied(tmp_path: Path) -> None:
    family = FAMILIES["llama 3's angles"]
    model = model_of(family[0], **family[1])
    plain = type(model.model.rotary_emb)(model_of("llama").config).inv_freq
    factors = plain / model.model.rotary_emb.inv_freq
    assert factors.max() > 2
    write_gguf(model, tmp_path / "model.gguf", rope_freqs=factors)
    found = logits_of(_streamed(tmp_path / "model.gguf", *_WHOLE))
    torch.testing.assert_close(found, logits_of(lowered(model, Format.F32)), atol=1e-4, rtol=1e-4)


def test_four_bit_weights_are_kept(tmp_path: Path) -> None:
    model = model_of("qwen3_moe", num_experts=3, hidden_size=64, moe_intermediate_size=96)
    for type in (Type.Q4_0, Type.Q4_1):
        write_gguf(model, tmp_path / "model.gguf", type)
        weights = _streamed(tmp_path / "model.gguf", Format.INT4, torch.float32).weights
        packed = weights["layers.1.experts"]
        assert isinstance(packed, PackedExperts)
        experts = model.model.layers[1].mlp.experts
        stored = (experts.gate_up_proj, experts.down_proj)
        plain = unpack(packed)
        for found, exact in zip((plain.gate_up, plain.down), stored, strict=True):
            values = gguf.quants.quantize(exact.detach().numpy(), type)
            wanted = torch.from_numpy(gguf.quants.dequantize(values, type))
            # except for the rounding of every weight to 8 bits
            assert (found - wanted).norm() / wanted.norm() <= 0.012


def test_a_file_answers_like_the_folder_it_was_made_of(
    short_tokenizer: Path, tmp_path: Path
) -> None:
    model = model_of("llama", vocab_size=2000, tie_word_embeddings=True)
    model.save_pretrained(tmp_path / "folder")
    AutoTokenizer.from_pretrained(short_tokenizer).save_pretrained(tmp_path / "folder")
    write_gguf(model, tmp_path / "tiny.gguf", tokenizer=short_tokenizer)
    texts = []
    for name in (tmp_path / "folder", tmp_path / "tiny.gguf"):
        generator = load_generator(str(name), dtype="float32")
        question = [Message("user", "What is 3 +   4711?")]
        session = generator.begin(question, Sampling(max_tokens=8, frequency_penalty=0))
        texts.append(("".join(session.stream()), session.prompt_tokens))
    assert texts[0] == texts[1]
    assert generator.name == "tiny"


def test_names_of_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        model_files(str(tmp_path / "none.gguf"))
    (tmp_path / "one.gguf").touch()
    assert model_files(str(tmp_path)) == ModelFiles(tmp_path, "one.gguf")
    assert model_files(str(tmp_path / "one.gguf")) == ModelFiles(tmp_path, "one.gguf")
    (tmp_path / "two-00002-of-00001.gguf").touch()  # no part of anything
    with pytest.raises(NotFound, match=r"2 \.gguf files: name one"):
        model_files(str(tmp_path))


PARTS = [f"tiny-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
_SPLIT = 14  # of 30 tensors


@pytest.mark.parametrize("empty_first", [False, True])
def test_a_file_in_parts_is_the_whole_file(
    short_tokenizer: Path, tmp_path: Path, empty_first: bool
) -> None:
    model = model_of("llama", vocab_size=2000, tie_word_embeddings=True)
    folder = tmp_path / "parts"
    folder.mkdir()
    write_gguf(model, tmp_path / "tiny.gguf", tokenizer=short_tokenizer)
    most = 20 if empty_first else _SPLIT
    write_gguf(
        model,
        folder / "tiny.gguf",
        tokenizer=short_tokenizer,
        in_parts=most,
        empty_first=empty_first,
    )
    assert sorted(path.name for path in folder.iterdir()) == PARTS
    said = []
    for path in (tmp_path / "tiny.gguf", folder, folder / PARTS[1]):
        for native in (True, False):  # on our engine, and in transformers
            generator = TransformersGenerator.load(str(path), dtype="float32", native=native)
            session = generator.begin([Message("user", "What is 3?")], Sampling(max_tokens=8))
            said.append("".join(session.stream()))
            assert generator.name == "tiny"
    assert len(set(said)) == 1
    one, other = _source(folder / PARTS[0]), _source(tmp_path / "tiny.gguf")
    assert one.tokenizer("In 1999").input_ids == other.tokenizer("In 1999").input_ids


def test_the_fingerprint_is_of_all_parts(tmp_path: Path) -> None:
    write_gguf(model_of("llama"), tmp_path / "tiny.gguf", in_parts=_SPLIT)
    before = {fingerprint(tmp_path, name) for name in PARTS}
    assert len(before) == 1
    content = bytearray((tmp_path / PARTS[2]).read_bytes())
    content[-1] ^= 1
    (tmp_path / PARTS[2]).write_bytes(content)
    assert {fingerprint(tmp_path, name) for name in PARTS}.isdisjoint(before)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_gguf(model_of("llama"), tmp_path / "tiny.gguf", in_parts=_SPLIT)
    assert model_files(str(tmp_path / PARTS[2])) == ModelFiles(tmp_path, PARTS[0])
    parts = {name: (tmp_path / name).read_bytes() for name in PARTS}
    (tmp_path / PARTS[1]).unlink()
    for name in (tmp_path, tmp_path / PARTS[0]):
        with pytest.raises(NotFound, match=f"in 3 parts, and {PARTS[1]} is missing: download"):
            load_generator(str(name))
    (tmp_path / PARTS[1]).write_bytes(parts[PARTS[2]])
    with pytest.raises(ServerError, match=f"{PARTS[1]} has part 3 of 3: name the parts"):
        load_generator(str(tmp_path))
    (tmp_path / "more").mkdir()
    write_gguf(model_of("llama", num_hidden_layers=4), tmp_path / "more" / "tiny.gguf", in_parts=18)
    (tmp_path / PARTS[1]).write_bytes((tmp_path / "more" / PARTS[1]).read_bytes())
    with pytest.raises(ServerError, match=r"30 tensors, but .* are not of one file"):
        load_generator(str(tmp_path))
    (tmp_path / "alone.gguf").write_bytes(parts[PARTS[0]])
    with pytest.raises(ServerError, match=r"alone\.gguf has part 1 of 3.*-00001-of-00003"):
        load_generator(str(tmp_path / "alone.gguf"))


@pytest.mark.parametrize(
    "type", [Type.Q8_0, Type.Q5_0, Type.Q5_1, Type.TQ1_0, Type.TQ2_0, Type.MXFP4]
)
def test_quantised_weights_are_packed_in_every_format(type: Type, tmp_path: Path) -> None:
    """Every type that the library writes."""
    sizes = {"hidden_size": 256, "intermediate_size": 256, "moe_intermediate_size": 256}
    sizes["head_dim"] = 64
    model = model_of("qwen3_moe", num_experts=3, num_hidden_layers=1, **sizes)
    write_gguf(model, tmp_path / "model.gguf", type)
    wanted = logits_of(_streamed(tmp_path / "model.gguf", *_WHOLE))
    for format, most in ((Format.BF16, 0.02), (Format.INT8, 0.06), (Format.INT4, 0.3)):
        found = logits_of(_streamed(tmp_path / "model.gguf", format, torch.float32))
        assert (found - wanted).norm() <= most * wanted.norm(), format


def test_experts_in_mxfp4_stay_as_they_are(tmp_path: Path) -> None:
    model = model_of("qwen3_moe", num_experts=3, hidden_size=64, moe_intermediate_size=96)
    write_gguf(model, tmp_path / "model.gguf", Type.MXFP4)
    source = _source(tmp_path / "model.gguf")
    assert source.mxfp4 and source.formats(Format.INT4) == (Format.INT4, Format.MXFP4)
    outline = source.outline(torch.float32)
    filled = Streamed(outline, source.checkpoint(outline)).hold_filled
    found = lower(
        outline, Format.INT4, experts=Format.MXFP4, cache_bytes=1 << 20, context_tokens=64,
        filled=filled,
    ).weights["layers.1.experts"]  # fmt: skip
    assert found.format is Format.MXFP4
    experts = model.model.layers[1].mlp.experts
    plain = unpack(found)
    for own, exact in ((plain.gate_up, experts.gate_up_proj), (plain.down, experts.down_proj)):
        stored = gguf.quants.quantize(exact.detach().numpy(), Type.MXFP4)
        assert torch.equal(own, torch.from_numpy(gguf.quants.dequantize(stored, Type.MXFP4)))
    write_gguf(model, tmp_path / "other.gguf", Type.Q4_0)
    assert not _source(tmp_path / "other.gguf").mxfp4


def test_damaged_files_are_one_typed_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"no such thing")
    with pytest.raises(ServerError, match=r"cannot be loaded.* or a \.gguf file"):
        load_generator(str(path))
    write_gguf(model_of("llama"), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ServerError, match="cannot be loaded"):
        load_generator(str(path))


def test_two_roundings_of_the_embeddings_are_one_matrix(tmp_path: Path) -> None:
    config = {**FAMILIES["qwen2"][1], "tie_word_embeddings": True}
    model = model_of("qwen2", **config)
    words = model.model.embed_tokens.weight.detach()
    coarse = (words * 16 / words.abs().max()).round() * words.abs().max() / 16
    other = model_of("qwen2", **FAMILIES["qwen2"][1]).model.embed_tokens.weight.detach()
    for name, output, one in (("same", coarse, True), ("another", other.flip(0), False)):
        path = tmp_path / f"{name}.gguf"
        write_gguf(model, path, output=output)
        assert ("words" not in _streamed(path, *_WHOLE).weights) is one, name
