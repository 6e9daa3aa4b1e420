"""How the model's turn begins in the language of the question, so that it goes on in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from expertrag_index.words.language import language_of_question


@dataclass(frozen=True, slots=True)
class Beginning:
    """The beginning for a question that asks for a few words, and for an explanation.

    ``explains``: matches the beginning of a question that asks for an explanation.
    """

    short: str
    long: str
    explains: re.Pattern[str]


def _beginning(short: str, long: str, explains: str) -> Beginning:
    return Beginning(short, long, re.compile(rf"\W*(?:{explains})", re.IGNORECASE))


BEGINNINGS: Mapping[str, Beginning] = {
    "de": _beginning(
        "Kurze Antwort:",
        "Antwort:",
        r"(?:warum|weshalb|erkläre?|beschreibe?)\b|wie "
        r"(?:kann|können|muss|müssen|soll|richte|mache|wird|werden)\b",
    ),
    "es": _beginning(
        "Respuesta corta:",
        "Respuesta:",
        r"por qué|explica|describe|cómo "
        r"(?:se|puedo|puede|hago)\b",
    ),
    "fr": _beginning(
        "Réponse courte :",
        "Réponse :",
        r"pourquoi|explique|décri|comment "
        r"(?:puis|peut|faire|dois|faut)",
    ),
    "it": _beginning(
        "Risposta breve:",
        "Risposta:",
        r"perché|spiega|descriv|come "
        r"(?:si|posso|può|faccio)\b",
    ),
    "nl": _beginning(
        "Kort antwoord:",
        "Antwoord:",
        r"waarom|leg uit|beschrijf|hoe "
        r"(?:kan|kun|moet|werkt|wordt)\b",
    ),
    "pt": _beginning(
        "Resposta curta:",
        "Resposta:",
        r"por qu|expli|descrev|como "
        r"(?:se|posso|pode|faço)\b",
    ),
    "ja": _beginning("短い答え:", "答え:", "なぜ|どうして|どうやって|説明"),
    "ko": _beginning("짧은 답변:", "답변:", "왜|어떻게|설명"),
    "ru": _beginning("Краткий ответ:", "Ответ:", "почему|зачем|объясни|опиши|как (?:мне|можно)"),
    "zh": _beginning("简短回答:", "回答:", "为什么|為什麼|怎么|怎麼|如何|解释|说明"),
}
"""By language. Of others the model goes on after the English beginning, in either language."""


def beginning_of(question: str) -> str:
    """Return the beginning in the language of a question; empty for one that is not listed."""
    known = BEGINNINGS.get(language_of_question(question))
    if known is None:
        return ""
    return known.long if known.explains.match(question) else known.short
