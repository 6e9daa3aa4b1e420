"""Training: groups of real searches, gains on held-out queries, the same after a kill."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from expertrag_index.types import Progress, silent
from expertrag_lab.embedder.types import Pair, Source
from expertrag_lab.reranker.groups import (
    CandidateGroup,
    GroupedSource,
    group_ndcg,
    group_source,
)
from expertrag_lab.reranker.train import RerankerReport, RerankRecipe, train_reranker
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.fingerprint import folder_fingerprint
from expertrag_retriever.rerank.loading import load_reranker

if TYPE_CHECKING:
    from expertrag_retriever import SentenceTransformerEmbedder

RECIPE = RerankRecipe(
    epochs=3, batch=4, negatives=3, rank=4, max_tokens=32, evaluations=4, learning_rate=5e-3
)
COLOURS = ("red", "blue", "green", "white", "black", "yellow")


def colour_group(number: int) -> CandidateGroup:
    """The text of the query's colour answers it; the search ranks it last."""
    rng = random.Random(number)
    wanted, *others = rng.sample(COLOURS, 4)
    texts = [f"A {colour} door." for colour in (*others, wanted)]
    return CandidateGroup(
        f"Which door is {wanted}?", tuple(texts), (0.2, 0.1, 0.0, -0.3), (False, False, False, True)
    )


@pytest.fixture(scope="module")
def source() -> GroupedSource:
    groups = [colour_group(number) for number in range(36)]
    return GroupedSource("doors", tuple(groups[:24]), tuple(groups[24:]), dropped=0)


class Killed(Exception):
    """Raised in place of a kill."""


def run(
    source: GroupedSource,
    base: Path,
    out: Path,
    work: Path,
    progress: Progress = silent,
    **changes: Any,
) -> RerankerReport:
    known = Base("all-minilm-l6-v2", folder_fingerprint(base))
    recipe = replace(RECIPE, **changes)
    return train_reranker([source], known, base, recipe, out, work, progress)


@pytest.fixture(scope="module")
def trained(
    source: GroupedSource, minilm_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("trained") / "reranker"
    run(source, minilm_path, out, out.with_name("work"))
    return out


@pytest.mark.slow
def test_it_learns_and_describes_itself(trained: Path, minilm_path: Path) -> None:
    about = json.loads((trained / "reranker.json").read_text())["training"]
    before, after = (about["points"][place]["dev"]["doors"] for place in (0, about["best"]))
    assert before == pytest.approx(1 / np.log2(5))
    assert after > before + 0.1
    card = (trained / "README.md").read_text()
    assert f"| doors | 24 | 12 | {before:.3f} -> {after:.3f} |" in card
    assert sum(path.stat().st_size for path in trained.iterdir()) < 10 << 20
    reranker = load_reranker(str(trained), resolve=lambda _: str(minilm_path))
    group = colour_group(40)
    joined = reranker.score(group.query, group.texts) + 1.5 * np.array(group.search, np.float32)
    assert group_ndcg(group.relevant, joined) > 0.4


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(
    source: GroupedSource, minilm_path: Path, trained: Path, tmp_path: Path
) -> None:
    def kill(stage: str, done: int, total: int | None) -> None:
        if done == 10:
            raise Killed

    out, work = tmp_path / "reranker", tmp_path / "work"
    with pytest.raises(Killed):
        run(source, minilm_path, out, work, kill)
    assert not out.exists()
    run(source, minilm_path, out, work)
    first, second = ((at / "reranker.safetensors").read_bytes() for at in (trained, out))
    assert first == second


def test_no_gain_is_an_error(source: GroupedSource, minilm_path: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no gain over the search on the dev slice"):
        run(source, minilm_path, tmp_path / "out", tmp_path, learning_rate=0.0, epochs=1)
    empty = GroupedSource("none", (), (), dropped=3)
    with pytest.raises(TrainingError, match="in no data set does the search find"):
        run(empty, minilm_path, tmp_path / "out", tmp_path)


def test_groups_are_what_the_search_finds(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    corpus = {
        f"d{number}": f"Plot {number} grows {colour} roses."
        for number, colour in enumerate(COLOURS * 4)
    }
    asked = [
        Pair(f"Where do {colour} roses grow?", f"d{place}") for place, colour in enumerate(COLOURS)
    ]
    train, dev = (Source("plots", corpus, tuple(some)) for some in (asked[:4], asked[4:]))
    found = group_source(train, dev, embedder, tmp_path / "store", lambda done, total: None)
    assert (len(found.train), len(found.dev), found.dropped) == (4, 2, 0)
    group = found.train[0]
    assert len(group.texts) == len(group.search) == 20
    assert sum(group.relevant) == 1
    assert np.mean(group.search) == pytest.approx(0, abs=1e-5)
    assert list(group.search) == sorted(group.search, reverse=True)
    assert "Plot 0 grows red roses." in group.texts[group.relevant.index(True)]
    drawn = group.sample(3, random.Random(0))
    assert drawn.relevant == (True, False, False, False)
    shutil.rmtree(tmp_path / "store")
