"""Pair files: training data in JSON lines, one pair or one labelled text per line.

| a record with | gives | |---|---| | query, positive or negative | the query with a text that
answers it, or with one that does not | | text, label | the first text of a label as document. Every
other text of it as a query for it | | description, example | the description as a query for the
example |

Other fields are ignored, except ``split``: records of other splits are skipped, and records
without it belong to "train".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.named_sets import TRAIN, name_of
from expertrag_lab.embedder.types import Pair, Source
from expertrag_lab.json_lines import find_file, is_encodable, read_lines


@dataclass(slots=True)
class _Found:
    """Ids of documents by text, in order; the pairs; and the first text of each label."""

    documents: dict[str, str] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)

    def document(self, text: str) -> str:
        return self.documents.setdefault(text, str(len(self.documents)))

    def pair(self, query: str, text: str) -> None:
        self.pairs.append(Pair(query, self.document(text)))

    def negative(self, _query: str, text: str) -> None:
        self.document(text)  # can be mined as a hard negative if the base model ranks it high

    def label(self, text: str, label: str) -> None:
        # One document per label: a second one would be a false negative for the first's queries.
        if label not in self.first:
            self.first[label] = text
            self.document(text)
        elif text != self.first[label]:
            self.pair(text, self.first[label])


_SHAPES: Mapping[tuple[str, str], Callable[[_Found, str, str], None]] = {
    ("query", "positive"): _Found.pair,
    ("query", "negative"): _Found.negative,
    ("text", "label"): _Found.label,
    ("description", "example"): _Found.pair,
}
_KNOWN = "; ".join(" and ".join(keys) for keys in _SHAPES)


def is_pair_file(path: Path) -> bool:
    """Whether a path is a pair file rather than the folder of a data set."""
    return path.name.endswith((".jsonl", ".jsonl.gz")) and not path.is_dir()


def read_pairs(path: Path, split: str = TRAIN) -> Source:
    """Read the records of one split.

    :raises NotFound: the file does not exist.
    :raises InvalidArgument: a line is damaged, a record has unknown fields, or the split is empty.
    """
    path = find_file(path)
    content = _Found()
    for number, record in read_lines(path)[0]:
        if (record.get("split") or TRAIN) == split:
            try:
                _read(content, record)
            except ValueError as error:
                raise InvalidArgument(f"{path} line {number} {error}") from None
    if not content.documents:
        raise InvalidArgument(f"{path} has no record of the split {split!r}; name another file")
    corpus = {identifier: text for text, identifier in content.documents.items()}
    return Source(name_of(path), corpus, tuple(content.pairs))


def _read(content: _Found, record: Mapping[str, Any]) -> None:
    shapes = [keys for keys in _SHAPES if record.keys() >= set(keys)]
    if not shapes:
        raise ValueError(f"is a record with unknown fields; it needs {_KNOWN}")
    for keys in shapes:
        first, second = (record[key] for key in keys)
        for key, value in zip(keys, (first, second), strict=True):
            if not isinstance(value, str) or not is_encodable(value):
                raise ValueError(f"has a {key} that is not text; fix it")
        _SHAPES[keys](content, first, second)
