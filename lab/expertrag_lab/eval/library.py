"""List the data sets, rows and reports in folders. Fast: lines are counted, not parsed."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from expertrag.api.errors import ExpertRAGError, InvalidArgument, NotFound
from expertrag.runtime.json_lines import parse_object
from expertrag_lab.data.qrels import read_qrels, splits
from expertrag_lab.data.types import JSON, POOLED
from expertrag_lab.eval.report import parts_of, read_report
from expertrag_lab.eval.report.reading import mapping, string
from expertrag_lab.eval.report.schema import COMBINED
from expertrag_lab.eval.report.sections import KINDS, headline
from expertrag_lab.json_lines import find_file, read_bytes, read_lines

DEPTH = 3
"""How many levels below a folder are searched."""

_HEAD_BYTES = 1 << 16
_REPORT = re.compile(rb'\s*\{\s*"kind"\s*:\s*"(%s)"' % "|".join((*KINDS, COMBINED)).encode())
_DATASET_FILES = ("corpus.jsonl", "queries.jsonl")


class What(StrEnum):
    """Type of a path's content."""

    DATASET = "data set"
    ROWS = "rows"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Found:
    """A folder or file that ``eval`` can read."""

    path: Path
    what: What


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A data set; counts of missing files are None. ``splits`` counts queries with judgements."""

    path: Path
    documents: int | None
    queries: int | None
    splits: Mapping[str, int]
    answered: int
    unanswerable: int


@dataclass(frozen=True, slots=True)
class RowsEntry:
    """A file of rows. ``fields`` are the first row's."""

    path: Path
    rows: int
    fields: tuple[str, ...]

    @property
    def recorded(self) -> bool:
        """Whether the rows contain costs, as the rows of ``eval record`` do."""
        return "recorded" in self.fields


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """A report and its headline figure."""

    path: Path
    kind: str
    sets: tuple[str, ...]
    created_at: str
    commit: str
    headline: str


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A path that cannot be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything found, each list ordered by path."""

    datasets: tuple[DatasetEntry, ...]
    rows: tuple[RowsEntry, ...]
    reports: tuple[ReportEntry, ...]
    unreadable: tuple[UnreadableFile, ...]


def list_library(paths: Sequence[Path]) -> Listing:
    """List what is at ``paths`` and up to three levels below; errors are listed, not raised."""
    entries: list[DatasetEntry | RowsEntry | ReportEntry] = []
    unreadable = []
    for file in find(paths):
        if isinstance(file, UnreadableFile):
            unreadable.append(file)
            continue
        try:
            entries.append(_describe(file))
        except (ExpertRAGError, OSError) as error:
            unreadable.append(UnreadableFile(file.path, str(error)))
    return Listing(
        datasets=tuple(entry for entry in entries if isinstance(entry, DatasetEntry)),
        rows=tuple(entry for entry in entries if isinstance(entry, RowsEntry)),
        reports=tuple(entry for entry in entries if isinstance(entry, ReportEntry)),
        unreadable=tuple(unreadable),
    )


def find(paths: Sequence[Path]) -> Iterator[Found | UnreadableFile]:
    """Find data sets, rows and reports at ``paths`` and below by content, each once."""
    seen = set()
    for path in paths:
        for candidate in _candidates(path):
            if candidate not in seen:
                seen.add(candidate)
                try:
                    what = _recognise(candidate)
                except (ExpertRAGError, OSError) as error:
                    yield UnreadableFile(candidate, str(error))
                    continue
                if what is not None:
                    yield Found(candidate, what)


def _candidates(path: Path) -> Iterator[Path]:
    """Yield folders and files to examine; hidden ones are skipped."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path, followlinks=True):
        here = Path(folder)
        yield here
        is_dataset = _is_dataset(here)
        deep = len(here.relative_to(path).parts) >= DEPTH
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            part = is_dataset and name.removesuffix(".gz") in _DATASET_FILES
            if not part and not name.startswith("."):
                yield here / name


def _is_dataset(folder: Path) -> bool:
    return any(
        (folder / f"{name}{end}").is_file() for name in _DATASET_FILES for end in ("", ".gz")
    )


def _recognise(path: Path) -> What | None:
    """Detect the type of a path by its content.

    :raises NotFound: the path does not exist.
    :raises InvalidArgument: JSON lines cannot be read.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist; check the path", reason="FILE_NOT_FOUND")
    if path.is_dir():
        return What.DATASET if _is_dataset(path) else None
    if path.suffix == ".json":
        with path.open("rb") as file:
            return What.REPORT if _REPORT.match(file.read(_HEAD_BYTES)) else None
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        first = _first_line(path)
        try:
            known = {"never", "one_step"} & parse_object(first).keys() if first.strip() else ()
        except ValueError as error:
            raise InvalidArgument(f"{path} line 1 {error}") from None
        return What.ROWS if known else None
    return None


def _first_line(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.readline())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidArgument(f"{path} is a damaged gzip file ({error}); fetch it again") from None


def _describe(file: Found) -> DatasetEntry | RowsEntry | ReportEntry:
    if file.what is What.DATASET:
        return _dataset(file.path)
    return _rows(file.path) if file.what is What.ROWS else _report(file.path)


def _dataset(folder: Path) -> DatasetEntry:
    names = {name: _twin(folder / name) for name in _DATASET_FILES}
    corpus, queries = names["corpus.jsonl"], names["queries.jsonl"]
    answers = [item.get("answers") for _, item in read_lines(queries)[0]] if queries else []
    return DatasetEntry(
        path=folder,
        documents=_lines(corpus) if corpus else None,
        queries=len(answers) if queries else None,
        splits={
            name: len(read_qrels(find_file(folder / "qrels" / f"{name}.tsv")))
            for name in splits(folder)
        },
        answered=sum(bool(accepted) for accepted in answers),
        unanswerable=sum(accepted == [] for accepted in answers),
    )


def _twin(path: Path) -> Path | None:
    twin = path.with_name(f"{path.name}.gz")
    return path if path.is_file() else twin if twin.is_file() else None


def _lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in read_bytes(path).splitlines())


def _rows(path: Path) -> RowsEntry:
    return RowsEntry(path, _lines(path), tuple(parse_object(_first_line(path))))


def _report(path: Path) -> ReportEntry:
    report = read_report(path)
    parts = parts_of(report)
    manifest = mapping(parts[0], "manifest")
    return ReportEntry(
        path=path,
        kind=string(report, "kind"),
        sets=tuple(dict.fromkeys(name for part in parts for name in _sets(part))),
        created_at=string(manifest, "created_at"),
        commit=string(manifest, "commit"),
        headline="; ".join(filter(None, map(headline, parts))),
    )


def _sets(report: Mapping[str, JSON]) -> Iterator[str]:
    for key in ("datasets", "sets", "comparisons"):
        if sets := mapping(report, key):
            yield from (name for name in sets if name != POOLED)
            return
