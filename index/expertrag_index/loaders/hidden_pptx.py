"""Removes what a slide does not show: hidden slides and shapes, and text that cannot be seen.

Text in the colour of its background is removed if the shape itself has that background, or if it
is white on a slide that is white for certain: without pictures, filled shapes, or a background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pptx.oxml.ns import qn

_RUN, _PROPERTIES, _TEXT = qn("a:r"), qn("a:rPr"), qn("a:t")
_SOLID, _RGB, _SCHEME, _ALPHA = qn("a:solidFill"), qn("a:srgbClr"), qn("a:schemeClr"), qn("a:alpha")
_FILLS = frozenset(map(qn, ("a:solidFill", "a:gradFill", "a:blipFill", "a:pattFill", "a:grpFill")))
_SHAPES = frozenset(map(qn, ("p:sp", "p:pic", "p:graphicFrame", "p:grpSp", "p:cxnSp")))
_SHAPE_PROPERTIES, _SHAPE_STYLE, _TREE = qn("p:spPr"), qn("p:style"), qn("p:spTree")
_BACKGROUND, _BACKGROUND_STYLE = f"{qn('p:cSld')}/{qn('p:bg')}", qn("p:bgRef")
_WHITE = "FFFFFF"
_SMALLEST_HUNDREDTHS = 100  # of a point
_OFF = ("0", "false")


def remove_hidden(slide: Any, size: tuple[int, int], found: Counter[str]) -> bool:
    """Remove the hidden shapes and runs of a slide, and count those that had text.

    :param size: width and height of a slide.
    :return: whether the slide itself is shown.
    """
    if slide._element.get("show") in _OFF:
        found["hidden slide"] += bool(_text(slide._element).strip())
        return False
    for shape in list(slide.shapes):
        if _is_outside(shape, size):
            _remove(shape._element, "outside the slide", found)
    for shape in [each for each in slide._element.iter() if each.tag in _SHAPES]:
        own = shape[0].find(qn("p:cNvPr")) if len(shape) else None
        if own is not None and own.get("hidden") not in (None, *_OFF):
            _remove(shape, "hidden", found)
    white = _is_white(slide)
    for run in list(slide._element.iter(_RUN)):
        if reason := _reason(run, white=white):
            _remove(run, reason, found)
    return True


def _remove(element: Any, reason: str, found: Counter[str]) -> None:
    parent = element.getparent()
    if parent is not None:
        found.update([reason] if _text(element).strip() else [])
        parent.remove(element)


def _text(element: Any) -> str:
    return "".join(part.text or "" for part in element.iter(_TEXT))


def _is_outside(shape: Any, size: tuple[int, int]) -> bool:
    left, top, width, height = shape.left, shape.top, shape.width, shape.height
    if None in (left, top, width, height):
        return False
    return bool(left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0)


def _reason(run: Any, *, white: bool) -> str:
    properties = run.find(_PROPERTIES)
    if properties is None:
        return ""
    if 0 < int(properties.get("sz") or _SMALLEST_HUNDREDTHS + 1) <= _SMALLEST_HUNDREDTHS:
        return "font size 1"
    fill = properties.find(_SOLID)
    if properties.find(qn("a:noFill")) is not None:
        return "transparent"
    if fill is None:
        return ""
    if any(alpha.get("val") in ("0", "0%") for alpha in fill.iter(_ALPHA)):
        return "transparent"
    color = _color(fill)
    behind = next(_fills_behind(run), None)
    if behind is None:
        hidden = white and color == _WHITE
    else:
        hidden = behind.tag == _SOLID and color != "" and color == _color(behind)
    return "colour of the background" if hidden else ""


def _color(fill: Any) -> str:
    """Return six digits of a plain colour; empty for one that depends on a theme or is changed."""
    color = fill.find(_RGB)
    return str(color.get("val")).upper() if color is not None and not len(color) else ""


def _fills_behind(run: Any) -> Iterator[Any]:
    """Yield the fills of what a run is in, the nearest first."""
    for around in run.iterancestors():
        if around.tag == qn("a:tc"):
            yield around  # the style of its table may colour it
        own = around.find(_SHAPE_PROPERTIES)
        if own is not None:
            yield from (fill for fill in own if fill.tag in _FILLS)
        if around.find(_SHAPE_STYLE) is not None:
            yield around.find(_SHAPE_STYLE)
        if around.tag == _TREE:
            return


def _is_white(slide: Any) -> bool:
    """Whether nothing on a slide, its layout or its master may be behind a white text."""
    layout = slide.slide_layout
    for each in (slide, layout, layout.slide_master):
        background = each._element.find(_BACKGROUND)
        style = background.find(_BACKGROUND_STYLE) if background is not None else None
        if background is not None and (style is None or not _is_light(style)):
            return False
        for item in each._element.iter(*_SHAPES):
            own = item.find(_SHAPE_PROPERTIES)
            if item.tag == qn("p:pic") or item.find(_SHAPE_STYLE) is not None:
                return False
            if own is not None and any(fill.tag in _FILLS for fill in own):
                return False
    return True


def _is_light(style: Any) -> bool:
    """Whether a background is the plain light colour of the theme, which is white in most."""
    scheme = style.find(_SCHEME)
    return style.get("idx") == "1001" and scheme is not None and scheme.get("val") == "bg1"
