"""What a question asks of each document of a set, read once by the model under a grammar."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from expertrag.answer.scan.conditions import Operator, ValueCondition, read_condition
from expertrag.answer.scan.values import Kind, find_mentions
from expertrag.api.types import Constraint, QuestionScope, Sampling
from expertrag.llm.base import Message

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.llm.base import Generator

MOST_ATTRIBUTES = 3
_MOST_TOKENS = 120


class Computed(StrEnum):
    """What is computed from the documents that match."""

    LIST = "list"
    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    LARGEST = "largest"
    SMALLEST = "smallest"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What is read of each document.

    ``name``: what the value is, such as "end date"; of yes or no, a question about one document.
    ``condition``: None to read the value only.
    """

    name: str
    kind: Kind
    condition: ValueCondition | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What two readings of the same attribute share."""
        return self.name.casefold(), self.kind

    def as_question(self) -> Attribute:
        """Return a name that is to be another one's as a question of yes or no."""
        assert self.condition is not None, "it has one"
        wanted = "no" if self.condition.operator is Operator.IS_NOT else "yes"
        asked = f"Is the {self.name} {self.condition.words}?"
        return Attribute(asked, Kind.YESNO, ValueCondition(Operator.IS, wanted, wanted))


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """``noun``: what the documents are called in the question, such as "contracts"."""

    noun: str
    attributes: tuple[Attribute, ...]
    computed: Computed = Computed.LIST

    @property
    def measured(self) -> Attribute | None:
        """The attribute that is computed with: the first one that is read without a condition."""
        numeric = [a for a in self.attributes if a.kind not in (Kind.NAME, Kind.YESNO)]
        return next((a for a in numeric if a.condition is None), next(iter(numeric), None))

    def __str__(self) -> str:
        read = [f"{a.name}{f' {a.condition}' if a.condition else ''}" for a in self.attributes]
        return f"{self.noun}: {'; '.join(read)}" if read else self.noun


_SYSTEM = """You say what to read in each document of a set to answer a question, and what to \
compute. Kinds: date, money, number, duration, name, yesno. Values are copied from the question."""
_EXAMPLES: Sequence[tuple[str, str]] = (
    (
        "Which leases end in 2025?",
        "Documents: leases\nCompute: list\nRead: date; end date; is 2025",
    ),
    (
        "How many of the tenancy agreements allow pets?",
        "Documents: tenancy agreements\nCompute: count\n"
        "Read: yesno; Does the tenancy agreement allow pets?; yes",
    ),
    (
        "What is the total of the prizes in all grants from before March 2021?",
        "Documents: grants\nCompute: sum\nRead: money; prize; any\n"
        "Read: date; date; before March 2021",
    ),
    (
        "Wie viele Gutachten kosten mehr als 900 Euro?",
        "Documents: Gutachten\nCompute: count\nRead: money; Kosten; more than 900 Euro",
    ),
    (
        "Welche Ausflüge fallen nicht aus?",
        "Documents: Ausflüge\nCompute: list\nRead: yesno; Fällt der Ausflug aus?; no",
    ),
    (
        "Which experiments did Mia Chen not lead?",
        "Documents: experiments\nCompute: list\nRead: name; leader; is not Mia Chen",
    ),
    (
        "Was consent given in every trial?",
        "Documents: trial\nCompute: list\nRead: yesno; Was consent given?; yes",
    ),
    (
        "Show the bills from Bolt Ltd",
        "Documents: bills\nCompute: list\nRead: name; sender; is Bolt Ltd",
    ),
    (
        "Which permit has the longest validity?",
        "Documents: permit\nCompute: largest\nRead: duration; validity; any",
    ),
    (
        "Who wrote the reviews?",
        "Documents: reviews\nCompute: list\nRead: name; author; any",
    ),
)
"""Of no set of documents that this was measured on. The last one has no condition."""


def read_plan(
    context: AnswerContext, generator: Generator, scope: QuestionScope, today: datetime.date
) -> ScanPlan:
    """Read what the question of a request asks of each document."""
    question = context.request.question
    sampling = Sampling(
        max_tokens=_MOST_TOKENS,
        frequency_penalty=0.0,
        constraint=Constraint(grammar=_grammar(question, scope)),
    )
    policy = generator.make_policy(sampling, salt=context.policy.salt)
    session = generator.begin(_prompt(question), sampling, context.should_stop, policy)
    with closing(session):
        written = "".join(session.stream())
        context.meter.count(session)
    return parse_plan(written, question, today)


def parse_plan(written: str, question: str, today: datetime.date) -> ScanPlan:
    """Read the lines that the model has written; an unreadable condition becomes yes or no."""
    lines = [line.partition(": ")[2] for line in written.splitlines()]
    noun = lines[0].strip() if lines else ""
    computed = next(
        (c for c in Computed if len(lines) > 1 and lines[1].strip() == c), Computed.LIST
    )
    attributes: dict[tuple[str, str], Attribute] = {}
    for line in lines[2:]:
        if attribute := _attribute(line, question, today):
            attributes.setdefault(attribute.key, attribute)
    complete = _with_unread_values(tuple(attributes.values()), question, today)
    return ScanPlan(noun, complete[:MOST_ATTRIBUTES], computed)


def _with_unread_values(
    attributes: Sequence[Attribute], question: str, today: datetime.date
) -> tuple[Attribute, ...]:
    """Give the values of the question that no condition has to attributes of their kinds."""
    result = list(attributes)
    for kind in (Kind.DATE, Kind.MONEY, Kind.DURATION):
        open_places = [
            place for place, a in enumerate(result) if a.kind is kind and a.condition is None
        ]
        used = any(a.kind is kind and a.condition for a in result)
        found = find_mentions(question, kind)
        if found and open_places and not used:
            words = found[0].written
            condition = read_condition(kind, Operator.IS, words, question, today)
            last = open_places[-1]
            result[last] = replace(result[last], condition=condition)
    return tuple(result)


def _attribute(line: str, question: str, today: datetime.date) -> Attribute | None:
    parts = [part.strip() for part in line.split("; ", 2)]
    if len(parts) < 3 or parts[0] not in tuple(Kind):
        return None
    kind, name, rest = Kind(parts[0]), parts[1], parts[2]
    if kind is Kind.YESNO:
        wanted = "no" if rest == "no" else "yes"
        return Attribute(name, kind, ValueCondition(Operator.IS, wanted, wanted))
    if rest == "any":
        return Attribute(name, kind)
    operator = max((o for o in Operator if rest.startswith(f"{o} ")), key=len, default=None)
    words = rest[len(operator) :].strip() if operator else ""
    if operator is None or not words:
        return Attribute(name, kind)
    condition = read_condition(kind, operator, words, question, today)
    if condition:
        return Attribute(name, kind, condition)
    asked = f"Is the {name} {operator} {words}?"
    return Attribute(asked, Kind.YESNO, ValueCondition(Operator.IS, "yes", "yes"))


def _prompt(question: str) -> list[Message]:
    messages = [Message("system", _SYSTEM)]
    for asked, written in _EXAMPLES:
        messages += [Message("user", asked), Message("assistant", written)]
    return [*messages, Message("user", re.sub(r"\s+", " ", question))]


def _grammar(question: str, scope: QuestionScope) -> str:
    """Return the grammar of plans: nouns and values are words of the question."""
    words = json.dumps(re.sub(r"\s+", " ", question).strip())
    computed = {
        QuestionScope.LIST: '"list"',
        QuestionScope.EXISTS: '"list"',
        QuestionScope.COUNT: '"count"',
        QuestionScope.AGGREGATE: '"sum" | "average" | "largest" | "smallest"',
    }.get(scope, '"list" | "count" | "sum" | "average" | "largest" | "smallest"')
    return f"""start: "Documents: " NOUN "\\nCompute: " computed read{{1,{MOST_ATTRIBUTES}}}
computed: {computed}
read: "\\nRead: " (date | amount | name | yesno)
yesno: "yesno; " /[A-ZÄÖÜ][^;?\\n]{{8,100}}/ "?; " ("yes" | "no")
date: "date; " NAME "; " ("any" | ("is " | "before " | "after " | "from " | "until ") VALUE)
amount: ("money" | "number" | "duration") "; " NAME "; " ("any" | compared VALUE)
compared: "is " | "more than " | "less than " | "at least " | "at most "
name: "name; " NAME "; " ("any" | ("is " | "is not ") VALUE)
NAME: /[^;?\\n]{{2,40}}/
NOUN: WORDS & /.{{2,60}}/
VALUE: WORDS & /.{{1,80}}/
WORDS: %regex {{"substring_words": {words}}}
"""
