"""Removes what Word does not show from a Word file: hidden text, and text white on white.

White text is removed only where nothing can be behind it. The document has no background or shapes,
the text is outside of tables with a style, and no style in use has a shade.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from expertrag_index.loaders.ooxml import qn
from expertrag_index.loaders.styles_docx import DocxStyles, style_of

_RUN, _PROPERTIES = qn("w:r"), qn("w:rPr")
_RUN_STYLE, _TABLE_STYLE = f"{_PROPERTIES}/{qn('w:rStyle')}", f"{qn('w:tblPr')}/{qn('w:tblStyle')}"
_PARAGRAPH, _TABLE = qn("w:p"), qn("w:tbl")
_VALUE, _FILL, _SHADE = qn("w:val"), qn("w:fill"), qn("w:shd")
_SHADED = {
    _RUN: _PROPERTIES,
    _PARAGRAPH: qn("w:pPr"),
    qn("w:tc"): qn("w:tcPr"),
    qn("w:tr"): qn("w:tblPrEx"),
    _TABLE: qn("w:tblPr"),
}
_BACKGROUNDS = tuple(map(qn, ("w:background", "wp:anchor", "w:pict", "w:object", "w:framePr")))
_OFF = ("0", "false", "off")
_WHITE = "FFFFFF"


def remove_hidden(roots: Sequence[Any], styles: DocxStyles) -> Counter[str]:
    """Remove the hidden runs of a document; return how many there were of each kind.

    :param roots: the elements that hold its text.
    """
    counts: Counter[str] = Counter()
    plain = not any(next(root.iter(*_BACKGROUNDS), None) is not None for root in roots)
    for run in [run for root in roots for run in root.iter(_RUN)]:
        reason = "hidden" if _is_hidden(run, styles) else "white on white"
        if reason == "hidden" or (plain and _is_white(run, styles)):
            if "".join(run.itertext()).strip():
                counts[reason] += 1
            run.getparent().remove(run)
    return counts


def _vanish(properties: Any) -> bool | None:
    mark = properties.find(qn("w:vanish")) if properties is not None else None
    return None if mark is None else mark.get(_VALUE) not in _OFF


def _is_hidden(run: Any, styles: DocxStyles) -> bool:
    own = _vanish(run.find(_PROPERTIES))
    if own is not None:
        return own
    marks = (_vanish(style.find(_PROPERTIES)) for style in styles_of_run(run, styles))
    return next((mark for mark in marks if mark is not None), False)


def styles_of_run(run: Any, styles: DocxStyles) -> Iterator[Any]:
    """Yield the styles of a run, then the styles of its paragraph."""
    own = run.find(_RUN_STYLE)
    if own is not None:
        yield from styles.chain(own.get(_VALUE, ""))
    paragraph = next(run.iterancestors(_PARAGRAPH), None)
    if paragraph is not None:
        yield from styles.chain(style_of(paragraph) or styles.default)


def _is_white(run: Any, styles: DocxStyles) -> bool:
    """Whether a run is white and nothing behind it is coloured; a table's style may colour it."""
    color = run.find(f"{_PROPERTIES}/{qn('w:color')}")
    if color is None or str(color.get(_VALUE)).upper() != _WHITE:
        return False
    if run.find(f"{_PROPERTIES}/{qn('w:highlight')}") is not None:
        return False
    around = [run, *run.iterancestors()]
    if any(each.find(_TABLE_STYLE) is not None for each in around):
        return False
    if any(next(style.iter(_SHADE), None) is not None for style in styles_of_run(run, styles)):
        return False
    shades = (each.find(f"{_SHADED[each.tag]}/{_SHADE}") for each in around if each.tag in _SHADED)
    return all(map(_is_white_shade, filter(lambda shade: shade is not None, shades)))


def _is_white_shade(shade: Any) -> bool:
    pattern, fill = shade.get(_VALUE, "clear"), str(shade.get(_FILL)).upper()
    plain = pattern in ("clear", "nil") and shade.get(qn("w:themeFill")) is None
    return plain and fill in ("AUTO", "NONE", _WHITE)
