"""Sentences and rows of passages, with the names and units of their columns."""

from __future__ import annotations

from expertrag.grounding.rows import join_contents, sentence_spans, with_pairs
from expertrag.grounding.wording import wording
from expertrag_retriever.types import Passage

TABLE = "Fee | Amount\nPostage | 4\nInsurance | 12"


def passage(text: str, title: str = "") -> Passage:
    return Passage("doc", 0, text, 0, len(text), 1.0, title=title)


def test_spans_cover_sentences_and_rows() -> None:
    text = f"Parcels cost money.\n\n{TABLE}"
    texts = [text[span.start : span.end] for span in sentence_spans(passage(text))]
    assert texts == ["Parcels cost money.", *TABLE.splitlines()]


def test_cells_have_the_names_of_their_columns() -> None:
    *_, last = sentence_spans(passage(TABLE))
    ((fee, amount),) = last.rows
    assert (fee.name, amount.name) == ("Fee", "Amount")
    assert amount.value.words == {"12"}


def test_a_cell_may_name_its_column_itself() -> None:
    (row,) = sentence_spans(passage("Fee: Postage | Amount: 4"))
    assert [cell.name for cell in row.rows[0]] == ["Fee", "Amount"]


def test_the_unit_of_a_column_is_that_of_its_numbers() -> None:
    *_, last = sentence_spans(passage("Fee | Amount in EUR\nPostage | 4"))
    assert last.rows[0][1].units == {"eur"}
    assert not wording("4 EUR").lacking_in(last.content)
    assert wording("4 USD").lacking_in(last.content)


def test_the_title_gives_a_unit_to_numbers_without_one() -> None:
    for title, held in (("Fees in EUR", True), ("Fees", False)):
        (span,) = sentence_spans(passage("Postage is 4.", title))
        assert ("4 eur" in span.content.holds) is held


def test_pairs_are_of_adjacent_sentences_and_not_of_rows() -> None:
    text = "Roses are red. Violets are blue. Grass is green."
    spans = list(with_pairs(list(sentence_spans(passage(text))), wording("Colours")))
    assert [text[span.start : span.end] for span in spans[:2]] == [
        "Roses are red.",
        "Roses are red. Violets are blue.",
    ]
    assert len(spans) == 5
    assert not wording("colours of roses").lacking_in(spans[0].content)
    rows = list(sentence_spans(passage(TABLE)))
    assert len(list(with_pairs(rows, wording("")))) == len(rows)


def test_nothing_holds_nothing() -> None:
    assert join_contents([]).holds == frozenset()
    assert list(sentence_spans(passage(""))) == []
