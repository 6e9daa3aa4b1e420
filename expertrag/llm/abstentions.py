"""What an abstention says, in the language of the question."""

from __future__ import annotations

from collections.abc import Mapping

from expertrag_index.words.language import language_of_question

ABSTENTION = "The documents do not hold an answer to this question."

BY_LANGUAGE: Mapping[str, str] = {
    "de": "Die Dokumente enthalten keine Antwort auf diese Frage.",
    "es": "Los documentos no contienen una respuesta a esta pregunta.",
    "fr": "Les documents ne contiennent pas de réponse à cette question.",
    "it": "I documenti non contengono una risposta a questa domanda.",
    "nl": "De documenten bevatten geen antwoord op deze vraag.",
    "pt": "Os documentos não contêm uma resposta a esta pergunta.",
    "ja": "文書にこの質問の答えはありません。",
    "ko": "문서에 이 질문에 대한 답이 없습니다.",
    "ru": "В документах нет ответа на этот вопрос.",
    "zh": "文档中没有这个问题的答案。",
}


def abstention_of(question: str) -> str:
    """Return the text of an abstention; in English for a language that is not listed."""
    return BY_LANGUAGE.get(language_of_question(question), ABSTENTION)


def is_abstention(text: str) -> bool:
    """Return whether a text is the one of an abstention, in any language."""
    return text == ABSTENTION or text in BY_LANGUAGE.values()
