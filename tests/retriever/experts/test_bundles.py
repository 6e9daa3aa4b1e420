"""Bundles as a store uses them: expert names, fingerprints, posteriors, vectors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_fixtures import Encoders, domain_texts

from expertrag_lab.router.fit import fit_router
from expertrag_lab.router.pooling import pool_states
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.module import with_experts
from expertrag_retriever.experts.settings import GENERAL, ExpertSettings

Make = Callable[..., Path]
Load = Callable[[Path], SentenceTransformerEmbedder]


@pytest.fixture(scope="module")
def bundle(make_bundle: Make, load_bundle: Load) -> SentenceTransformerEmbedder:
    return load_bundle(make_bundle("trees", "metals"))


@pytest.fixture(scope="module")
def plain(encoder_folders: dict[str, Path]) -> SentenceTransformerEmbedder:
    return load_embedder(str(encoder_folders["bert"]), device="cpu")


@pytest.mark.parametrize("form", ["low_rank", "full"])
def test_an_expert_has_one_fingerprint_in_all_bundles(
    make_bundle: Make, load_bundle: Load, plain: SentenceTransformerEmbedder, form: str
) -> None:
    two = load_bundle(make_bundle("trees", "metals", form=form))
    three = load_bundle(make_bundle("weather", "metals", "trees", form=form))
    for expert in ("trees", "metals", GENERAL):
        assert two.fingerprint_of_expert(expert) == three.fingerprint_of_expert(expert)
    assert two.fingerprint_of_expert(GENERAL) == plain.fingerprint
    assert plain.fingerprint_of_expert(GENERAL) == plain.fingerprint
    assert len({three.fingerprint_of_expert(name) for name in (*three.experts, GENERAL)}) == 4
    assert two.fingerprint != three.fingerprint
    other = load_bundle(make_bundle("trees", "metals", form=form, size=0.4))
    assert other.fingerprint_of_expert("trees") != two.fingerprint_of_expert("trees")


def test_a_saved_model_has_the_same_fingerprints(encoder: Encoders, tmp_path: Path) -> None:
    folders = []
    for domains in (("a", "b"), ("a", "b", "c")):
        model = encoder("bert")
        torch.manual_seed(0)
        with_experts(model, ExpertSettings(domains))
        folders.append(tmp_path / "-".join(domains))
        model.save(str(folders[-1]))
    first, second = (load_embedder(str(folder), device="cpu") for folder in folders)
    assert first.experts == ("a", "b")
    assert first.fingerprint_of_expert(GENERAL) == second.fingerprint_of_expert(GENERAL)
    assert first.fingerprint_of_expert(GENERAL) != first.fingerprint


def test_posteriors_come_from_the_router(
    bundle: SentenceTransformerEmbedder, plain: SentenceTransformerEmbedder
) -> None:
    texts = [text for name in ("trees", "metals") for text in domain_texts(name, 20, seed=1)]
    rows = bundle.posteriors(texts)
    assert rows.shape == (40, 3)
    assert np.allclose(rows.sum(axis=1), 1, atol=1e-3)
    assert rows[:20].mean(axis=0).argmax() == 0
    assert rows[20:].mean(axis=0).argmax() == 1
    assert bundle.posteriors([]).shape == (0, 3)
    assert plain.experts == ()
    assert np.array_equal(plain.posteriors(texts[:2]), [[1.0], [1.0]])


def test_without_a_router_no_text_has_a_domain(make_bundle: Make, load_bundle: Load) -> None:
    rows = load_bundle(make_bundle("trees")).posteriors(["ash oak", "zinc"])
    assert np.array_equal(rows, [[0, 1], [0, 1]])


def test_routing_is_safe_during_encoding(bundle: SentenceTransformerEmbedder) -> None:
    """A pass that ends at the router must not end the passes of other threads."""
    texts = domain_texts("trees", 30)
    vectors, rows = bundle.encode_documents(texts, "trees"), bundle.posteriors(texts)
    with ThreadPoolExecutor(4) as pool:
        encoding = [pool.submit(bundle.encode_documents, texts, "trees") for _ in range(6)]
        routing = [pool.submit(bundle.posteriors, texts) for _ in range(6)]
        assert all(np.allclose(done.result(), vectors, atol=1e-3) for done in encoding)
        assert all(np.allclose(done.result(), rows, atol=1e-2) for done in routing)


def test_encodes_a_query_by_several_experts(
    bundle: SentenceTransformerEmbedder, plain: SentenceTransformerEmbedder
) -> None:
    texts = domain_texts("metals", 5)
    experts = ("metals", GENERAL, "trees")
    vectors = bundle.encode_queries_by_experts(texts, experts)
    assert vectors.shape == (5, 3, bundle.dimension)
    for place, expert in enumerate(experts):
        alone = bundle.encode_queries(texts, expert)
        assert np.allclose(vectors[:, place], alone, atol=1e-2)  # of bfloat16, where it is used
    assert np.array_equal(bundle.encode_documents(texts, GENERAL), plain.encode_documents(texts))
    assert not np.allclose(vectors[:, 0], vectors[:, 2], atol=0.05)
    same = plain.encode_queries_by_experts(texts, (GENERAL, "trees"))
    assert np.array_equal(same[:, 0], same[:, 1])
    assert np.array_equal(same[:, 0], plain.encode_queries(texts))


def test_a_domain_without_an_expert_is_known_and_served_by_the_base(encoder: Encoders) -> None:
    model = encoder("bert")
    transformer = with_experts(model, ExpertSettings(("trees", "metals")))
    texts = {domain: domain_texts(domain, 120) for domain in ("trees", "metals", "weather")}
    transformer.router, _ = fit_router(texts, lambda some: pool_states(model, some))
    embedder = SentenceTransformerEmbedder("tiny", model, "")
    foreign = domain_texts("weather", 20, seed=1)
    posteriors = embedder.posteriors([*foreign, *domain_texts("trees", 20, seed=1)])
    assert posteriors.shape == (40, 3)
    assert (posteriors[:20].argmax(axis=1) == 2).mean() > 0.9
    assert (posteriors[20:].argmax(axis=1) == 0).mean() > 0.8
    alone = embedder.encode_documents(foreign, GENERAL)
    routed = embedder.encode_documents(foreign)
    assert np.allclose(routed, alone, atol=1e-6)
