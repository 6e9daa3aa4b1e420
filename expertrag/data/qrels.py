"""Judgements: ``qrels/SPLIT.tsv`` of a data set, one relevant document of a query on each line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.data.files import existing, read_bytes

MAX_GRADE = 1000
"""Measures reserve room for every grade up to the largest."""

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade."""


def splits(folder: Path) -> tuple[str, ...]:
    """Names of the splits that have judgements."""
    names = {path.name.split(".tsv")[0] for path in (folder / "qrels").glob("*.tsv*")}
    return tuple(sorted(names))


def qrels_path(folder: Path, split: str) -> Path:
    """Find the judgements of a split.

    :raises NotFound: there are none; the message names the splits that have some.
    """
    try:
        return existing(folder / "qrels" / f"{split}.tsv")
    except NotFound:
        found = ", ".join(splits(folder)) or "none"
        raise NotFound(
            f"no judgements {folder / 'qrels' / split}.tsv (splits there: {found}); name one with "
            "--split, or add the file: query-id, corpus-id, score, with tabs between",
            reason="QRELS_NOT_FOUND",
        ) from None


def read_qrels(path: Path) -> Qrels:
    """Read the judgements of a file.

    :raises InvalidArgument: a line that is no judgement, or contradicts an earlier one.
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
                f"{path} line {number} gives {document} another grade for {query} than an earlier "
                "line; keep one of the two"
            )
    return grades


def is_header(line: str) -> bool:
    """Whether a first line names its columns, as BEIR has it."""
    return line.lower().replace("_", "-").startswith("query-id\t")


def parse_judgement(line: str) -> tuple[str, str, int]:
    """Read one line of judgements: query id, document id, grade.

    :raises ValueError: it is none; the message says what to write.
    """
    try:
        query, document, score = line.split("\t")
        grade = float(score)
        if not grade.is_integer():
            raise ValueError(score)
    except (ValueError, OverflowError):
        raise ValueError(
            "is no judgement; write query-id, corpus-id and a whole number, with a tab between"
        ) from None
    if abs(grade) > MAX_GRADE:
        raise ValueError(f"has a grade beyond {MAX_GRADE}; grades are small whole numbers")
    return query, document, int(grade)
