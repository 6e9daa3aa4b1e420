"""Answers, citations, abstention and gate by language, on the same questions and paragraphs.

    python lab/benchmarks/eval_language_answers.py --data DATA --json FILE

A store has half of the paragraphs of XQuAD in one language, with the embedder that ``index build``
chooses for it. Of the questions, in the same language, two thirds have their answer there, and one
third does not. Each is answered as served, in mode ALWAYS, by the default language model. Answers
are kept in WORK, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results_file
from eval_answers import MODELS
from mixed_store import build
from office_answers import ANSWERING, opened
from reader_figures import HEADER, Figure, area, bootstrapped, mean

from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateMode
from expertrag.cli.progress import progress
from expertrag.config import ModelConfig
from expertrag.grounding.ground import SUPPORTED
from expertrag.llm.load.loading import quiet
from expertrag.models.registry import MULTILINGUAL
from expertrag.stores.embedders import DEFAULT_EMBEDDER, open_embedder
from expertrag_index.types import FloatArray, Progress
from expertrag_lab.data.datasets import Dataset, Query, load_dataset, sample
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.manifest import inputs_id
from expertrag_lab.json_lines import write_lines
from expertrag_lab.metrics import squad

ENGLISH = "en"
LANGUAGES = (ENGLISH, "de", "ru", "zh", "th")
QUESTIONS = 36
SHARE = 0.80
"""Least share of English's right answers that is asked for."""

GENERAL = {
    "en": (
        "What is 17 times 23?",
        "Write a short poem about autumn.",
        'Translate "good morning" into French.',
        "Thank you very much!",
        "Give me three ideas for a birthday present.",
        'What is the opposite of "hot"?',
        "Write a polite reply that declines an invitation.",
        "Write a Python function that reverses a list.",
    ),
    "de": (
        "Was ist 17 mal 23?",
        "Schreibe ein kurzes Gedicht über den Herbst.",
        'Übersetze "guten Morgen" ins Französische.',
        "Vielen Dank!",
        "Nenne mir drei Ideen für ein Geburtstagsgeschenk.",
        'Was ist das Gegenteil von "heiß"?',
        "Schreibe eine höfliche Antwort, die eine Einladung ablehnt.",
        "Schreibe eine Python-Funktion, die eine Liste umkehrt.",
    ),
    "ru": (
        "Сколько будет 17 умножить на 23?",
        "Напиши короткое стихотворение про осень.",
        "Переведи «доброе утро» на французский.",
        "Большое спасибо!",
        "Предложи три идеи для подарка на день рождения.",
        "Какое слово противоположно слову «горячий»?",
        "Напиши вежливый отказ от приглашения.",
        "Напиши функцию на Python, которая переворачивает список.",
    ),
    "zh": (
        "17乘以23等于多少?",
        "写一首关于秋天的短诗。",
        "把“早上好”翻译成法语。",
        "非常感谢!",
        "给我三个生日礼物的主意。",
        "“热”的反义词是什么?",
        "写一封礼貌的回信，谢绝邀请。",
        "写一个反转列表的Python函数。",
    ),
    "th": (
        "17 คูณ 23 เท่ากับเท่าไร",
        "เขียนบทกวีสั้นๆ เกี่ยวกับฤดูใบไม้ร่วง",
        "แปลคำว่า สวัสดีตอนเช้า เป็นภาษาฝรั่งเศส",
        "ขอบคุณมาก",
        "เสนอความคิดของขวัญวันเกิดสามอย่าง",
        "คำตรงข้ามของคำว่า ร้อน คืออะไร",
        "เขียนคำตอบสุภาพเพื่อปฏิเสธคำเชิญ",
        "เขียนฟังก์ชัน Python ที่กลับลำดับรายการ",
    ),
}
"""Requests that need no documents, the same in each language."""

CODE = (*results_file.ANSWERS, "lab/benchmarks/eval_language_answers.py")


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """An answer. ``answerable``: whether the store has the question's paragraph.

    ``right``: whether the answer contains an accepted one. ``cited``: whether it cites that
    paragraph. ``support``: probability that it is right; None if the model abstained.
    ``withheld``: whether STRICT would withhold it. ``retrieves``: the gate's decision in AUTO.
    """

    answerable: bool
    answer: str
    right: bool
    abstained: bool
    cited: bool
    support: float | None
    withheld: bool
    retrieves: bool


def main() -> None:
    """Ask the questions in each language, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="with an answer")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--model", default=MODELS[-1])
    given = parser.parse_args()
    work = given.work / "languages" / "answers"
    rows, general = {}, {}
    with progress() as report, quiet():
        for language in given.languages:
            dataset = load_dataset(given.data / f"xquad_{language}", given.split)
            store = make_store(dataset, language, work, report)
            asked = questions(dataset, given.questions)
            with closing(opened(given.model, store)) as pipeline:
                path = work / f"{language}-{inputs_id(_inputs(pipeline, dataset))}.jsonl"
                rows[language] = answer_all(pipeline, dataset, asked, path, report)
                general[language] = [_retrieves(pipeline, text) for text in GENERAL[language]]
    result = list(figures(rows, general))
    print("\n".join((HEADER, *(figure.row for figure in result))))
    body = {"split": given.split, "figures": list(map(asdict, result))}
    results_file.write(given.json, body, CODE)


def make_store(dataset: Dataset, language: str, work: Path, report: Progress) -> Path:
    """Build the store of half of the paragraphs."""
    documents = work / "documents" / language
    documents.mkdir(parents=True, exist_ok=True)
    held = [{"_id": d.id, "text": d.text} for d in dataset.documents() if is_held(d.id)]
    write_lines(documents / "corpus.jsonl", held)
    name = DEFAULT_EMBEDDER if language == ENGLISH else MULTILINGUAL
    embedder = open_embedder(ModelConfig(embedder=name), None)
    return build(documents, work / "stores" / language, embedder, report)


def is_held(document: str) -> bool:
    """Return whether a paragraph is in the store: half of the ones of each split."""
    return int(document.removeprefix("p")) // 2 % 2 == 0  # the splits alternate


def questions(dataset: Dataset, count: int) -> Sequence[Query]:
    """Return questions with an answer, and half as many without; the same in each language."""
    ordered = sorted(dataset.judged, key=lambda query: query.id)
    held = [query for query in ordered if _is_answerable(dataset, query)]
    others = [query for query in ordered if not _is_answerable(dataset, query)]
    return sample(held, count, 0) + sample(others, count // 2, 0)


def answer_all(
    pipeline: Pipeline, dataset: Dataset, asked: Sequence[Query], path: Path, report: Progress
) -> list[LanguageRow]:
    """Answer the questions; kept rows are reused."""
    with appending(path) as file:
        known = read_results(path, lambda item: (item["key"], LanguageRow(**item["row"])))
        missing = [query for query in asked if query.id not in known]
        for done, query in enumerate(missing, start=1):
            row = known[query.id] = _answer(pipeline, query, dataset)
            file.write(json.dumps({"key": query.id, "row": asdict(row)}, ensure_ascii=False) + "\n")
            file.flush()
            report(f"answers, {dataset.name}", done, len(missing))
    return [known[query.id] for query in asked]


def figures(
    rows: Mapping[str, Sequence[LanguageRow]], general: Mapping[str, Sequence[bool]]
) -> Iterator[Figure]:
    """Yield the figures of each language.

    :param general: whether the gate retrieves for each of ``GENERAL``.
    """
    english = _right(rows.get(ENGLISH, ()))
    for language, every in rows.items():
        for name, values in _values(every).items():
            yield mean(f"{language}: {name}", values)
        yield mean(f"{language}: the gate retrieves, general", list(map(float, general[language])))
        scored = [row for row in every if row.support is not None]
        truth = [row.answerable and row.right for row in scored]
        yield Figure(f"{language}: AUROC", area([row.support or 0.0 for row in scored], truth))
        if len(english) and language != ENGLISH:
            yield _share_of(english, _right(every), language).at_least(SHARE)


def _values(every: Sequence[LanguageRow]) -> Mapping[str, Sequence[float]]:
    """Return the values of the rows that each figure is the mean of."""
    held = [row for row in every if row.answerable]
    others = [row for row in every if not row.answerable]
    right = [row for row in held if row.right]
    wrong = [row for row in every if not (row.abstained or (row.answerable and row.right))]
    return {
        "right": [float(row.right) for row in held],
        "cites the paragraph": [float(row.cited) for row in held if not row.abstained],
        "abstains, answerable": [float(row.abstained) for row in held],
        "abstains, unanswerable": [float(row.abstained) for row in others],
        "STRICT gives, right": [float(not row.withheld) for row in right],
        "STRICT gives, wrong": [float(not row.withheld) for row in wrong],
        "the gate retrieves, about the documents": [float(row.retrieves) for row in every],
    }


def _share_of(english: FloatArray, other: FloatArray, language: str) -> Figure:
    """Compare the right answers of a language with English, on the same questions."""
    share = bootstrapped(
        lambda chosen: float(other[chosen].sum() / max(1.0, english[chosen].sum())), len(english)
    )
    return Figure(f"{language}: right, of English", share)


def _right(every: Sequence[LanguageRow]) -> FloatArray:
    return np.array([row.right for row in every if row.answerable], np.float32)


def _is_answerable(dataset: Dataset, query: Query) -> bool:
    return all(map(is_held, dataset.relevant(query.id)))


def _answer(pipeline: Pipeline, query: Query, dataset: Dataset) -> LanguageRow:
    answer = fold(pipeline.answer(AnswerRequest(query.text, mode=GateMode.ALWAYS)))
    relevant = dataset.relevant(query.id)
    confidence = pipeline._reading.confidence
    least = confidence.strict_from if confidence else SUPPORTED
    return LanguageRow(
        answerable=_is_answerable(dataset, query),
        answer=answer.text,
        right=not answer.abstained and squad.contains(answer.text, query.answers or ()),
        abstained=answer.abstained,
        cited=any(citation.document_id in relevant for citation in answer.citations),
        support=None if answer.abstained else answer.support,
        withheld=answer.abstained or (answer.support or 0.0) < least,
        retrieves=_retrieves(pipeline, query.text),
    )


def _retrieves(pipeline: Pipeline, text: str) -> bool:
    return pipeline.decide(text, GateMode.AUTO).action is GateAction.RETRIEVE


def _inputs(pipeline: Pipeline, dataset: Dataset) -> dict[str, JSON]:
    """Return everything that an answer depends on."""
    info = pipeline.info()
    code: list[JSON] = [results_file.code_hash(path) for path in ANSWERING]
    return {
        "data": dataset.sha256,
        "split": dataset.split,
        "embedder": info.embedder,
        "generator": info.model,
        "code": code,
    }


if __name__ == "__main__":
    main()
