"""Questions about documents: what is drawn, asked, cached on disk and written."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from serving_fixtures import TellingGenerator

from expertrag.api.errors import Conflict, ExpertRAGError, InvalidArgument, NotFound, Unavailable
from expertrag.llm.base import Message
from expertrag_index.types import Document, silent
from expertrag_lab.data.pair_files import read_pairs
from expertrag_lab.train.questions.quality import LOST, NO_QUESTION
from expertrag_lab.train.questions.questions import (
    REFUSED,
    QuestionsReport,
    draw_passages,
    read_documents,
    summary,
    write_questions,
)
from expertrag_retriever.encoder import SentenceTransformerEmbedder

TEXTS = {
    "roses": "Roses are pruned in March, above a bud that faces outwards. The cut slopes away from "
    "the bud, so that rain runs off and the wood stays dry.",
    "tulips": "Tulip bulbs are planted in October, three times as deep as they are high. Below "
    "them a hand of sand keeps the bulbs dry through a wet winter.",
    "vacuum": "Vacuum reclaims the space of dead rows so that a table does not grow. It runs by "
    "itself once a fifth of the rows of a table have been changed.",
    "leave": "Employees of Northwind get 27 days of paid leave a year. What is left of them in "
    "December may be taken until the end of March of the next year.",
}
REPLIES = {
    "roses": "In which month are roses pruned? In March.",
    "tulips": "Question: How deep are tulip bulbs planted?",
    "vacuum": "Vacuum reclaims the space of dead rows.",
    "leave": "How many days of paid leave do people get at Northwind?",
}


class ScriptedGenerator(TellingGenerator):
    """Gives the scripted reply for a passage; counts the prompts."""

    def __init__(self, replies: Mapping[str, str | ExpertRAGError] = REPLIES) -> None:
        super().__init__()
        self.replies = replies
        self.begun = 0

    def reply_to(self, messages: Sequence[Message]) -> str:
        self.begun += 1
        [name] = [name for name, text in TEXTS.items() if text in messages[-1].content]
        reply = self.replies[name]
        if isinstance(reply, ExpertRAGError):
            raise reply
        return reply


class KilledError(BaseException):
    """Simulates a kill at a moment chosen by the test."""


def kill_at(place: int) -> object:
    def progress(_stage: str, done: int, _total: int | None) -> None:
        if done == place:
            raise KilledError

    return progress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    for name, text in TEXTS.items():
        (made / f"{name}.txt").write_text(text)
    return made


def _write(
    folder: Path,
    out: Path,
    generator: ScriptedGenerator,
    embedder: SentenceTransformerEmbedder,
    progress: object = silent,
) -> QuestionsReport:
    assert callable(progress)
    source = read_documents(folder)
    return write_questions(source, out, generator, embedder, progress, count=10, seed=3)


def test_training_reads_the_pair_file(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    generator = ScriptedGenerator()
    out = tmp_path / "made" / "garden.jsonl.gz"
    report = _write(folder, out, generator, embedder)
    assert (report.passages, report.pairs) == (4, 3)
    assert {reason: count for reason, count in report.dropped.items() if count} == {NO_QUESTION: 1}
    assert summary(report) == f"3 pairs of 4 passages; dropped: 1 {NO_QUESTION}"
    assert generator.open_sessions == 0
    source = read_pairs(out)
    assert {pair.query: source.corpus[pair.document] for pair in source.pairs} == {
        "In which month are roses pruned?": f"roses\n{TEXTS['roses']}",
        "How deep are tulip bulbs planted?": f"tulips\n{TEXTS['tulips']}",
        "How many days of paid leave do people get at Northwind?": f"leave\n{TEXTS['leave']}",
    }
    assert [path.name for path in out.parent.iterdir()] == ["garden.jsonl.gz"]

    plain = tmp_path / "garden.jsonl"
    _write(folder, plain, ScriptedGenerator(), embedder)
    assert plain.read_bytes() == gzip.decompress(out.read_bytes())


def test_an_interrupted_run_gives_the_same_file(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    whole, cut = tmp_path / "whole.jsonl.gz", tmp_path / "cut.jsonl.gz"
    _write(folder, whole, ScriptedGenerator(), embedder)
    with pytest.raises(KilledError):
        _write(folder, cut, ScriptedGenerator(), embedder, kill_at(2))
    partial = tmp_path / "cut.jsonl.gz.partial"
    assert len(partial.read_text().splitlines()) == 2
    assert not cut.exists()
    with partial.open("a") as file:
        file.write('{"id": "torn')  # kill -9 in the middle of a line

    rest = ScriptedGenerator()
    _write(folder, cut, rest, embedder)
    assert rest.begun == 2
    assert cut.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_replies_of_another_model_are_not_reused(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(KilledError):
        _write(folder, out, ScriptedGenerator(), embedder, kill_at(2))
    other = ScriptedGenerator()
    other.fingerprint = "another"
    _write(folder, out, other, embedder)
    assert other.begun == 4


def test_a_damaged_partial_and_a_second_run(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    partial = tmp_path / "out.jsonl.partial"
    for line in ("no json", '{"id": "a"}', '{"id": "a", "reply": "b", "more": 1}'):
        partial.write_text(f"{line}\n")
        with pytest.raises(Conflict, match=r"damaged .* delete it, and run again"):
            _write(folder, tmp_path / "out.jsonl", ScriptedGenerator(), embedder)
    partial.unlink()

    def run_again(_stage: str, _done: int, _total: int | None) -> None:
        with pytest.raises(Conflict, match="another run is writing"):
            _write(folder, tmp_path / "out.jsonl", ScriptedGenerator(), embedder)

    _write(folder, tmp_path / "out.jsonl", ScriptedGenerator(), embedder, run_again)
    with pytest.raises(Conflict, match="exists; delete it"):
        _write(folder, tmp_path / "out.jsonl", ScriptedGenerator(), embedder)


def test_a_model_that_fails(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    out = tmp_path / "out.jsonl"
    gone = ScriptedGenerator({**REPLIES, "roses": Unavailable("the endpoint is gone")})
    with pytest.raises(Unavailable, match="1 of 4 questions failed, the last with: the endpoint"):
        _write(folder, out, gone, embedder)
    assert not out.exists()
    again = ScriptedGenerator()
    assert _write(folder, out, again, embedder).pairs == 3
    assert again.begun == 1

    out.unlink()
    long = ScriptedGenerator({**REPLIES, "roses": InvalidArgument("the prompt is too long")})
    report = _write(folder, out, long, embedder)
    assert (report.pairs, report.dropped[REFUSED], report.dropped[LOST]) == (2, 1, 0)


def test_no_question_passes_the_filter(
    folder: Path, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    mute = ScriptedGenerator(dict.fromkeys(TEXTS, ""))
    with pytest.raises(
        InvalidArgument, match=r"no question passed the filter \(0 pairs of 4 passages"
    ):
        _write(folder, tmp_path / "out.jsonl", mute, embedder)
    assert not (tmp_path / "out.jsonl").exists()


def test_queries_of_the_data_set_are_not_asked_again(
    tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    data = tmp_path / "set"
    data.mkdir()
    records = [{"_id": name, "title": "", "text": text} for name, text in TEXTS.items()]
    (data / "corpus.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in records))
    query = {"_id": "q", "text": "how deep are tulip bulbs planted"}
    (data / "queries.jsonl").write_text(json.dumps(query))
    assert read_documents(data).asked == {"how deep are tulip bulbs planted"}
    report = _write(data, tmp_path / "out.jsonl", ScriptedGenerator(), embedder)
    assert report.pairs == 2


def test_every_document_gives_a_passage_before_a_second_of_any(
    embedder: SentenceTransformerEmbedder,
) -> None:
    long = "".join(
        f"This is sentence number {n} of a long report on {n} things. " for n in range(90)
    )
    documents = [Document("long", long, "Report")]
    documents += [Document(name, text) for name, text in TEXTS.items()]
    documents += [Document("twin", TEXTS["roses"]), Document("short", "Too short to ask about.")]
    everything = draw_passages(documents, embedder, 100, 0)
    assert len(everything) == len(set(everything)) > 6
    assert {text for text in everything[:6] if not text.startswith("Report\n")} == {*TEXTS.values()}
    assert max(embedder.count_tokens(everything)) <= embedder.max_tokens
    for count in range(1, 7):
        assert draw_passages(documents, embedder, count, 0) == everything[:count]
    assert draw_passages(documents, embedder, 100, 1) != everything
    with pytest.raises(InvalidArgument, match="no document has a passage of at least 20 words"):
        draw_passages(documents[-1:], embedder, 1, 0)


def test_missing_documents(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_documents(tmp_path / "nowhere")
    with pytest.raises(InvalidArgument, match="holds no document"):
        read_documents(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.raises(InvalidArgument, match=r"holds no document .*unknown type"):
        read_documents(tmp_path)
    (tmp_path / "notes.txt").write_text("some words")
    (tmp_path / "broken.json").write_text("{")
    source = read_documents(tmp_path)
    assert [document.text for document in source.documents] == ["some words"]
    assert [os.path.basename(each.source) for each in source.failures if not each.notice] == [
        "broken.json"
    ]
