"""Dates, amounts and numbers in words, and the filler of long texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
MONATE = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September"),
    *("Oktober", "November", "Dezember"),
)
NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
ZAHLEN = (
    *("null", "einem", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
    *("elf", "zwölf"),
)

_SUBJECTS = (
    *("The working group", "Most of the team", "The steering committee", "Our partners"),
    *("The site visit", "A second review", "The questionnaire", "The regional office"),
)
_VERBS = (
    *("looked again at", "confirmed the importance of", "discussed at some length"),
    *("found little to add on", "took note of", "came back several times to", "documented"),
)
_OBJECTS = (
    *("the way tasks are handed over between shifts", "the storage of spare parts"),
    *("how visitors are received and guided", "the wording of the internal forms"),
    *("the order in which rooms are prepared", "the signs at the entrances"),
    *("the training of new colleagues", "the calendar of the coming season"),
    *("the contact with neighbouring organisations", "the archive of older drawings"),
)
_ENDS = (
    *("", ", without a decision", ", as in the year before", ", and asked for patience"),
    *(" before turning to other matters", ", which nobody disputed", " in a constructive mood"),
)
_SAETZE = (
    *("Die Arbeitsgruppe", "Ein großer Teil des Teams", "Die Leitung", "Der Betriebsrat"),
    *("Die Begehung", "Eine zweite Durchsicht"),
)
_TAETIGKEITEN = (
    "befasste sich eingehend mit",
    "bestätigte noch einmal den Wert von",
    "berichtete ausführlich von",
    "sah keinen Anlass zu Änderungen bei",
)
_DINGE = (
    *("der Übergabe zwischen den Schichten", "der Lagerung von Ersatzteilen"),
    *("der Beschilderung der Eingänge", "der Einarbeitung neuer Kolleginnen und Kollegen"),
    *("den internen Formularen", "der Zusammenarbeit mit den Nachbarhäusern"),
)


def long_date(day: date) -> str:
    """Write 4 March 2026."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def american_date(day: date) -> str:
    """Write March 4, 2026."""
    return f"{MONTHS[day.month - 1]} {day.day}, {day.year}"


def german_date(day: date) -> str:
    """Write 4. März 2026."""
    return f"{day.day}. {MONATE[day.month - 1]} {day.year}"


def date_forms(day: date) -> tuple[str, ...]:
    """All forms of a date that an answer may have; the first is the one to show."""
    month, monat = MONTHS[day.month - 1], MONATE[day.month - 1]
    return (
        day.isoformat(),
        long_date(day),
        american_date(day),
        f"{month} {day.day} {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        german_date(day),
        f"{day.day} {monat} {day.year}",
        f"{day:%d.%m.%Y}",
        f"{day:%d/%m/%Y}",
    )


def german_amount(value: float) -> str:
    """Write 1.234,56."""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def day_of(chance: random.Random, first: date, last: date) -> date:
    """Draw a day; both ends are included."""
    return first + timedelta(days=chance.randrange((last - first).days + 1))


def amount_of(chance: random.Random, low: float, high: float) -> float:
    """Draw an amount with cents."""
    return chance.randrange(round(low * 100), round(high * 100)) / 100


def filler(chance: random.Random, sentences: int, *, german: bool = False) -> str:
    """Write sentences that state nothing."""
    result = []
    for _ in range(sentences):
        if german:
            parts = (chance.choice(some) for some in (_SAETZE, _TAETIGKEITEN, _DINGE))
            result.append(f"{' '.join(parts)}.")
        else:
            start = " ".join(chance.choice(some) for some in (_SUBJECTS, _VERBS, _OBJECTS))
            result.append(f"{start}{chance.choice(_ENDS)}.")
    return " ".join(result)


def report(
    chance: random.Random, title: str, sections: Sequence[str], facts: Sequence[str], **more: bool
) -> str:
    """Write a long report in Markdown; the facts stand somewhere in its sections."""
    groups: list[list[str]] = [[] for _ in sections]
    for place, fact in enumerate(facts):
        groups[place * len(sections) // len(facts)].append(fact)
    parts = [f"# {title}"]
    for name, own in zip(sections, groups, strict=True):
        parts.append(f"## {name}")
        for fact in own:
            before = filler(chance, chance.randint(3, 5), **more)
            parts.append(f"{before} {fact} {filler(chance, 2, **more)}")
            parts.append(filler(chance, chance.randint(4, 7), **more))
    return "\n\n".join(parts)
