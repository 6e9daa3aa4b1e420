"""Words that indicate domains, the explanation, and the files of a router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from router_fixtures import TEXTS, pool

from expertrag_lab.router.explain import explain
from expertrag_lab.router.fit import fit_router
from expertrag_lab.router.words import MOST_WORDS, telling_words, words_of
from expertrag_retriever.errors import EmbedderError
from expertrag_retriever.router.evidence import DomainEvidence
from expertrag_retriever.router.router import DomainRouter
from expertrag_retriever.router.storage import ABOUT, TENSORS, Origin, load_router, save_router
from expertrag_retriever.router.types import RouterFigures

TEXT = "the tenant broke the lease and the court sent a notice"


@pytest.fixture(scope="module")
def router() -> DomainRouter:
    return fit_router(TEXTS, pool)[0]


def test_words_of_a_text() -> None:
    text = "Don't re-use IT, it\u2019s x 42 a_b_ üben " + "y" * 30
    assert words_of(text) == ["don't", "re-use", "it", "it\u2019s", "üben"]


def test_telling_words_exclude_common_words() -> None:
    here = ["the lease of the tenant"] * 20 + ["the lease"] * 20
    there = ["the bond of the bank"] * 40
    first, second = telling_words([here, there])
    assert list(first) == ["lease", "tenant"]
    assert list(second) == ["bank", "bond"]


@pytest.mark.parametrize("groups", [[], [[]], [["a word"]], [[], ["a word"] * 9], [["1"], ["2"]]])
def test_no_telling_words_without_a_comparison(groups: list[list[str]]) -> None:
    assert telling_words(groups) == [{} for _ in groups]


def test_a_choice_is_explained_by_the_text_s_own_words(router: DomainRouter) -> None:
    found = explain(router, TEXT, pool([TEXT])[0])
    assert found.domain == found.nearest.domain == "legal"
    assert {item.word for item in found.words} <= {"tenant", "lease", "court", "notice"}
    assert [item.value for item in found.words] == sorted(
        (item.value for item in found.words), reverse=True
    )
    assert sum(found.posterior.values()) == pytest.approx(1.0, abs=1e-5)
    assert list(found.posterior) == ["legal", "finance", "medicine", "general"]
    assert sum(found.experts.values()) == pytest.approx(1.0)
    assert found.sentence.startswith("The text is classified as legal (probability ")
    assert '"tenant"' in found.sentence


def test_words_do_not_influence_the_choice(router: DomainRouter) -> None:
    found = explain(router, "dividend broker", pool([TEXT])[0])
    assert found.domain == "legal"
    assert found.words == ()
    assert "no single word indicates it" in found.sentence


def test_an_unknown_text_is_explained_by_its_distance(router: DomainRouter) -> None:
    text = "galaxy comet telescope orbit"
    found = explain(router, text, pool([text])[0])
    assert (found.domain, found.experts) == ("general", {"general": 1.0})
    assert found.nearest.distance > found.reach
    assert "the base model serves it" in found.sentence


def test_masked_domains_are_not_named(router: DomainRouter) -> None:
    states = pool([TEXT])[0]
    found = explain(router, TEXT, states, ["finance"])
    assert found.posterior["legal"] == found.posterior["medicine"] == 0.0
    assert found.nearest.domain == "finance"
    nothing = explain(router, TEXT, states, [])
    assert nothing.domain == "general"
    assert "no other domain may be chosen" in nothing.sentence


def test_an_uncertain_choice_names_the_second_expert() -> None:
    pair = {name: TEXTS[name] for name in ("legal", "finance")}
    router, _ = fit_router(pair, pool)
    both = pool(TEXTS["legal"][:1])[0] + pool(TEXTS["finance"][:1])[0]
    mixed = explain(replace(router, reach=1e6, temperature=1e6), "", both)
    assert len(mixed.experts) == 2
    assert "because this is uncertain, the expert of" in mixed.sentence


def test_explains_a_domain_without_an_expert(router: DomainRouter) -> None:
    text = TEXTS["medicine"][0]
    found = explain(router, text, pool([text])[0], experts=2)
    assert (found.domain, found.experts) == ("medicine", {"general": 1.0})
    assert "this domain has no expert" in found.sentence


def test_saved_and_loaded(router: DomainRouter, tmp_path: Path) -> None:
    origin = Origin("minilm", "abc", 3, RouterFigures(0.9, 0.01, 0.95, 400))
    save_router(router, tmp_path / "new" / "folder", origin)
    loaded, found = load_router(tmp_path / "new" / "folder")
    pooled = torch.randn(5, 24)
    assert found == origin
    assert torch.equal(loaded.posterior(pooled), router.posterior(pooled))
    assert loaded.evidence == router.evidence
    save_router(router, tmp_path)
    assert load_router(tmp_path)[1] is None


def test_words_of_six_domains_stay_small(router: DomainRouter, tmp_path: Path) -> None:
    words = {f"{place:04d}longword": 12.3 for place in range(MOST_WORDS)}
    evidence = DomainEvidence({f"domain{i}": words for i in range(6)}, (("word",) * 6,) * 48)
    save_router(replace(router, evidence=evidence), tmp_path)
    assert (tmp_path / ABOUT).stat().st_size <= 300_000


def _edit(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / ABOUT, **changes)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / TENSORS).unlink(),
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:100]),
        lambda folder: (folder / ABOUT).write_text("{"),
        _edit(format=99),
        _edit(domains=["legal"]),
        _edit(reach="far"),
        _edit(evidence=None),
        _edit(origin={"base": "x"}),
    ],
)
def test_rejects_a_damaged_router(
    router: DomainRouter, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    save_router(router, tmp_path)
    harm(tmp_path)
    with pytest.raises(EmbedderError, match=r"the router in .* is damaged .*train it again"):
        load_router(tmp_path)


def test_rejects_a_folder_without_a_router(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="no router in"):
        load_router(tmp_path)
