"""Reading data sets: which queries are used, skipped and counted, or rejected."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from file_helper import write_lines

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.datasets import load_dataset, sample
from expertrag_lab.data.qrels import read_qrels, splits

DATA = Path(__file__).parents[3] / "tests" / "data"


def write(folder: Path, queries: list[dict[str, Any]], qrels: str, split: str = "test") -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "One."}\n')
    write_lines(folder / "queries.jsonl", queries)
    (folder / "qrels" / f"{split}.tsv").write_text(qrels)
    return folder


def test_a_real_data_set() -> None:
    dataset = load_dataset(DATA / "squad_small")
    assert (len(dataset.queries), len(dataset.judged), dataset.skipped) == (60, 40, ())
    assert sum(query.answers == () for query in dataset.queries) == 20
    assert [query.id for query in dataset.queries] == sorted(q.id for q in dataset.queries)
    failures: list[Any] = []
    assert len(list(dataset.documents(failures))) == 59
    assert not failures
    assert load_dataset(DATA / "beir_small").sha256 != dataset.sha256


def test_queries_and_skips_of_a_split(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "set",
        [
            {"_id": "judged", "text": "?", "answers": ["x"]},
            {"_id": "zero", "text": "?"},
            {"_id": "none", "text": "?", "answers": [], "metadata": {"split": "test"}},
            {"_id": "other", "text": "?", "answers": [], "metadata": {"split": "train"}},
            {"_id": "unjudged", "text": "?", "metadata": {"split": "test"}},
            {"_id": "anyone's", "text": "?"},
            {"_id": "judged", "text": "of the same id?"},
        ],
        "query-id\tcorpus-id\tscore\njudged\td2\t1\njudged\td1\t2\njudged\td3\t0\n"
        "zero\td1\t0\nghost\td1\t1\n",
    )
    dataset = load_dataset(folder)
    assert [query.id for query in dataset.queries] == ["judged", "none"]
    assert dataset.queries[0].answers == ("x",)
    assert dataset.relevant("judged") == ("d1", "d2")
    assert dataset.relevant("none") == ()
    assert {item.id: item.reason for item in dataset.skipped} == {
        "ghost": "not in queries",
        "zero": "judged, but no document is relevant",
        "unjudged": "no judgement in this split",
        "anyone's": "no judgement in this split",
        "judged": "line 7 has the _id of an earlier query",
    }


def test_a_query_judged_in_another_split_is_not_skipped(tmp_path: Path) -> None:
    queries = [{"_id": name, "text": "?"} for name in ("mine", "theirs")]
    folder = write(tmp_path / "set", queries, "mine\td1\t1\n")
    (folder / "qrels" / "train.tsv").write_text("theirs\td1\t1\n")
    assert load_dataset(folder).skipped == load_dataset(folder, "train").skipped == ()


@pytest.mark.parametrize(
    "text", ["\ufeffquery-id\tcorpus-id\tscore\nq\td\t1\n", "query_id\tdoc_id\tscore\nq\td\t1.0\n"]
)
def test_variants_of_the_judgement_format(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(text, encoding="utf-8")
    assert read_qrels(path) == {"q": {"d": 1}}


def test_gzipped_judgements_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv.gz"
    path.write_bytes(gzip.compress(b"query-id\tcorpus-id\tscore\r\nq\td\t1\r\n\r\n"))
    assert read_qrels(path) == {"q": {"d": 1}}
    (tmp_path / "qrels").mkdir()
    path.rename(tmp_path / "qrels" / "dev.tsv.gz")
    assert splits(tmp_path) == ("dev",)


QUERIES = [{"_id": "q", "text": "?"}]
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        (QUERIES, HEADER, "split test of .* is empty"),
        (QUERIES, HEADER + "other\td1\t1\n", "is empty"),
        (QUERIES, HEADER + "q d1 1\n", "test.tsv line 2 is not a judgement"),
        (QUERIES, HEADER + "q\td1\t0.5\n", "line 2 is not a judgement"),
        (QUERIES, HEADER + "q\td1\tinf\n", "line 2 is not a judgement"),
        (QUERIES, HEADER + "q\td1\t3000000000\n", "grade above 1000"),
        (QUERIES, HEADER + "q\td1\t1\nq\td1\t0\n", "line 3 gives d1 a different grade"),
        ([{"_id": "q", "text": "\ud800"}], HEADER, "lone surrogate"),
        ([{"text": "?"}], HEADER + "q\td1\t1\n", "line 1 has no _id"),
        ([{"_id": "q", "text": " "}], HEADER, "line 1 has no text"),
        ([{"_id": "q", "text": "?", "answers": "x"}], HEADER, "list of strings"),
    ],
)
def test_bad_files(tmp_path: Path, queries: Any, qrels: str, message: str) -> None:
    folder = write(tmp_path / "set", queries, qrels)
    with pytest.raises(InvalidArgument, match=message) as caught:
        load_dataset(folder)
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not a folder"):
        load_dataset(tmp_path / "nowhere")
    folder = write(tmp_path / "set", QUERIES, HEADER + "q\td1\t1\n", split="dev")
    with pytest.raises(NotFound, match=r"no judgements .*test.tsv \(existing splits: dev\)"):
        load_dataset(folder)
    assert load_dataset(folder, "dev").split == "dev"
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(NotFound, match=r"corpus\.jsonl"):
        load_dataset(folder, "dev")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", QUERIES, HEADER + "q\td1\t1\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "?"}\n{"_id": \n')
    with pytest.raises(InvalidArgument, match=r"queries\.jsonl line 2 is not JSON"):
        load_dataset(folder)
    (folder / "queries.jsonl").write_text("[]\n")
    with pytest.raises(InvalidArgument, match="line 1 is not a JSON object"):
        load_dataset(folder)
    (folder / "queries.jsonl").unlink()
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(InvalidArgument, match="damaged gzip file"):
        load_dataset(folder)


def test_a_larger_sample_contains_the_smaller() -> None:
    queries = load_dataset(DATA / "squad_small").queries
    few, more = sample(queries, 10, 3), sample(queries, 20, 3)
    assert more[:10] == few
    assert sample(queries, 10, 4) != few
    assert len(sample(queries, None, 0)) == len(sample(queries, 1000, 0)) == 60


def test_a_data_set_is_named_after_the_given_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "version_3"
    write(folder, [{"_id": "q", "text": "?"}], HEADER + "q\td\t1\n")
    link = tmp_path / "current"
    link.symlink_to(folder)
    assert load_dataset(link).name == "current"
    monkeypatch.chdir(folder / "qrels")
    assert load_dataset(Path("..")).name == "version_3"


def test_questions_without_documents(tmp_path: Path) -> None:
    queries = [
        {"_id": "b", "text": "?", "answers": ["x"]},
        {"_id": "a", "text": "?", "answers": [], "metadata": {"split": "test"}},
        {"_id": "c", "text": "?", "answers": ["x"], "metadata": {"split": "train"}},
        {"_id": "d", "text": "?"},
    ]
    file = write_lines(tmp_path / "queries.jsonl", queries)
    dataset = load_dataset(tmp_path)
    assert dataset.questions_only
    assert [query.id for query in dataset.queries] == ["a", "b"]
    assert (dataset.judged, dataset.relevant("b")) == ((), ())
    assert [(item.id, item.reason) for item in dataset.skipped] == [("d", "has no answers")]
    write_lines(file, queries[2:3])
    with pytest.raises(InvalidArgument, match="none of its questions has answers"):
        load_dataset(tmp_path)
    write_lines(file, queries[3:])
    with pytest.raises(NotFound, match=r"corpus\.jsonl"):
        load_dataset(tmp_path)
    assert not load_dataset(DATA / "squad_small").questions_only
