"""Prompts with and without the answer, built by search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.train.probe.prompts import ProbeSet, probe_sets
from expertrag_lab.train.probe.recipe import FULL
from expertrag_lab.train.reader.material import is_dev


@pytest.fixture(scope="module")
def births(dataset: Path) -> ProbeSet:
    (found,) = probe_sets({"encyclopedia": (dataset,)}, FULL, {"births": "CC0-1.0"}, {})
    return found


def test_a_prompt_lacks_the_answer_if_no_passage_has_it(births: ProbeSet, dataset: Path) -> None:
    queries = {query.text: query for query in load_dataset(dataset, "train").queries}
    assert births.train and births.dev
    for item in (*births.train, *births.dev):
        query = queries[item.question]
        judged = load_dataset(dataset, "train").relevant(query.id)
        shown = {passage.document_id for passage in item.passages}
        assert item.lacking is not bool(query.answers and shown & set(judged))
        if item.lacking:
            assert not any(
                answer in passage.text
                for answer in query.answers or ()
                for passage in item.passages
            )
    lacking = [item.lacking for item in births.train]
    assert 0.3 < sum(lacking) / len(lacking) < 0.8


def test_prompts_of_a_group_have_the_same_passages(births: ProbeSet) -> None:
    shown = {item.group: item.passages for item in births.train}
    assert all(shown[item.group] == item.passages for item in births.train)
    assert len(births.train) > 2 * len(shown)
    assert {len(passages) for passages in shown.values()} <= set(FULL.passages)


def test_no_dev_document_is_asked_about_in_training(births: ProbeSet, dataset: Path) -> None:
    read = load_dataset(dataset, "train")
    queries = {query.text: query for query in read.queries}
    assert not any(is_dev(queries[item.question], read) for item in births.train)
    assert all(is_dev(queries[item.question], read) for item in births.dev)


def test_missed_gold_passages_are_inserted_into_the_results(dataset: Path) -> None:
    """Answerable questions of the first search have their answer, if there are enough passages."""
    one = replace(FULL, passages=(5,), answered=0, tempted=0, elsewhere=0)
    (found,) = probe_sets({"encyclopedia": (dataset,)}, one, {}, {})
    read = load_dataset(dataset, "train")
    answerable = {query.text for query in read.queries if query.answers}
    held = {item.question for item in found.train if not item.lacking}
    assert held == {item.question for item in found.train if item.question in answerable}


def test_the_same_data_give_the_same_prompts(births: ProbeSet, dataset: Path) -> None:
    (again,) = probe_sets({"encyclopedia": (dataset,)}, FULL, {"births": "CC0-1.0"}, {})
    assert again == births
    (other,) = probe_sets({"encyclopedia": (dataset,)}, replace(FULL, seed=1), {}, {})
    assert other.train != births.train


def test_fewer_searches_and_unknown_names(dataset: Path) -> None:
    (few,) = probe_sets({"encyclopedia": (dataset,)}, FULL, {}, {"births": 3})
    assert len({item.group for item in few.train}) <= 6
    for licences, groups in (({"deaths": "MIT"}, {}), ({}, {"deaths": 3})):
        with pytest.raises(InvalidArgument, match="no data set is called deaths"):
            probe_sets({"encyclopedia": (dataset,)}, FULL, licences, groups)
    with pytest.raises(InvalidArgument, match="two data sets have the same name"):
        probe_sets({"encyclopedia": (dataset, dataset)}, FULL, {}, {})
