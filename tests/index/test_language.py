from __future__ import annotations

import json
from pathlib import Path

import pytest
from index.conftest import load_whole

from expertrag_index.language import LanguageShare, is_english
from expertrag_index.types import Document

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
    "text", ["", "42; 17 | 3.5", "x = f(y) ** 2\nreturn x", "LP-200 EUR 349.00", "Lamp"]
)
def test_tables_and_code_are_undecided(text: str) -> None:
    assert is_english(text) is None


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
    examples = Path(__file__).parents[2] / "examples" / "documents"
    counted = len(list(share.watch(load_whole(examples))))
    assert counted > 800
    assert share.other < 0.01


def test_a_german_record_counts_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"titel": "Urlaub", "inhalt": GERMAN}))
    share = LanguageShare()
    assert len(list(share.watch(load_whole(tmp_path)))) == 1
    assert share.other == 1.0
