"""Questions that compare two documents of the same kind, or of different kinds."""

from __future__ import annotations

from expertrag.train.reader.made.comparisons import comparisons
from expertrag.train.reader.made.subjects import subjects
from expertrag.train.reader.made.types import Made, Piece

YEARS = range(1801, 1811)


def _piece(title: str, text: str) -> Piece:
    return Piece(f"{title}#0.0", title, title, text)


PAINTERS = [
    _piece(f"Ada Beson{year}", f"Ada Maria Beson{year} (born 3 May {year}) is a Scottish painter.")
    for year in YEARS
]
SHIPS = [
    _piece(f"Kite {year}", f"Kite {year} was a small ship owned by a bank. It was built in {year}.")
    for year in YEARS
]


def _made(pieces: list[Piece], seed: int = 0) -> list[Made]:
    return comparisons(subjects(pieces), seed)


def _year(piece: Piece) -> int:
    return int(piece.title[-4:])


def test_people_and_ships() -> None:
    made = _made([*PAINTERS, *SHIPS])
    both = [item for item in made if item.question.startswith("Are ")]
    for item in both:
        assert item.supporting is not None
        painters = "Beson" in item.piece.title
        assert item.question.endswith(" both painters?" if painters else " both ships?")
        alike = painters == ("Beson" in item.supporting.title)
        assert item.answer == ("yes" if alike else "no")
        assert item.piece.title in item.question and item.supporting.title in item.question
    assert {item.answer for item in both} == {"yes", "no"}
    chosen = [item for item in made if not item.question.startswith("Are ")]
    kinds = {" ".join(item.question.split()[:3]) for item in chosen}
    assert kinds == {"Who is older,", "Who is younger,", "Who was born", "Which ship was"}
    for item in chosen:
        assert item.supporting is not None and item.answer == item.piece.title
        earlier = _year(item.piece) < _year(item.supporting)
        assert earlier == ("younger" not in item.question)


def test_the_same_seed_gives_the_same() -> None:
    pieces = [*PAINTERS, *SHIPS]
    assert _made(pieces) == _made(pieces) != _made(pieces, seed=1)


def test_a_rare_noun_is_not_a_kind() -> None:
    assert not _made(PAINTERS[:7])
    assert not _made([])


def test_documents_that_do_not_define_their_title_are_skipped() -> None:
    others = [
        _piece(f"Page {n}", f"Nothing {n} is a page of the manual. See below.") for n in range(9)
    ]
    participles = [_piece(f"Race {n}", f"Race {n} was a closed.") for n in range(9)]
    assert not _made([*others, *participles])
