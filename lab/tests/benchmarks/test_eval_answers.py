"""`make lab-eval-answers`: answers are cached, and figures match those computed by hand."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eval_answers import PARTS, Asked, cache_of, compared, sourced, wanted
from fit_doubt import fitted
from reader_figures import Figure
from served_answers import ServedAnswer
from serving_fixtures import TellingGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.types import GateMode
from expertrag_index.store.index import Index
from expertrag_lab.data.datasets import Dataset, Query
from expertrag_lab.eval.serving import Opened

LEAVE = Query("leave", "How many days of paid leave do employees of Northwind get?", ("27",))
OFFICE = Dataset("office", Path(), "test", (LEAVE,), {"leave": {"office/leave": 1}}, (), "")


def said(text: str, **fields: Any) -> ServedAnswer:
    """Make an answer without retrieval, except for the given fields."""
    plain: dict[str, Any] = {
        "abstained": False,
        "p_sufficient": None,
        "support": None,
        "retrieved": False,
        "holding": (),
        "judged": (),
        "cited": (),
        "seconds": 1.0,
        "prompt_tokens": 10,
    }
    return ServedAnswer(text, **{**plain, **fields})


def test_answers_are_cached(built_store: Path, embedder: Any, tmp_path: Path) -> None:
    """A resumed run asks no question again, whatever the model would answer now."""
    reported: list[int] = []
    for reply in ("27 [1]", "never heard"):
        model = TellingGenerator(reply, doubt=0.25)
        with (
            closing(
                Pipeline(built_store, PipelineModels(embedder, model, model.reading))
            ) as pipeline,
            Index.open(built_store) as index,
        ):
            opened = Opened(pipeline, model, index, (), {})
            cache = cache_of(opened, OFFICE, tmp_path)
            asked = [sourced(OFFICE, LEAVE)]
            answers = cache.ask(asked, (GateMode.ALWAYS,), lambda *_: reported.append(1))
            (found,) = answers[GateMode.ALWAYS]
        assert (found.text, found.p_sufficient, found.retrieved) == ("27 [1]", 0.75, True)
        assert (found.cited, found.holding[0], found.shown) == ((1,), True, True)
        assert found.citations == found.right_citations == (1, 1)
        assert found.judged == found.holding
    assert len(reported) == 1


def _asked() -> dict[str, Asked]:
    """Two questions that the documents answer, one that they do not, and an everyday request."""
    one, two = Query("1", "When?", ("1999",)), Query("2", "Who?", ("Ada", "Ada Lovelace"))
    found = {
        "retrieved": True,
        "holding": (False, True),
        "judged": (True, False),
        "p_sufficient": 0.9,
        "seconds": 4.0,
    }
    always = [said("1999 [2].", **found, cited=(2,)), said("It was Ada [1]", **found, cited=(1, 2))]
    never = [said("In 1998."), said("Ada")]
    lost = said("No answer.", abstained=True, retrieved=True, p_sufficient=0.2)
    return {
        "squad2": ([one, two], {GateMode.ALWAYS: always, GateMode.STRICT: [always[0], lost]}),
        "policies: squad2": (
            [one, two],
            {GateMode.NEVER: never, GateMode.ALWAYS: always, GateMode.AUTO: [always[0], never[1]]},
        ),
        "squad2 unanswerable": (
            [Query("3", "Where?", ())],
            {GateMode.ALWAYS: [lost], GateMode.STRICT: [lost]},
        ),
        "policies: everyday, squad2": (
            [Query("4", "Red planet?", ("Mars",)), Query("5", "Hello!")],
            {mode: [said("Mars."), said("Hi!")] for mode in GateMode},
        ),
    }


def test_figures_match_those_computed_by_hand() -> None:
    parts = compared(_asked(), _asked(), list(PARTS))
    figures: dict[str, Figure] = {item.name: item for some in parts.values() for item in some}

    def mean(name: str) -> float:
        found = figures[name].after
        assert found is not None
        return found.mean

    assert mean("squad2, contains") == 1.0
    assert mean("squad2, exact") == 0.5  # "It was Ada" contains more than the answer
    assert figures["squad2, exact"].bar == ">= 0.60" and figures["squad2, exact"].reached is False
    assert mean("squad2, citations that hold the answer") == pytest.approx(2 / 3)
    assert mean("squad2, citations that hold it or are judged") == 1.0
    assert mean("AUROC of abstention") == 1.0
    assert mean("always abstains, squad2 unanswerable") == 1.0
    assert mean("strict abstains, squad2") == 0.5
    assert mean("never: right") == pytest.approx(2 / 3)  # of 3 with answers
    assert mean("auto: searches") == 0.25
    assert mean("always: seconds") == 2.5
    assert mean("auto: right, less those of always") == 0.0
    assert mean("auto: seconds by those of always") == pytest.approx(0.7)
    assert figures["auto: seconds by those of always"].reached
    assert mean("auto: everyday facts answered closed book, right") == 1.0


def test_doubt_is_fitted_on_both_kinds_of_questions() -> None:
    """Symmetric about log odds of log(1/3), so that a doubt of .25 is scaled to a half."""
    found = fitted([0.5, 0.5, 0.5, 0.1], [0.1, 0.1, 0.1, 0.5])
    assert found.calibrate(0.25) == pytest.approx(0.5, abs=0.01)
    assert found.calibrate(0.5) == pytest.approx(0.75, abs=0.01)
    assert found.calibrate(0.1) == pytest.approx(0.25, abs=0.01)


def test_modes_of_each_kind_of_question() -> None:
    def modes(kind: str) -> set[GateMode]:
        return {mode for mode in GateMode if wanted(kind, mode, list(PARTS))}

    assert modes("squad2") == modes("squad2 unanswerable") == {GateMode.ALWAYS, GateMode.STRICT}
    assert modes("tatqa") == {GateMode.ALWAYS}
    assert modes("policies: tatqa") == {GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO}
    assert not wanted("squad2", GateMode.STRICT, ["found"])
