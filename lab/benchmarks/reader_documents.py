"""Documents that the shipped reader's training questions are made from, for ``index build``.

    python lab/benchmarks/reader_documents.py --data DATA --out FOLDER

Documents that the demo indexes, or that test questions are about, are excluded:

    FOLDER/manuals            the PostgreSQL manual and pages of tldr
    FOLDER/first-paragraphs   of Wikipedia, from hotpotqa
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.json_lines import read_lines, write_lines

SHOWN = Path(__file__).parents[2] / "examples" / "documents"
PAGES = 250
"""Number of tldr pages, with about four examples each."""


def main() -> None:
    """Write both folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for name, documents in (
        ("manuals", _manuals(given.data / "demo_docs")),
        ("first-paragraphs", _first_paragraphs(given.data / "hotpotqa")),
    ):
        (given.out / name).mkdir(parents=True, exist_ok=True)
        write_lines(given.out / name / "documents.jsonl", documents)


def _manuals(folder: Path) -> Iterator[Mapping[str, str]]:
    shown = {item["_id"] for path in SHOWN.glob("*.jsonl.gz") for item in _read(path)}
    yield from (p for p in _read(folder / "postgresql.jsonl.gz") if p["_id"] not in shown)
    pages = [page for page in _read(folder / "tldr.jsonl.gz") if page["_id"] not in shown]
    yield from random.Random(0).sample(pages, PAGES)


def _first_paragraphs(folder: Path) -> Iterator[Mapping[str, str]]:
    tests = load_dataset(folder, "test")
    asked = {name for query in tests.queries for name in tests.relevant(query.id)}
    yield from (item for item in _read(folder / "corpus.jsonl.gz") if item["_id"] not in asked)


def _read(path: Path) -> list[Mapping[str, str]]:
    return [item for _, item in read_lines(path)[0]]


if __name__ == "__main__":
    main()
