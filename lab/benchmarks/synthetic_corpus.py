"""Write a corpus of any size, always the same, with questions about it.

    python lab/benchmarks/synthetic_corpus.py FOLDER --chunks 100000

``documents.jsonl`` has documents of one to seven paragraphs, each of which is a chunk of the
embedder of ``topic_embedder.py``; ``questions.jsonl`` has questions, each with the document that it
was made from. Words have Zipf's frequencies, rarer words are longer, and the most common ones are
English stop words. A document has a topic, whose words it repeats, and a few words of its own, so
that chunks have neighbours by words and by vectors. ``metadata`` has fields whose values admit
1 %, 10 % and 50 % of the documents (``FILTERS``). Nothing but numpy is needed, and memory does not
grow with the size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOCUMENTS, QUESTIONS = "documents.jsonl", "questions.jsonl"
FILTERS: Mapping[str, Mapping[str, int | str]] = {
    "none": {},
    "1 %": {"shelf": 7},
    "10 %": {"floor": 3},
    "50 %": {"wing": "east"},
}
PARAGRAPH = (56, 97)  # words, at least and below
TOKENS = 110
"""Budget of a chunk: any paragraph with its title, and never two paragraphs."""

STOP_WORDS = (
    "the", "of", "and", "in", "to", "a", "is", "was", "for", "that", "on", "with", "as", "it", "by",
    "are", "at", "from", "be", "this", "an", "which", "or", "have", "not", "were", "has", "had",
    "but", "its", "their", "can", "one", "all", "if", "more", "when", "will", "who", "so",
)  # fmt: skip
_WORDS = 200_000
_TOPICS, _WORDS_OF_A_TOPIC = 2_000, 100
_OWN = 8  # words of a document's own
_COMMON = 300  # ranks below belong to no topic
_BLOCK = 256  # documents drawn at a time
_MOST_PARAGRAPHS = 7
_SENTENCE = 13  # words, on average
_FORMS = (
    "how does {} with the {} of {} at {} {}?",
    "what is the {} {} of {} {} when {}?",
    "why was {} {} not {} for {} in {}?",
    "which {} has a {} that {} and {} {}?",
)

Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Entry:
    """A document: its paragraphs, and the words that tell it from others."""

    id: str
    title: str
    paragraphs: tuple[str, ...]
    metadata: dict[str, int | str]
    telling: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return it as a line of a corpus."""
        text = "\n\n".join(self.paragraphs)
        return {"_id": self.id, "title": self.title, "text": text, "metadata": self.metadata}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the document that it was made from."""

    text: str
    document: str


@cache
def vocabulary() -> NDArray[np.object_]:
    """Return all words, the most frequent first."""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    base = len(syllables)
    words = [*STOP_WORDS]
    for length in (2, 3):
        count = base**length
        for number in range(min(count, _WORDS - len(words))):
            code = number * 7919 % count  # in no order; 7919 is a prime that base lacks
            parts = [syllables[code // base**place % base] for place in range(length)]
            words.append("".join(parts))
    return np.array(words, dtype=object)


def entries(chunks: int, first: int = 0) -> Iterator[Entry]:
    """Yield documents with ``chunks`` paragraphs in all.

    :param first: number of the first document, a multiple of 256; others give other documents.
    """
    left, block = chunks, first // _BLOCK
    while left > 0:
        for entry in _block(block):
            kept = entry.paragraphs[:left]
            left -= len(kept)
            yield Entry(entry.id, entry.title, kept, entry.metadata, entry.telling)
            if not left:
                return
        block += 1


def questions(chunks: int, count: int) -> Iterator[Asked]:
    """Yield questions about documents from all over a corpus of ``chunks`` paragraphs."""
    rng = np.random.default_rng(1)
    least = max(1, chunks // (_BLOCK * _MOST_PARAGRAPHS))  # blocks that are whole in the corpus
    made = 0
    while made < count:
        blocks = rng.permutation(least)
        for number in blocks.tolist():
            found = (
                list(_block(number)) if chunks > _BLOCK * _MOST_PARAGRAPHS else [*entries(chunks)]
            )
            for at in rng.choice(len(found), min(len(found), 8), replace=False).tolist():
                yield _question(found[at], rng)
                made += 1
                if made == count:
                    return


def read_questions(folder: Path) -> list[Asked]:
    """Read the questions of a corpus."""
    with (folder / QUESTIONS).open(encoding="utf-8") as lines:
        return [Asked(**json.loads(line)) for line in lines]


def paragraphs_of(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each paragraph of a written corpus with its document's record."""
    with (folder / DOCUMENTS).open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            for paragraph in record["text"].split("\n\n"):
                yield record, paragraph


def write(folder: Path, chunks: int, asked: int) -> None:
    """Write both files; a file that is there is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{DOCUMENTS}.partial"
    done = 0
    with partial.open("w", encoding="utf-8") as file:
        for number, entry in enumerate(entries(chunks)):
            file.write(json.dumps(entry.record()) + "\n")
            done += len(entry.paragraphs)
            if number % 20_000 == 19_999 or done == chunks:
                print(f"corpus: {done:,} of {chunks:,} chunks", file=sys.stderr, flush=True)
    with (folder / QUESTIONS).open("w", encoding="utf-8") as file:
        for item in questions(chunks, asked):
            file.write(json.dumps({"text": item.text, "document": item.document}) + "\n")
    partial.rename(folder / DOCUMENTS)


def main() -> None:
    """Write a corpus."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=4_000)
    given = parser.parse_args()
    if given.chunks < 1 or given.questions < 1:
        parser.error("--chunks and --questions must be at least 1")
    write(given.folder, given.chunks, given.questions)


@cache
def _frequencies() -> NDArray[np.float64]:
    return np.cumsum(1 / np.arange(1, _WORDS + 1))


@cache
def topics() -> Ranks:
    """Return the words of each topic [topics, words of a topic]."""
    size = (_TOPICS, _WORDS_OF_A_TOPIC)
    return np.random.default_rng(2).integers(_COMMON, _WORDS, size)


def _block(number: int) -> Iterator[Entry]:
    """Draw the documents of a block, which are the same whatever else is drawn."""
    rng = np.random.default_rng((3, number))
    counts = rng.integers(1, _MOST_PARAGRAPHS + 1, _BLOCK)
    chosen = rng.integers(_TOPICS, size=_BLOCK)
    own = rng.integers(_COMMON, _WORDS, (_BLOCK, _OWN))
    places = rng.integers((100, 10, 2), size=(_BLOCK, 3))
    for at in range(_BLOCK):
        sizes = rng.integers(*PARAGRAPH, counts[at])
        ranks = _ranks(int(sizes.sum()), topics()[chosen[at]], own[at], rng)
        words = vocabulary()[ranks].tolist()
        ends = np.cumsum(sizes).tolist()
        shelf, floor, wing = places[at].tolist()
        told = vocabulary()[[*own[at], *topics()[chosen[at]][:_OWN]]].tolist()
        yield Entry(
            id=f"d{number * _BLOCK + at}",
            title=" ".join((told[0], told[_OWN], told[_OWN + 1])).capitalize(),
            paragraphs=tuple(
                _paragraph(words[end - size : end], rng)
                for end, size in zip(ends, sizes.tolist(), strict=True)
            ),
            metadata={"shelf": shelf, "floor": floor, "wing": ("east", "west")[wing]},
            telling=tuple(told),
        )


def _ranks(count: int, topic: Ranks, own: Ranks, rng: np.random.Generator) -> Ranks:
    """Draw words: of the language, three in ten of the topic, one in twelve of the document."""
    shares = _frequencies()
    ranks = np.searchsorted(shares, rng.random(count) * shares[-1])
    kind = rng.random(count)
    # ranks inside a topic in steps of equal ratio: its first words come often
    within = (_WORDS_OF_A_TOPIC ** rng.random(count)).astype(np.int64) - 1
    ranks = np.where(kind < 0.3, topic[within], ranks)
    return np.where(kind > 1 - 1 / 12, own[rng.integers(_OWN, size=count)], ranks)


def _paragraph(words: Sequence[str], rng: np.random.Generator) -> str:
    cuts = np.cumsum(rng.integers(_SENTENCE - 5, _SENTENCE + 6, len(words) // 8 + 1)).tolist()
    edges = [0, *(cut for cut in cuts if cut < len(words) - 3), len(words)]
    sentences = (" ".join(words[start:end]).capitalize() for start, end in pairwise(edges))
    return ". ".join(sentences) + "."


@cache
def _common() -> frozenset[str]:
    """Words that 9 % (the first) to .4 % of the paragraphs have: common, but no stop words."""
    return frozenset(vocabulary()[len(STOP_WORDS) : 1_000].tolist())


def _question(entry: Entry, rng: np.random.Generator) -> Asked:
    """Ask with two words that tell a document, two common ones, and one more of a paragraph."""
    paragraph = entry.paragraphs[int(rng.integers(len(entry.paragraphs)))]
    words = [word for word in paragraph.lower().replace(".", "").split() if word not in STOP_WORDS]
    telling = [word for word in entry.telling if word in words] or list(entry.telling)
    common = [word for word in words if word in _common()] or words
    chosen = [*rng.choice(telling, 2), *rng.choice(common, 2), rng.choice(words)]
    rng.shuffle(chosen)
    return Asked(_FORMS[int(rng.integers(len(_FORMS)))].format(*chosen), entry.id)


if __name__ == "__main__":
    main()
