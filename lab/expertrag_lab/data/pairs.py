"""Make the training pairs of embedding experts from data sets, by domain."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag_index.loaders import load
from expertrag_index.types import LoadFailure
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.named_sets import TRAIN, Data
from expertrag_lab.data.pair_files import is_pair_file, read_pairs
from expertrag_lab.data.qrels import splits
from expertrag_lab.embedder.data import FEWEST_PAIRS
from expertrag_lab.embedder.documents import Text, from_documents
from expertrag_lab.embedder.types import Pair, Source, normalize
from expertrag_lab.json_lines import find_file

_FEW_QUERIES = 200
_CO_RELEVANT = ", co-relevant"
_MOST_TOGETHER = 10  # with more relevant documents per query, they have little in common


def domain_sources(
    data: Data, *, co_relevant: bool = False, seed: int = 0
) -> dict[str, list[Source]]:
    """Read the pairs of every domain.

    A data set without a `train` split gives pairs made from its documents. One with few judged
    queries gives both its judged pairs and, as a separate source, pairs made from its documents. A
    pair file gives its own pairs.

    :param co_relevant: judged data sets also give pairs of documents, drawn by ``seed``.
    :raises NotFound: a folder is not a data set, or a file does not exist.
    :raises InvalidArgument: a data set is damaged, or ``co_relevant`` and none gives pairs of
        documents.
    """
    by_domain = {
        domain: _number([list(_sources(path, co_relevant, seed)) for path in paths])
        for domain, paths in data.items()
    }
    names = [source.name for sources in by_domain.values() for source in sources]
    if co_relevant and not any(_CO_RELEVANT in name for name in names):
        raise InvalidArgument(
            f"co-relevant: no data set has {FEWEST_PAIRS} pairs of documents that are relevant to "
            "the same query of its train split; leave the flag out"
        )
    return by_domain


def _number(sets: Iterable[Sequence[Source]]) -> list[Source]:
    """Add numbers to data sets of the same name, each with all its sources: names may repeat."""
    seen: Counter[str] = Counter()
    result: list[Source] = []
    for sources in sets:
        name = sources[0].name
        seen[name] += 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        result += (
            replace(
                source,
                name=f"{source.name}{number}",
                collection=f"{source.collection}{number}" if source.collection else "",
            )
            for source in sources
        )
    return result


def _sources(path: Path, co_relevant: bool, seed: int) -> Iterator[Source]:
    if is_pair_file(path):
        yield read_pairs(path)
        return
    judged = not path.is_dir() or TRAIN in splits(path)
    if judged:
        source = _read_judged(path)
        yield source
        if co_relevant and len((pairs := co_relevant_pairs(source, seed)).pairs) >= FEWEST_PAIRS:
            yield pairs
        if len(source.answers()) >= _FEW_QUERIES:
            return
    failures: list[LoadFailure] = []  # unreadable documents are reported when they are indexed
    documents = load([find_file(path / "corpus.jsonl")], on_failure=failures.append)
    made = from_documents(
        f"{path.name}, titles" if judged else path.name,
        (Text(item.id, item.title, item.text) for item in documents),
    )
    if not judged or len(made.pairs) >= FEWEST_PAIRS:
        yield replace(made, collection=path.name)


def _read_judged(folder: Path) -> Source:
    dataset = load_dataset(folder, TRAIN)
    corpus = {document.id: document.embedding_text for document in dataset.documents()}
    return Source(
        dataset.name,
        corpus,
        tuple(
            Pair(query.text, document)
            for query in dataset.judged
            for document in dataset.relevant(query.id)
        ),
        tested=frozenset(
            query.text
            for split in splits(folder)
            if split != TRAIN
            for query in load_dataset(folder, split).judged
        ),
    )


def co_relevant_pairs(source: Source, seed: int) -> Source:
    """Pair documents that are relevant to the same query, the first as a query for the second.

    A text is in at most one pair. A document used as a query is removed from the corpus of the new
    source. It still counts as an answer to itself. So do all documents that share a query with it,
    from whichever source of the collection they come. No batch uses them as negatives then.
    """
    tested = {normalize(query) for query in source.tested}
    named = {
        query: sorted(documents & source.corpus.keys())
        for query, documents in source.answers().items()
        if normalize(query) not in tested
    }
    rng = random.Random(seed)
    partners: dict[str, str] = {}
    taken: set[str] = set()
    for query in rng.sample(sorted(named), len(named)):
        if len(named[query]) <= _MOST_TOGETHER:
            texts = {normalize(source.corpus[name]): name for name in named[query]}
            free = [name for text, name in texts.items() if text not in taken]
            rng.shuffle(free)
            for pair in zip(free[::2], free[1::2], strict=False):
                partners.update([pair])
                taken.update(normalize(source.corpus[name]) for name in pair)
    together: dict[str, set[str]] = {name: {name} for name in partners}
    for documents in named.values():
        for name in partners.keys() & documents:
            together[name].update(documents)
    return Source(
        f"{source.name}{_CO_RELEVANT}",
        {name: text for name, text in source.corpus.items() if name not in partners},
        tuple(Pair(source.corpus[first], second) for first, second in partners.items()),
        {source.corpus[name]: frozenset(some) for name, some in together.items()},
        source.tested,
        source.name,
    )
