"""Token ids of queries and texts, together or alone, as a BERT encoder reads them.

N texts, L tokens of the longest
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

MOST_QUERY_TOKENS = 64
"""A longer query is cut, so that room is left for the text."""

_SPECIAL = 3  # [CLS] query [SEP] text [SEP]


@dataclass(frozen=True, slots=True)
class PairFeatures:
    """Token ids, attention mask and token types (1 in the text) of pairs, (N, L) each."""

    ids: torch.Tensor
    mask: torch.Tensor
    kinds: torch.Tensor


class PairTokens:
    """Makes the features of pairs with a BERT tokenizer. Thread-safe: it is never modified."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Cut what is longer than ``max_tokens``: a pair at the end of its text, or a text."""
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._first, self._end = (_id(tokenizer, name) for name in ("[CLS]", "[SEP]"))

    def count(self, query: str, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each pair, the text without truncation."""
        query_tokens = len(self._query(query)) + _SPECIAL
        return [query_tokens + len(row) for row in self._ids(texts)]

    def query_alone(self, query: str) -> list[list[int]]:
        """Return the ids of one row, the query."""
        return [[self._first, *self._query(query), self._end]]

    def alone(self, texts: Sequence[str], *, cut: bool = True) -> list[list[int]]:
        """Return the ids of texts, each for itself."""
        most = self.max_tokens - 2 if cut else None
        return [[self._first, *row[:most], self._end] for row in self._ids(texts)]

    def features(self, query: str, texts: Sequence[str]) -> PairFeatures:
        """Pad pairs of one query to the longest of them."""
        return self.of_pairs([(query, texts)])

    def of_pairs(self, groups: Sequence[tuple[str, Sequence[str]]]) -> PairFeatures:
        """Pad pairs of several queries, each with its texts, to the longest of them."""
        pairs = [
            (head, [*text[: self.max_tokens - len(head) - 1], self._end])
            for query, texts in groups
            for head in self.query_alone(query)
            for text in self._ids(texts)
        ]
        ids, mask = pad_rows([head + text for head, text in pairs])
        kinds = mask.to(ids.dtype)
        for row, (head, _) in enumerate(pairs):
            kinds[row, : len(head)] = 0
        return PairFeatures(ids, mask, kinds)

    def _query(self, query: str) -> list[int]:
        return self._ids([query])[0][:MOST_QUERY_TOKENS]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        encodings: Any = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def _id(tokenizer: Tokenizer, name: str) -> int:
    token_id = tokenizer.token_to_id(name)
    assert token_id is not None, f"a BERT vocabulary has {name}"
    return int(token_id)


def pad_rows(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rows of ids to the longest: ids (N, L) and, True for the rows' own, mask (N, L)."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = True
    return ids, mask
