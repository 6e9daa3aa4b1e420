"""What --data names: domains, judged sets, and sets of documents alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expertrag.errors import InvalidArgument, NotFound
from expertrag.training.sources import load_sources, parse_data

DATA = Path(__file__).parents[1] / "data"


def test_a_domain_is_named_or_called_like_its_folder() -> None:
    assert parse_data(["legal=a/b", "c/finance", "legal=d"]) == {
        "legal": (Path("a/b"), Path("d")),
        "finance": (Path("c/finance"),),
    }


@pytest.mark.parametrize("item", ["=folder", "general=folder", "", "x/general"])
def test_names_that_no_domain_can_have(item: str) -> None:
    with pytest.raises(InvalidArgument, match="names no domain of its own"):
        parse_data([item])


def test_judged_pairs() -> None:
    [source] = load_sources({"finance": [DATA / "tatqa_small"]})["finance"]
    assert (source.name, len(source.corpus), len(source.pairs)) == ("tatqa_small", 160, 263)
    assert all(pair.document in source.corpus for pair in source.pairs)


def test_documents_alone_give_titles_and_sections() -> None:
    [source] = load_sources({"python": [DATA / "beir_small"]})["python"]
    assert len(source.pairs) > 60
    for pair in source.pairs:
        assert pair.query.lower() not in source.corpus[pair.document].lower()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_sources({"x": [tmp_path / "nowhere"]})
    with pytest.raises(NotFound, match="corpus"):
        load_sources({"x": [tmp_path]})


def test_a_title_stands_above_its_text(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "d", "title": "T", "text": "body"}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "what"}))
    [source] = load_sources({"x": [tmp_path]})["x"]
    assert source.corpus == {"d": "T\nbody"}
