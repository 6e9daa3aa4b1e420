"""Two-hop questions about a subject that another document names."""

from __future__ import annotations

from expertrag.train.reader.made.bridges import bridges
from expertrag.train.reader.made.subjects import subjects
from expertrag.train.reader.made.types import Piece

DIRECTOR = Piece(
    "dee#0.0", "dee", "Dee Rees", "Dee Rees (born February 7, 1977) is an American screenwriter."
)
FILM = Piece(
    "p#0.0", "p", "Pariah (film)", "Pariah is a 2011 drama film directed by the American Dee Rees."
)
BAND = Piece(
    "k#0.0",
    "k",
    "Kittie",
    "Kittie is a heavy metal band. Kittie obtains most songs from the singer Morgan Lander.",
)
ALBUM = Piece("s#0.0", "s", "Safe", "Safe is a record. It became the second album by Kittie.")


def test_a_person_is_described_by_the_work() -> None:
    (made,) = bridges(subjects([DIRECTOR, FILM]))
    assert made.question == "When was the person who directed Pariah born?"
    assert (made.answer, made.piece, made.supporting) == ("February 7, 1977", DIRECTOR, FILM)


def test_cloze_questions_with_the_name_replaced() -> None:
    made = {item.question: item.answer for item in bridges(subjects([BAND, ALBUM]))}
    assert made == {
        "Which singer does the one that made Safe obtain most songs from?": "Morgan Lander"
    }


def test_a_name_without_a_deed_gives_no_question() -> None:
    supporting = Piece("x#0.0", "x", "Mudbound", "Mudbound is a film. Dee Rees was there.")
    listed = Piece("y#0.0", "y", "Bessie", "Bessie is a film written by her, and Dee Rees saw it.")
    assert not [*bridges(subjects([DIRECTOR, supporting, listed]))]
    assert not [*bridges([])]
