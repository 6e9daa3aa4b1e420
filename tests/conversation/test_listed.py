"""References to the items of a list."""

from __future__ import annotations

import pytest

from expertrag.conversation.listed import items_of, with_items

RIVERS = ("the Volga", "the Danube", "the Ural")


@pytest.mark.parametrize(
    ("question", "answer", "items"),
    [
        ("Which rivers?", "The Volga, the Danube and the Ural.", RIVERS),
        ("Which rivers?", "There are three: the Volga, the Danube, and the Ural", RIVERS),
        ("Which rivers?", "1. The Volga, 3,530 km\n2. The Danube\n3. The Ural (in part)", RIVERS),
        ("Which trainings?", "Fire safety or first aid.", ("fire safety", "first aid")),
        ("What do the Basic and the Plus plan cost?", "$9 and $19", ("$9", "$19")),
        ("Compare Lune and Soleil.", "Lune is a latex mattress.", ("Lune", "Soleil")),
        ("Which rivers?", "The Volga.", ()),
        ("When?", "In the morning and in the evening.", ()),
        ("Who found radium?", "Marie and Pierre Curie discovered it in 1898.", ()),
    ],
)
def test_lists(question: str, answer: str, items: tuple[str, ...]) -> None:
    assert items_of(question, answer) == items


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long is the second one?", "How long is the Danube?"),
        ("Where does the first rise?", ""),  # "rise" may be its noun
        ("How long is the first of them?", "How long is the Volga?"),
        ("Is the last one navigable?", "Is the Ural navigable?"),
        ("And the third?", "And the Ural?"),
        ("How long is the fourth one?", ""),
        ("What is the second river?", ""),
        ("Which is longer?", "Which is longer, the Volga, the Danube or the Ural?"),
        (
            "Which of these has the most water?",
            "Which of these has the most water, the Volga, the Danube or the Ural?",
        ),
        ("Which is in Asia?", ""),
        ("Who swam farther?", ""),
    ],
)
def test_items_are_named(question: str, expected: str) -> None:
    assert with_items(question, "Which rivers?", RIVERS) == expected
    assert with_items(question, "Which rivers?", RIVERS[:1]) == ""


def test_the_other_one_is_the_one_that_was_not_asked_about() -> None:
    last = "How long is the Ural?"
    assert with_items("And the other one?", last, RIVERS[1:]) == "And the Danube?"
    assert with_items("Where does the other one rise?", last, RIVERS[1:]).startswith(
        "Where does the D"
    )
    assert with_items("And the other one?", last, RIVERS) == ""
    assert with_items("And the other one?", "How long are they?", RIVERS[1:]) == ""
