"""Search of questions in one language over documents in the same or another language.

    python lab/benchmarks/eval_languages.py --data ../shared/data --json lab/results/languages.json

XQuAD has the same paragraphs and questions in several languages, so each language is compared with
English on the same passages. Each pair is evaluated as by ``expertrag eval retrieval`` with
``--unit chunk``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file
from results_table import head

from expertrag import models
from expertrag.cli.progress import progress
from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag_lab.eval.retrieval import RetrievalSettings, evaluate

EMBEDDERS = ("minilm-domains", "multilingual-e5-small")
LANGUAGES = ("en", "de", "ru", "zh", "th")
CROSSED = (("de", "en"), ("en", "de"), ("zh", "en"), ("en", "zh"))
"""Languages of questions and documents that differ."""

MODES = ("bm25", "dense", "hybrid")
METRIC = "nDCG@10"
SAME, ACROSS = 0.90, 0.80
"""Least share of English's figure that is asked for."""

CODE = (*results_file.SEARCH, "expertrag/models/nano_e5.py", "lab/benchmarks/eval_languages.py")
_FILES = ("corpus.jsonl.gz", "queries.jsonl.gz", "qrels")


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of questions in one language over documents in another, with one embedder.

    ``interval``: 95 %, of the mode hybrid. ``of_english``: its share of English over English.
    """

    embedder: str
    questions: str
    documents: str
    n: int
    means: Mapping[str, float]
    interval: Sequence[float]
    of_english: float


def main() -> None:
    """Evaluate each embedder, print the table, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--embedder", action="append", choices=EMBEDDERS, default=[])
    given = parser.parse_args()
    pairs = [*((language, language) for language in LANGUAGES), *CROSSED]
    folders = {link_pair(given.data, given.work, *pair): pair for pair in pairs}
    rows = [
        row
        for name in given.embedder or EMBEDDERS
        for row in measure(name, folders, given.work / "languages")
    ]
    print_table(rows)
    results_file.write(given.json, {"rows": [asdict(row) for row in rows]}, CODE)


def link_pair(data: Path, work: Path, questions: str, documents: str) -> Path:
    """Return a data set with the questions of one language and the documents of another."""
    folder = work / "languages" / "sets" / f"{questions}_over_{documents}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        language = questions if name.startswith("queries") else documents
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to((data / f"xquad_{language}" / name).resolve())
    return folder


def measure(name: str, folders: Mapping[Path, tuple[str, str]], work: Path) -> Iterator[Row]:
    """Yield the figures of one embedder; English over English is the first folder."""
    if name in models.REGISTRY:
        models.ensure(name)
    embedder = open_embedder(ModelConfig(embedder=name, device="cpu"), None)
    settings = RetrievalSettings(modes=MODES, metrics=(METRIC,), unit="chunk")
    with progress() as report:
        result: Any = evaluate(list(folders), embedder, settings, work, report)
    english = 0.0
    for folder, (questions, documents) in folders.items():
        means = {mode: of[METRIC] for mode, of in result["datasets"][folder.name].items()}
        english = english or means["hybrid"]
        yield Row(
            name,
            questions,
            documents,
            len(result["per_query"][folder.name]["hybrid"][METRIC]),
            means,
            result["intervals"][folder.name]["hybrid"][METRIC],
            means["hybrid"] / english,
        )


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows, and whether each reaches what is asked of its kind."""
    columns = "embedder | questions | documents | n | bm25 | dense | hybrid | of English | bar"
    for line in head(columns):
        print(line)
    for row in rows:
        bar = SAME if row.questions == row.documents else ACROSS
        verdict = "reached" if row.of_english >= bar else "missed"
        means = " | ".join(f"{row.means[mode]:.3f}" for mode in MODES)
        print(
            f"| {row.embedder} | {row.questions} | {row.documents} | {row.n} | {means} "
            f"| {row.of_english:.2f} | >= {bar:.2f}, {verdict} |"
        )


if __name__ == "__main__":
    main()
