"""What of a document is shown to the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prose_folder import make_contracts
from store_helper import HashingEmbedder

from expertrag.answer.scan.excerpts import MOST_CHARACTERS, excerpt_of, find_options
from expertrag.answer.scan.periods import Period
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.values import Kind, Quantity

END = Attribute("end date", Kind.DATE)
RENEWS = Attribute("Does the contract renew?", Kind.YESNO)
TEXT = (
    "Hosting agreement\n\nIt was signed on 3 May 2024 in Dublin. Invoices are paid by transfer. "
    "It ends on 2 May 2026. The contract does not renew. Room 12 is used by 14 people."
)


def _encode(texts: Sequence[str]) -> NDArray[np.float32]:
    return HashingEmbedder().encode_documents(texts)


def test_sentences_with_values_are_shown_with_a_label_before_each() -> None:
    excerpt = excerpt_of(TEXT, END, find_options(TEXT, Kind.DATE), (), _encode)
    marked = excerpt.mark_values(lambda number: f"<{number}> ")
    assert marked == "It was signed on <0> 3 May 2024 in Dublin. It ends on <1> 2 May 2026."
    assert [TEXT[m.start : m.end] for m in excerpt.mentions] == ["3 May 2024", "2 May 2026"]


def test_a_question_is_shown_with_the_sentences_most_like_it() -> None:
    text = f"{'Nothing of this is about it. ' * 30}The contract does not renew. The end."
    excerpt = excerpt_of(text, RENEWS, (), (), _encode)
    start, end = excerpt.best
    assert text[start:end] == "The contract does not renew."
    assert "does not renew" in excerpt.plain
    assert len(excerpt.plain) < MOST_CHARACTERS


def test_parts_that_a_search_has_found_are_preferred_in_a_long_document() -> None:
    text = "The contract may renew. " * 100 + "An extension is agreed in writing. " * 3
    place = text.index("An extension")
    excerpt = excerpt_of(text, RENEWS, (), [(place, len(text))], _encode)
    assert "may renew" not in excerpt.plain


def test_a_text_without_stops_is_cut() -> None:
    text = "number 7 " * 400
    excerpt = excerpt_of(
        text, Attribute("size", Kind.NUMBER), find_options(text, Kind.NUMBER), (), _encode
    )
    assert 0 < len(excerpt.mentions) <= 16
    assert len(excerpt.plain) < 2 * MOST_CHARACTERS


def test_an_empty_text_has_no_excerpt() -> None:
    assert excerpt_of(" ", RENEWS, (), (), _encode).spans == ()


def test_the_end_of_a_term_is_an_option() -> None:
    options = find_options("It runs for two years from 1 March 2024.", Kind.DATE)
    written = {m.written: m.normal.written for m in options if isinstance(m.normal, Period)}
    assert written == {"two years": "2026-02-28", "1 March 2024": "2024-03-01"}
    assert [m.derived for m in options] == [True, False]


def test_no_term_is_added_to_several_dates_or_in_days() -> None:
    for text in ("From 1 May 2024 to 3 May 2025, two years.", "Within 30 days of 1 May 2024."):
        assert not any(option.derived for option in find_options(text, Kind.DATE))


def test_every_value_of_a_folder_of_contracts_is_an_option() -> None:
    for text, truth in make_contracts(60, seed=3):
        dates = {
            m.normal.written for m in find_options(text, Kind.DATE) if isinstance(m.normal, Period)
        }
        assert {truth.start, truth.end, truth.signed} <= dates, text
        fees = {m.normal for m in find_options(text, Kind.MONEY)}
        assert Quantity(truth.fee, truth.currency) in fees, text
        notices = {m.written for m in find_options(text, Kind.DURATION)}
        assert truth.notice in notices, text
