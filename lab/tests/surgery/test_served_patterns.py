"""Experts of a domain at run time: as a pruned model answers, from the weights of the whole one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from made_mixtures import (
    IDS,
    SIZES,
    engine_logits,
    layers_of,
    logits,
    mixture_of,
    planted_profile,
    profile_of,
    texts,
)
from model_fixtures import OpenAIServer, TinyFolder, lowered, text_of
from torch.nn import functional

from expertrag.answer.assemble import _check_domains, open_generator
from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Sampling
from expertrag.config import LabConfig, ModelConfig
from expertrag.llm import Generator, Message, load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.packing import pack_folder
from expertrag_index.types import silent
from expertrag_kernels import Format
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.steps import CacheShape, SequenceRows, Steps
from expertrag_kernels.torch_decoder import TorchDecoder
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse, Method
from expertrag_lab.surgery.profiling.profile_folder import ProfileCard, save_profile
from expertrag_lab.surgery.served_patterns import patterns_of, serve_patterns
from expertrag_retriever.encoder import SentenceTransformerEmbedder

_MAKERS: dict[str, Callable[[CacheShape, int], Steps[Any, Any]]] = {
    "compiled": Decoder,
    "torch": partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32),
}
_SHARED_DENOMINATORS = ("olmoe", "qwen2_moe with null experts", "deepseek_v2 in groups")
_DRAWN = Sampling(max_tokens=40, temperature=1.0, frequency_penalty=0.0)
_QUESTION = [Message("user", "The harbour is for fish.\n\nQuestion: What is the harbour for?")]


@pytest.fixture(params=_MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    """Decoders of our engine."""
    return _MAKERS[request.param]


def _with_pattern(decoder: Steps[Any, Any], pattern: ExpertPattern) -> torch.Tensor:
    """Logits (T, V) of ``IDS``, beside the same text with all experts."""
    count, at = len(IDS), torch.arange(len(IDS))
    rows = [
        SequenceRows(0, count, torch.tensor([1]), open=pattern.open),
        SequenceRows(count, 2 * count, torch.tensor([2])),
    ]
    found, _ = decoder.run(IDS.repeat(2), at.repeat(2), rows, torch.arange(count))
    return found


@pytest.mark.parametrize("family", [name for name in SIZES if name not in _SHARED_DENOMINATORS])
def test_answers_are_those_of_the_pruned_model(family: str, make: Any) -> None:
    mixture = mixture_of(family, **SIZES[family])
    profile = profile_of(mixture)
    decoder = lowered(mixture.model, Format.F32, make=make).decoder
    (pattern,) = patterns_of(profile, decoder.routers, 0.5).values()
    pruned = prune(
        mixture, profile, keep=0.5, method=Method.EASY_EP, denominators=Denominators.RENORMALISE
    )
    kept = [row.nonzero()[:, 0].tolist() for row in pattern.open]
    assert kept == pruned.model.config.expertrag_surgery[-1]["experts"]
    found = _with_pattern(decoder, pattern)
    torch.testing.assert_close(found, engine_logits(pruned.model), atol=1e-3, rtol=1e-3)
    assert (found - engine_logits(mixture.model)).abs().max() > 0.01


def _masked(mixture: Mixture, place: int, is_open: torch.Tensor) -> Callable[..., Any]:
    """A router that chooses among the open experts by probabilities among all."""
    router, config = layers_of(mixture)[place].router, mixture.model.config

    def route(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = hidden.reshape(-1, hidden.shape[-1])
        raw = functional.linear(rows, router.weight)
        shares = raw.softmax(-1)
        choice = shares.masked_fill(~is_open, -1.0)
        if mixture.groups > 1:
            parts = choice.unflatten(1, (mixture.groups, -1))
            best = parts.amax(2).topk(config.topk_group).indices
            outside = torch.ones(parts.shape[:2], dtype=torch.bool).scatter(1, best, False)
            choice = parts.masked_fill(outside[..., None], -1.0).flatten(1)
        index = choice.topk(mixture.top_k).indices
        weights = shares.gather(1, index) * getattr(config, "routed_scaling_factor", 1.0)
        return raw, weights, index

    return route


@pytest.mark.parametrize("family", _SHARED_DENOMINATORS)
def test_weights_stay_probabilities_among_all_experts(
    family: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = mixture_of(family, **SIZES[family])
    decoder = lowered(mixture.model, Format.F32, make=make).decoder
    (pattern,) = patterns_of(profile_of(mixture), decoder.routers, 0.5).values()
    nulls = mixture.null_experts
    assert pattern.open[:, mixture.num_experts - nulls :].all()
    found, whole = _with_pattern(decoder, pattern), logits(mixture)
    for place, layer in enumerate(layers_of(mixture)):
        monkeypatch.setattr(layer.router, "forward", _masked(mixture, place, pattern.open[place]))
    torch.testing.assert_close(found, logits(mixture), atol=1e-3, rtol=1e-3)
    assert (found - whole).abs().max() > 0.01


def test_all_experts_change_no_bit(make: Any) -> None:
    mixture = mixture_of("deepseek_v3", **SIZES["deepseek_v3"])
    decoder = lowered(mixture.model, Format.F32, make=make).decoder
    (pattern,) = patterns_of(profile_of(mixture), decoder.routers, 1.0).values()
    assert pattern.open.all()
    at = torch.arange(len(IDS))
    whole, _ = decoder.run(IDS, at, [SequenceRows(0, len(IDS), torch.tensor([0]))], at)
    rows = [SequenceRows(0, len(IDS), torch.tensor([1]), open=pattern.open)]
    assert torch.equal(decoder.run(IDS, at, rows, at)[0], whole)


def test_every_domain_has_its_best_experts_and_the_super_experts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    profile = profile_of(mixture, {"a": texts(3), "b": texts(3, seed=1)})
    supers = torch.zeros(3, 8, dtype=torch.bool)
    worst = profile.importance(Method.EASY_EP, ["a"])[1].argmin()
    supers[1, worst] = True
    monkeypatch.setattr(ExpertProfile, "super_experts", lambda self: supers)
    routers = lowered(mixture.model, Format.F32).decoder.routers
    patterns = patterns_of(profile, routers, 0.3)  # 3 of 8
    assert [pattern.open.sum(1).tolist() for pattern in patterns.values()] == [[3] * 3] * 2
    for name, pattern in patterns.items():
        assert pattern.name == name and pattern.open[1, worst]
        scores = profile.importance(Method.EASY_EP, [name])
        for layer in (0, 2):
            best = scores[layer].topk(3).indices.sort().values
            assert pattern.open[layer].nonzero()[:, 0].tolist() == best.tolist()
    with pytest.raises(InvalidArgument, match=r"would keep 1: .*; raise the share"):
        supers[0, :2] = True
        patterns_of(profile, routers, 0.1)


def test_a_profile_of_other_layers_is_refused() -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    routers = lowered(mixture.model, Format.F32).decoder.routers
    none = ExpertUse.none(3, 6)
    other = replace(planted_profile(mixture), domains={"any": none})
    with pytest.raises(InvalidArgument, match="3 layers of 6 experts, and the model 3 of 8"):
        patterns_of(other, routers, 0.5)


def test_groups_keep_enough_experts_for_their_router() -> None:
    mixture = mixture_of("deepseek_v3", n_routed_experts=16)
    routers = lowered(mixture.model, Format.F32).decoder.routers
    profile = profile_of(mixture)
    with pytest.raises(InvalidArgument, match="use 8, 12 or 16"):
        patterns_of(profile, routers, 0.25)
    (pattern,) = patterns_of(profile, routers, 0.6).values()
    assert set(pattern.open.unflatten(1, (4, 4)).sum(2).flatten().tolist()) == {3}


@pytest.fixture(scope="module")
def profiled(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of a folder's mixture, with two domains that use other experts."""
    folder = tmp_path_factory.mktemp("profile")
    scores = torch.zeros(2, 5)
    scores[:, :3] = torch.tensor([3.0, 2.0, 1.0])
    uses = {
        name: replace(
            ExpertUse.none(2, 5),
            tokens=torch.tensor(9.0, dtype=torch.float64),
            output_aware=order.double(),
        )
        for name, order in (("law", scores), ("art", scores.flip(1)))
    }
    profile = ExpertProfile(fingerprint(tiny_folder("mixtral")), (0, 1), uses)
    save_profile(profile, ProfileCard("tiny", 5, 0, 2, {"law": 1, "art": 1}, (), 0.1, 64), folder)
    return folder


def _served(source: Path, profile: Path, **options: Any) -> TransformersGenerator:
    generator = load_generator(str(source), **options)
    assert isinstance(generator, TransformersGenerator)
    serve_patterns(generator, str(source), profile, 0.6)
    return generator


def _text(generator: Generator, domain: str | None, **change: Any) -> str:
    sampling = replace(_DRAWN, **change)
    policy = generator.make_policy(sampling, domain)
    return text_of(generator.begin(_QUESTION, sampling, policy=policy))


def test_the_domain_chooses_the_experts_that_answer(
    tiny_folder: TinyFolder, profiled: Path, tmp_path: Path
) -> None:
    folder = tiny_folder("mixtral")
    plain = load_generator(str(folder), dtype="float32")
    served = _served(folder, profiled, dtype="float32")
    assert served.patterns == ("law", "art")
    assert served.fingerprint != plain.fingerprint
    wanted = _text(plain, None)
    for _ in range(2):  # what one has computed does not serve another: the second round is cached
        answers = [_text(served, domain) for domain in ("law", "art", None, "physics")]
        assert answers[2] == answers[3] == wanted
        assert len(set(answers)) == 3
    used = served.counters()["cached_tokens"]
    assert used > 0
    (_, law), (_, art) = (
        next(iter(served.read([(_QUESTION, "Fish.")], served.make_policy(Sampling(), domain))))
        for domain in ("law", "art")
    )
    assert not (law.log_probabilities == art.log_probabilities).all()
    pack_folder(str(folder), "float32", tmp_path / "packed", silent)  # the profile fits it, too
    assert _text(_served(tmp_path / "packed", profiled), "law") == answers[0]


def test_the_weak_side_has_the_same_experts(tiny_folder: TinyFolder, profiled: Path) -> None:
    served = _served(tiny_folder("mixtral"), profiled, dtype="float32")
    one = Contrast(WeakSide.ROUTING, beta=4.0, plausibility=0.001)
    before = served.counters()
    answers = [_text(served, domain, contrast=one) for domain in ("law", "art")]
    assert answers[0] != answers[1] != _text(served, "art")
    after = served.counters()
    assert after["routed_tokens"] > before["routed_tokens"]


def test_only_the_experts_of_the_domain_are_read(
    tiny_folder: TinyFolder, profiled: Path, tmp_path: Path
) -> None:
    pack_folder(str(tiny_folder("mixtral")), "float32", packed := tmp_path / "packed", silent)
    with pytest.raises(InvalidArgument, match="too small") as caught:
        load_generator(str(packed), weights_mib=1)
    least = int(str(caught.value).split(" take ")[1].split(" ")[0])
    limited = _served(packed, profiled, weights_mib=least + 1)  # room for all of these tiny experts
    wanted = _served(packed, profiled)
    assert _text(limited, "law") == _text(wanted, "law")
    reads = limited.counters()
    of_all = reads["expert_bytes_read"]
    assert of_all == _six(limited)  # three of five experts in each of two layers, each once
    assert _text(limited, "law") == _text(wanted, "law")
    again = limited.counters()
    assert again["expert_misses"] == reads["expert_misses"]
    assert again["expert_bytes_read"] == of_all
    assert _text(limited, "art") == _text(wanted, "art")
    deadline = time.monotonic() + 10
    while limited.counters()["expert_bytes_read"] < 10 / 6 * of_all and time.monotonic() < deadline:
        time.sleep(0.01)
    assert limited.counters()["expert_bytes_read"] == 10 / 6 * of_all  # the four others


def _six(generator: TransformersGenerator) -> int:
    """Bytes of six experts."""
    network: Any = generator._network
    experts = [item for name, item in network._lowered.weights.items() if name.endswith(".experts")]
    return int(6 * experts[0].data.numel() // experts[0].num_experts)


def test_what_has_no_patterns(
    tiny_folder: TinyFolder, tiny_left: TransformersGenerator, profiled: Path
) -> None:
    other = load_generator(str(tiny_folder("olmoe")), dtype="float32")
    assert isinstance(other, TransformersGenerator)
    with pytest.raises(Conflict, match="made of another model"):
        serve_patterns(other, str(tiny_folder("olmoe")), profiled, 0.6)
    with pytest.raises(InvalidArgument, match="expert_patterns: needs a model on our engine"):
        serve_patterns(tiny_left, str(tiny_folder("mixtral")), profiled, 0.6)
    dense = load_generator(str(tiny_folder("llama")), dtype="float32")
    assert isinstance(dense, TransformersGenerator)
    with pytest.raises(InvalidArgument, match="expert_patterns: needs a mixture whose routers"):
        serve_patterns(dense, str(tiny_folder("llama")), profiled, 0.6)


def test_the_configuration_names_profile_and_share(
    tiny_folder: TinyFolder, profiled: Path, openai_server: OpenAIServer
) -> None:
    model = ModelConfig(generator=str(tiny_folder("mixtral")), dtype="float32")
    lab = LabConfig(expert_patterns=str(profiled))

    def opened(share: float) -> Generator:
        return open_generator(model, lab=replace(lab, expert_share=share))

    half, most = open_generator(model, lab=lab), opened(0.6)
    assert half.patterns == most.patterns == ("law", "art")
    assert half.fingerprint == most.fingerprint  # both have 3 of 5 experts
    assert opened(0.8).fingerprint != half.fingerprint
    on_a_server = replace(model, generator=f"openai:{openai_server.url}#tiny")
    with pytest.raises(InvalidArgument, match="expert_patterns: needs a model on our engine, not"):
        open_generator(on_a_server, lab=lab)


def test_domains_that_no_question_is_routed_to_are_told(
    tiny_folder: TinyFolder,
    profiled: Path,
    embedder: SentenceTransformerEmbedder,
    shipped: SentenceTransformerEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    served = _served(tiny_folder("mixtral"), profiled, dtype="float32")
    with caplog.at_level(logging.WARNING):
        _check_domains(served, embedder)
        _check_domains(served, shipped)
        served.patterns = ("law", "finance")
        _check_domains(served, shipped)
    warnings = [item for item in caplog.records if item.levelno == logging.WARNING]
    first, second = (record.getMessage() for record in warnings)
    assert first.startswith("the embedder routes questions to no domain, and the expert patterns")
    assert "finance" in second and "are of law, art" in second
