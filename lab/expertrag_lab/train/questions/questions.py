"""Generate training pairs from documents: a language model asks a question about each passage.

Follows InPars (Bonifacio et al. 2022) and Promptagator (Dai et al. 2022). Every reply is written to
``OUT.partial`` before the next is requested, and the filter runs over all replies at the end. So an
interrupted run produces the same file as an uninterrupted one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from expertrag.api.errors import Conflict, InvalidArgument, NotFound, Unavailable
from expertrag.api.types import Sampling
from expertrag.llm.prompt import question_about
from expertrag_common.durable import write_durably
from expertrag_index.build.chunk import Chunker
from expertrag_index.build.chunk_size import default_chunk_tokens
from expertrag_index.loaders import load
from expertrag_lab.data.pair_files import is_pair_file
from expertrag_lab.data.resume import appending, read_results, work_through
from expertrag_lab.json_lines import find_file, read_lines
from expertrag_lab.train.questions.quality import Sifted, question_of, sift

if TYPE_CHECKING:
    from expertrag.llm.base import Generator
    from expertrag_index.types import Document, LoadFailure, Progress
    from expertrag_retriever.base import Embedder

FEWEST_PASSAGE_WORDS = 20
"""Shorter passages are skipped: they answer little beyond their title."""

REFUSED = "refused by the model"

_MOST_TOKENS = 64  # per reply: 30 words and a lead-in


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents to ask about, files that could not be read, and existing queries (``asked``)."""

    documents: Sequence[Document]
    failures: Sequence[LoadFailure]
    asked: frozenset[str]


@dataclass(frozen=True, slots=True)
class QuestionsReport:
    """Number of passages drawn and pairs written; ``dropped`` counts questions by reason."""

    passages: int
    pairs: int
    dropped: Mapping[str, int]


def read_documents(path: Path) -> Documents:
    """Read a folder or file of documents, or the corpus of a data set with its queries' texts.

    :raises NotFound: there is nothing at ``path``.
    :raises InvalidArgument: no document can be read, or the queries are damaged.
    """
    if not path.exists():
        raise NotFound(f"no documents at {path}; check the path", reason="DATASET_NOT_FOUND")
    failures: list[LoadFailure] = []
    documents = list(load([path], on_failure=failures.append))
    if not documents:
        why = f" ({failures[0].reason}; {failures[0].cure})" if failures else ""
        raise InvalidArgument(f"{path} holds no document{why}")
    return Documents(documents, failures, _read_texts(path))


def check_out(out: Path) -> None:
    """Check that ``out`` can be written as a pair file.

    :raises Conflict: it exists.
    :raises InvalidArgument: its name is not the name of a pair file.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another file")
    if not is_pair_file(out):
        raise InvalidArgument(f"{out} is not a pair file name; end it in .jsonl.gz or .jsonl")


def write_questions(
    source: Documents,
    out: Path,
    generator: Generator,
    embedder: Embedder,
    progress: Progress,
    *,
    count: int,
    seed: int = 0,
) -> QuestionsReport:
    """Ask one question about each of ``count`` passages, and write the kept ones as a pair file.

    :raises InvalidArgument: the documents contain no passage, or no question passes the filter.
    :raises Unavailable: the model failed; the same command resumes.
    :raises Conflict: ``out`` exists, another run is writing it, or ``OUT.partial`` is damaged.
    """
    drawn = draw_passages(source.documents, embedder, count, seed)
    with appending(out.with_name(f"{out.name}.partial")) as file:
        check_out(out)  # again, now that no other run can create it
        questions = ask_about(drawn, generator, embedder, file, progress, source.asked)
        report = QuestionsReport(len(drawn), len(questions.kept), questions.dropped)
        if not questions.kept:
            raise InvalidArgument(
                f"no question passed the filter ({summary(report)}); try another generator"
            )
        _publish(out, ((question, text) for text, question in questions.kept.items()))
        Path(file.name).unlink()
    return report


def ask_about(
    texts: Sequence[str],
    generator: Generator,
    embedder: Embedder,
    file: TextIO,
    progress: Progress,
    asked: Collection[str] = (),
) -> Sifted:
    """Ask one question about each text, and keep those that pass the filter, by text.

    :param texts: distinct texts.
    :param file: file of the replies (``appending``); an interrupted run resumes from it.
    :param asked: existing queries.
    :raises Unavailable: the model failed; the same command resumes.
    """
    passages = {_key(generator, text): text for text in texts}
    replies = _ask_all(passages, generator, file, progress)
    questions = {name: question_of(reply) for name, reply in replies.items()}
    progress("check questions", 0, 1)
    sifted = sift(questions, passages, embedder, asked)
    progress("check questions", 1, 1)
    return Sifted(
        {passages[name]: question for name, question in sifted.kept.items()},
        {REFUSED: len(passages) - len(replies), **sifted.dropped},
    )


def summary(report: QuestionsReport) -> str:
    """Summarize a report in one line."""
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items() if count)
    return f"{report.pairs:,} pairs of {report.passages:,} passages; dropped: {dropped or 'none'}"


def draw_passages(
    documents: Sequence[Document], embedder: Embedder, count: int, seed: int
) -> list[str]:
    """Draw passages, as a store embeds them: one from every document before a second from any.

    A larger count contains the draw of a smaller one; duplicate texts are drawn once.

    :raises InvalidArgument: no document has a passage that is long enough.
    """
    drawn: dict[str, None] = {}
    for text in _dealt(documents, embedder, random.Random(seed)):
        drawn[text] = None
        if len(drawn) == count:
            break
    if not drawn:
        raise InvalidArgument(
            f"no document has a passage of at least {FEWEST_PASSAGE_WORDS} words to ask about; "
            "name other documents"
        )
    return list(drawn)


def _dealt(documents: Sequence[Document], embedder: Embedder, rng: random.Random) -> Iterator[str]:
    chunker = Chunker(default_chunk_tokens(embedder), embedder.count_tokens)
    shuffled = rng.sample(documents, len(documents))
    piles: Iterable[list[str]] = (_pile(chunker, document, rng) for document in shuffled)
    while True:
        left = []
        for pile in piles:
            if pile:
                yield pile.pop()
                left.append(pile)
        if not left:
            return
        piles = left


def _pile(chunker: Chunker, document: Document, rng: random.Random) -> list[str]:
    """Return the long enough passages of a document, shuffled."""
    pile = [
        chunk.embedding_text
        for chunk in chunker.split(document)
        if len(chunk.text.split()) >= FEWEST_PASSAGE_WORDS
    ]
    rng.shuffle(pile)
    return pile


def _key(generator: Generator, passage: str) -> str:
    """Hash everything that the reply to a passage depends on."""
    asked = [astuple(message) for message in question_about(passage)]
    return hashlib.sha256(json.dumps([generator.fingerprint, asked]).encode()).hexdigest()[:24]


def _ask_all(
    passages: Mapping[str, str], generator: Generator, file: TextIO, progress: Progress
) -> dict[str, str]:
    """Ask about the passages without a reply in ``file``.

    :return: replies by name, in the order of the passages, without those that the model refused.
    :raises Unavailable: some requests failed but can be retried.
    """
    replies = read_results(Path(file.name), lambda item: (item["id"], _reply(**item)))
    skipped = work_through(
        {name: name for name in passages},
        replies,
        file,
        lambda name: _reply(name, _ask(generator, passages[name])),
        json.dumps,
        "ask questions",
        progress,
    )
    again = [item for item in skipped if item.retry]
    if again:
        raise Unavailable(
            f"{len(again)} of {len(passages)} questions failed, the last with: {again[-1].reason}; "
            f"run the same command again: the other replies are kept in {file.name}"
        )
    return {name: replies[name]["reply"] for name in passages if name in replies}


def _reply(id: str, reply: str) -> dict[str, str]:
    return {"id": id, "reply": str(reply)}


def _ask(generator: Generator, passage: str) -> str:
    """Return the reply up to its first question mark: small models continue with an answer."""
    session = generator.begin(question_about(passage), Sampling(max_tokens=_MOST_TOKENS))
    reply = ""
    try:
        for piece in session.stream():
            reply += piece
            if "?" in piece:
                break
    finally:
        session.close()
    question, mark, _ = reply.partition("?")
    return question + mark


def _publish(out: Path, pairs: Iterable[tuple[str, str]]) -> None:
    records = ({"query": question, "positive": passage} for question, passage in pairs)
    data = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode()
    # no timestamp in the header: the same pairs give the same bytes
    write_durably(out, gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)


def _read_texts(path: Path) -> frozenset[str]:
    """Texts of the queries of all splits of a data set; empty if ``path`` is not a data set."""
    try:
        queries = find_file(path / "queries.jsonl")
    except (NotFound, NotADirectoryError):
        return frozenset()
    return frozenset(str(item.get("text")) for _, item in read_lines(queries)[0])
