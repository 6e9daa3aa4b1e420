"""Search with chunks that repeat the end of the chunk before, against chunks that do not.

    python lab/benchmarks/eval_overlap.py --data DATA --json FILE

Chunks of 256 tokens are made without overlap, and chunks of 256 - O tokens that also begin with the
last sentences of the chunk before, of at most O tokens: all are equally long at most. A document
has the rank of its best chunk. nDCG@10 of dense search and of BM25, on documents of several chunks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results_file
from results_table import head
from scipy import sparse

from expertrag.cli.progress import progress
from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag_index.build.atoms import atoms
from expertrag_index.build.chunk import Chunker
from expertrag_index.types import Chunk, FloatArray, Progress, add_title
from expertrag_index.words.analysis import tokens
from expertrag_lab.data.datasets import Dataset, load_dataset
from expertrag_lab.metrics import stats
from expertrag_lab.metrics.measures import Measures
from expertrag_lab.metrics.types import Estimate
from expertrag_retriever.base import Embedder

SETS = ("cranfield", "pubmedqa")
"""The sets with judged questions and at most 2,000 documents, a third of them of several chunks."""
BUDGET, OVERLAPS, METRIC = 256, (0, 32, 64), "nDCG@10"
_K1, _B = 1.2, 0.75
CODE = (*results_file.SEARCH, "lab/benchmarks/eval_overlap.py")


@dataclass(frozen=True, slots=True)
class Row:
    """nDCG@10 with an overlap in tokens, and what it gains over none on the same questions."""

    dataset: str
    overlap: int
    chunks: int
    search: str
    ndcg: Estimate
    gain: Estimate


def main() -> None:
    """Measure each overlap, print the table, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    given = parser.parse_args()
    embedder = open_embedder(ModelConfig(embedder="all-minilm-l6-v2", device="cpu"), None)
    with progress() as report:
        rows = [row for name in given.sets for row in measure(given.data / name, embedder, report)]
    for line in head("set | overlap | chunks | search | n | nDCG@10 | gain [95 %]"):
        print(line)
    for row in rows:
        gain = f"{row.gain.mean:+.3f} [{row.gain.low:+.3f}, {row.gain.high:+.3f}]"
        cells = (row.dataset, row.overlap, row.chunks, row.search, row.ndcg.n)
        print(f"| {' | '.join(map(str, cells))} | {row.ndcg.mean:.3f} | {gain} |")
    results_file.write(given.json, {"rows": [asdict(row) for row in rows]}, CODE)


def measure(folder: Path, embedder: Embedder, report: Progress) -> Iterator[Row]:
    """Yield the rows of a data set; no overlap is the first."""
    dataset = load_dataset(folder)
    base: dict[str, list[float]] = {}
    for overlap in OVERLAPS:
        chunks = list(overlapping(dataset, overlap, embedder.count_tokens))
        for search, scores in _scores(dataset, chunks, embedder, report).items():
            values = _ndcgs(dataset, chunks, scores)
            gain = stats.difference(base.setdefault(search, values), values)
            estimate = stats.estimate(values)
            yield Row(dataset.name, overlap, len(chunks), search, estimate, gain)


def overlapping(
    dataset: Dataset, overlap: int, count: Callable[[Sequence[str]], list[int]]
) -> Iterator[tuple[str, str]]:
    """Yield the document and the text of each chunk; it begins with the end of the one before."""
    chunker = Chunker(BUDGET - overlap, count)
    for document in dataset.documents():
        before: Chunk | None = None
        for chunk in chunker.split(document):
            end = _end_of(before.text, overlap, count) if before and overlap else ""
            yield document.id, add_title(chunk.title, f"{end} {chunk.text}".strip())
            before = chunk


def _end_of(text: str, overlap: int, count: Callable[[Sequence[str]], list[int]]) -> str:
    """Return the last sentences of a text, of at most so many tokens."""
    parts = atoms(text)
    ends = [text[start:] for start, _ in parts]
    return next((end for end, size in zip(ends, count(ends), strict=True) if size <= overlap), "")


def _scores(
    dataset: Dataset, chunks: Sequence[tuple[str, str]], embedder: Embedder, report: Progress
) -> Mapping[str, FloatArray]:
    """Return the scores [Q, C] of questions and chunks by each search."""
    texts = [text for _, text in chunks]
    asked = [query.text for query in dataset.judged]
    vectors = []
    for start in range(0, len(texts), 64):
        vectors.append(embedder.encode_documents(texts[start : start + 64]))
        report(f"embed, {dataset.name}", start, len(texts))
    dense = embedder.encode_queries(asked) @ np.concatenate(vectors).T
    return {"dense": dense, "bm25": _bm25(texts, asked)}


def _bm25(texts: Sequence[str], asked: Sequence[str]) -> FloatArray:
    counts = [Counter(tokens(text)) for text in texts]
    known = {term: i for i, term in enumerate(sorted(set().union(*counts)))}
    rows = [i for i, each in enumerate(counts) for _ in each]
    columns = [known[term] for each in counts for term in each]
    shape = (len(texts), len(known))
    lengths = np.array([each.total() for each in counts])
    frequency = np.array([n for each in counts for n in each.values()], np.float32)
    norm = _K1 * (1 - _B + _B * lengths / lengths.mean())
    held = np.bincount(columns, minlength=len(known))
    weight = np.log1p((len(texts) - held + 0.5) / (held + 0.5))
    values = frequency * (_K1 + 1) / (frequency + norm[rows]) * weight[columns]
    matrix = sparse.csr_matrix((values, (rows, columns)), shape)
    wanted = [[known[term] for term in set(tokens(text)) if term in known] for text in asked]
    each = [np.asarray(matrix[:, terms].sum(axis=1)).ravel() for terms in wanted]
    return np.array(each, np.float32)


def _ndcgs(dataset: Dataset, chunks: Sequence[tuple[str, str]], scores: FloatArray) -> list[float]:
    run = {
        query.id: list(dict.fromkeys(chunks[at][0] for at in np.argsort(-row, kind="stable")))
        for query, row in zip(dataset.judged, scores, strict=True)
    }
    values = Measures([METRIC]).per_query({name: dataset.qrels[name] for name in run}, run)
    return list(values[METRIC].values())


if __name__ == "__main__":
    main()
