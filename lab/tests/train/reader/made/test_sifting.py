"""The filter of made questions, and its reasons."""

from __future__ import annotations

from expertrag_index.types import Document, silent
from expertrag_lab.train.reader.made.sifting import LOST, REPEATED, TELLS, TOO_MANY, UNCLEAR, Sifter
from expertrag_lab.train.reader.made.types import Made, Piece
from expertrag_lab.train.reader.passages import Passages

ROSES = Piece("g#0", "g", "Roses", "Roses are pruned in March, above a bud.")
OTHERS = [Piece(f"o#{n}", "o", "Tulips", f"Tulips are paid by house {n}.") for n in range(4)]
LEAVE = Piece("h#0", "h", "Leave", "Employees get 27 days of paid leave a year.")


def _sifter(*pieces: Piece) -> Sifter:
    documents = (Document(piece.id, piece.text, piece.title) for piece in pieces)
    return Sifter(Passages(documents, 60), silent)


def _made(question: str, answer: str, piece: Piece, *, sentence: bool = False) -> Made:
    return Made(question, answer, piece, "cloze", sentence)


def test_reasons_to_drop_questions() -> None:
    sifter = _sifter(ROSES, LEAVE, *OTHERS)
    when = _made("When are roses pruned?", "March", ROSES)
    days = _made("How many days of leave?", "27 days", LEAVE)
    kept = sifter.sift(
        [
            when,
            _made("when are roses pruned", "March", ROSES),
            days,
            _made("What happens in March?", "March", ROSES),
            _made("What is got?", "27 days", LEAVE),
            _made("What is got?", "a bud", ROSES),
            _made("Who pays for tulips?", "March", ROSES),
        ]
    )
    assert set(kept) == {when, days}
    expected = {TELLS: 1, REPEATED: 1, UNCLEAR: 2, LOST: 1}
    assert {reason: count for reason, count in sifter.dropped.items() if count} == expected


def test_two_lengths_of_one_answer_do_not_conflict() -> None:
    long = _made("What are roses?", "Roses are flowers of the garden.", ROSES, sentence=True)
    assert _sifter(ROSES).sift([long, _made("What are roses?", "flowers", ROSES)]) == [long]


def test_several_answer_sentences_do_not_conflict() -> None:
    made = [
        _made("What do roses do?", f"Roses {verb} a lot.", ROSES, sentence=True)
        for verb in ("grow", "bloom")
    ]
    sifter = _sifter(ROSES)
    assert sifter.sift(made) == made[:1] and sifter.dropped[REPEATED] == 1


def test_model_questions_skip_the_bm25_check() -> None:
    asked = _made("Month for cutting back thorny shrubs?", "March", ROSES)
    assert _sifter(ROSES, LEAVE).sift([], [asked]) == [asked]


def test_questions_per_document_are_limited() -> None:
    many = [_made(f"Which rose has number {n}?", f"rose {n}x", ROSES) for n in range(30)]
    sifter = _sifter(ROSES)
    kept = sifter.sift(many, seed=3)
    assert len(kept) == 12 and sifter.dropped[TOO_MANY] == 18
    assert kept == _sifter(ROSES).sift(many, seed=3)
