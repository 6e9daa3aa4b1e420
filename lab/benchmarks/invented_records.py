"""Questions about invented records, with passages that hold the answer, or nearly do.

A record is written as the loaders write it: a row of a table with its column names, fields on lines
of their own, a sentence, or a message. Beside it stand neighbouring rows and columns, other
records, and an older version. A question asks for a field of a record, or for a yes or no; some ask
for a record or a field that no passage has. Accepted and wrong values are known exactly.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from expertrag.api.types import Passage

Rows = Sequence[Mapping[str, str]]
FORMATS = ("docx", "xlsx", "md", "html", "pdf")
FOLDERS = ("", "Shared/", "Teams/Plans/", "Archive/", "2025/")

_NAMES = (
    *("Alder", "Birch", "Cedar", "Dunmere", "Elmstow", "Fenwick", "Garland", "Hartley", "Isolde"),
    *("Juniper", "Kestrel", "Linden", "Marlow", "Norwood", "Oakham", "Penrose", "Quarry", "Rowan"),
    *("Selby", "Thistle", "Upton", "Verity", "Willow", "Yarrow", "Ashby", "Bexley", "Corin"),
)
_PEOPLE = (
    *("Ada Lorne", "Bram Teller", "Cleo Vance", "Dario Pell", "Edda Quint", "Felix Rowe"),
    *("Greta Holm", "Hugo Starling", "Ines Calder", "Jonas Wray", "Kira Malden", "Leo Farrow"),
    *("Mina Kester", "Nico Ballard", "Orla Finch", "Pavel Strand", "Rhea Combe", "Silas Trent"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, its values, and how people ask for it of ``{}``."""

    name: str
    values: str
    ask: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of records: the title of its list, the name of its first column, and its fields.

    ``named``: how a record is called, with its name for ``{}``.
    """

    title: str
    key: str
    named: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """A question over passages, best first; ``right`` is empty if none of them has the answer.

    ``group`` identifies the passages.
    """

    question: str
    passages: tuple[Passage, ...]
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    group: str


def _field(name: str, values: str, *ask: str) -> Field:
    return Field(name, values, ask)


KINDS = (
    Kind(
        "Guest rooms",
        "Room",
        "the {} room",
        (
            _field("Price per night", "euros", "What does {} cost per night?", "price of {}"),
            _field("Price with breakfast", "euros", "How much is {} with breakfast?"),
            _field("Beds", "count", "How many beds does {} have?", "number of beds in {}"),
            _field("Floor", "count", "On which floor is {}?"),
        ),
    ),
    Kind(
        "Courses of the term",
        "Course",
        "the {} course",
        (
            _field("Teacher", "person", "Who teaches {}?", "teacher of {}"),
            _field("Substitute", "person", "Who stands in at {}?"),
            _field("Weekday", "weekday", "On which weekday is {}?", "when is {}"),
            _field("Fee", "euros", "What is the fee for {}?", "how much do i pay for {}"),
            _field("Fee for members", "euros", "What do members pay for {}?"),
        ),
    ),
    Kind(
        "Boats",
        "Boat",
        "the boat {}",
        (
            _field("Length", "metres", "How long is {}?", "length of {}"),
            _field("Crew", "count", "How many people sail on {}?"),
            _field("Berth", "code", "Where does {} lie?", "berth of {}"),
            _field("Next inspection", "date", "When is {} inspected next?"),
        ),
    ),
    Kind(
        "Servers",
        "Host",
        "{}",
        (
            _field("Owner", "person", "Who owns the host {}?", "owner {}"),
            _field("Memory", "gigabytes", "How much memory does {} have?"),
            _field("Backup", "time", "At what time is {} backed up?", "backup of {}"),
            _field("Rack", "code", "Which rack is {} in?"),
        ),
    ),
    Kind(
        "Subscriptions",
        "Service",
        "the {} subscription",
        (
            _field("Cost per year", "euros", "What does {} cost per year?", "yearly cost of {}"),
            _field("Cost per month", "euros", "What do we pay monthly for {}?"),
            _field("Seats", "count", "How many seats does {} have?"),
            _field("Ends", "date", "When does {} end?", "end date {}"),
            _field("Contact", "person", "Who is the contact for {}?"),
        ),
    ),
    Kind(
        "Machine settings",
        "Program",
        "the program {}",
        (
            _field("Temperature", "degrees", "At which temperature does {} run?"),
            _field("Duration", "minutes", "How long does {} take?", "duration {}"),
            _field("Largest load", "kilograms", "What is the largest load of {}?"),
            _field("Speed", "rpm", "How fast does {} spin?"),
        ),
    ),
    Kind(
        "Grants",
        "Project",
        "the {} project",
        (
            _field("Budget 2024", "euros", "What was the budget of {} in 2024?"),
            _field("Budget 2025", "euros", "What is the budget of {} in 2025?", "budget 2025 {}"),
            _field("Lead", "person", "Who leads {}?", "lead of {}"),
            _field("Start", "date", "When does {} start?"),
        ),
    ),
    Kind(
        "Parcel rates",
        "Zone",
        "zone {}",
        (
            _field("Up to 2 kg", "euros", "What does a parcel of up to 2 kg to {} cost?"),
            _field("Up to 10 kg", "euros", "What does a parcel of up to 10 kg to {} cost?"),
            _field("Delivery", "days", "How long is the delivery to {}?", "delivery time {}"),
        ),
    ),
)


def questions(groups: int, seed: int) -> Iterator[RecordQuestion]:
    """Make the questions of so many groups of passages."""
    rng = random.Random(seed)
    for number in range(groups):
        yield from _Group(rng, number).asked()


class _Group:
    """A list of records of one kind, written as passages; ``rng`` is used for all draws."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self._rng, self._number = rng, number
        self._kind = rng.choice(KINDS)
        self._fields = rng.sample(self._kind.fields, rng.randint(2, len(self._kind.fields)))
        names = rng.sample(_NAMES, rng.randint(4, 7))
        self._rows = [_record(self._kind.key, self._fields, name, rng) for name in names[:-1]]
        self._absent = names[-1]
        self._old = [_record(self._kind.key, self._fields, name, rng) for name in names[:-1]]

    def asked(self) -> Iterator[RecordQuestion]:
        """Ask for present fields, a yes and a no, and for what no passage has."""
        rng, kind = self._rng, self._kind
        passages = tuple(self._passages())
        for row in rng.sample(self._rows, 2):
            field = rng.choice(self._fields)
            yield self._about(row, field, passages)
        row, field = rng.choice(self._rows), rng.choice(self._fields)
        true = rng.random() < 1 / 2
        value = row[field.name] if true else self._other(row, field)
        yield self._yes_or_no(row, field, value, passages, true=true)
        left_out = [each for each in kind.fields if each not in self._fields]
        if left_out and rng.random() < 1 / 2:
            yield self._missing(rng.choice(self._rows)[kind.key], rng.choice(left_out), passages)
        else:
            yield self._missing(self._absent, rng.choice(self._fields), passages)

    def _about(
        self, row: Mapping[str, str], field: Field, passages: tuple[Passage, ...]
    ) -> RecordQuestion:
        value = row[field.name]
        others = {item[name] for item in (*self._rows, *self._old) for name in item}
        text = self._question(field, row[self._kind.key])
        wrong = tuple(sorted(others - {value, row[self._kind.key]}))
        return RecordQuestion(text, passages, (value,), wrong, str(self._number))

    def _missing(self, name: str, field: Field, passages: tuple[Passage, ...]) -> RecordQuestion:
        return RecordQuestion(self._question(field, name), passages, (), (), str(self._number))

    def _yes_or_no(
        self,
        row: Mapping[str, str],
        field: Field,
        value: str,
        passages: tuple[Passage, ...],
        *,
        true: bool,
    ) -> RecordQuestion:
        name = self._kind.named.format(row[self._kind.key])
        text = self._rng.choice(
            (
                f"Is the {field.name.lower()} of {name} {value}?",
                f"is {value} right for {name} ({field.name.lower()})?",
            )
        )
        right = ("yes",) if true else ("no",)
        return RecordQuestion(text, passages, right, (), str(self._number))

    def _question(self, field: Field, name: str) -> str:
        text = self._rng.choice(field.ask).format(self._kind.named.format(name))
        return text[0].upper() + text[1:] if text.endswith("?") else text

    def _other(self, row: Mapping[str, str], field: Field) -> str:
        """Choose the value of another row or version, which the question may be mistaken for."""
        others = [item[field.name] for item in (*self._rows, *self._old)]
        return self._rng.choice([value for value in others if value != row[field.name]] or ["0"])

    def _passages(self) -> Iterator[Passage]:
        """Write the list, sometimes after an older one or after something else."""
        rng, title = self._rng, self._kind.title
        note = "Valid from 1 March 2025. Replaces 2023."
        pages = [_passage(f"{title} 2025", self._rows, note, rng)]
        if rng.random() < 1 / 3:
            old = _passage(f"{title} 2023", self._old, "Valid from 1 February 2023.", rng)
            pages.insert(rng.randrange(2), old)
        for _ in range(rng.randint(0, 2)):
            other = rng.choice([kind for kind in KINDS if kind is not self._kind])
            names = rng.sample(_NAMES, 2)
            rows = [_record(other.key, other.fields, name, rng) for name in names]
            pages.insert(rng.randrange(len(pages) + 1), _passage(other.title, rows, "", rng))
        yield from pages


def _record(key: str, fields: Sequence[Field], name: str, rng: random.Random) -> dict[str, str]:
    return {key: name, **{field.name: _value(field.values, rng) for field in fields}}


def _passage(title: str, rows: Rows, note: str, rng: random.Random) -> Passage:
    write = rng.choice((_table, _table, _fields, _sentences, _messages))
    lines = [*((note,) if note and rng.random() < 2 / 3 else ()), *write(rows, rng)]
    form = rng.choice(FORMATS)
    path = f"{rng.choice(FOLDERS)}{title.replace(' ', rng.choice(' -_'))}.{form}"
    text = "\n".join(lines)
    page = rng.choice((None, 1, 2)) if form == "pdf" else None
    return Passage(path, 0, text, 0, len(text), 1.0, title=title, source=path, page=page)


def _table(rows: Rows, _: random.Random) -> list[str]:
    return [" | ".join(f"{name}: {value}" for name, value in row.items()) for row in rows]


def _fields(rows: Rows, _: random.Random) -> list[str]:
    return ["\n".join(f"{name.lower()}: {value}" for name, value in row.items()) for row in rows]


def _sentences(rows: Rows, rng: random.Random) -> list[str]:
    lines = []
    for row in rows:
        (_, name), *rest = row.items()
        rng.shuffle(rest)
        said = ", ".join(f"{field.lower()} {value}" for field, value in rest)
        lines.append(f"{name}: {said}.")
    return lines


def _messages(rows: Rows, rng: random.Random) -> list[str]:
    lines = []
    for row in rows:
        (_, name), *rest = row.items()
        said = "; ".join(f"{field.lower()} is {value}" for field, value in rest)
        day = f"2025-0{rng.randint(1, 9)}-{rng.randint(10, 28)}"
        clock = f"{rng.randint(8, 17)}:{rng.randint(10, 59)}"
        lines.append(f"{day} {clock} {rng.choice(_PEOPLE)}: for {name}, the {said}")
    return lines


def _value(values: str, rng: random.Random) -> str:
    number = rng.randint(2, 40)
    made = {
        "euros": f"{rng.choice(('€', 'EUR '))}{rng.randint(2, 180) * 5}",
        "count": str(number),
        "metres": f"{number / 2 + 4:.1f} m",
        "gigabytes": f"{number * 8} GB",
        "degrees": f"{number * 5} °C",
        "minutes": f"{number * 5} minutes",
        "kilograms": f"{number / 2:.1f} kg",
        "rpm": f"{number * 50} rpm",
        "days": f"{number} days",
        "person": rng.choice(_PEOPLE),
        "weekday": rng.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")),
        "code": f"{rng.choice('ABCDEFG')}{number}",
        "time": f"{number % 24:02d}:{rng.choice(('00', '15', '30', '45'))}",
        "date": f"{rng.randint(1, 28)} {rng.choice(('March', 'May', 'July', 'October'))} 2025",
    }
    return made[values]
