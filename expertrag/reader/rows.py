"""Examples as rows of tokens: several in a row, all of one domain, without padding.

T tokens of a row, A of them replies
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expertrag.generation.chat import ChatTokenizer
from expertrag.reader.examples import Example
from expertrag_retriever.experts.settings import GENERAL


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as tokens; the reply ends with the end of the turn."""

    domain: str
    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply) - 1  # nothing follows the last token


@dataclass(frozen=True, slots=True)
class Row:
    """Examples that are computed together, with the updates of ``domain``."""

    domain: str
    examples: tuple[Encoded, ...]

    @property
    def tokens(self) -> list[int]:
        """Input, (T,)."""
        return [token for item in self.examples for token in (*item.prompt, *item.reply[:-1])]

    @property
    def borders(self) -> list[tuple[int, int]]:
        """Where each example begins and ends."""
        ends = [0]
        for item in self.examples:
            ends.append(ends[-1] + len(item))
        return list(itertools.pairwise(ends))

    @property
    def positions(self) -> list[int]:
        """Place of each token in its own example, (T,)."""
        return [place for item in self.examples for place in range(len(item))]

    @property
    def answering(self) -> list[int]:
        """Places in the row whose next token is one of a reply, (A,)."""
        return [
            place
            for (_, end), item in zip(self.borders, self.examples, strict=True)
            for place in range(end - len(item.reply), end)
        ]

    @property
    def targets(self) -> list[int]:
        """Tokens of the replies, (A,)."""
        return [token for item in self.examples for token in item.reply]


def encode(examples: Iterable[Example], chat: ChatTokenizer, end: int) -> list[Encoded]:
    """Turn examples into tokens, the prompt exactly as it is served."""
    return [
        Encoded(
            item.domain,
            tuple(chat.encode(item.messages)),
            (*chat.encode_text(item.reply.text), end),
        )
        for item in examples
    ]


def pack(examples: Sequence[Encoded], most_tokens: int) -> list[Row]:
    """Fill rows one after the other with examples of one domain; a longer example has its own."""
    by_domain: dict[str, list[Encoded]] = {}
    for item in examples:
        by_domain.setdefault(item.domain, []).append(item)
    return [
        Row(domain, tuple(some))
        for domain, own in by_domain.items()
        for some in _filled(own, most_tokens)
    ]


def _filled(examples: Sequence[Encoded], most_tokens: int) -> list[list[Encoded]]:
    rows: list[list[Encoded]] = []
    left = 0
    for item in examples:
        if not rows or len(item) > left:
            rows.append([])
            left = most_tokens
        rows[-1].append(item)
        left -= len(item)
    return rows


def plan(
    examples: Sequence[Encoded],
    *,
    epochs: int,
    row_tokens: int,
    rows: int,
    general: float,
    seed: int,
) -> list[list[Row]]:
    """Lay out the rows of every step of a training.

    A share ``general`` of the rows runs without its domain's updates: what all domains share must
    serve questions of none of them, too.
    """
    steps: list[list[Row]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed} {epoch}")
        packed = pack(rng.sample(examples, len(examples)), row_tokens)
        packed = [Row(GENERAL, row.examples) if rng.random() < general else row for row in packed]
        rng.shuffle(packed)
        steps += (packed[start : start + rows] for start in range(0, len(packed), rows))
    return steps
