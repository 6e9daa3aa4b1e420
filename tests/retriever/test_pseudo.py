"""Sentences of a store's chunks as queries about it."""

from __future__ import annotations

from expertrag_retriever.pseudo import pseudo_query

TEXT = "Roses are pruned in March. Compost needs air. Seeds need warmth."


def test_a_query_is_one_of_the_sentences() -> None:
    queries = {pseudo_query(TEXT, seed) for seed in range(30)}
    assert queries == {"Roses are pruned in March.", "Compost needs air.", "Seeds need warmth."}


def test_the_same_seed_picks_the_same_sentence() -> None:
    assert pseudo_query(TEXT, 7) == pseudo_query(TEXT, 7)


def test_a_long_sentence_is_cut_to_the_length_of_a_query() -> None:
    assert pseudo_query("word " * 50, 0) == " ".join(["word"] * 20)


def test_a_text_without_sentences_gives_none() -> None:
    assert pseudo_query("  \n ", 0) == ""
