"""Which documents a question about a set means."""

from __future__ import annotations

import pytest
from scan_samples import OpenContext

from expertrag.answer.scan.documents import choose_documents


def _chosen(context: object, noun: str, limit: int = 100) -> tuple[list[str], int, bool, str]:
    chosen = choose_documents(context, noun, limit)  # type: ignore[arg-type]
    ids = sorted(info.id.rpartition("/")[2] for info in chosen.documents)
    return ids, chosen.left_out, chosen.whole, chosen.family


CONTRACTS = [f"contract-{number}.txt" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("noun", ["contracts", "agreements", "supplier contracts", "Verträge"])
def test_a_folder_is_named_by_a_noun_or_by_another_word_for_it(ask: OpenContext, noun: str) -> None:
    ids, left_out, whole, family = _chosen(ask(f"Which {noun} end in 2026?"), noun)
    assert (ids, left_out, whole, family) == (CONTRACTS, 0, True, "all of contracts")


def test_titles_name_a_family_where_no_folder_does(ask: OpenContext) -> None:
    assert _chosen(ask("Which policies apply?"), "travel")[0] == ["travel.txt"]


def test_most_of_the_best_passages_name_a_folder_that_nothing_else_does(ask: OpenContext) -> None:
    question = "When does the agreement end, and what is the annual fee?"
    assert _chosen(ask(question), "papers")[0] == CONTRACTS


def test_what_does_not_fit_the_limit_is_left_out(ask: OpenContext) -> None:
    ids, left_out, whole, _ = _chosen(ask("Which contracts end in 2026?"), "contracts", limit=3)
    assert (len(ids), left_out, whole) == (3, 1, True)


def test_labels_and_the_filter_apply(ask: OpenContext) -> None:
    question = "Which contracts end in 2026?"
    seen = _chosen(ask(question, labels=frozenset({"board"})), "contracts")[0]
    assert seen == [*CONTRACTS, "contract-5.txt"]
    filtered = ask(question, labels=frozenset({"board"}), filter={"year": {"$gte": 2024}})
    assert _chosen(filtered, "contracts")[0] == ["contract-4.txt", "contract-5.txt"]
