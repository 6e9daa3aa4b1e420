"""Make a data set from a store's documents, in BEIR layout, with the single split "train".

    NAME/corpus.jsonl      one passage per line, with the id DOCUMENT#CHUNK.NUMBER
    NAME/queries.jsonl     with ``answers``, or a sentence in ``metadata.ideal_answer``
    NAME/qrels/train.tsv   the passage; for a sentence, all of the document that hold it
    NAME/made.json         counts

Chunks are cut into passages of the size that a reader is trained on. Otherwise a passage next to
the right one, which only contains the words of the answer, could be taken for evidence.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.store.index import Index
from expertrag_index.types import Document, Progress
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.json_lines import write_lines
from expertrag_lab.train.reader.made.asked import ask
from expertrag_lab.train.reader.made.cloze import cloze
from expertrag_lab.train.reader.made.headings import headings
from expertrag_lab.train.reader.made.sifting import Sifter
from expertrag_lab.train.reader.made.steps import steps
from expertrag_lab.train.reader.made.types import Made, MadeReport, Piece
from expertrag_lab.train.reader.passages import Passages
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from expertrag.llm.base import Generator
    from expertrag_retriever.base import Embedder

_MOST_CHUNKS = 50_000  # read from a store; more add nothing new
_MOST_ASKED = 1000  # passages that a language model is asked about
_MAKERS: tuple[Callable[[Piece], Iterator[Made]], ...] = (headings, steps, cloze)
_FORM = 3  # version of the makers: questions of another version are not reused


@dataclass(frozen=True, slots=True)
class Asker:
    """A language model that asks questions, and the embedder for the round-trip check."""

    generator: Generator
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class Needed:
    """Fewest questions that are of use, and what to do about a store that yields fewer."""

    questions: int
    cure: str


TO_TRAIN = Needed(
    48,  # with fewer, too few remain after dev questions are held out
    "add documents to it, let a --generator ask questions, or leave it out and pass questions with "
    "--data",
)


def make_dataset(
    store: Path,
    work: Path,
    progress: Progress,
    *,
    words: int,
    seed: int,
    asker: Asker | None = None,
    needed: Needed = TO_TRAIN,
) -> tuple[Path, MadeReport]:
    """Make the data set of a store in a work folder, or reuse an existing one.

    An existing data set is reused even if the store has changed since, so that a resumed training
    has the same questions.

    :param words: words per passage.
    :raises NotFound: there is no store.
    :raises InvalidArgument: the store is empty, or yields too few questions.
    :raises Unavailable: the language model failed; the same command resumes.
    """
    home = work / f"made-{_key(store, words, seed, asker)}"
    folder = home / store.resolve().name
    if not folder.is_dir():
        pieces = _pieces(store, words, seed, progress)
        home.mkdir(parents=True, exist_ok=True)
        made, dropped = _make(pieces, home, progress, words, seed, asker)
        report = MadeReport(
            folder.name, len(pieces), dict(Counter(item.maker for item in made)), dict(dropped)
        )
        if report.questions < needed.questions:
            raise InvalidArgument(
                f"{store} yields too few questions, {needed.questions} needed "
                f"({report.summary()}); {needed.cure}"
            )
        with publish(folder) as scratch:
            _write(scratch, pieces, made, report)
    return folder, MadeReport(**json.loads((folder / "made.json").read_bytes()))


def _key(store: Path, words: int, seed: int, asker: Asker | None) -> str:
    """Hash everything that the questions depend on, except the state of the store."""
    models = [asker.generator.fingerprint, asker.embedder.fingerprint] if asker else []
    parts = [_FORM, str(store.resolve()), words, seed, *models]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _pieces(store: Path, words: int, seed: int, progress: Progress) -> list[Piece]:
    """Read the passages of the published generation, in document order."""
    progress(f"reading chunks of {store.name}", 0, None)
    with translate_errors(), Index.open(store) as index:
        chunks = [chunk for _, chunk in index.sample_chunks(_MOST_CHUNKS, seed)]
    if not chunks:
        raise InvalidArgument(f"{store} is empty; add documents with `expertrag index add`")
    chunks.sort(key=lambda chunk: (chunk.document_id, chunk.ordinal))
    named = {f"{chunk.document_id}#{chunk.ordinal}": chunk for chunk in chunks}
    cut = Passages(
        (Document(name, chunk.text, chunk.title) for name, chunk in named.items()), words
    )
    return [
        Piece(f"{name}.{item.ordinal}", chunk.document_id, chunk.title, item.text)
        for name, chunk in named.items()
        for item in cut.of(name)
    ]


def _make(
    pieces: Sequence[Piece],
    home: Path,
    progress: Progress,
    words: int,
    seed: int,
    asker: Asker | None,
) -> tuple[list[Made], Mapping[str, int]]:
    """Make questions with all makers, and filter them."""
    by_rules: list[Made] = []
    for done, piece in enumerate(pieces):
        if not done % 100:
            progress("reader: making questions", done, len(pieces))
        by_rules += [item for make in _MAKERS for item in make(piece)]
    progress("reader: making questions", len(pieces), len(pieces))
    by_model: list[Made] = []
    dropped: Counter[str] = Counter()
    if asker:
        drawn = random.Random(seed).sample(pieces, min(_MOST_ASKED, len(pieces)))
        replies = home / "replies.jsonl"
        by_model, reasons = ask(drawn, asker.generator, asker.embedder, replies, progress)
        dropped.update(reasons)
    passages = Passages((Document(item.id, item.text, item.title) for item in pieces), words)
    sifter = Sifter(passages, progress)
    made = sifter.sift(by_rules, by_model, seed)
    return made, dropped + sifter.dropped


def _write(folder: Path, pieces: Sequence[Piece], made: Sequence[Made], report: MadeReport) -> None:
    siblings: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        siblings[piece.document_id].append(piece)
    judged = ["query-id\tcorpus-id\tscore"]
    queries = []
    for number, item in enumerate(made):
        name = f"q{number}"
        metadata = {"maker": item.maker} | ({"ideal_answer": item.answer} if item.sentence else {})
        answers = {} if item.sentence else {"answers": [item.answer]}
        queries.append({"_id": name, "text": item.question, **answers, "metadata": metadata})
        judged += [f"{name}\t{piece.id}\t1" for piece in _holders(item, siblings)]
    corpus = ({"_id": item.id, "title": item.title, "text": item.text} for item in pieces)
    (folder / "qrels").mkdir()
    (folder / "qrels" / f"{TRAIN}.tsv").write_text("\n".join(judged) + "\n", encoding="utf-8")
    write_lines(folder / "corpus.jsonl", corpus)
    write_lines(folder / "queries.jsonl", queries)
    write_lines(folder / "made.json", [asdict(report)])


def _holders(item: Made, siblings: Mapping[str, Sequence[Piece]]) -> list[Piece]:
    """Find all pieces that answer: neighbours overlap, and no distractor may hold the answer."""
    if not item.sentence:
        return [item.piece]
    return [
        piece
        for piece in siblings[item.piece.document_id]
        if piece == item.piece or item.answer in " ".join(piece.text.split())
    ]
