"""Templates of questions: alternatives in parentheses, slots in braces, and macros.

    @time = in {month} | last year |
    [count]
    how many {items} (are there|do we have) @time

A slot is filled by the language (``wording.py``), by a domain, or from ``slots.txt``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from zlib import crc32

from expertrag_retriever.types import QuestionScope

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_MACRO = re.compile(r"@(\w+)")
_SLOT = re.compile(r"\{(\w+)\}")
_MOST_FILLS = 40
HALVES = ("train", "choose", "test")
_SPLIT = (*HALVES, *[HALVES[0]] * 4)  # a seventh each to choose by and to test


@dataclass(frozen=True, slots=True)
class Template:
    """A template of one scope, and the half that its questions belong to."""

    text: str
    scope: QuestionScope
    half: str


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of a language, and its macros."""

    templates: tuple[Template, ...]
    macros: Mapping[str, Sequence[str]]

    def of(self, scope: QuestionScope, halves: Sequence[str]) -> list[Template]:
        """Return the templates of a scope in some halves."""
        return [each for each in self.templates if each.scope is scope and each.half in halves]


@dataclass(frozen=True, slots=True)
class Domain:
    """What one kind of documents is about: values by key, and the half of its questions."""

    name: str
    half: str
    values: Mapping[str, Sequence[str]]


def read_templates(path: Path) -> Templates:
    """Read the templates of a language; a hash of the text decides the half of each."""
    macros: dict[str, list[str]] = {}
    texts: dict[QuestionScope, list[str]] = {}
    scope = QuestionScope.LOOKUP
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("@"):
            name, _, choices = line[1:].partition(" = ")
            macros[name] = [choice.strip() for choice in choices.split("|")]
        elif line.startswith("["):
            scope = QuestionScope(line.strip("[]"))
        elif line:
            texts.setdefault(scope, []).append(line)
    templates = (
        Template(text, scope, half)
        for scope, lines in texts.items()
        for text, half in zip(sorted(lines, key=hash_of), cycle(_SPLIT), strict=False)
    )
    return Templates(tuple(templates), macros)


def read_domains(path: Path) -> list[Domain]:
    """Read the domains of a language: ``# NAME HALF``, then ``KEY: VALUE; VALUE``."""
    domains: list[Domain] = []
    values: dict[str, Sequence[str]] = {}
    for line in filter(None, path.read_text("utf-8").splitlines()):
        if line.startswith("#"):
            name, half = line[1:].rsplit(maxsplit=1)
            values = {}
            domains.append(Domain(name.strip(), half, values))
        else:
            key, _, rest = line.partition(":")
            values[key] = [value.strip() for value in rest.split(";")]
    return domains


def read_slots(path: Path, language: str) -> dict[str, list[str]]:
    """Read the values of slots that every domain shares: ``VALUE`` or ``VALUE|LANGUAGE``."""
    slots = {}
    for line in filter(None, path.read_text("utf-8").splitlines()):
        name, _, rest = line.partition(":")
        values = [value.strip().partition("|") for value in rest.split(";")]
        slots[name] = [value for value, _, of in values if of in ("", language)]
    return slots


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process."""
    return crc32(text.encode())


def fill(
    text: str,
    macros: Mapping[str, Sequence[str]],
    slots: Mapping[str, Sequence[str]],
    draw: random.Random,
) -> str:
    """Draw one question from a template. The same slot with a 2 has another value.

    :raises KeyError: a slot has no value in this domain.
    """
    for _ in range(_MOST_FILLS):
        if macro := _MACRO.search(text):
            text = _replace_match(text, macro, draw.choice(macros[macro[1]]))
        elif choice := _CHOICE.search(text):
            text = _replace_match(text, choice, draw.choice(choice[1].split("|")))
        elif slot := _SLOT.search(text):
            values = slots.get(slot[1]) or slots[slot[1].removesuffix("2")]
            text = _replace_match(text, slot, draw.choice(values))
        else:
            break
    return " ".join(text.split()).replace(" ,", ",")


def _replace_match(text: str, match: re.Match[str], value: str) -> str:
    return text[: match.start()] + value + text[match.end() :]
