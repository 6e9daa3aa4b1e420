"""Reads Jupyter notebooks: their texts, code and the texts that the code wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings, first_heading
from expertrag_index.loaders.markdown import readable
from expertrag_index.loaders.objects import read_whole
from expertrag_index.loaders.verbatim import fence_code
from expertrag_index.types import Document

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a notebook as one document, whose title is its first heading."""
    try:
        notebook = json.loads(decode(file.read_bytes()))
        sheets = notebook.get("worksheets") or [notebook]  # notebooks of before 2015 have sheets
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        language = _language(notebook)
        blocks = [block for cell in cells for block in _blocks(cell, language)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        report("not a notebook; read as JSON", "open it in Jupyter, and save it again", notice=True)
        yield from read_whole(file, report)
        return
    text = require_text("\n\n".join(filter(str.strip, blocks)))
    prose = [block for block in blocks if not block.startswith("```")]
    yield document(file, FrontMatter(), first_heading("\n".join(prose)), text)


def _language(notebook: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    return str(notebook.get("metadata", {}).get("language_info", {}).get("name", ""))


def _blocks(cell: dict[str, object], language: str) -> Iterator[str]:
    source = _join(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "code":
        if source.strip():
            yield fence_code(source.strip("\n"), language)
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            if written := _write_output(output):
                yield fence_code(written, "text")
    elif kind == "heading":  # of before 2015
        yield f"{'#' * int(str(cell.get('level', 1)))} {source}"
    else:
        yield readable(source)[1].strip("\n") if kind == "markdown" else escape_headings(source)


def _write_output(output: dict[str, object]) -> str:
    """Return the text of an output: what was printed, a value, or an error."""
    data = output.get("data", output)
    plain = data.get("text/plain", data.get("text", "")) if isinstance(data, dict) else ""
    lines = output.get("traceback")
    error = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    return _COLOUR.sub("", _join(output.get("text") or plain) or error).strip("\n")


def _join(lines: object) -> str:
    text = "".join(map(str, lines)) if isinstance(lines, list) else str(lines)
    return text.replace("\0", "")
