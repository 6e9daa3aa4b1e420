"""The prompts of a store's traffic: questions, with the passages that its search finds.

The questions come from an audit log, with the answers of its feedback. Or they are made from the
documents of the store, as for a reader (:mod:`expertrag_lab.train.reader.made`), with their
answers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.canonical import canonical
from expertrag.answer.rerank import open_served_reranker
from expertrag.answer.search import SPARE, gather, retrieve_passages
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import RetrieveRequest
from expertrag.api.validation import MAX_K
from expertrag.audit.questions import collect_corrected, same_question
from expertrag.audit.reading import read_log
from expertrag.config import CANONICAL, Config
from expertrag.runtime.error_mapping import translate_errors
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_lab.data.annotations import check_texts
from expertrag_lab.data.datasets import Query, load_dataset
from expertrag_lab.data.named_sets import TRAIN
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.surgery.retrieved_prompts import parse_prompt
from expertrag_lab.train.reader.made.dataset import Needed, make_dataset
from expertrag_lab.train.reader.recipe import FULL
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag.api.types import Passage
    from expertrag_index.types import Progress
    from expertrag_retriever.types import SearchResult


@dataclass(frozen=True, slots=True)
class StoreQuestion:
    """A question, its right answer, None if it is not known, and its domain, "" likewise."""

    id: str
    text: str
    answer: str | None
    domain: str = ""


def make_questions(
    store: Path,
    work: Path,
    limit: int | None,
    seed: int,
    progress: Progress,
    *,
    instead: str = "give a file of rows",
) -> list[StoreQuestion]:
    """Make questions from the documents of a store, or reuse those in the work folder.

    :param limit: questions at most, drawn with ``seed``.
    :param instead: what to do if there are none, for the error.
    :raises NotFound: there is no store.
    :raises InvalidArgument: the store is empty, or yields no questions.
    """
    needed = Needed(1, f"add documents to it, or {instead}")
    folder, _ = make_dataset(store, work, progress, words=FULL.words, seed=seed, needed=needed)
    made = [
        StoreQuestion(query.id, query.text, _answer(query))
        for query in load_dataset(folder, TRAIN).queries
    ]
    return random.Random(seed).sample(made, len(made))[:limit]


def read_logged(log: Path) -> list[StoreQuestion]:
    """Read the distinct questions of an audit log, each with its domain and correct answer, if any.

    :raises NotFound: there is no such file.
    :raises InvalidArgument: it has no question.
    """
    read = read_log(log)
    check_texts(read)
    questions: dict[str, StoreQuestion] = {}
    for entry in read.entries:
        if entry.question is not None:
            domains = entry.domains or {}
            likely = max(domains, key=lambda name: (domains[name], name)) if domains else ""
            asked = entry.rewritten_question or entry.question
            questions[same_question(asked)] = StoreQuestion(entry.id, asked, None, likely)
    for item in collect_corrected(read):
        key = same_question(item.text)
        domain = questions[key].domain if key in questions else ""
        questions[key] = StoreQuestion(item.id, item.text, item.answers[0], domain)
    return sorted(questions.values(), key=lambda question: question.id)


def store_traffic(
    store: Path,
    domain: str,
    questions: Sequence[StoreQuestion],
    config: Config,
    progress: Progress,
    *,
    domain_key: str = "",
) -> list[TrafficPrompt]:
    """Search the store for every question, as the server does; one that finds nothing is left out.

    :param domain: of questions without one.
    :param domain_key: field of the metadata of the best passage that names the domain instead.
    :param config: its embedder, reranker, ``search.k``, and how questions are read.
    :raises InvalidArgument: no question finds a passage.
    :raises ExpertRAGError: the store or a model cannot be used.
    """
    stage = f"searching {store.name}"
    prompts = []
    embedder = open_embedder(config.model, store)
    served = open_served_reranker(config.model, config.rerank)
    with (
        translate_errors(),
        Index.open(store, embedder_fingerprint=embedder.fingerprint) as index,
    ):
        searcher, k = Searcher(index, embedder), config.search.k

        def search(query: str) -> SearchResult:
            request = RetrieveRequest(query, min(SPARE * k, MAX_K))
            return retrieve_passages(index, searcher, request, served).result

        for done, question in enumerate(questions):
            progress(stage, done, len(questions))
            canonically = config.lab.wording == CANONICAL
            text = canonical(question.text) if canonically else question.text
            passages = gather(text, k, 1, search, lambda _: "").passages
            if passages:
                named = _read_name(passages[0].metadata, domain_key) or question.domain or domain
                prompts.append(_prompt(replace(question, text=text), passages, named))
        progress(stage, len(questions), len(questions))
    if not prompts:
        raise InvalidArgument(
            f"no question finds a passage in {store}: add documents with `expertrag index add`"
        )
    return prompts


def _prompt(question: StoreQuestion, passages: Sequence[Passage], domain: str) -> TrafficPrompt:
    row = {
        "question": question.text,
        "passages": [{"title": item.title, "text": item.text} for item in passages],
        "answer": question.answer,
        "domain": domain,
    }
    return TrafficPrompt(parse_prompt(row, question.id), question.answer is not None)


def _read_name(metadata: Mapping[str, object], key: str) -> str:
    value = metadata.get(key) if key else None
    return value if isinstance(value, str) else ""


def _answer(query: Query) -> str | None:
    """Return the answer to a question that was made: a short one, or a whole sentence."""
    told = query.answers or (str(query.metadata.get("ideal_answer") or ""),)
    return told[0] or None
