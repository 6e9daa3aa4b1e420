"""Removes what a slide does not show: hidden slides and shapes, and text that cannot be seen.

Text in the colour of its background is removed if the shape itself has that background. White text
is also removed on a slide that is white for certain. Such a slide is without pictures, filled
shapes, or a background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from expertrag_index.loaders.ooxml import number_of, qn

_RUN, _PROPERTIES, _TEXT = qn("a:r"), qn("a:rPr"), qn("a:t")
_SOLID, _RGB, _SCHEME, _ALPHA = qn("a:solidFill"), qn("a:srgbClr"), qn("a:schemeClr"), qn("a:alpha")
_NO_FILL, _OUTLINE = qn("a:noFill"), qn("a:ln")
_FILLS = frozenset(map(qn, ("a:solidFill", "a:gradFill", "a:blipFill", "a:pattFill", "a:grpFill")))
_PICTURES = frozenset(map(qn, ("p:pic", "p:graphicFrame", "p:contentPart")))
_SHAPES = _PICTURES | frozenset(map(qn, ("p:sp", "p:grpSp", "p:cxnSp")))
_SHAPE_PROPERTIES, _SHAPE_STYLE, _TREE = qn("p:spPr"), qn("p:style"), qn("p:spTree")
_BACKGROUND, _BACKGROUND_STYLE = f"{qn('p:cSld')}/{qn('p:bg')}", qn("p:bgRef")
_WHITE = "FFFFFF"
_SMALLEST_HUNDREDTHS = 100  # of a point
_OFF = ("0", "false")

Size = tuple[int, int]
"""Width and height of a slide, 0 if they are not known."""


def is_shown(slide: Any, counts: Counter[str]) -> bool:
    """Whether a slide is shown; a hidden one that has text is counted."""
    if slide.get("show") not in _OFF:
        return True
    counts.update(["hidden slide"] if _text(slide).strip() else [])
    return False


def remove_hidden(behind: Sequence[Any], theme: Any, size: Size, counts: Counter[str]) -> None:
    """Remove the hidden shapes and runs of a slide, and count those that had text.

    :param behind: the roots of the slide, its layout and its master; None for one that is damaged.
    :param theme: the root of the theme of the master, or None.
    """
    slide = behind[0]
    tree = next(slide.iter(_TREE), None)
    moves = next(slide.iter(qn("p:animMotion")), None) is not None
    for shape in list(tree) if tree is not None and all(size) and not moves else ():
        if _is_outside(shape, size):
            _remove(shape, "outside the slide", counts)
    for shape in [each for each in slide.iter() if each.tag in _SHAPES]:
        own = shape[0].find(qn("p:cNvPr")) if len(shape) else None
        if own is not None and own.get("hidden") not in (None, *_OFF):
            _remove(shape, "hidden", counts)
    white = _is_white(behind, theme)
    for run in list(slide.iter(_RUN)):
        if reason := _reason(run, white=white):
            _remove(run, reason, counts)


def _remove(element: Any, reason: str, counts: Counter[str]) -> None:
    parent = element.getparent()
    if parent is not None:
        counts.update([reason] if _text(element).strip() else [])
        parent.remove(element)


def _text(element: Any) -> str:
    return "".join(part.text or "" for part in element.iter(_TEXT))


def _is_outside(shape: Any, size: Size) -> bool:
    """Whether a shape is outside its slide; one that is turned may reach into it."""
    frame = shape.find(f"{_SHAPE_PROPERTIES}/{qn('a:xfrm')}")
    frame = shape.find(qn("p:xfrm")) if frame is None else frame
    frame = shape.find(f"{qn('p:grpSpPr')}/{qn('a:xfrm')}") if frame is None else frame
    if frame is None or len(frame) < 2 or frame.get("rot") is not None:
        return False
    left, top = (number_of(frame[0].get(name)) for name in "xy")
    width, height = (number_of(frame[1].get(name)) for name in ("cx", "cy"))
    return left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0


def _reason(run: Any, *, white: bool) -> str:
    properties = run.find(_PROPERTIES)
    if properties is None:
        return ""
    if 0 < number_of(properties.get("sz")) <= _SMALLEST_HUNDREDTHS:
        return "font size 1"
    if _has_outline(properties):
        return ""
    if properties.find(_NO_FILL) is not None:
        return "transparent"
    fill = properties.find(_SOLID)
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


def _has_outline(properties: Any) -> bool:
    """Whether the letters have an outline or a shadow, as letters of WordArt have."""
    outline = properties.find(_OUTLINE)
    effects = properties.find(qn("a:effectLst"))
    drawn = outline is not None and len(outline) > 0 and outline.find(_NO_FILL) is None
    return drawn or (effects is not None and len(effects) > 0)


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


def _is_white(behind: Sequence[Any], theme: Any) -> bool:
    """Whether nothing on a slide, its layout or its master may be behind a white text."""
    if len(behind) < 3 or any(root is None for root in behind):
        return False
    for root in behind:
        background = root.find(_BACKGROUND)
        style = background.find(_BACKGROUND_STYLE) if background is not None else None
        if background is not None and (style is None or not _is_light(style, behind[-1], theme)):
            return False
        for item in root.iter(*_SHAPES):
            own = item.find(_SHAPE_PROPERTIES)
            if item.tag in _PICTURES or item.find(_SHAPE_STYLE) is not None:
                return False
            if own is not None and any(fill.tag in _FILLS for fill in own):
                return False
    return True


def _is_light(style: Any, master: Any, theme: Any) -> bool:
    """Whether a background is the plain first colour of the theme, and that is white."""
    scheme = style.find(_SCHEME)
    if style.get("idx") != "1001" or scheme is None or scheme.get("val") != "bg1" or theme is None:
        return False
    names = master.find(qn("p:clrMap"))
    name = names.get("bg1", "lt1") if names is not None else "lt1"
    colors = [color for each in theme.iter(qn(f"a:{name}")) for color in each]
    return any(_WHITE in (color.get("val"), color.get("lastClr")) for color in colors)
