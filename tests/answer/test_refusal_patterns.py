"""Which answers are refusals in languages other than English."""

from __future__ import annotations

import pytest

from expertrag.answer.refusal_patterns import FIRST_WORDS, REFUSAL
from expertrag.answer.refusals import may_refuse, refuses


@pytest.mark.parametrize(
    "text",
    [
        "Die Passagen enthalten keine Informationen über die Öffnungszeiten.",
        "In den Dokumenten wird der Preis nicht erwähnt.",
        "Die bereitgestellten Textabschnitte beantworten diese Frage nicht.",
        "Nicht angegeben.",
        "Es gibt keine Informationen dazu.",
        "Leider kann ich diese Frage nicht beantworten.",
        "Ich weiß es nicht.",
        "Les passages ne mentionnent pas le prix.",
        "Le document fourni ne contient aucune information à ce sujet.",
        "D\u2019après les documents, rien n'indique le prix.",
        "Aucune information.",
        "Je ne sais pas.",
        "Los documentos no mencionan el precio.",
        "El texto no contiene información sobre el horario.",
        "No se especifica.",
        "Lo siento, no puedo responder.",
        "I documenti non contengono informazioni sul prezzo.",
        "Non è specificato nel testo.",
        "Os documentos não mencionam o preço.",
        "Não há informações sobre isso.",
        "De documenten vermelden de prijs niet.",
        "Er is geen informatie over de openingstijden.",
        "В документах нет информации о цене.",
        "Документы не содержат ответа.",
        "Не указано.",
        "К сожалению, я не могу ответить.",
        "文档中没有提到价格。",
        "根据提供的信息，无法确定。",
        "抱歉，我不知道。",
        "没有相关信息。",
        "文書には価格についての記載がありません。",
        "申し訳ありませんが、わかりません。",
        "제공된 문서에는 가격에 대한 정보가 없습니다.",
        "죄송합니다.",
    ],
)
def test_refusals_in_other_languages(text: str) -> None:
    assert refuses(text)
    assert may_refuse(text[: len(text) // 2])


@pytest.mark.parametrize(
    "text",
    [
        "Nein.",
        "Nein, Alkohol wird nicht erstattet.",
        "Nicht vor dem 1. März.",
        "Die Frist beträgt 14 Tage.",
        "Der Antrag ist nicht erforderlich.",
        "Das Dokument ist vom 3. Mai.",
        "Leider nein.",
        "Non, l'alcool n'est pas remboursé.",
        "Le délai est de 14 jours.",
        "La source est à Lyon.",
        "No, no se permite fumar.",
        "No se permite fumar.",
        "El texto es de 1999.",
        "Non è permesso fumare.",
        "Não é permitido fumar.",
        "Het is niet toegestaan.",
        "В 1999 году.",
        "Нет, курить нельзя.",
        "Не позднее 1 марта.",
        "没有。",
        "14天。",
        "文档编号是42。",
        "いいえ、できません。",
        "14日です。",
        "아니요, 안 됩니다.",
    ],
)
def test_answers_in_other_languages(text: str) -> None:
    assert not refuses(text)


def test_patterns_are_of_other_languages() -> None:
    assert not REFUSAL.match("The passages do not mention it.")
    assert {"die", "les", "no", "não", "geen", "к"} <= FIRST_WORDS


@pytest.mark.parametrize("text", ["In 1999, the", "A man", "As of May", "In"])
def test_english_answers_are_not_held_back(text: str) -> None:
    assert may_refuse(text) is (text == "In")  # until the second word
