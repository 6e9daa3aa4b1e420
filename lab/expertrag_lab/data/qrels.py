"""Relevance judgements: ``qrels/SPLIT.tsv`` of a data set, one query-document pair per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.json_lines import find_file, read_bytes

MAX_GRADE = 1000
"""Largest grade: ranking measures allocate memory for every grade up to it."""

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade."""


def splits(folder: Path) -> tuple[str, ...]:
    """Names of the splits that have judgements."""
    names = {path.name.split(".tsv")[0] for path in (folder / "qrels").glob("*.tsv*")}
    return tuple(sorted(names))


def qrels_path(folder: Path, split: str) -> Path:
    """Find the judgements of a split.

    :raises NotFound: the split has none; the message lists the splits that have some.
    """
    try:
        return find_file(folder / "qrels" / f"{split}.tsv")
    except NotFound:
        names = ", ".join(splits(folder)) or "none"
        raise NotFound(
            f"no judgements {folder / 'qrels' / split}.tsv (existing splits: {names}); name one "
            "with --split, or add the file: query-id, corpus-id, score, separated by tabs",
            reason="QRELS_NOT_FOUND",
        ) from None


def read_qrels(path: Path) -> Qrels:
    """Read the judgements of a file.

    :raises InvalidArgument: a line is not a judgement, or contradicts an earlier line.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"{path} is not valid UTF-8 at byte {error.start}; convert it"
        ) from None
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (number == 1 and is_header(line)) or not line.strip():
            continue
        try:
            query, document, grade = parse_judgement(line)
        except ValueError as error:
            raise InvalidArgument(f"{path} line {number} {error}") from None
        if grades.setdefault(query, {}).setdefault(document, grade) != grade:
            raise InvalidArgument(
                f"{path} line {number} gives {document} a different grade for {query} than an "
                "earlier line; keep one of the two"
            )
    return grades


def is_header(line: str) -> bool:
    """Whether the first line is a header, as in BEIR."""
    return line.lower().replace("_", "-").startswith("query-id\t")


def parse_judgement(line: str) -> tuple[str, str, int]:
    """Parse one line of judgements: query id, document id, grade.

    :raises ValueError: the line is not a judgement; the message says what to write.
    """
    try:
        query, document, score = line.split("\t")
        grade = float(score)
        if not grade.is_integer():
            raise ValueError(score)
    except (ValueError, OverflowError):
        raise ValueError(
            "is not a judgement; write query-id, corpus-id and a whole number, separated by tabs"
        ) from None
    if abs(grade) > MAX_GRADE:
        raise ValueError(f"has a grade above {MAX_GRADE}; grades are small whole numbers")
    return query, document, int(grade)
