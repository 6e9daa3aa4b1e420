"""Consistency of decisions and answers across different wordings of a question.

The measure of P-Adapters (Newman et al. 2022) and ParaRel (Elazar et al. 2021): the share of
unordered pairs of a question's wordings with the same prediction, averaged over questions. Measures
of a question, from its wordings (``paraphrase``), each in [0, 1]:

decision_consistency    share of pairs with the same decision of the gate
p_benefit_gap           mean |difference| of p(benefit) over pairs; 0 is best
answer_consistency      share of pairs with the same answer (``squad.said``: normalised, no markers)
text_consistency        share of pairs with the same text, to the letter and with its markers
answer_f1               mean token F1 of the two answers over pairs
passage_consistency     share of pairs with the same passages in the same order
answer_same_passages    share of the same answer among pairs that differ only in words
changed_by_decision     share of pairs with other answers and another decision
changed_by_expert       of pairs with other answers, the same decision, and another expert
changed_by_passages     the same with the same expert, and other passages
changed_by_words        the same with the same passages: only the question in the prompt differs
accuracy                share of wordings with a right answer (``squad.contains``)
accuracy_consistency    1 if all wordings are answered right, or all wrong
consistent_and_correct  1 if all are answered right

``answer_consistency`` and the four shares of changes add up to 1. ``answer_same_passages`` needs
such a pair, the last three need accepted answers. The report::

    {"kind": "consistency", "manifest": …, "skipped": {set: [{"id", "reason"}]},
     "pooled": {measure: {"mean", "low", "high", "n"} or null if no question has it},
     "sets": {set: the same}, "sizes": {set: {"questions", "wordings"}},
     "per_query": {set: {measure: {query id: value}}},
     "rewrites": {"pooled": {rewrite: R}, "sets": {set: {rewrite: R}}},
     "least_consistent": {set: [{"query_id", "query", "answers": [accepted] or null,
         "decision_consistency", "answer_consistency" (or null), "wordings": [{"rewrite", "text",
         "retrieved": bool, "p_benefit", "answer": text or null, "expert", "passages": [name],
         "correct": bool or null}]}]}}

R compares the replies to a rewrite with those to the original question: {"n": replies,
"decision_changed": share, "answer_changed": share or null, "p_benefit_change": mean difference}.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.manifest import RunManifest
from expertrag_lab.eval.replies import ParaphraseReply, Replies
from expertrag_lab.metrics import squad, stats

MEASURES = (
    "decision_consistency",
    "p_benefit_gap",
    "answer_consistency",
    "text_consistency",
    "answer_f1",
    "passage_consistency",
    "answer_same_passages",
    "changed_by_decision",
    "changed_by_expert",
    "changed_by_passages",
    "changed_by_words",
    "accuracy",
    "accuracy_consistency",
    "consistent_and_correct",
)
STEPS = ("decision", "expert", "passages", "words")
"""Steps of an answer at which two wordings can come apart."""

LEAST = 5
"""Questions per data set that the report shows with their wordings."""


def consistency_report(
    sets: Mapping[str, Sequence[Replies]],
    manifest: RunManifest,
    skipped: Mapping[str, Sequence[Skipped]],
    *,
    seed: int = 0,
) -> dict[str, JSON]:
    """Measure the replies; the module docstring lists the keys."""
    pooled = [question for questions in sets.values() for question in questions]
    measured = {name: list(map(measure, questions)) for name, questions in sets.items()}
    return {
        "kind": "consistency",
        "manifest": asdict(manifest),
        "pooled": _figures(list(itertools.chain.from_iterable(measured.values())), seed),
        "sets": {name: _figures(figures, seed) for name, figures in measured.items()},
        "sizes": {
            name: {
                "questions": len(questions),
                "wordings": sum(len(question.replies) for question in questions),
            }
            for name, questions in sets.items()
        },
        "per_query": {
            name: {
                key: {
                    question.id: figures[key]
                    for question, figures in zip(questions, measured[name], strict=True)
                    if key in figures
                }
                for key in MEASURES
            }
            for name, questions in sets.items()
        },
        "rewrites": {
            "pooled": _rewrites(pooled),
            "sets": {name: _rewrites(questions) for name, questions in sets.items()},
        },
        "least_consistent": {
            name: _least(list(zip(questions, measured[name], strict=True)))
            for name, questions in sets.items()
        },
        "skipped": {name: [asdict(item) for item in items] for name, items in skipped.items()},
    }


def measure(question: Replies) -> dict[str, float]:
    """Return the measures of one question; measures that do not apply are absent.

    :param question: a question with at least two wordings.
    """
    pairs = list(itertools.combinations(question.replies, 2))
    figures = {
        "decision_consistency": fmean(a.retrieved == b.retrieved for a, b in pairs),
        "p_benefit_gap": fmean(abs(a.p_benefit - b.p_benefit) for a, b in pairs),
    }
    texts = [reply.answer for reply in question.replies if reply.answer is not None]
    if len(texts) < len(question.replies):
        return figures
    both = list(itertools.combinations(texts, 2))
    same = [_same(a, b) for a, b in both]
    figures["answer_consistency"] = fmean(same)
    figures["text_consistency"] = fmean(a == b for a, b in both)
    figures["answer_f1"] = fmean(squad.token_f1(a, [squad.strip_markers(b)]) for a, b in both)
    figures["passage_consistency"] = fmean(a.passages == b.passages for a, b in pairs)
    steps = [_first_change(a, b) for a, b in pairs]
    alike = [agree for agree, step in zip(same, steps, strict=True) if step == "words"]
    if alike:
        figures["answer_same_passages"] = fmean(alike)
    for name in STEPS:
        changed = (step == name and not agree for step, agree in zip(steps, same, strict=True))
        figures[f"changed_by_{name}"] = fmean(changed)
    if question.answers:
        right = [squad.contains(text, question.answers) for text in texts]
        figures["accuracy"] = fmean(right)
        figures["accuracy_consistency"] = float(len(set(right)) == 1)
        figures["consistent_and_correct"] = float(all(right))
    return figures


def _same(a: str, b: str) -> bool:
    return squad.strip_markers(a) == squad.strip_markers(b)


def _first_change(a: ParaphraseReply, b: ParaphraseReply) -> str:
    """Return the first step of an answer, in the order of ``STEPS``, that differs between two."""
    if a.retrieved != b.retrieved:
        return "decision"
    if a.expert != b.expert:
        return "expert"
    return "passages" if a.passages != b.passages else "words"


def _figures(measured: Sequence[Mapping[str, float]], seed: int) -> dict[str, JSON]:
    figures: dict[str, JSON] = {}
    for name in MEASURES:
        values = [per_question[name] for per_question in measured if name in per_question]
        figures[name] = asdict(stats.estimate(values, seed=seed)) if values else None
    return figures


def _rewrites(questions: Sequence[Replies]) -> dict[str, JSON]:
    """Compare the replies to each rewrite with those to the original question."""
    pairs: dict[str, list[tuple[ParaphraseReply, ParaphraseReply]]] = {}
    for question in questions:
        original, *others = question.replies
        for reply in others:
            pairs.setdefault(reply.rewrite, []).append((original, reply))
    return {name: _change(changes) for name, changes in pairs.items()}


def _change(pairs: Sequence[tuple[ParaphraseReply, ParaphraseReply]]) -> dict[str, JSON]:
    answers = [
        (original.answer, reply.answer)
        for original, reply in pairs
        if original.answer is not None and reply.answer is not None
    ]
    return {
        "n": len(pairs),
        "decision_changed": fmean(a.retrieved != b.retrieved for a, b in pairs),
        "answer_changed": fmean(not _same(a, b) for a, b in answers) if answers else None,
        "p_benefit_change": fmean(b.p_benefit - a.p_benefit for a, b in pairs),
    }


def _least(measured: Sequence[tuple[Replies, Mapping[str, float]]]) -> list[JSON]:
    """Show the questions whose answers, then decisions, agree least."""

    def agreement(pair: tuple[Replies, Mapping[str, float]]) -> tuple[float, float, str]:
        question, figures = pair
        return figures.get("answer_consistency", 1.0), figures["decision_consistency"], question.id

    changing = [pair for pair in measured if min(agreement(pair)[:2]) < 1.0]
    return [_show(*pair) for pair in sorted(changing, key=agreement)[:LEAST]]


def _show(question: Replies, figures: Mapping[str, float]) -> dict[str, JSON]:
    return {
        "query_id": question.id,
        "query": question.question,
        "answers": None if question.answers is None else list(question.answers),
        "decision_consistency": figures["decision_consistency"],
        "answer_consistency": figures.get("answer_consistency"),
        "wordings": [
            {
                **asdict(reply),
                "correct": squad.contains(reply.answer, question.answers)
                if reply.answer is not None and question.answers
                else None,
            }
            for reply in question.replies
        ],
    }
