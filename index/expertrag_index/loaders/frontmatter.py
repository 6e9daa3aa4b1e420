"""Parses YAML front matter: the lines between two ``---`` at the start of a text file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.scalars import flat_metadata
from expertrag_index.metadata import scalars_of
from expertrag_index.types import Document, MetadataValue

_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(.*?)^---[^\S\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_CURE = "correct the YAML between the two --- lines, or remove them"


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The properties that a file declares."""

    title: str
    domain: str | None
    metadata: Mapping[str, MetadataValue]


def split_front_matter(text: str) -> tuple[FrontMatter, str]:
    """Separate the front matter, if there is any, from the text.

    If the domain is a list, the first item is used; a title that is a list is joined.

    :raises Unreadable: the front matter is not valid YAML.
    """
    match = _FRONT_MATTER.match(text)
    try:
        fields = yaml.safe_load(match[1]) if match else None
        if match is None or not isinstance(fields, dict | None):  # text between two rules
            return FrontMatter("", None, {}), text
        metadata = flat_metadata(fields or {})
    except Unreadable:
        raise
    except Exception as error:  # YAML's constructors raise anything for a value like `!!int ""`
        raise Unreadable(f"broken front matter: {_problem(error)}", _CURE) from None
    title = ", ".join(map(str, scalars_of(metadata.pop("title", "")))).strip()
    domain = str(scalars_of(metadata.pop("domain", ""))[0]).strip() or None
    return FrontMatter(title, domain, metadata), text[match.end() :]


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
