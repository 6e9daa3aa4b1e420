"""Token matches: the scores that their definition gives, and the bundle that is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from expertrag import models
from expertrag_retriever import Searcher
from expertrag_retriever.rerank.bundle import WEIGHTS, load_bundle, open_base, read_settings
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import Reranking
from expertrag_retriever.rerank.token_match import TokenMatchPairs, TokenWeights, layer_states

QUERY = "When are roses pruned?"
TEXTS = [
    "Roses are cut back in March, above a bud that faces outwards.",
    "Roses " * 200,
    "Compost needs air, water, green and brown material in equal parts.",
    "",
]


@pytest.fixture(scope="module")
def shipped_folder() -> Path:
    return Path(models.reranker_source("minilm-tokens"))


def test_the_score_is_the_mean_best_cosine(minilm_path: Path) -> None:
    bert, tokens = open_base(minilm_path, 48)
    vocabulary = bert.config.vocab_size
    rarity = torch.linspace(0.5, 2.0, vocabulary)
    center = torch.full((bert.config.hidden_size,), 0.01)
    pairs = TokenMatchPairs(bert, tokens, 3, TokenWeights(center, rarity), scale=10.0)
    (ids,) = tokens.query_alone(QUERY)
    wanted = []
    with torch.inference_mode():
        asked = F.normalize(layer_states(bert, 3, [ids])[0][0, 1:-1] - center, dim=-1)
        for row in tokens.alone(TEXTS):
            found = F.normalize(layer_states(bert, 3, [row])[0][0] - center, dim=-1)
            best = (asked @ found.T).amax(1)
            weights = rarity[torch.tensor(ids[1:-1])]
            wanted.append(10 * float((best * weights).sum() / weights.sum()))
    assert pairs.scores(QUERY, TEXTS) == pytest.approx(wanted, abs=1e-3)
    assert wanted[0] == max(wanted)
    assert max(map(len, tokens.alone(TEXTS))) == 48
    assert pairs.count_tokens(QUERY, TEXTS)[1] > 200


def test_the_shipped_one_reranks_a_search(searcher: Searcher, shipped_folder: Path) -> None:
    reranker = load_reranker(str(shipped_folder), name="minilm-tokens", resolve=models.resolve)
    assert sum(path.stat().st_size for path in shipped_folder.iterdir()) < 10 << 20
    scores = reranker.score(QUERY, TEXTS)
    assert scores[0] > scores[2] > scores[3]
    alone = [float(reranker.score(QUERY, [text])[0]) for text in TEXTS]
    assert alone == pytest.approx(scores.tolist(), abs=0.1)
    found = searcher.search("How do I read a file line by line?", k=20)
    done = Reranking(reranker, deadline_s=60.0).apply("How do I read a file line by line?", found)
    assert done.candidates == 20


def test_its_weights_are_what_the_card_says(shipped_folder: Path, minilm_path: Path) -> None:
    settings, base = read_settings(shipped_folder)
    assert base.name == "all-minilm-l6-v2"
    pairs, again = load_bundle(shipped_folder, minilm_path, base.fingerprint)
    assert isinstance(pairs, TokenMatchPairs) and again == settings
    assert pairs.max_tokens == settings.max_tokens
    assert (shipped_folder / WEIGHTS).stat().st_size < 1 << 20
