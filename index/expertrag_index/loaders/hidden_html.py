"""Tells which texts of an HTML page a browser does not show, by what the page itself says.

The rule is that a word which a browser shows is never left out: what is left out is certain. Inline
styles, attributes, and the rules of ``<style>`` for one tag, class or id are understood. A property
that any other rule may set for an element is unknown. So are the rules of a page with other style
sheets, which are not read. Unknown is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, starmap
from typing import NamedTuple

from expertrag_index.loaders.css import (
    TRANSPARENT,
    UNKNOWN,
    CssRule,
    CssValue,
    color_of,
    declarations,
    is_tiny,
    is_zero,
    rules_of,
)
from expertrag_index.loaders.page_nodes import Element

_SIMPLE = re.compile(r"\*|(?:[\w-]|\\.)+|(?:[\w-]+)?[.#](?:[\w-]|\\.)+")
_COMPOUND = re.compile(r"[\s>+~]+")
_PSEUDO_ELEMENT = re.compile("::|:(?:before|after|first-l)")
_QUALIFIED = re.compile(r"(?<!\\):[\w-]+|\[[^\]]*\]?")
_NAMES = re.compile(r"[.#]?(?:[\w-]|\\.)+")
_FAR = re.compile(r"-(?:[5-9]\d{3}|\d{5,})(?:\.\d*)?p[xt]|-(?:[5-9]\d\d|\d{4,})(?:\.\d*)?r?em")
_RELATIVE = re.compile(r"[\d.]+(?:%|em|ex|ch)|inherit|unset|larger|smaller")
_MARGINS = ("margin", "margin-left", "margin-top", "margin-right", "margin-bottom")
_MOVES = ("transform", "grid-area", "grid-row", "grid-column")
_PAINTS = (
    "text-shadow", "filter", "mix-blend-mode", "background-clip", "-webkit-background-clip",
    "-webkit-text-fill-color", "-webkit-text-stroke",
)  # fmt: skip
_NO_IMAGE = ("none", "initial", "unset", "inherit")
_NO_BACKGROUND = (*_NO_IMAGE, TRANSPARENT, "revert")
_CONTROLS = ("button", "input", "select", "textarea", "option", "mark")
_ATTRIBUTES = {
    ("", "bgcolor"): ("background", ""),
    ("", "background"): ("background-image", UNKNOWN),
    ("a", "href"): ("color", UNKNOWN),
    ("body", "text"): ("color", ""),
    ("font", "color"): ("color", ""),
    ("font", "size"): ("font-size", UNKNOWN),
}
"""What attributes say, by tag, if it is for one; without a value, the value of the attribute."""
_UNHIDDEN = ("html", "body")  # a page that hides itself shows itself by a script
_UNKNOWN_RULE, _INLINE = 6, 7  # above the specificity of rules that are understood

Declarations = dict[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What a text inherits; a colour is None if it is unknown."""

    color: str | None = "000000"
    background: str | None = "ffffff"
    visible: bool = True
    tiny: bool = False
    outside: bool = False
    lines: bool = False
    """Whether the ends of lines are shown."""
    drawn: bool = False
    """Whether it is a drawing, which has other properties."""

    @property
    def reason_hidden(self) -> str:
        """Why text with this look is not shown; empty if it is."""
        if not self.visible:
            return "visibility: hidden"
        if self.tiny:
            return "font size 0"
        if self.outside:
            return "outside the page"
        if self.color is not None and self.color in (TRANSPARENT, self.background):
            return "colour of the background"
        return ""


class _Entry(NamedTuple):
    rank: tuple[bool, int, int]  # importance, specificity, order
    value: str


def _prefer(entries: dict[str, _Entry], key: str, entry: _Entry) -> None:
    """Let the stronger of two values stand; of equals the later."""
    if key not in entries or entries[key].rank <= entry.rank:
        entries[key] = entry


class HtmlStyles:
    """The style sheets in a page.

    :param sheets: the text of each, and the media that it is for.
    :param others: whether the page has style sheets that are not read.
    :param scripts: whether the page has scripts, which may fade texts in.
    :param quirks: whether tables may not inherit, as in pages from before HTML 4.
    """

    def __init__(
        self, sheets: Iterable[tuple[str, str]], *, others: bool, scripts: bool, quirks: bool
    ) -> None:
        self._rules: dict[str, dict[str, _Entry]] = {}
        self._others, self._scripts, self._quirks = others, scripts, quirks
        if not others:
            for order, rule in enumerate(chain.from_iterable(starmap(rules_of, sheets))):
                self._add(rule, order)
        self.page = Look(background=None) if others else Look()
        """The look of the page itself; another style sheet may colour it."""

    def _add(self, rule: CssRule, order: int) -> None:
        body = declarations(rule.body)
        for selector in map(str.strip, rule.selectors.split(",") if body else ()):
            if rule.always and "(" not in rule.selectors and _SIMPLE.fullmatch(selector):
                self._set(_normalise(selector), body, _specificity(selector), order)
            elif not _PSEUDO_ELEMENT.search(selector):
                unknown = {
                    key: CssValue(important, UNKNOWN)
                    for key, (important, text) in body.items()
                    if (key, text) != ("display", "none")
                }
                for name in _subjects(selector):
                    self._set(name, unknown, _UNKNOWN_RULE, order)

    def _set(self, name: str, body: Mapping[str, CssValue], specificity: int, order: int) -> None:
        entries = self._rules.setdefault(name, {})
        for key, (important, text) in body.items():
            _prefer(entries, key, _Entry((important, specificity, order), text))

    def of(self, element: Element) -> Declarations:
        """Return the declarations for an element."""
        result = self._read_presentation(element)
        entries: dict[str, _Entry] = {}
        if self._rules:
            for name in _names(element):
                for key, entry in self._rules.get(name, {}).items():
                    _prefer(entries, key, entry)
        if style := element.get("style"):
            for key, (important, text) in declarations(style.split(";")).items():
                _prefer(entries, key, _Entry((important, _INLINE, 0), text))
        result.update((key, entry.value) for key, entry in entries.items())
        if self._scripts or "animation" in result or "animation-name" in result:  # it may fade in
            result.pop("opacity", None)
            result.pop("visibility", None)
        return result

    def _read_presentation(self, element: Element) -> Declarations:
        """Return what attributes and browsers say of an element; any rule has precedence."""
        result: Declarations = {}
        attributes, name = element.attributes, element.name
        if _is_hidden(element):
            result["display"] = "hidden"
        if name in _CONTROLS or (name == "table" and self._quirks):
            result |= dict.fromkeys(("color", "background", "font-size"), UNKNOWN)
        if name == "textarea":
            result["white-space"] = "pre-wrap"
        if self._others and ("class" in attributes or "id" in attributes):
            result["background"] = UNKNOWN
        for (tag, attribute), (key, value) in _ATTRIBUTES.items():
            if attribute in attributes and tag in ("", name):
                result[key] = value or element.get(attribute).lower()
        return result


def _is_hidden(element: Element) -> bool:
    if "hidden" in element.attributes:
        return element.get("hidden").lower() != "until-found"
    return element.name == "dialog" and "open" not in element.attributes


def reason_cut(element: Element, own: Declarations) -> str:
    """Return why an element is not shown with all that is in it; empty if it may be."""
    if element.name in _UNHIDDEN:
        return ""
    display = own.get("display")
    if display in ("hidden", "none"):
        return "hidden" if display == "hidden" else "display: none"
    return "opacity: 0" if is_zero(own.get("opacity", "1")) else ""


def look_of(element: Element, own: Declarations, inherited: Look) -> Look:
    """Return the look of the texts that are directly in an element with these declarations."""
    if element.name == "svg":
        return replace(inherited, color=None, tiny=False, drawn=True)
    if inherited.drawn or not own:
        return inherited
    look = Look(
        color=_color(own, inherited.color),
        background=_background(own, inherited.background),
        visible=_visible(own.get("visibility", "inherit"), inherited.visible),
        tiny=_tiny(own.get("font-size", "inherit"), inherited.tiny),
        outside=_outside(own, inherited.outside),
        lines=_keeps_lines(own.get("white-space", "inherit"), inherited.lines),
    )
    if element.name in _UNHIDDEN and look.reason_hidden:
        return replace(look, color=None, visible=True, tiny=False, outside=False)
    return look


def _color(own: Declarations, inherited: str | None) -> str | None:
    if any(own.get(name, "none") != "none" for name in _PAINTS):
        return None
    color = color_of(own.get("color", "inherit"), inherited)
    return "000000" if color == "initial" else color


def _background(own: Declarations, inherited: str | None) -> str | None:
    if own.get("background-image", "none") not in _NO_IMAGE:
        return None
    if _is_moved(own):  # it may lie on anything
        inherited = None
    value = own.get("background", "none")
    color = inherited if value in _NO_BACKGROUND else color_of(value, inherited)
    return inherited if color == TRANSPARENT else color


def _is_moved(own: Declarations) -> bool:
    return (
        own.get("position", "static") != "static"
        or any(own.get(name, "none") != "none" for name in _MOVES)
        or any("-" in own.get(name, "") for name in _MARGINS)
    )


def _visible(value: str, inherited: bool) -> bool:
    return inherited if value in ("inherit", "unset") else value not in ("hidden", "collapse")


def _keeps_lines(value: str, inherited: bool) -> bool:
    return inherited if value == "inherit" else value.startswith(("pre", "break"))


def _tiny(size: str, inherited: bool) -> bool:
    return is_tiny(size) or (inherited and _RELATIVE.fullmatch(size) is not None)


def _outside(own: Declarations, inherited: bool) -> bool:
    position = own.get("position", "static")
    if position == "static":
        return inherited
    others = {"right", "bottom", "transform", *_MARGINS} & own.keys()
    sides = [own[side] for side in ("left", "top") if side in own]
    if any(map(_FAR.fullmatch, sides)):
        return not others
    return inherited and position != "fixed" and not (others or sides)


def _specificity(selector: str) -> int:
    if selector == "*":
        return 0
    kind = 2 * ("." in selector) or 4 * ("#" in selector)
    return kind + (selector[0] not in ".#")


def _subjects(selector: str) -> list[str]:
    """Return the names of elements that a selector may be about."""
    selector = selector.replace(":root", "html")
    last = selector if "(" in selector or ")" in selector else _COMPOUND.split(selector)[-1]
    names = _NAMES.findall(_QUALIFIED.sub("", last))
    return [_normalise(name) for name in names] or ["*"]


def _normalise(selector: str) -> str:
    """Return a simple selector as :func:`_names` has it: tags in lower case, no escapes."""
    selector = selector.replace("\\", "")
    mark = re.search("[.#]", selector)
    end = mark.start() if mark else len(selector)
    return selector[:end].lower() + selector[end:]


def _names(element: Element) -> Iterator[str]:
    """Yield the simple selectors that select an element."""
    yield from ("*", element.name)
    for mark, attribute in ((".", "class"), ("#", "id")):
        for each in element.get(attribute).split():
            yield from (f"{mark}{each}", f"{element.name}{mark}{each}")
