from __future__ import annotations

import json
from pathlib import Path

import pytest
from index.conftest import load_whole

from expertrag_index.types import Document
from expertrag_index.words.language import LanguageShare, is_english

GERMAN = "Der Urlaub wird bei der Teamleitung beantragt und muss bis Ende März genommen werden."


@pytest.mark.parametrize(
    "text",
    [
        GERMAN,
        "Le contrat est signé par les deux parties et il prend fin au bout de deux ans.",
        "Los empleados tienen derecho a treinta días de vacaciones que se piden en la oficina.",
        "Il contratto è firmato da tutti e due e non può essere cambiato.",
        "Os funcionários têm direito a férias e não podem trabalhar mais de oito horas.",
        "De medewerkers hebben recht op vakantie en moeten dat voor maart met hun chef regelen.",
        "Pracownik ma prawo do urlopu, który jest płatny, ale nie może go przenieść na rok.",
        "Medarbetare har rätt till semester och det är inte möjligt att spara mer än fem dagar.",
        "Сотрудники имеют право на отпуск.",
        "社員には年に二十日の休暇があります。",
        "يحق للموظفين الحصول على إجازة سنوية.",
    ],
    ids=["de", "fr", "es", "it", "pt", "nl", "pl", "sv", "ru", "ja", "ar"],
)
def test_other_languages_are_detected(text: str) -> None:
    assert is_english(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "Everyone has thirty days of leave, which must be taken by the end of March.",
        "The café in München is called Zur Alten Mühle, and it is open on Sundays.",
        "There is no charge to do this: a person is to ask me once.",
    ],
)
def test_english_is_detected(text: str) -> None:
    assert is_english(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42; 17 | 3.5",
        "x = f(y) ** 2\nreturn x",
        "LP-200 EUR 349.00",
        "Lamp",
        "u: 0.1\nv: 0.3\nw: 7",
        "Name: María de la Cruz | Role: Sales | City: Las Palmas de Gran Canaria",
        "Jan van der Berg, jan@de.example.nl\nJoão da Silva dos Santos\nHeinz von zu Ulm",
        "10:31 INFO [de.uni.app] GET /es/la 200\n10:32 WARN [com.der.les] PUT /en/el 500",
    ],
)
def test_tables_names_logs_and_code_are_undecided(text: str) -> None:
    assert is_english(text) is None


NAMES = "Ana van der Berg,Luis de la Cruz,Zoë von der Tann,Rui da Silva dos Santos,Ugo de li Calzi"


def test_rows_of_a_file_are_judged_together() -> None:
    """A staff list has names of all languages, and is English."""
    rows = [
        Document(f"{number}", f"name: {name}\nrole: Manager of Sales\nmail: x@y.de", source="a.csv")
        for number in range(40)
        for name in NAMES.split(",")
    ]
    german = [Document(f"g{n}", text, source="b.csv") for n, text in enumerate(GERMAN.split()) if n]
    share = LanguageShare()
    assert len(list(share.watch([*rows, *german]))) == len(rows) + len(german)
    characters = [sum(len(row.text) for row in each) for each in (rows, german)]
    assert share.other == characters[1] / sum(characters)


@pytest.mark.parametrize("before", ["", "Licence: MIT. " * 200])
def test_a_long_page_is_judged_by_all_of_it(before: str) -> None:
    assert is_english(before + GERMAN * 60) is False


def test_shares_are_of_characters() -> None:
    share = LanguageShare()
    assert share.other == 0.0
    english = "The office is open from nine to five, and it is closed on Sundays."
    documents = [Document("a", english * 3), Document("b", GERMAN), Document("c", "1 2 3")]
    assert list(share.watch(documents)) == documents
    total = 3 * len(english) + len(GERMAN) + 5
    assert share.other == pytest.approx(len(GERMAN) / total)


def test_the_sample_documents_are_english() -> None:
    share = LanguageShare()
    examples = Path(__file__).parents[3] / "examples" / "documents"
    counted = len(list(share.watch(load_whole(examples))))
    assert counted > 800
    assert share.other == 0


def test_a_german_record_counts_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"titel": "Urlaub", "inhalt": GERMAN}))
    share = LanguageShare()
    assert len(list(share.watch(load_whole(tmp_path)))) == 1
    assert share.other == 1.0
