"""Tells which elements of an HTML page a browser does not show, by what the page itself says.

Inline styles, attributes, and the rules of ``<style>`` for one tag, class or id are understood;
external style sheets and scripts are not read. Text in the colour of its background is hidden
unless the background depends on a rule that is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bs4.element import Tag

_SHEET = re.compile("stylesheet", re.IGNORECASE)
_AT_RULE = re.compile(r"@[^{};@]*+(?:;|\{(?:[^{}]*+\{[^{}]*+\})*+[^{}]*+\})")
_SIMPLE = re.compile(r"\*|[\w-]+|(?:[\w-]+)?[.#][\w-]+")
_ZERO = re.compile(r"[+-]?0*(?:\.0*)?(?:%|[a-z]+)?")
_TINY = re.compile(r"(?:0*\.\d+|0*1(?:\.0*)?)(?:px|pt)")
_FAR = re.compile(r"-\d{4,}(?:\.\d*)?(?:px|pt|em|rem)?|-\d{3,}(?:em|rem|vw|vh|%)")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_NAMED = {"white": "ffffff", "black": "000000", "red": "ff0000", "yellow": "ffff00"}
_NAME = re.compile(r"[a-z]+")
_TRANSPARENT = "transparent"
_SIDES = ("left", "right", "top", "bottom")

Declarations = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What an element inherits: the colours of text and background; None if unknown."""

    color: str | None = "000000"
    background: str | None = "ffffff"


class Styles:
    """The style sheet inside a page, and whether the page has others."""

    def __init__(self, soup: Tag) -> None:
        self._rules: dict[str, dict[str, str]] = {}
        self._others = soup.find("link", rel=_SHEET) is not None
        for sheet in soup.find_all("style"):
            self._others |= "@import" in (text := sheet.get_text())
            for rule in _AT_RULE.sub(" ", _without_comments(text)).split("}"):
                selectors, _, body = rule.rpartition("{")
                self._add(selectors, _declarations(body))
        self.page = Look(background=None) if self._others else Look()
        """The look of the page itself; another style sheet may colour it."""

    def _add(self, selectors: str, body: dict[str, str]) -> None:
        for selector in selectors.lower().split(","):
            if _SIMPLE.fullmatch(selector := selector.strip()):
                self._rules.setdefault(selector, {}).update(body)
            elif selector and "background" in body:
                last = re.split(r"[\s>+~]", selector)[-1]
                simple = re.split(r"[:\[]", last)[0]
                self._rules.setdefault(simple or "*", {})["background"] = "?"

    def of(self, tag: Tag) -> dict[str, str]:
        """Return the declarations for an element; later ones are more specific."""
        found: dict[str, str] = {}
        names = _names(tag, "class"), _names(tag, "id")
        if self._others and any(names):
            found["background"] = "?"
        for selector in _selectors(tag.name.lower(), *names):
            found.update(self._rules.get(selector, {}))
        if background := tag.get("bgcolor"):
            found["background"] = str(background).lower()
        if tag.name == "font" and (color := tag.get("color")):
            found["color"] = str(color).lower()
        return found | _declarations(str(tag.get("style") or ""))


def reason_hidden(tag: Tag, own: Declarations, look: Look) -> str:
    """Return why an element is not shown; empty if it is.

    :param look: of the element itself.
    """
    if tag.has_attr("hidden") and str(tag["hidden"]).lower() != "until-found":
        return "hidden"
    if own.get("display") == "none":
        return "display: none"
    if own.get("visibility") in ("hidden", "collapse"):
        return "visibility: hidden"
    if _ZERO.fullmatch(own.get("opacity", "1")):
        return "opacity: 0"
    if _ZERO.fullmatch(size := own.get("font-size", "1em")) or _TINY.fullmatch(size):
        return "font size 0"
    moved = own.get("position") in ("absolute", "fixed")
    places = [own.get("text-indent", ""), *(own.get(side, "") for side in _SIDES if moved)]
    if any(map(_FAR.fullmatch, places)):
        return "outside the page"
    if look.color == _TRANSPARENT or (look.color is not None and look.color == look.background):
        return "colour of the background"
    return ""


def look_of(own: Declarations, inherited: Look) -> Look:
    """Return the colours of an element with these declarations."""
    color, background = inherited.color, inherited.background
    if "color" in own and own["color"] != "inherit":
        color = _color(own["color"])
    if "background" in own:
        found = _color(own["background"])
        background = background if found == _TRANSPARENT else found
    return Look(color, background)


def _without_comments(sheet: str) -> str:
    first, *others = sheet.split("/*")
    return " ".join([first, *(other.partition("*/")[2] for other in others)])


def _selectors(name: str, classes: list[str], ids: list[str]) -> Iterator[str]:
    yield from ("*", name)
    for mark, names in ((".", classes), ("#", ids)):
        for each in names:
            yield from (f"{mark}{each}", f"{name}{mark}{each}")


def _names(tag: Tag, attribute: str) -> list[str]:
    value: str | list[str] = tag.get(attribute) or []
    return [each.lower() for each in (value.split() if isinstance(value, str) else value)]


def _declarations(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for declaration in body.lower().split(";"):
        name, _, value = declaration.partition(":")
        value = value.replace("!important", "").strip()
        if value:
            found[name.strip().replace("background-color", "background")] = value
    return found


def _color(value: str) -> str | None:
    """Return a colour as six hexadecimal digits, or "transparent"; None if it is another thing."""
    if value in (_TRANSPARENT, "none", "initial"):
        return _TRANSPARENT
    if channels := _RGB.fullmatch(value):
        if channels[4] is not None and _ZERO.fullmatch(channels[4]):
            return _TRANSPARENT
        return "".join(f"{min(int(channel), 255):02x}" for channel in channels.group(1, 2, 3))
    if digits := _HEX.fullmatch(value):
        code = digits[1]
        code = "".join(2 * digit for digit in code) if len(code) < 6 else code
        return _TRANSPARENT if code[6:] == "00" else code[:6]
    return _NAMED.get(value, value) if _NAME.fullmatch(value) and value != "inherit" else None
