"""Of passages that answer at different times, the one in force answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from serving_fixtures import DoubtingGenerator, OpenPipeline

from expertrag.api.folding import fold
from expertrag.api.types import Answer, AnswerRequest, GateMode, QuestionScope
from expertrag.llm.base import Message
from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders.load import load
from expertrag_retriever.encoder import SentenceTransformerEmbedder

OLD = "Laptops, April 2022\n\nA laptop of Brambleworks is replaced after three years."
NEW = "20 June 2024. Replaces the note of April 2022.\n\nA laptop of Brambleworks lasts four years."
QUESTION = "After how many years is a laptop of Brambleworks replaced?"
NOTES = {
    "rules/laptops.txt": OLD,
    "rules/hardware.md": NEW,
    "rules/dogs.md": "Dogs stay at home on Mondays.",
    "mail/lunch.txt": "The kitchen of Brambleworks serves soup.",
}


def build_store(folder: Path, embedder: SentenceTransformerEmbedder, texts: dict[str, str]) -> Path:
    """Build a store of texts, by path."""
    for name, text in texts.items():
        (folder / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / name).write_text(text)
    with IndexWriter.open(folder / "store", embedder) as writer:
        writer.build(load([folder / "docs"], on_failure=lambda _: None))
    return folder / "store"


@pytest.fixture(scope="module")
def rules_store(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Path:
    """A rule, the one that replaces it, and other texts."""
    return build_store(tmp_path_factory.mktemp("rules"), embedder, NOTES)


class ReadingGenerator(DoubtingGenerator):
    """Doubts one passage alone by a word in it, and gives the number of years in it."""

    def __init__(self, **doubts: float) -> None:
        super().__init__("", 0.95)
        self.doubts_by_word = doubts

    def reply_to(self, messages: Sequence[Message]) -> str:
        super().reply_to(messages)
        shown = self.prompts[-1] if self.prompts else ""
        doubts = [d for word, d in self.doubts_by_word.items() if word in shown]
        self.doubt = min(doubts, default=0.95)
        return "Four years." if "four years" in shown else "Three years."


def ask(
    open_pipeline: OpenPipeline,
    store: Path,
    model: ReadingGenerator,
    scope: QuestionScope | None = None,
    k: int = 5,
) -> Answer:
    request = AnswerRequest(QUESTION, GateMode.ALWAYS, k=k, scope=scope, as_of="2025-10-15")
    return fold(open_pipeline(model, store=store).answer(request))


def test_the_later_passage_that_answers_is_read_alone(
    open_pipeline: OpenPipeline, rules_store: Path
) -> None:
    model = ReadingGenerator(three=0.02, four=0.2)
    answer = ask(open_pipeline, rules_store, model)
    assert [one.document_id for one in answer.passages] == ["rules/hardware.md"]
    assert answer.text.startswith("Four years.")
    assert "An older version says otherwise: rules/laptops.txt" in answer.text
    assert model.open_sessions == 0


def test_a_later_passage_that_does_not_answer_changes_nothing(
    open_pipeline: OpenPipeline, rules_store: Path
) -> None:
    model = ReadingGenerator(three=0.02, four=0.95)
    answer = ask(open_pipeline, rules_store, model)
    assert len(answer.passages) == len(NOTES)
    assert "otherwise" not in answer.text


def test_of_passages_without_dates_none_is_left_out(
    open_pipeline: OpenPipeline, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    text = "A laptop of Brambleworks is replaced after {} years."
    names = {"rules/laptops.txt": "three", "rules/laptops in offices.txt": "four"}
    texts = {name: text.format(years) for name, years in names.items()}
    store = build_store(tmp_path, embedder, texts)
    answer = ask(open_pipeline, store, ReadingGenerator(three=0.02, four=0.2))
    assert len(answer.passages) == 2
    assert "otherwise" not in answer.text


def test_a_change_that_does_not_answer_alone_is_read_with_what_it_changes(
    open_pipeline: OpenPipeline, rules_store: Path
) -> None:
    model = ReadingGenerator(three=0.02, four=0.6)
    answer = ask(open_pipeline, rules_store, model)
    assert [one.document_id for one in answer.passages] == [
        "rules/hardware.md",
        "rules/laptops.txt",
    ]


@pytest.mark.parametrize("scope", [QuestionScope.COMPARE, QuestionScope.TWO_HOPS])
def test_a_question_that_needs_several_passages_keeps_them(
    open_pipeline: OpenPipeline, rules_store: Path, scope: QuestionScope
) -> None:
    answer = ask(open_pipeline, rules_store, ReadingGenerator(three=0.02, four=0.2), scope=scope)
    assert len(answer.passages) > 1


def test_a_version_that_the_search_did_not_bring_is_read(
    open_pipeline: OpenPipeline, tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    text = "A laptop of Brambleworks, number {}, is replaced when it breaks, in years."
    texts = {f"laptop of years {n}.txt": text.format(n) for n in range(30)}
    texts["rules/laptops.txt"] = OLD
    texts["rules/laptops_new_text.txt"] = (
        "From 20 June 2024 on, machines last four years instead of what was said in April 2022."
    )
    store = build_store(tmp_path, embedder, texts)
    answer = ask(open_pipeline, store, ReadingGenerator(three=0.02, four=0.2), k=3)
    assert [one.document_id for one in answer.passages] == ["rules/laptops_new_text.txt"]
