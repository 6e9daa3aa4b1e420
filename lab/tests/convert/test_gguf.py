"""A reader's GGUF file gives the folder's logits and tokens, in our engine and transformers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from reader_samples import write_reader
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.events import DeltaEvent
from expertrag.api.types import Passage, Sampling
from expertrag.llm import load_generator, prompt
from expertrag.llm.load.gguf_file import GGUFFile
from expertrag_lab.convert.export import export
from expertrag_lab.convert.gguf import export_gguf, write_gguf

EXPERTS = ("shared", "legal", "base")
EXACT = ("attn_norm", "ffn_norm", "ffn_gate_inp")
TEXTS = (
    "Aspirin inhibits 12 enzymes, doesn't it?\n\n  Yes: COX-1 [2].",
    "Ünïcode — 你好 🙂\tand\r\ntabs",
    "<|im_start|>user\nIn 1999<|im_end|>\n",
)
SHAPE: dict[str, Any] = {
    "vocab_size": 2003,  # three rows without tokens
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 20,  # other than hidden/heads
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _saved(model: Any, tokenizer: Path, folder: Path) -> Path:
    """Save weights that bfloat16 can hold, wider than the default 0.02."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 4).bfloat16())
    model.bfloat16().save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(short_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama."""
    torch.manual_seed(0)
    own = {"vocab_size": 2000, "max_position_embeddings": 2048, "tie_word_embeddings": True}
    model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, **own, "head_dim": None}))
    return _saved(model, short_tokenizer, tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader of it."""
    return write_reader(tmp_path_factory.mktemp("made") / "bundle", base)


def _logits(model: Any) -> torch.Tensor:
    ids = torch.randint(20, 2000, (2, 24), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found: torch.Tensor = model(ids).logits
    return found


def _loaded(path: Path) -> Any:
    """A model in float32, by transformers alone."""
    load: Any = AutoModelForCausalLM.from_pretrained
    if path.is_dir():
        return load(path, dtype=torch.float32)
    return load(path.parent, gguf_file=path.name, dtype=torch.float32)


def _said(path: Path, domains: Sequence[str | None]) -> list[list[DeltaEvent]]:
    """Text and log probabilities from our engine, for each domain."""
    generator = load_generator(str(path), dtype="float32")
    sampling = Sampling(max_tokens=8, logprobs=1)
    shown = Passage("acid", 0, "Acid inhibits 12  enzymes.", 0, 26, 1.0)
    question = prompt.open_book("What inhibits 12  enzymes?", [shown])
    said = []
    for domain in domains:
        policy = generator.make_policy(sampling, domain)
        asked = generator.begin(question, sampling, policy=policy, from_passages=True)
        with closing(asked) as session:
            said.append(list(session.deltas()))
    return said


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0), ("float16", 1e-4)])
def test_transformers_reads_one_expert(
    dtype: str, tolerance: float, base: Path, bundle: Path, tmp_path: Path
) -> None:
    export(str(base), bundle, tmp_path / "one", domain="legal")
    file = tmp_path / "one.gguf"
    assert export_gguf(str(base), bundle, file, domain="legal", dtype=dtype) == ("legal",)
    found, wanted = _logits(_loaded(file)), _logits(_loaded(tmp_path / "one"))
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)
    from_pretrained: Any = AutoTokenizer.from_pretrained
    read, plain = from_pretrained(tmp_path, gguf_file=file.name), from_pretrained(tmp_path / "one")
    # except for runs of spaces before digits, which transformers splits differently (see GGUFFile)
    assert [read(text).input_ids for text in TEXTS] == [plain(text).input_ids for text in TEXTS]
    assert read.chat_template == plain.chat_template
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        assert getattr(read, name) == getattr(plain, name), name


@pytest.mark.parametrize("domain", ["legal", None])
def test_our_engine_generates_the_same(
    domain: str | None, base: Path, bundle: Path, tmp_path: Path
) -> None:
    export(str(base), bundle, tmp_path / "model", domain=domain)
    export_gguf(str(base), bundle, tmp_path / "model.gguf", domain=domain)
    asked = ("shared", "legal") if domain is None else (None,)
    found = _said(tmp_path / "model.gguf", asked)
    assert found == _said(tmp_path / "model", asked)
    assert all(said != found[0] for said in found[1:])  # the domain chooses the expert


def test_a_file_has_its_metadata(base: Path, bundle: Path, tmp_path: Path) -> None:
    assert export_gguf(str(base), bundle, tmp_path / "mixed.gguf") == EXPERTS
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.gguf"]
    assert (tmp_path / "mixed.gguf").stat().st_mode & 0o777 == 0o666 & ~_umask()
    file = GGUFFile(tmp_path / "mixed.gguf")
    config = file.config()
    assert config.expert_names == list(EXPERTS)
    assert config.reader_prompts == prompt.fingerprint()
    assert (config.num_local_experts, config.num_experts_per_tok) == (len(EXPERTS), 1)
    assert file.licence() == "see the base model"
    fields = file.reader.fields
    assert fields["general.base_model.0.name"].contents() == base.name
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    types = {tensor.name: tensor.tensor_type.name for tensor in file.reader.tensors}
    assert {types.pop(f"blk.{n}.{part}.weight") for n in (0, 1) for part in EXACT} == {"F32"}
    assert types.pop("output_norm.weight") == "F32" and set(types.values()) == {"BF16"}
    assert "output.weight" not in types and "blk.1.ffn_gate_exps.weight" in types


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_other_shapes(short_tokenizer: Path, tmp_path: Path) -> None:
    """Untied, heads of their own width, rows without tokens, and a sliding window."""
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=64))
    folder = _saved(model, short_tokenizer, tmp_path / "mistral")
    write_gguf(folder, tmp_path / "it.gguf", "bfloat16")
    found = _loaded(tmp_path / "it.gguf")
    assert torch.equal(_logits(found), _logits(_loaded(folder)))
    assert found.config.max_position_embeddings == 64


def test_what_a_file_cannot_describe_is_rejected(short_tokenizer: Path, tmp_path: Path) -> None:
    angles = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    scaled = LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=angles))
    folder = _saved(scaled, short_tokenizer, tmp_path / "scaled")
    with pytest.raises(InvalidArgument, match="'linear' instead of 'default'"):
        write_gguf(folder, tmp_path / "it.gguf", "bfloat16")
    folder = _saved(LlamaForCausalLM(LlamaConfig(**SHAPE)), short_tokenizer, tmp_path / "split")
    known = json.loads((folder / "tokenizer.json").read_text())
    known["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    (folder / "tokenizer.json").write_text(json.dumps(known))
    with pytest.raises(InvalidArgument, match="tokenizer cannot be written"):
        write_gguf(folder, tmp_path / "it.gguf", "bfloat16")


def test_a_file_is_written_whole_or_not_at_all(base: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no expert"):
        export_gguf(str(base), bundle, tmp_path / "it.gguf", domain="finance")
    assert not list(tmp_path.iterdir())
    (tmp_path / "it.gguf").write_text("mine")
    with pytest.raises(Conflict, match="delete it"):
        export_gguf(str(base), bundle, tmp_path / "it.gguf")
    assert (tmp_path / "it.gguf").read_text() == "mine"
