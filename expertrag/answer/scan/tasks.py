"""The tasks of a scan: one attribute of one document each, and those that need no model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from expertrag.answer.scan.excerpts import find_options
from expertrag.answer.scan.kept import ReadingKey
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind, WrittenValue

_WORD = re.compile(r"\w+")
_SHORTEST_WORD = 3
_OTHER = "another"
"""Normalised name where the one that is asked for does not occur."""


@dataclass(frozen=True, slots=True)
class ReadingTask:
    """``options``: the values of the document that may be the attribute."""

    document_id: str
    text: str
    attribute: Attribute
    options: tuple[WrittenValue, ...]
    key: ReadingKey

    @classmethod
    def of(
        cls, document_id: str, text: str, attribute: Attribute, noun: str, model: str, salt: str
    ) -> ReadingTask:
        """Return the task of reading an attribute of a document."""
        options = tuple(find_options(text, attribute.kind))
        key = ReadingKey.of(text, noun, attribute.key, model, salt)
        return cls(document_id, text, attribute, options, key)

    def settle(self) -> Reading | None:
        """Return what code can tell without the model; None if the model has to read.

        A document without any value of the kind does not have the attribute. If no value in it
        meets the condition, the attribute does not either, whichever it is.
        """
        attribute, condition = self.attribute, self.attribute.condition
        if attribute.kind is Kind.YESNO:
            return None
        if attribute.kind is Kind.NAME:
            named = condition is None or _mentions(self.text, condition.words)
            return None if named else Reading(_OTHER, _OTHER)
        if not self.options:
            return Reading()
        if condition and all(condition.holds(option.normal) is False for option in self.options):
            return Reading()
        return None


def _mentions(text: str, name: str) -> bool:
    """Return whether a text has a word of a name."""
    folded = text.casefold()
    words = [word.casefold() for word in _WORD.findall(name)]
    long = [word for word in words if len(word) >= _SHORTEST_WORD] or words
    return any(word in folded for word in long)
