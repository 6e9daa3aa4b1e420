"""Token ids of a query with texts, as BERT reads pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from expertrag_retriever.rerank.tokens import MOST_QUERY_TOKENS, PairTokens, pad_rows

TEXTS = ["Roses are pruned in March.", "", "word " * 100]


@pytest.fixture(scope="module")
def tokenizer(minilm_path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(minilm_path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def test_pairs_are_those_of_the_tokenizer(tokenizer: Tokenizer) -> None:
    pairs = PairTokens(tokenizer, 512).features("When are roses pruned?", TEXTS)
    for row, text in enumerate(TEXTS):
        wanted = tokenizer.encode("When are roses pruned?", text)
        length = int(pairs.mask[row].sum())
        assert pairs.ids[row, :length].tolist() == wanted.ids
        assert pairs.kinds[row, :length].tolist() == wanted.type_ids
        assert not pairs.ids[row, length:].any()


def test_counts_are_of_whole_texts(tokenizer: Tokenizer) -> None:
    counts = PairTokens(tokenizer, 16).count("When?", TEXTS)
    assert counts == [len(tokenizer.encode("When?", text).ids) for text in TEXTS]


def test_a_pair_is_cut_at_the_end_of_its_text(tokenizer: Tokenizer) -> None:
    pairs = PairTokens(tokenizer, 16).features("When?", TEXTS)
    assert pairs.ids.shape == (3, 16)
    assert pairs.ids[2, -1] == tokenizer.token_to_id("[SEP]")


def test_a_long_query_leaves_room_for_the_text(tokenizer: Tokenizer) -> None:
    (row,) = PairTokens(tokenizer, 512).query_alone("word " * 100)
    assert len(row) == MOST_QUERY_TOKENS + 2


def test_texts_alone_are_cut_unless_they_are_to_be_whole(tokenizer: Tokenizer) -> None:
    tokens = PairTokens(tokenizer, 16)
    whole = [tokenizer.encode(text).ids for text in TEXTS]
    assert tokens.alone(TEXTS, cut=False) == whole
    assert tokens.alone(TEXTS)[:2] == whole[:2]
    assert [len(row) for row in tokens.alone(TEXTS)][2] == 16


def test_rows_are_padded_to_the_longest() -> None:
    ids, mask = pad_rows([[5], [6, 7]])
    assert torch.equal(ids, torch.tensor([[5, 0], [6, 7]]))
    assert torch.equal(mask, torch.tensor([[True, False], [True, True]]))
