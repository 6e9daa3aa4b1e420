"""`make lab-eval-reader`: questions, scores, and resuming an interrupted run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import eval_reader
import pytest
from reader_answers import ModelReply
from reader_figures import (
    Figure,
    areas,
    citations,
    exact,
    holds_answer,
    is_gold,
    mean,
    means,
    recall,
    right,
    scored,
    shares,
)
from reader_questions import Asked, QuestionSet
from reader_samples import write_births, write_reader

from expertrag.api.types import Passage
from expertrag.llm import prompt
from expertrag_lab.metrics.types import Estimate
from expertrag_lab.train.reader.passages import Passages

LONG = f"{'Ships sail. ' * 140}Ada was born in Bergen. {'Ships sail. ' * 140}"
CORPUS = {"cadiz": "Boris went to Cadiz.", "bergen": LONG, "trial": f"It helped. {LONG}"}


def passage(document: str, text: str) -> Passage:
    return Passage(document, 0, text, 0, len(text), 1.0)


PARIS = Asked(
    "set/q",
    "Where?",
    ("Paris",),
    (passage("a", "Lyon."), passage("b", "Paris."), passage("c", "In Paris.")),
    ("b",),
)


def written(
    folder: Path, answers: Sequence[str], documents: Sequence[str], name: str
) -> list[Asked]:
    """Write a data set of one question, and ask it with its gold passages."""
    own = folder / name
    (own / "qrels").mkdir(parents=True)
    records = [{"_id": key, "text": text} for key, text in CORPUS.items()]
    (own / "corpus.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in records))
    query = {"_id": "q", "text": "Which?", "answers": list(answers)}
    (own / "queries.jsonl").write_text(json.dumps(query))
    lines = [f"q\t{document}\t1" for document in documents]
    (own / "qrels" / "test.tsv").write_text("\n".join(lines))
    return QuestionSet(own, 5).alone()


def test_of_a_long_document_the_part_with_the_answer_is_shown(tmp_path: Path) -> None:
    [asked] = written(tmp_path, ["Bergen"], ["bergen"], "squad2")
    [shown] = asked.passages or ()
    assert "Bergen" in shown.text and len(shown.text.split()) <= 250
    assert asked.reply == "Bergen [1]"


def test_of_two_documents_both_are_shown_in_their_order(tmp_path: Path) -> None:
    [asked] = written(tmp_path, ["Cadiz"], ["cadiz", "bergen"], "hotpotqa")
    assert [item.document_id for item in asked.passages or ()] == ["bergen", "cadiz"]
    [asked] = written(tmp_path, ["Cadiz"], ["cadiz", "bergen"], "popqa")
    assert [item.document_id for item in asked.passages or ()] == ["cadiz"]


def test_a_verdict_is_read_from_the_whole_document(tmp_path: Path) -> None:
    [asked] = written(tmp_path, ["no"], ["trial"], "pubmedqa")
    shown = " ".join(item.text for item in asked.passages or ())
    assert "It helped" in shown and len(shown.split()) == len(CORPUS["trial"].split())
    assert asked.reply == "no [1][2][3]"


def test_an_answer_in_no_passage_has_no_reply(tmp_path: Path) -> None:
    [asked] = written(tmp_path, ["42 million"], ["cadiz"], "tatqa")
    assert asked.reply == "" and asked.passages


@pytest.fixture(scope="module")
def births(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of data sets that are all the births."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("squad2", "tatqa"):
        write_births(folder / name)
    return folder


def test_questions_are_those_of_the_test_split(births: Path) -> None:
    asked = QuestionSet(births / "squad2", 100).alone()
    assert sorted(item.id for item in asked) == [
        f"squad2/q{n}" for n in (70, 72, 73, 74, 76, 77, 78)
    ]
    fewer = QuestionSet(births / "squad2", 3).alone()
    assert fewer == asked[:3]
    for item in asked:
        [shown] = item.passages or ()
        assert shown.document_id in item.gold and item.reply == f"{item.answers[0]} [1]"


def test_unanswerable_questions_have_their_tempting_document(births: Path) -> None:
    tempting = QuestionSet(births / "squad2", 100).tempting()
    assert sorted(item.id for item in tempting) == [f"squad2/q{n}" for n in (71, 75, 79)]
    for item in tempting:
        [shown] = item.passages or ()
        assert shown.title in item.question and not item.answers and not item.reply


def test_gold_is_among_distractors(births: Path) -> None:
    tests = QuestionSet(births / "squad2", 100)
    search = Passages(tests.dataset.documents([]), 50).search
    asked = tests.among(search)
    assert asked == tests.among(search)
    places = {[is_gold(item, shown) for shown in item.passages or ()].index(True) for item in asked}
    assert len(places) > 1
    for item in asked:
        gold = [shown for shown in item.passages or () if is_gold(item, shown)]
        assert len(gold) == 1 and len(item.passages or ()) == 5
        assert [shown for shown in item.passages or () if holds_answer(item, shown)] == gold


def test_closed_book_shows_nothing(births: Path) -> None:
    asked = QuestionSet(births / "squad2", 2).closed()
    assert [item.messages for item in asked] == [
        prompt.write_closed_book(i.question) for i in asked
    ]


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("Paris [2]", ("paris",), (True, True, True)),
        ("It is Paris [2]", ("paris",), (True, False, True)),
        ("It was chapter [2]", ("2",), (False, False, False)),  # a marker is not an answer
        ("No, it does not. [1]", ("no",), (True, False, True)),
        ("We know: no", ("no",), (True, False, False)),  # a verdict must begin the answer
        ("", ("yes",), (False, False, False)),
    ],
)
def test_scores(text: str, answers: tuple[str, ...], expected: tuple[bool, ...]) -> None:
    asked, reported = replace(PARIS, answers=answers), ModelReply(text, 0.0)
    assert tuple(score(asked, reported) for score in (right, exact, scored)) == expected


@pytest.mark.parametrize(
    ("text", "answer", "gold"),
    [
        ("Paris [2]", (1, 1), (1, 1)),
        ("Paris [2][3]", (2, 2), (1, 2)),
        ("Paris [1][2][2]", (1, 1), (1, 1)),  # as served: citations without the answer are dropped,
        ("Paris [4]", (2, 2), (1, 2)),  # and a wrong number is corrected to a passage with it
        ("Bergen [1]", (0, 1), (0, 1)),
        ("Bergen [4]", (0, 1), (0, 1)),
        ("Paris", (0, 0), (0, 0)),
    ],
)
def test_citations(text: str, answer: tuple[int, int], gold: tuple[int, int]) -> None:
    reported = ModelReply(text, 0.0)
    assert citations(PARIS, reported, holds_answer) == answer
    assert citations(PARIS, reported, is_gold) == gold


def test_recall_is_of_the_judged_documents() -> None:
    assert recall(PARIS) == 1.0
    assert recall(replace(PARIS, gold=("b", "z"))) == 0.5


def test_figures_match_those_computed_by_hand() -> None:
    assert means("m", [0, 0, 1, 0], [1, 0, 1, 1]).change == Estimate(0.5, 0.0, 1.0, 4)
    share = shares("s", [(0, 0), (1, 2)], [(1, 1), (0, 0), (1, 3)])
    assert (share.before, share.after) == (Estimate(0.5, 0.5, 0.5, 1), Estimate(0.5, 1 / 3, 1.0, 2))
    assert shares("s", [(0, 0)], [(0, 0)]).after is None
    # 3 of the 4 pairs of an unanswerable and another question are in the right order
    area = areas("a", [0.5] * 4, [0.9, 0.2, 0.3, 0.1], [True, True, False, False])
    assert area.before is not None and area.before.mean == 0.5
    assert area.after is not None and area.after.mean == 0.75


def test_targets() -> None:
    figure = mean("m", [1.0, 0.0])
    assert figure.at_least(0.5).reached and not figure.at_least(0.51).reached
    assert means("m", [1.0] * 200, [1.0] * 199 + [0.0]).losing_at_most(0.01).reached
    assert not means("m", [1.0] * 50, [1.0] * 49 + [0.0]).losing_at_most(0.01).reached
    assert not Figure("nothing", None).at_least(0.5).reached
    near = Figure("r", Estimate(1.04, 1.0, 1.1, 9))
    assert near.near_one(0.05).reached and not near.near_one(0.03).reached


def test_rows() -> None:
    row = means("m", [0.0, 0.0], [1.0, 1.0]).at_least(0.5).row
    expected = (
        "| m | 2 | 0.000 | 1.000 [1.000, 1.000] | +1.000 [+1.000, +1.000] | >= 0.50, reached |"
    )
    assert row == expected
    assert Figure("none", None).row == "| none | 0 |  | none |  |  |"


@pytest.fixture(scope="module")
def bundle(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bundle of random adapters."""
    folder = tmp_path_factory.mktemp("random") / "bundle"
    return write_reader(folder, tiny_llama, domains=("encyclopedia", "finance"))


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(
    births: Path,
    bundle: Path,
    tiny_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = ("gold", "found", "citations", "abstention", "experts", "speed")
    monkeypatch.setattr(eval_reader, "GENERAL_SETS", ("squad2",))
    monkeypatch.setattr(eval_reader, "GOLD_BARS", {"squad2": 0.5})
    monkeypatch.setitem(eval_reader.DOMAINS, "encyclopedia", ("squad2",))

    def run(parts: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, object]]]:
        options = {"data": births, "reader": bundle, "base": tiny_llama, "work": tmp_path}
        named = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        rest = ["--quick", "--tokens", "4", "--json", str(tmp_path / "out.json")]
        monkeypatch.setattr(sys, "argv", ["eval_reader.py", *named, *rest, "--parts", *parts])
        eval_reader.main()
        body = json.loads((tmp_path / "out.json").read_text())
        assert body["inputs"]["questions"] == eval_reader.QUICK
        figures: Mapping[str, Sequence[Mapping[str, object]]] = body["figures"]
        return figures

    first = run(parts)
    assert tuple(first) == parts and all(first.values())
    assert "| squad2 gold | 7 |" in capsys.readouterr().out
    answers = sorted(tmp_path.glob("reader/answers-*.jsonl"))
    assert len(answers) == 2  # one of the base and one of the reader
    kept = [path.read_text() for path in answers]
    for path, text in zip(answers, kept, strict=True):
        path.write_text(text[: len(text) // 2])  # killed in the middle of a line
    assert run(parts[:-1]) == first  # the speed is kept
    for path, text in zip(answers, kept, strict=True):
        assert sorted(path.read_text().splitlines()) == sorted(text.splitlines())
