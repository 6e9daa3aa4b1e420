"""A frozen base with a reader's parallel adapters: trained and served."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from reader_samples import TINY, WORDS, next_logits, said, train_births, write_llama
from short_tokenizer import write_short_tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from expertrag.answer.assemble import open_generator
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Passage, Sampling
from expertrag.config import ModelConfig
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.serving import load_adapters, parallel_of
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.lowering import lower
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.packing import pack_folder
from expertrag.llm.network import Limits
from expertrag_kernels import Format
from expertrag_kernels.torch_decoder import TorchDecoder
from expertrag_lab.adapter_bundles import scale_bundle
from expertrag_lab.adapters import adapt
from expertrag_lab.convert.export import export
from expertrag_lab.convert.gguf import export_gguf
from expertrag_lab.train.reader.recipe import FULL, parallel
from expertrag_lab.train.reader.train import recipe_for

RECIPE = replace(
    parallel(FULL),
    row_tokens=600,
    epochs=4,
    evaluations=3,
    dev_questions=2,
    rank=6,
    domain_rank=3,
    learning_rate=2e-2,
)
READ = prompt.open_book("Where?", [Passage("ships", 0, "A painter of ships.", 0, 19, 1.0)])
CLOSED = prompt.write_closed_book("Where do ships go?")


@pytest.fixture(scope="module")
def base(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 model; Mixtral's format does not support its biases."""
    folder = tmp_path_factory.mktemp("qwen2") / "base"
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**TINY, num_hidden_layers=3))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) if name.endswith("bias") else parameter * 4
            parameter.copy_(noise.bfloat16())
    model.save_pretrained(folder)
    return write_short_tokenizer(smollm_path, folder, WORDS)


@pytest.fixture(scope="module")
def bundle(base: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapters") / "bundle"
    report = train_births(base, dataset, out, RECIPE)
    assert min(point.mean for point in report.points) < report.points[0].mean - 0.5
    return out


def test_the_type_of_the_base_selects_parallel_adapters(base: Path, smollm_path: Path) -> None:
    assert recipe_for(str(base), FULL) == parallel(FULL)
    assert recipe_for(str(smollm_path), FULL) == FULL


def test_adapters_are_in_the_upper_half(bundle: Path) -> None:
    made = load_bundle(bundle)
    assert (made.settings.parallel, made.settings.first_layer) == (True, 1)
    assert {name.split(".")[2] for name in made.weights} == {"1", "2"}


@pytest.mark.parametrize("packed", [False, True])
def test_the_engine_matches_the_trained_model(
    packed: bool, base: Path, bundle: Path, tmp_path: Path
) -> None:
    made = load_bundle(bundle)
    experts = parallel_of(made)
    source = base
    if packed:
        source = tmp_path / "packed"
        pack_folder(str(base), "float32", source, lambda *_: None)
    generator = load_generator(str(source), dtype="float32", adapters=experts)
    alone = load_generator(str(source), dtype="float32")
    assert isinstance(generator, TransformersGenerator) and isinstance(alone, TransformersGenerator)
    assert generator.experts == ("shared", "encyclopedia", "legal", "base")
    assert generator.fingerprint != alone.fingerprint
    dense = load_dense(base, upcycled=False).model
    adapters = adapt(dense, made.settings)
    adapters.load(made.weights)
    ids = list(range(20, 60))
    found = {}
    for domain in generator.experts:
        adapters.use(domain)
        with torch.inference_mode():
            expected = dense(torch.tensor([ids])).logits[0, -1]
        found[domain] = next_logits(generator, ids, domain)
        torch.testing.assert_close(found[domain], expected, atol=2e-4, rtol=1e-4)
    assert torch.equal(found["base"], next_logits(alone, ids, "base"))
    assert len({tuple(logits.tolist()) for logits in found.values()}) == 4


def test_the_gpu_decoder_matches(base: Path, bundle: Path) -> None:
    """Runs on the CPU, in torch."""
    experts = load_adapters(bundle)
    generator = load_generator(str(base), dtype="float32", adapters=experts)
    assert isinstance(generator, TransformersGenerator)
    make = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)
    dense = load_dense(base, upcycled=False).model
    lowered = lower(
        dense, Format.F32, cache_bytes=1 << 20, context_tokens=256, make=make, adapters=experts
    )
    limits = experts.limits(Limits(256, frozenset({2})))
    network, ids = NativeNetwork(lowered, limits), list(range(20, 60))
    for domain in generator.experts:
        text = network.new_cache(network.make_policy(domain))
        found = network.forward(ids, text).logits
        torch.testing.assert_close(found, next_logits(generator, ids, domain), atol=2e-4, rtol=1e-4)
        network.free(text)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_without_passages_it_is_the_base_bit_for_bit(dtype: str, base: Path, bundle: Path) -> None:
    reader = load_generator(str(base), dtype=dtype, adapters=load_adapters(bundle))
    alone = load_generator(str(base), dtype=dtype)
    assert ReadingPolicy.of(reader).reader and not ReadingPolicy.of(alone).reader
    assert said(reader, CLOSED, "legal") == said(alone, CLOSED, None)
    assert said(reader, READ, "legal", from_passages=True) != said(
        alone, READ, None, from_passages=True
    )


@pytest.mark.parametrize("domain", ["shared", "legal", "base"])
def test_one_expert_is_merged_into_a_dense_model(
    domain: str, base: Path, bundle: Path, tmp_path: Path
) -> None:
    """For other engines: the adapter's inner units are appended to the layers' own."""
    export(str(base), bundle, tmp_path / "plain", domain=domain)
    kind: Any = Qwen2ForCausalLM
    plain = kind.from_pretrained(tmp_path / "plain", dtype=torch.float32)
    assert plain.config.intermediate_size == 48 + 64
    ids = list(range(20, 60))
    experts = load_adapters(bundle)
    generator = load_generator(str(base), dtype="float32", adapters=experts)
    assert isinstance(generator, TransformersGenerator)
    with torch.inference_mode():
        found = plain(torch.tensor([ids])).logits[0, -1]
    torch.testing.assert_close(found, next_logits(generator, ids, domain), atol=2e-4, rtol=1e-4)
    assert ReadingPolicy.of(load_generator(str(tmp_path / "plain"))).reader


def test_merging_into_unsupported_formats_is_rejected(
    base: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match="name one with --domain"):
        export(str(base), bundle, tmp_path / "mixture")
    with pytest.raises(InvalidArgument, match="of type qwen2 cannot be written into a GGUF"):
        export_gguf(str(base), bundle, tmp_path / "x.gguf", domain="legal")


def test_the_configuration_selects_the_reader(base: Path, bundle: Path) -> None:
    model = ModelConfig(generator=str(base), dtype="float32")
    assert not ReadingPolicy.of(open_generator(model)).reader  # no reader is shipped for this model
    assert ReadingPolicy.of(open_generator(replace(model, reader=str(bundle)))).reader
    assert not ReadingPolicy.of(open_generator(replace(model, reader="none"))).reader
    with pytest.raises(InvalidArgument, match="is not a reader"):
        open_generator(replace(model, reader=str(base)))


def test_a_bundle_contains_the_scaling_of_its_doubt(
    base: Path, bundle: Path, tmp_path: Path
) -> None:
    scaled = tmp_path / "scaled"
    shutil.copytree(bundle, scaled)
    scale_bundle(scaled, prompt.Doubt(0.5, 1.0, strict_from=0.25))
    doubts, fingerprints = [], set()
    for folder in (bundle, scaled):
        reader = load_generator(str(base), dtype="float32", adapters=load_adapters(folder))
        with closing(reader.begin(READ, Sampling(max_tokens=1), from_passages=True)) as session:
            list(session.deltas())
            doubts.append(session.doubt)
        fingerprints.add(reader.fingerprint)
        assert ReadingPolicy.of(reader).strict_from == (0.25 if folder == scaled else 0.5)
    assert doubts[0] is not None
    assert doubts[1] == pytest.approx(prompt.Doubt(0.5, 1.0).calibrate(doubts[0]))
    assert len(fingerprints) == 2


def test_models_without_support_are_rejected(
    base: Path, bundle: Path, smollm_path: Path, tmp_path: Path
) -> None:
    experts = load_adapters(bundle)
    other = write_llama(tmp_path / "other", smollm_path)
    with pytest.raises(Conflict, match="trained on base, but other is another model"):
        load_generator(str(other), adapters=experts)
    with pytest.raises(InvalidArgument, match="not on a server"):
        load_generator("openai:http://127.0.0.1:1/v1#any", adapters=experts)
    with pytest.raises(InvalidArgument, match="does not run on our engine"):
        load_generator(str(base), dtype="float16", adapters=experts)
