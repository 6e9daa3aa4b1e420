"""YAML front matter: the lines between two ``---`` at the start of a text file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.scalars import scalar
from expertrag_index.types import Document, Scalar

_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(.*?)^---[^\S\n]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_CURE = "correct the YAML between the two --- lines, or remove them"


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a file says of itself."""

    title: str
    domain: str | None
    metadata: Mapping[str, Scalar]


def split_front_matter(text: str) -> tuple[FrontMatter, str]:
    """Part the front matter, if there is any, from the text.

    :raises Unreadable: there is one, and it is not valid YAML.
    """
    match = _FRONT_MATTER.match(text)
    try:
        fields = yaml.safe_load(match[1]) if match else None
        if match is None or not isinstance(fields, dict | None):  # text between two rules
            return FrontMatter("", None, {}), text
        values = {str(key): scalar(value, str(key)) for key, value in (fields or {}).items()}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(f"broken front matter: {_problem(error)}", _CURE) from None
    metadata = {name: value for name, value in values.items() if value is not None}
    title = str(metadata.pop("title", "")).strip()
    domain = str(metadata.pop("domain", "")).strip() or None
    return FrontMatter(title, domain, metadata), text[match.end() :]


def document(file: SourceFile, matter: FrontMatter, heading: str, text: str) -> Document:
    """Put a document together; what the file says of itself goes before what its place says."""
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
    return "nested too deep" if isinstance(error, RecursionError) else "not YAML"
