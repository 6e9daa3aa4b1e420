"""Parses YAML front matter: the lines between ``---`` and ``---`` or ``...`` at a text's start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from expertrag_index.loaders.base import Report, SourceFile
from expertrag_index.loaders.headings import escape_headings
from expertrag_index.loaders.scalars import metadata_within_limits
from expertrag_index.store.metadata import scalars_of
from expertrag_index.types import Document, MetadataValue, Scalar

_FRONT_MATTER = re.compile(
    r"---[^\S\n]*\n(.*?)^(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_MOST_CHARACTERS = 1 << 16
"""Longer lines between two rules are text: PyYAML reads 100 kB a second."""
_FIELD = re.compile(r"(?:#.*\n|\s*\n)*[\w-]+:(?:\s|$)")
_TITLE = re.compile(r"^title:[^\S\n]*(\S.*)$", re.MULTILINE)
_NAMED = re.compile(r"^(title|domain):.*(?:\n[^\S\n]+\S.*|\n-[^\S\n].*)*(?:\n|\Z)", re.MULTILINE)
_OWN = ("title", "domain")
_CURE = "correct the YAML at its start; it is kept as text"


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The properties that a file declares.

    ``lines``: its fields as they are written, save title and domain: metadata is not searched.
    """

    title: str = ""
    domain: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    lines: str = ""

    def above(self, text: str) -> str:
        """Return the text below the fields, which stand below its first heading."""
        if not self.lines:
            return text
        text = text.lstrip("\n")
        heading, _, rest = text.partition("\n") if text.startswith("# ") else ("", "", text)
        return "\n\n".join(filter(None, (heading, self.lines, rest.lstrip("\n"))))


def split_front_matter(text: str, report: Report) -> tuple[FrontMatter, str]:
    """Separate the front matter, if there is any, from the text.

    If the domain is a list, the first item is used; a title that is a list is joined. Lines between
    two rules that are not a YAML mapping are text.

    :param report: told if the YAML is broken or holds values that cannot be metadata.
    """
    match = _FRONT_MATTER.match(text)
    if match is None or len(match[1]) > _MOST_CHARACTERS:
        return FrontMatter(), text
    lines, below = match[1], text[match.end() :]
    try:
        fields = yaml.safe_load(lines)
        metadata = metadata_within_limits(fields, report) if isinstance(fields, dict) else {}
    except Exception as error:  # for `!!int ""`, or a number of more digits than Python writes
        if _FIELD.match(lines) is None:
            return FrontMatter(), text
        report(f"broken front matter: {_problem(error)}", _CURE, notice=True)
        line = _TITLE.search(lines)
        title = line[1].strip("'\" ") if line else ""
        return FrontMatter(title, lines=escape_headings(lines).strip("\n")), below
    if not isinstance(fields, dict | None):
        return FrontMatter(), text
    fields = fields or {}
    own = {name: scalars_of(metadata.pop(name)) for name in _OWN if name in metadata}
    title = ", ".join(map(str, own.get("title", []))).strip()
    domain = str(own["domain"][0]).strip() or None if "domain" in own else None
    said = {
        name
        for name, values in own.items()
        if _says_all(values, fields[name]) and (name == "title" or len(values) == 1)
    }
    lines = _NAMED.sub(lambda line: "" if line[1] in said else line[0], lines)
    return FrontMatter(title, domain, metadata, escape_headings(lines).strip("\n")), below


def _says_all(values: list[Scalar], written: object) -> bool:
    """Return whether the values of a title or a domain hold every word that is written there."""
    items = written if isinstance(written, list) else [written]
    # a nested item can hide another one in the count: the list is not [[], {a: b}, [c, d, e]]
    return len(values) == len(items) and not any(isinstance(item, list | dict) for item in items)


def document(file: SourceFile, matter: FrontMatter, heading: str, text: str) -> Document:
    """Build a document; what the file declares takes precedence over its location."""
    return Document(
        id=file.id,
        text=text,
        title=matter.title or heading or file.stem,
        metadata=matter.metadata,
        domain=matter.domain or file.domain,
        source=file.source,
    )


def _problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 2}"
    return "nested too deeply" if isinstance(error, RecursionError) else "not valid YAML"
