"""Target replies and their evidence: spans, verdicts, sentences, and reasons to drop questions."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.train.reader.answers import NO_ANSWER, NOT_HELD, TOO_LONG, Answered, find_answer
from expertrag_lab.train.reader.passages import Passages

CORPUS = {
    "paris": "Paris is the capital of France. It lies on the Seine.",
    "know": "What we know is that aspirin helped 3 of 4 patients.",
    "long": "A " + "very " * 60 + "long tale.",
}


def asked(folder: Path, document: str, **query: Any) -> Answered | str:
    (folder / "qrels").mkdir()
    records = [{"_id": name, "text": text} for name, text in CORPUS.items()]
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "Which?", **query}))
    (folder / "qrels" / "train.tsv").write_text(f"q\t{document}\t1\n")
    dataset = load_dataset(folder, "train")
    passages = Passages(dataset.documents([]), 80)
    return find_answer(dataset.queries[0], dataset, passages, random.Random(0))


@pytest.mark.parametrize(
    ("document", "query", "expected"),
    [
        pytest.param("paris", {"answers": ["Lyon", "the Seine"]}, "the Seine", id="span"),
        pytest.param("know", {"answers": ["no"]}, "no", id="verdict"),
        pytest.param(
            "paris",
            {"metadata": {"ideal_answer": "Paris is the capital of France."}},
            "Paris is the capital of France.",
            id="sentence",
        ),
        pytest.param("paris", {"answers": ["Par"]}, NOT_HELD, id="part of a word"),
        pytest.param("paris", {}, NO_ANSWER, id="nothing to say"),
        pytest.param("long", {"answers": [CORPUS["long"]]}, TOO_LONG, id="long"),
        pytest.param(
            "paris",
            {"metadata": {"ideal_answer": "Berlin has been a German city for centuries."}},
            NOT_HELD,
            id="unsupported",
        ),
    ],
)
def test_reply(document: str, query: Mapping[str, Any], expected: str, tmp_path: Path) -> None:
    found = asked(tmp_path, document, **query)
    if isinstance(found, Answered):
        assert [item.document_id for item in found.evidence] == [document]
    assert (found.text if isinstance(found, Answered) else found) == expected
