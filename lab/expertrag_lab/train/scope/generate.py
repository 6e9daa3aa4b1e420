"""Write questions of every scope from templates and domains, as many as are asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertrag_lab.train.scope.templates import (
    Domain,
    Templates,
    fill,
    read_domains,
    read_slots,
    read_templates,
)
from expertrag_lab.train.scope.typing_errors import mistype
from expertrag_lab.train.scope.wording import WORDINGS
from expertrag_retriever.types import QuestionScope

WRAPPED = 0.15
"""Share of questions with words before or after them, such as "can you tell me"."""
MISTYPED = 0.3
"""Share of train questions with typing errors."""
_OF_DOMAIN = 0.3  # share of questions that a domain words itself, if it does


@dataclass(frozen=True, slots=True)
class ScopedQuestion:
    """A question with its scope, and where it is from."""

    text: str
    scope: QuestionScope
    language: str
    kind: str = "generated"
    mistyped: bool = False


@dataclass(frozen=True, slots=True)
class Language:
    """Templates, domains and shared slots of a language."""

    name: str
    templates: Templates
    domains: tuple[Domain, ...]
    slots: Mapping[str, Sequence[str]]


def read_language(folder: Path, name: str) -> Language:
    """Read the material of a language."""
    return Language(
        name,
        read_templates(folder / f"templates_{name}.txt"),
        tuple(read_domains(folder / f"domains_{name}.txt")),
        read_slots(folder / "slots.txt", name),
    )


def generate(
    language: Language, halves: Sequence[str], many: Mapping[QuestionScope, int], seed: int
) -> Iterator[ScopedQuestion]:
    """Yield different questions of each scope, from the domains and templates of some halves."""
    draw = random.Random(f"{seed} {language.name} {halves}")
    domains = [domain for domain in language.domains if domain.half in halves]
    for scope, count in many.items():
        templates = [template.text for template in language.templates.of(scope, halves)]
        written: set[str] = set()
        for _ in range(3 * count):
            text = _write(language, draw.choice(domains), scope, templates, draw)
            if text not in written:
                written.add(text)
                yield ScopedQuestion(text, scope, language.name)
            if len(written) == count:
                break


def with_errors(
    questions: Sequence[ScopedQuestion], share: float, seed: int
) -> Iterator[ScopedQuestion]:
    """Yield the questions, a share of them with typing errors."""
    draw = random.Random(seed)
    for each in questions:
        if draw.random() < share:
            text = mistype(each.text, draw)
            yield ScopedQuestion(text, each.scope, each.language, each.kind, mistyped=True)
        else:
            yield each


def _write(
    language: Language,
    domain: Domain,
    scope: QuestionScope,
    templates: Sequence[str],
    draw: random.Random,
) -> str:
    own = domain.values.get(scope.value)
    text = draw.choice(own) if own and draw.random() < _OF_DOMAIN else draw.choice(templates)
    if draw.random() < WRAPPED:
        text = f"@before {text}" if draw.random() < 0.7 else f"{text} @after"
    slots = {**language.slots, **domain.values, **WORDINGS[language.name](domain, draw)}
    return fill(text, language.templates.macros, slots, draw)
