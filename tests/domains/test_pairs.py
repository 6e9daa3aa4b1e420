"""Pairs of judged sets, and of sets of documents alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expertrag.domains.pairs import domain_sources
from expertrag.errors import NotFound

DATA = Path(__file__).parents[1] / "data"


def test_judged_pairs() -> None:
    [source] = domain_sources({"finance": [DATA / "tatqa_small"]})["finance"]
    assert (source.name, len(source.corpus), len(source.pairs)) == ("tatqa_small", 160, 297)
    assert all(pair.document in source.corpus for pair in source.pairs)


def test_documents_alone_give_titles_and_sections() -> None:
    [source] = domain_sources({"python": [DATA / "beir_small"]})["python"]
    assert len(source.pairs) == 58
    for pair in source.pairs:
        assert pair.query.lower() not in source.corpus[pair.document].lower()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        domain_sources({"x": [tmp_path / "nowhere"]})
    with pytest.raises(NotFound, match="corpus"):
        domain_sources({"x": [tmp_path]})


def test_a_title_stands_above_its_text(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "d", "title": "T", "text": "body"}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "what"}))
    [source] = domain_sources({"x": [tmp_path]})["x"]
    assert source.corpus == {"d": "T\nbody"}
