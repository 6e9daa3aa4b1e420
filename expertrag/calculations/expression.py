"""The calculation that answers a question: an expression over named quantities.

The language model writes it without the documents: "([rent in 2024] - [rent in 2023]) / 2". The
quantities are found in tables, and code computes.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expertrag.llm.base import Message

_SYSTEM = (
    "Write the calculation that answers the question, with each quantity in square brackets. "
    "Write none if nothing needs to be calculated."
)
_EXAMPLES = (
    (
        "What was the percentage change in net sales between 2018 and 2019?",
        "([net sales in 2019] - [net sales in 2018]) / [net sales in 2018] * 100",
    ),
    (
        "What was the change in net sales between 2018 and 2019?",
        "[net sales in 2019] - [net sales in 2018]",
    ),
    (
        "What is the average rent for 2017 and 2018?",
        "([rent in 2017] + [rent in 2018]) / 2",
    ),
    (
        "How much is the increase / (decrease) in tax from 2019 to 2020?",
        "[tax in 2020] - [tax in 2019]",
    ),
    (
        "What is wages as a percentage of all costs in 2019?",
        "[wages in 2019] / [all costs in 2019] * 100",
    ),
    ("What was the average number of staff?", "average of [number of staff]"),
    (
        "What is the ratio of loans to deposits as of 31 December?",
        "[loans as of 31 December] / [deposits as of 31 December]",
    ),
    (
        "What was the change in the members of the club in May from March?",
        "[members of the club in May] - [members of the club in March]",
    ),
    ("What do the oak and the pine cost together?", "[cost of the oak] + [cost of the pine]"),
    ("Who signs the lease of the mill?", "none"),
    ("How high was the interest in 2019?", "none"),
    (
        "Um wie viel Prozent stieg der Umsatz von 2022 auf 2023?",
        "([Umsatz in 2023] - [Umsatz in 2022]) / [Umsatz in 2022] * 100",
    ),
    (
        "How many more visitors came in 2021 than in 2020?",
        "[visitors in 2021] - [visitors in 2020]",
    ),
)
_BEGINNING = "Calculation:"
DRAFT_TOKENS = 100
GRAMMAR = r"""start: " none" | " average of " QUANTITY | " " sum
sum: term (" " SIGN " " term)*
term: QUANTITY | CONSTANT | "(" term (" " SIGN " " term)+ ")"
SIGN: "+" | "-" | "*" | "/"
CONSTANT: "100" | /[2-9]/
QUANTITY: /\[[^\[\]\n]{2,120}\]/
"""
"""What the model may write, a Lark grammar."""

_QUANTITY = re.compile(r"\[([^\[\]]+)\]")
_AVERAGE = "average of "
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Calculation:
    """An expression as the model wrote it, with its quantities in square brackets."""

    text: str

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities, without repetitions."""
        return tuple(dict.fromkeys(_QUANTITY.findall(self.text)))

    @property
    def averages_row(self) -> bool:
        """Whether it is the average of all numbers of one row."""
        return self.text.startswith(_AVERAGE)

    @property
    def is_percentage(self) -> bool:
        """Whether its value is a number of percent."""
        return self.text.endswith("* 100")

    def compute(self, values: Mapping[str, float]) -> float | None:
        """Return the value; None if a number is divided by zero.

        :param values: by quantity.
        """
        names = {quantity: f"q{at}" for at, quantity in enumerate(self.quantities)}
        source = _QUANTITY.sub(lambda match: names[match[1]], self.text)
        numbers = {name: values[quantity] for quantity, name in names.items()}
        try:
            return _evaluate(ast.parse(source, mode="eval").body, numbers)
        except ZeroDivisionError:
            return None

    def write(self, texts: Mapping[str, str]) -> str:
        """Return the expression with other texts for its quantities."""
        return _QUANTITY.sub(lambda match: texts[match[1]], self.text)


def write_messages(question: str) -> list[Message]:
    """Return the prompt for the calculation that answers a question."""
    messages = [Message("system", _SYSTEM)]
    for asked, calculation in _EXAMPLES:
        messages.append(Message("user", asked))
        messages.append(Message("assistant", f"{_BEGINNING} {calculation}"))
    return [*messages, Message("user", question), Message("assistant", _BEGINNING)]


def read_calculation(text: str) -> Calculation | None:
    """Return the calculation that a model wrote; None if there is none, or it was cut off."""
    calculation = Calculation(text.strip())
    if not calculation.quantities:
        return None
    if calculation.averages_row:
        return calculation if len(calculation.quantities) == 1 else None
    values = dict.fromkeys(calculation.quantities, 1.0)
    try:
        calculation.compute(values)
    except (SyntaxError, ValueError):
        return None
    return calculation if re.search(r"\] [-+*/]|[-+*/] \[", calculation.text) else None


def _evaluate(node: ast.expr, numbers: Mapping[str, float]) -> float:
    """Compute an expression of names, numbers and the four operations.

    :raises ValueError: it has anything else.
    """
    match node:
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            compute = _OPERATORS[type(sign)]
            return compute(_evaluate(left, numbers), _evaluate(right, numbers))
        case ast.Name(name):
            return numbers[name]
        case ast.Constant(int() | float() as value):
            return float(value)
    raise ValueError("not a calculation")
