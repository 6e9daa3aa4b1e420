"""Words of a query that BM25 searches."""

from __future__ import annotations

import pytest

from expertrag_index.words.query_words import query_terms


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("When does the lease end?", ["lease", "end"]),
        ("the", ["the"]),
        ("Is tofacitinib a JAK inhibitor?", ["tofacitinib", "jak", "inhibitor"]),
        (
            "Wann wird die Kündigung des Vertrags wirksam?",
            ["die", "kündigung", "vertrags", "wirksam"],
        ),
        ("¿Cuál es el plazo de la cancelación?", ["plazo", "la", "cancelación"]),
        ("die cast of the film", ["die", "cast", "film"]),
        ("東京都はどこ", ["東京", "京都", "都は", "はど", "どこ"]),
        ("iPhone15を買う", ["iphone15", "を買", "買う"]),
    ],
)
def test_query_terms(query: str, expected: list[str]) -> None:
    assert query_terms(query) == expected
