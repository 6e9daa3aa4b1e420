"""Removes what Word does not show from a Word file: hidden text, and text white on white."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from docx.oxml.ns import qn

_RUN, _PROPERTIES, _STYLE = qn("w:r"), qn("w:rPr"), qn("w:rStyle")
_PARAGRAPH, _PARAGRAPH_STYLE = qn("w:p"), qn("w:pStyle")
_VALUE, _FILL = qn("w:val"), qn("w:fill")
_SHADED = {_RUN: _PROPERTIES, _PARAGRAPH: qn("w:pPr"), qn("w:tc"): qn("w:tcPr")}
_OFF = ("0", "false", "off")
_WHITE = "FFFFFF"


def remove_hidden(word: Any, notes: Iterable[Any] = ()) -> Counter[str]:
    """Remove the hidden runs of a document and its notes; return how many there were of each kind.

    :param notes: elements of footnotes and endnotes.
    """
    styles = dict(_hidden_styles(word))
    found: Counter[str] = Counter()
    for run in [run for part in (word.element.body, *notes) for run in part.iter(_RUN)]:
        reason = "hidden" if _is_hidden(run, styles) else "white on white"
        if reason == "hidden" or _is_white(run):
            if "".join(run.itertext()).strip():
                found[reason] += 1
            run.getparent().remove(run)
    return found


def _hidden_styles(word: Any) -> Iterator[tuple[str, bool]]:
    """Yield the id of each style that says whether its text is hidden, in order of inheritance."""
    known: dict[str, bool] = {}
    elements = {
        style.get(qn("w:styleId")): style for style in word.styles.element.iter(qn("w:style"))
    }
    for name in elements:
        chain, seen = name, set()
        while chain in elements and chain not in seen:
            seen.add(chain)
            own = _vanish(elements[chain].find(_PROPERTIES))
            if own is not None:
                known[name] = own
                break
            based = elements[chain].find(qn("w:basedOn"))
            chain = based.get(_VALUE) if based is not None else None
    yield from known.items()


def _vanish(properties: Any) -> bool | None:
    mark = properties.find(qn("w:vanish")) if properties is not None else None
    return None if mark is None else mark.get(_VALUE) not in _OFF


def _is_hidden(run: Any, styles: dict[str, bool]) -> bool:
    properties = run.find(_PROPERTIES)
    own = _vanish(properties)
    if own is not None:
        return own
    style = properties.find(_STYLE) if properties is not None else None
    if style is not None and style.get(_VALUE) in styles:
        return styles[style.get(_VALUE)]
    paragraph = next(run.iterancestors(_PARAGRAPH), None)
    style = paragraph.find(f"{qn('w:pPr')}/{_PARAGRAPH_STYLE}") if paragraph is not None else None
    return style is not None and styles.get(style.get(_VALUE), False)


def _is_white(run: Any) -> bool:
    """Whether a run is white and nothing behind it is coloured; a table's style may colour it."""
    color = run.find(f"{_PROPERTIES}/{qn('w:color')}")
    if color is None or str(color.get(_VALUE)).upper() != _WHITE:
        return False
    if run.find(f"{_PROPERTIES}/{qn('w:highlight')}") is not None:
        return False
    around = [run, *run.iterancestors()]
    if any(each.find(f"{qn('w:tblPr')}/{qn('w:tblStyle')}") is not None for each in around):
        return False
    if around[-1].find(qn("w:background")) is not None:
        return False
    shades = (
        each.find(f"{_SHADED[each.tag]}/{qn('w:shd')}") for each in around if each.tag in _SHADED
    )
    fills = [str(shade.get(_FILL)).upper() for shade in shades if shade is not None]
    return all(fill in ("AUTO", "NONE", _WHITE) for fill in fills)
