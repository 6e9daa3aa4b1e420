"""Filter made questions: they must retrieve their piece, be unique, and not crowd a document.

Applies round-trip consistency as in ``expertrag_lab.train.questions.quality``, but with BM25
instead of an embedder. Questions of a language model have passed that filter already, and are meant
to use other words than the passage. So BM25 is not applied to them.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from expertrag_index.types import Progress
from expertrag_lab.metrics.squad import normalise
from expertrag_lab.train.reader.made.types import Made
from expertrag_lab.train.reader.passages import Passages

DEPTH = 3
"""A passage of the piece must be among the first ``DEPTH`` results."""

TELLS = "telling their answer"
UNCLEAR = "with more than one answer"
REPEATED = "repeated"
LOST = f"without their passage among the first {DEPTH}"
TOO_MANY = "of documents that have enough"

_SHARE = 0.02  # largest share of all questions from one document
_FEWEST_OF_DOCUMENT = 12


class Sifter:
    """Filters questions, and counts the dropped ones by reason."""

    def __init__(self, passages: Passages, progress: Progress) -> None:
        self.dropped: Counter[str] = Counter()
        self._passages = passages
        self._progress = progress

    def sift(self, made: Sequence[Made], asked: Sequence[Made] = (), seed: int = 0) -> list[Made]:
        """Return the questions to keep.

        :param made: questions made by rules.
        :param asked: questions of a language model, already filtered by an embedder.
        """
        clear = list(self._clear([*made, *asked]))
        by_model = set(map(id, asked))
        kept = []
        for done, item in enumerate(clear):
            if not done % 100:
                self._progress("reader: checking questions", done, len(clear))
            if id(item) in by_model or self._finds(item):
                kept.append(item)
            else:
                self.dropped[LOST] += 1
        self._progress("reader: checking questions", len(clear), len(clear))
        return self._limit_per_document(kept, random.Random(seed))

    def _clear(self, made: Iterable[Made]) -> Iterator[Made]:
        """Drop questions that contain their answer, are asked twice, or have conflicting answers.

        Several sentences may each be a right answer.
        """
        groups: dict[str, list[Made]] = defaultdict(list)
        for item in made:
            if not item.sentence and _tells(item):
                self.dropped[TELLS] += 1
            else:
                groups[normalise(item.question)].append(item)
        for group in groups.values():
            answers = [normalise(item.answer) for item in group]
            longest = max(answers, key=len)
            sentences = all(item.sentence for item in group)
            if not sentences and not all(answer in longest for answer in answers):
                self.dropped[UNCLEAR] += len(group)
                continue
            self.dropped[REPEATED] += len(group) - 1
            yield group[0]

    def _finds(self, item: Made) -> bool:
        documents = {passage.document_id for passage in self._passages.search(item.question, DEPTH)}
        return item.piece.id in documents

    def _limit_per_document(self, made: list[Made], rng: random.Random) -> list[Made]:
        """Keep at most a share of all questions per document, in random order."""
        most = max(_FEWEST_OF_DOCUMENT, round(_SHARE * len(made)))
        count: Counter[str] = Counter()
        kept = []
        for item in rng.sample(made, len(made)):
            count[item.piece.document_id] += 1
            if count[item.piece.document_id] <= most:
                kept.append(item)
        self.dropped[TOO_MANY] += len(made) - len(kept)
        return kept


def _tells(item: Made) -> bool:
    return f" {normalise(item.answer)} " in f" {normalise(item.question)} "
