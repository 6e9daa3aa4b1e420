"""A reader's low-rank updates, served next to a dense base instead of merged into copies of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from file_helper import change_json
from reader_samples import next_logits, said, write_llama, write_reader

from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Passage, Sampling
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.lora import Projection
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.adapters.serving import load_adapters, low_rank_of, parallel_of
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.convert.attach import attach
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.convert.upcycle import upcycle
from expertrag.llm.engine.lowering import lower
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.load.packing import pack_folder
from expertrag.llm.network import Limits
from expertrag_kernels import Format
from expertrag_kernels.torch_decoder import TorchDecoder
from expertrag_lab.adapters import adapt
from expertrag_lab.convert.export import export

READ = prompt.open_book("Where?", [Passage("ships", 0, "A painter of ships.", 0, 19, 1.0)])
CLOSED = prompt.write_closed_book("Where do ships go?")
IDS = list(range(20, 60))


@pytest.fixture(scope="module")
def base(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama") / "base", smollm_path)


@pytest.fixture(scope="module")
def bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("updates") / "bundle"
    return write_reader(folder, base, domains=("legal", "finance"))


@pytest.mark.parametrize("packed", [False, True])
def test_the_engine_matches_the_trained_model(
    packed: bool, base: Path, bundle: Path, tmp_path: Path
) -> None:
    source = base
    if packed:
        source = tmp_path / "packed"
        pack_folder(str(base), "float32", source, lambda *_: None)
    generator = load_generator(str(source), dtype="float32", adapters=load_adapters(bundle))
    alone = load_generator(str(source), dtype="float32")
    assert generator.experts == ("shared", "legal", "finance", "base")
    assert ReadingPolicy.of(generator).reader and not ReadingPolicy.of(alone).reader
    assert generator.fingerprint != alone.fingerprint
    made, dense = load_bundle(bundle), load_dense(base).model
    adapters = adapt(dense, made.settings)
    adapters.load(made.weights)
    found = {}
    for domain in generator.experts:
        adapters.use(domain)
        with torch.inference_mode():
            expected = dense(torch.tensor([IDS])).logits[0, -1]
        found[domain] = next_logits(generator, IDS, domain)
        torch.testing.assert_close(found[domain], expected, atol=2e-4, rtol=1e-4)
    assert torch.equal(found["base"], next_logits(alone, IDS, "base"))
    assert len({tuple(some.tolist()) for some in found.values()}) == 4


def test_it_equals_the_merged_mixture(base: Path, bundle: Path, tmp_path: Path) -> None:
    export(str(base), bundle, tmp_path / "mixture")
    mixture = load_generator(str(tmp_path / "mixture"), dtype="float32")
    generator = load_generator(str(base), dtype="float32", adapters=load_adapters(bundle))
    for domain in generator.experts:
        # the mixture's weights are sums that were rounded to bfloat16
        found, merged = next_logits(generator, IDS, domain), next_logits(mixture, IDS, domain)
        assert (found - merged).norm() / merged.norm() < 0.01


def test_the_gpu_decoder_matches(base: Path, bundle: Path) -> None:
    """Runs on the CPU, in torch."""
    experts = load_adapters(bundle)
    generator = load_generator(str(base), dtype="float32", adapters=experts)
    make = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)
    dense = load_dense(base).model
    lowered = lower(
        dense, Format.F32, cache_bytes=1 << 20, context_tokens=256, make=make, adapters=experts
    )
    network = NativeNetwork(lowered, experts.limits(Limits(256, frozenset({2}))))
    for domain in experts.names:
        text = network.new_cache(network.make_policy(domain))
        found = network.forward(IDS, text).logits
        torch.testing.assert_close(found, next_logits(generator, IDS, domain), atol=2e-4, rtol=1e-4)
        network.free(text)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_without_passages_it_is_the_base_bit_for_bit(dtype: str, base: Path, bundle: Path) -> None:
    reader = load_generator(str(base), dtype=dtype, adapters=load_adapters(bundle))
    alone = load_generator(str(base), dtype=dtype)
    assert said(reader, CLOSED, "legal") == said(alone, CLOSED, None)
    assert said(reader, READ, "legal", from_passages=True) != said(
        alone, READ, None, from_passages=True
    )


def test_a_domain_uses_the_shared_update_and_its_own(bundle: Path) -> None:
    adapters = low_rank_of(load_bundle(bundle))
    assert isinstance(adapters, LowRankAdapters)
    names = (SHARED, "legal", "finance", BASE)
    assert adapters.names == names
    parts = [(SHARED,), (SHARED, "legal"), (SHARED, "finance"), ()]
    assert [adapters.parts(name) for name in names] == parts
    down = Projection(0, "mlp.down_proj")
    assert {name: lora[down].up.shape[1] for name, lora in adapters.weights.items()} == {
        SHARED: 2,
        "legal": 1,
        "finance": 1,
    }
    with pytest.raises(InvalidArgument, match="low-rank updates, not parallel adapters"):
        parallel_of(load_bundle(bundle))


@pytest.mark.parametrize("native", [True, False])
def test_an_attached_reader_is_loaded_with_its_base(
    native: bool, base: Path, bundle: Path, tmp_path: Path
) -> None:
    """On our engine, and in transformers."""
    names = attach(str(base), bundle, tmp_path / "model")
    generator = TransformersGenerator.load(str(tmp_path / "model"), dtype="float32", native=native)
    assert generator.reader and generator.experts == names
    adapters = load_adapters(bundle)
    beside = TransformersGenerator.load(str(base), dtype="float32", adapters=adapters)
    items = [(READ, "In the harbour.")]
    for domain in (None, *names):
        (_, found), (_, expected) = (
            next(iter(some.read(items, some.make_policy(Sampling(), domain), from_passages=True)))
            for some in (generator, beside)
        )
        torch.testing.assert_close(
            torch.from_numpy(found.log_probabilities),
            torch.from_numpy(expected.log_probabilities),
            atol=1e-4,
            rtol=1e-4,
        )
    for domain in ("legal", "finance"):
        found_text, expected_text = (
            [text for text, _ in said(some, READ, domain, from_passages=True)]
            for some in (generator, beside)
        )
        assert found_text == expected_text


def test_packing_keeps_the_reader(base: Path, bundle: Path, tmp_path: Path) -> None:
    attach(str(base), bundle, tmp_path / "model")
    pack_folder(str(tmp_path / "model"), "float32", tmp_path / "packed", lambda *_: None)
    packed, plain = (load_generator(str(tmp_path / name)) for name in ("packed", "model"))
    assert ReadingPolicy.of(packed).reader and packed.experts == plain.experts
    whole = load_generator(str(tmp_path / "model"), dtype="float32")
    assert torch.equal(next_logits(packed, IDS, "legal"), next_logits(whole, IDS, "legal"))


def test_a_model_has_one_reader(
    base: Path, bundle: Path, smollm_path: Path, tmp_path: Path
) -> None:
    attach(str(base), bundle, tmp_path / "model")
    with pytest.raises(InvalidArgument, match="has a reader of its own"):
        load_generator(str(tmp_path / "model"), adapters=load_adapters(bundle))
    with pytest.raises(Conflict, match="exists; delete it"):
        attach(str(base), bundle, tmp_path / "model")
    other = write_llama(tmp_path / "other", smollm_path)
    change_json(other / "config.json", rms_norm_eps=1e-5)
    with pytest.raises(Conflict, match="other files of base"):
        attach(str(other), bundle, tmp_path / "another")
    assert not (tmp_path / "another").exists()


@pytest.mark.parametrize("native", [True, False])
def test_a_mixture_is_told_how_to_get_its_reader(native: bool, base: Path, tmp_path: Path) -> None:
    """A reader may be trained on the mixture that was made from a dense model."""
    upcycle(str(base), tmp_path / "moe", num_experts=2, experts_per_token=1)
    adapters = load_adapters(write_reader(tmp_path / "reader", tmp_path / "moe"))
    with pytest.raises(InvalidArgument, match="run `expertrag llm attach`"):
        TransformersGenerator.load(
            str(tmp_path / "moe"), dtype="float32", native=native, adapters=adapters
        )
    pack_folder(str(tmp_path / "moe"), "float32", tmp_path / "packed", lambda *_: None)
    with pytest.raises(InvalidArgument, match="run `expertrag llm attach`"):
        load_generator(str(tmp_path / "packed"), adapters=adapters)
    attach(str(tmp_path / "moe"), tmp_path / "reader", tmp_path / "model")
    assert load_generator(str(tmp_path / "model")).experts == ("shared", "legal", "base")
