"""Small documents made from a seed, the embedders of the campaigns, and queries.

Words end in a digit, which stemming leaves alone, so that a search by words can be checked by a
plain comparison of words.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from store_helper import ExpertEmbedder, HashingEmbedder

from expertrag_index.types import Document, Filter

WORDS = tuple(f"word{number}" for number in range(60))
FOLDERS = ("notes", "manuals", "letters")
LABELS = ("red", "green", "blue")
EMBEDDERS: Mapping[str, HashingEmbedder] = {
    "hashing": HashingEmbedder(),
    "wider": HashingEmbedder(dimension=48, fingerprint="wider-1"),
    "experts": ExpertEmbedder(),
    "retrained": ExpertEmbedder(versions={"legal": 1}),
}
"""Embedders by name. The last two share all vectors but those of one expert."""

FILTERS: Sequence[Filter] = (
    {"number": {"$gte": 20}},
    {"number": {"$lt": 10}, "parity": "odd"},
    {"parity": {"$ne": "odd"}},
    {"tags": {"$in": ["tag1", "tag3"]}},
    {"domain": "legal"},
    {"source": {"$gt": "/notes"}},
    {"rare": True},
)


def make_document(rng: random.Random, number: int, folder: str | None = None) -> Document:
    """Make a document of one to three chunks; the same number gives the same id and source."""
    chosen = folder or FOLDERS[number % len(FOLDERS)]
    metadata: dict[str, str | int | bool | list[str]] = {
        "number": number,
        "parity": "odd" if number % 2 else "even",
        "tags": sorted(rng.sample(["tag1", "tag2", "tag3"], rng.randint(1, 2))),
    }
    if rng.random() < 0.1:
        metadata["rare"] = True
    labels = rng.sample(LABELS, rng.randint(1, 2)) if rng.random() < 0.4 else []
    return Document(
        id=f"doc{number}",
        text=make_text(rng, rng.choice((12, 40, 90))),
        title=rng.choice(("", f"About subject{number % 5}")),
        metadata=metadata,
        domain=rng.choice((None, None, "legal", "finance", "gardens")),
        source=f"/{chosen}/{number}.txt",
        labels=tuple(sorted(labels)),
    )


def make_text(rng: random.Random, words: int) -> str:
    """Make sentences of about so many words; common words are more frequent."""
    drawn = [WORDS[int(len(WORDS) * rng.random() ** 2)] for _ in range(words)]
    sentences = [" ".join(drawn[start : start + 9]) for start in range(0, words, 9)]
    return "\n\n".join(f"{sentence} mark{rng.randrange(1000)}." for sentence in sentences)


def unstorable(rng: random.Random, document: Document) -> Document:
    """Return a document that the store must refuse."""
    return replace(document, text=rng.choice(("", " \n", "a\0b", "word1 poison word2")))


def make_queries(rng: random.Random, count: int) -> list[str]:
    """Make queries of one to four words, some of them in no document."""
    words = (*WORDS, "unheard0", "mark7")
    return [" ".join(rng.sample(words, rng.randint(1, 4))) for _ in range(count)]


def draw_labels(rng: random.Random) -> list[str]:
    """Draw the access labels of a reader, now and then none, or one that no document has."""
    return rng.sample((*LABELS, "unheard"), rng.randint(0, 2))


def write_folder(rng: random.Random, folder: Path, numbers: Sequence[int]) -> dict[str, str]:
    """Write text files; return their texts by name, with the folder's name before it."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {}
    for number in numbers:
        name = f"file{number}.txt"
        text = make_text(rng, rng.choice((12, 40)))
        (folder / name).write_text(text, encoding="utf-8")
        texts[f"{folder.name}/{name}"] = text
    return texts
