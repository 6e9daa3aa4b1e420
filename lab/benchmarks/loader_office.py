"""The texts of Office files as their XML has them, in the order of slides and sheets."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lxml import etree

_LINES = {"p", "tc", "tab", "br", "c", "si", "pt"}


def read(path: Path) -> tuple[str, Sequence[str]]:
    """Return the text of a deck or a workbook, and the texts of its cells."""
    with zipfile.ZipFile(path) as archive:
        if path.suffix == ".pptx":
            return "\n".join(_slides(archive)), ()
        texts = list(_cells_of_workbook(archive))
        return "\n".join(texts), texts


def cells(path: Path) -> Sequence[str]:
    """Return the texts of the cells of a Word file's tables."""
    with zipfile.ZipFile(path) as archive:
        names = [
            name for name in archive.namelist() if re.fullmatch(r"word/document\d*\.xml", name)
        ]
        roots = [_parse(archive.read(name)) for name in names[:1]]
    return [_text(cell, {"t"}) for root in roots for cell in root.iter("{*}tc")]


def raw(path: Path) -> str:
    """Return the XML of all parts of a file, which has every word that can be read in it."""
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(name) for name in archive.namelist() if name.endswith(".xml")]
    return "\n".join(part.decode("utf-8", "replace") for part in parts)


def _slides(archive: zipfile.ZipFile) -> Iterator[str]:
    names = [n for n in archive.namelist() if re.fullmatch(r"ppt/slides/slide\d+\.xml", n)]
    order = _slide_order(archive)
    for name in sorted(names, key=lambda name: (order.get(name, len(order)), name)):
        yield _text(_parse(archive.read(name)), {"t"})


def _slide_order(archive: zipfile.ZipFile) -> dict[str, int]:
    shown = _shown_parts(archive, "ppt", "presentation", "sldId")
    return {name: number for number, name in enumerate(shown)}


def _shown_parts(archive: zipfile.ZipFile, folder: str, main: str, tag: str) -> list[str]:
    """Return the parts that the main part of a file lists, in its order; archives hold others."""
    try:
        links = _parse(archive.read(f"{folder}/_rels/{main}.xml.rels"))
        listed = _parse(archive.read(f"{folder}/{main}.xml"))
    except KeyError:
        return []
    targets = {
        link.get("Id"): f"{folder}/{link.get('Target', '').removeprefix(f'/{folder}/')}"
        for link in links
    }
    ids = [
        value
        for each in listed.iter(f"{{*}}{tag}")
        for name, value in each.items()
        if name.endswith("}id")
    ]
    return [targets[each] for each in ids if each in targets]


def _cells_of_workbook(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield the texts of cells; how a number is shown depends on its format, so it is left out."""
    shared = list(_shared_strings(archive))
    for name in _shown_parts(archive, "xl", "workbook", "sheet"):
        if name not in archive.namelist():
            continue
        for cell in _parse(archive.read(name)).iter("{*}c"):
            value, inline = cell.find("{*}v"), cell.find("{*}is")
            text = "" if value is None else value.text or ""
            if inline is not None:
                yield "".join(each.text or "" for each in inline.iter("{*}t"))
            elif cell.get("t") == "s" and text.strip().isdigit() and int(text) < len(shared):
                yield shared[int(text)]
            elif cell.get("t") not in (None, "n", "b", "s", "e"):
                yield text


def _shared_strings(archive: zipfile.ZipFile) -> Iterator[str]:
    if "xl/sharedStrings.xml" in archive.namelist():
        for item in _parse(archive.read("xl/sharedStrings.xml")).iter("{*}si"):
            runs = (run for run in item.iter("{*}t") if not run.getparent().tag.endswith("}rPh"))
            yield "".join(run.text or "" for run in runs)


def _text(root: Any, names: set[str]) -> str:
    """Join the texts of elements, without the fallbacks that repeat them."""
    for fallback in [*root.iter("{*}Fallback")]:
        fallback.getparent().remove(fallback)
    pieces = []
    for each in root.iter(etree.Element):
        name = etree.QName(each).localname
        pieces.append((each.text or "") if name in names else "\n" if name in _LINES else "")
    return "".join(pieces)


def _parse(data: bytes) -> Any:
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True, recover=True)
    return etree.fromstring(data, parser)
