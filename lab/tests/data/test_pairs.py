"""Pairs from judged data sets, and from data sets with documents only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from file_helper import write_lines

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.pairs import co_relevant_pairs, domain_sources
from expertrag_lab.embedder.types import Pair, Source

DATA = Path(__file__).parents[3] / "tests" / "data"


def test_judged_pairs() -> None:
    [source] = domain_sources({"finance": [DATA / "tatqa_small"]})["finance"]
    assert (source.name, len(source.corpus), len(source.pairs)) == ("tatqa_small", 160, 297)
    assert all(pair.document in source.corpus for pair in source.pairs)


def test_documents_alone_give_titles_and_sections() -> None:
    [source] = domain_sources({"python": [DATA / "beir_small"]})["python"]
    assert len(source.pairs) == 58
    for pair in source.pairs:
        assert pair.query.lower() not in source.corpus[pair.document].lower()


def test_a_folder_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        domain_sources({"x": [tmp_path / "nowhere"]})
    with pytest.raises(NotFound, match="corpus"):
        domain_sources({"x": [tmp_path]})


def test_a_title_precedes_its_text(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    write_lines(tmp_path / "corpus.jsonl", [{"_id": "d", "title": "T", "text": "body"}])
    write_lines(tmp_path / "queries.jsonl", [{"_id": "q", "text": "what"}])
    [source] = domain_sources({"x": [tmp_path]})["x"]
    assert source.corpus == {"d": "T\nbody"}


def _judged(named: Mapping[str, Sequence[str]], tested: frozenset[str] = frozenset()) -> Source:
    """Make a judged set whose document ids are the first words of their texts."""
    corpus = {name: f"{name} text" for some in named.values() for name in some}
    pairs = tuple(Pair(query, name) for query, some in named.items() for name in some)
    return Source("set", corpus, pairs, tested=tested)


def test_documents_of_one_query_are_paired() -> None:
    made = co_relevant_pairs(_judged({"q": ["a", "b"], "p": ["b", "c"], "alone": ["d"]}), 0)
    [pair] = made.pairs
    first = pair.query.split()[0]
    assert "b" in {first, pair.document} and first != pair.document
    assert (made.name, made.collection) == ("set, co-relevant", "set")
    assert made.corpus.keys() == {"a", "b", "c", "d"} - {first}
    others = {"a": {"a", "b"}, "b": {"a", "b", "c"}, "c": {"b", "c"}}
    assert made.judged == {pair.query: others[first]}


def test_a_document_is_in_one_pair_drawn_by_seed() -> None:
    source = _judged({f"q{n}": [f"d{n}", f"d{n + 1}", f"d{n + 2}", "hub"] for n in range(0, 80, 2)})
    made = co_relevant_pairs(source, 0)
    names = [name for pair in made.pairs for name in (pair.query.split()[0], pair.document)]
    assert len(names) == len(set(names)) >= 60
    for pair in made.pairs:
        together = source.answers().values()
        assert any({pair.query.split()[0], pair.document} <= some for some in together)
    assert co_relevant_pairs(source, 0) == made
    assert co_relevant_pairs(source, 1).pairs != made.pairs


def test_queries_that_give_no_pairs() -> None:
    broad = [f"d{n}" for n in range(11)]
    assert len(co_relevant_pairs(_judged({"q": broad[:10]}), 0).pairs) == 5
    assert co_relevant_pairs(_judged({"q": broad}), 0).pairs == ()
    tested = _judged({"What  is it": ["a", "b"]}, tested=frozenset({"what is IT"}))
    assert co_relevant_pairs(tested, 0).pairs == ()
    twins = Source("set", {"a": "Same text", "b": "same  TEXT"}, (Pair("q", "a"), Pair("q", "b")))
    assert co_relevant_pairs(twins, 0).pairs == ()
    lost = Source("set", {"a": "text"}, (Pair("q", "a"), Pair("q", "not in the corpus")))
    assert co_relevant_pairs(lost, 0).pairs == ()


def _write_set(folder: Path, queries: int) -> Path:
    """Write a set with two relevant documents per query; every third is in the test split."""
    (folder / "qrels").mkdir(parents=True)
    ids = range(queries)
    corpus = [{"_id": f"d{n}", "text": f"document {n} of many"} for n in range(2 * queries)]
    asked = [{"_id": f"q{n}", "text": f"question {n}"} for n in ids]
    write_lines(folder / "corpus.jsonl", corpus)
    write_lines(folder / "queries.jsonl", asked)
    for split in ("train", "test"):
        lines = [
            f"q{n}\td{place}\t1\n"
            for n in ids
            if (n % 3 == 2) == (split == "test")
            for place in (2 * n, 2 * n + 1)
        ]
        (folder / "qrels" / f"{split}.tsv").write_text("".join(lines))
    return folder


def test_co_relevant_documents_are_a_separate_source(tmp_path: Path) -> None:
    one, two = _write_set(tmp_path / "a" / "set", 48), _write_set(tmp_path / "b" / "set", 48)
    assert len(domain_sources({"x": [one]})["x"]) == 1
    sources = domain_sources({"x": [one, two]}, co_relevant=True)["x"]
    assert [(source.name, source.collection) for source in sources] == [
        ("set", ""),
        ("set, co-relevant", "set"),
        ("set (2)", ""),
        ("set, co-relevant (2)", "set (2)"),
    ]
    judged, together = sources[:2]
    assert len(judged.pairs) == 64 and len(together.pairs) == 32
    assert together.tested == judged.tested
    tested = {f"document {n} of many" for q in range(2, 48, 3) for n in (2 * q, 2 * q + 1)}
    assert not tested & {pair.query for pair in together.pairs}
    assert not tested & {together.corpus[pair.document] for pair in together.pairs}


def test_too_few_co_relevant_documents(tmp_path: Path) -> None:
    few = _write_set(tmp_path / "set", 45)  # 30 pairs
    with pytest.raises(InvalidArgument, match="co-relevant: no data set has 32 pairs"):
        domain_sources({"x": [few]}, co_relevant=True)
    assert [source.name for source in domain_sources({"x": [few]})["x"]] == ["set"]
