"""Reports on disk: read a report, and write report.json, report.md and report.html."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from expertrag._version import __version__
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report import html, markdown
from expertrag_lab.eval.report.reading import string
from expertrag_lab.eval.report.schema import COMBINED, faults, parts_of
from expertrag_lab.eval.report.sections import KINDS
from expertrag_lab.json_lines import read_bytes

FILE = "report.json"


def read_report(path: Path) -> Mapping[str, JSON]:
    """Read a report, from its file or from the folder of its ``report.json``.

    :raises NotFound: the file does not exist.
    :raises InvalidArgument: the file is not a report, is damaged, or has an unknown kind or
        version.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise NotFound(
            f"no report at {file}; name a file written by 'expertrag eval … --json' or --out",
            reason="REPORT_NOT_FOUND",
        )
    try:
        report = json.loads(read_bytes(file))
        kind = report.get("kind") if isinstance(report, dict) else None
        fault = next(faults(report), "") if kind in (*KINDS, COMBINED) else ""
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidArgument(f"{file} is not a report of expertrag eval: {reason}") from None
    if kind not in (*KINDS, COMBINED):
        raise InvalidArgument(
            f"{file} is not a report of expertrag eval {__version__}: its kind is {kind!r}, not "
            f"one of {', '.join((*KINDS, COMBINED))}"
        )
    if fault:
        raise InvalidArgument(_damage_message(file, report, fault))
    return {str(key): value for key, value in report.items()}


def _damage_message(file: Path, report: Mapping[str, JSON], fault: str) -> str:
    versions = {string(part, "manifest", "version") for part in parts_of(report)}
    other = sorted(versions - {"", __version__})
    of = f" of version {', '.join(other)}, this is {__version__}" if other else ""
    return (
        f"{file} is a damaged report{of}: {fault}; make it again, or see "
        f"'expertrag eval validate {file}'"
    )


def together(reports: Sequence[Mapping[str, JSON]]) -> Mapping[str, JSON]:
    """Return a single report as it is, or combine several."""
    return reports[0] if len(reports) == 1 else {"kind": COMBINED, "reports": list(reports)}


def write(reports: Sequence[Mapping[str, JSON]], out: Path) -> tuple[Path, Path, Path]:
    """Write reports to the folder ``out`` as JSON, Markdown and HTML; the folder is created.

    Each file is replaced atomically. The JSON is written first, so it exists even if the HTML
    cannot be made.

    :raises MissingExtra: the HTML needs jinja2 and matplotlib.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = out / FILE, out / "report.md", out / "report.html"
    text = json.dumps(together(reports), ensure_ascii=False, allow_nan=False, indent=1)
    _replace(paths[0], f"{text}\n")
    parts = [part for report in reports for part in parts_of(report)]
    _replace(paths[1], markdown.render(parts))
    _replace(paths[2], html.render(parts))
    return paths


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
