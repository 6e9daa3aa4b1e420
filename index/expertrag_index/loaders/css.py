"""Reads style sheets and the values of the properties by which text can be hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

PROPERTIES = frozenset((
    "display", "visibility", "opacity", "font-size", "color", "background", "background-image",
    "position", "left", "top", "right", "bottom", "margin", "margin-left", "margin-top",
    "margin-right", "margin-bottom", "transform", "grid-area", "grid-row", "grid-column",
    "white-space", "text-shadow", "filter", "mix-blend-mode", "background-clip", "animation",
    "animation-name", "-webkit-background-clip", "-webkit-text-fill-color",
    "-webkit-text-stroke",
))  # fmt: skip
TRANSPARENT = "transparent"
UNKNOWN = "?"
_TOKEN = re.compile(
    r"""/\*.*?(?:\*/|\Z) | "[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"? | '[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?
    | \\. | [{};] | [^{};"'\\/]++ | /""",
    re.VERBOSE | re.DOTALL,
)
_ELSEWHERE = re.compile(
    r"\s*(?:only\s+)?(?:print|speech|aural|braille|embossed|handheld|projection|tty|tv)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_IMPORTANT = re.compile(r"\s*!\s*important\s*\Z")
_SHORTHANDS = {"background-color": "background", "font": "font-size"}
_ZERO = re.compile(r"[+-]?(?:0+(?:\.0*)?|\.0+)(?:%|[a-z]+)?")
_TINY = re.compile(r"(?:0*\.\d+|0*1(?:\.0*)?)(?:px|pt)")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_NAME = re.compile(r"[a-z]+")
_NAMED = {"white": "ffffff", "black": "000000", "red": "ff0000", "yellow": "ffff00"}
_NO_COLOR = ("inherit", "unset", "revert", "currentcolor")


class CssRule(NamedTuple):
    """Selectors and declarations; ``always``: not inside an at-rule or another rule."""

    selectors: str
    body: list[str]
    always: bool


class CssValue(NamedTuple):
    """The value of a property, in lower case."""

    important: bool
    text: str


class _Block(NamedTuple):
    prelude: str
    body: list[str]
    always: bool
    applies: bool


def rules_of(sheet: str, media: str = "") -> Iterator[CssRule]:
    """Yield the rules of a style sheet that may apply to a page on a screen.

    :param media: what the sheet as a whole is for.
    """
    if media.strip().lower() not in ("", "all", "screen"):
        sheet = f"@media {media} {{{sheet}}}"
    text: list[str] = []
    blocks = [_Block("@", [], True, True)]
    tokens = _TOKEN.findall(sheet.replace("<!--", " ").replace("-->", " "))
    for token in chain(tokens, "}" * sheet.count("{")):  # a sheet may end inside a block
        if token == "{":
            prelude = "".join(text).strip()
            blocks.append(_open_block(prelude, blocks[-1]))
            text = []
        elif token == ";" or (token == "}" and len(blocks) > 1):
            blocks[-1].body.append("".join(text))
            text = []
            if token == "}":
                block = blocks.pop()
                if block.applies and not block.prelude.startswith("@"):
                    yield CssRule(block.prelude, block.body, block.always)
        elif not token.startswith("/*"):
            text.append(token)


def _open_block(prelude: str, outer: _Block) -> _Block:
    name, _, media = prelude.partition(" ")
    elsewhere = name.lower() == "@media" and all(map(_ELSEWHERE.fullmatch, media.split(",")))
    always = outer.always and outer.prelude == "@"
    return _Block(prelude, [], always, outer.applies and not elsewhere)


def declarations(body: Iterable[str]) -> dict[str, CssValue]:
    """Return the values of `PROPERTIES`; a longhand is found by the name of its shorthand."""
    result: dict[str, CssValue] = {}
    for declaration in body:
        name, _, value = declaration.lower().partition(":")
        name = _SHORTHANDS.get(short := name.strip(), short)
        if name in PROPERTIES and (value := value.strip()):
            plain = _IMPORTANT.sub("", value)
            is_unknown = short == "font" and plain != "inherit"
            result[name] = CssValue(plain != value, UNKNOWN if is_unknown else plain)
    return result


def is_zero(number: str) -> bool:
    """Return whether a number, a length or a share is 0."""
    return _ZERO.fullmatch(number) is not None


def is_tiny(size: str) -> bool:
    """Return whether a font of this size cannot be read: 0, or at most one pixel."""
    return is_zero(size) or _TINY.fullmatch(size) is not None


def color_of(value: str, inherited: str | None) -> str | None:
    """Return a colour as six hexadecimal digits, or "transparent"; None if it is another thing."""
    if value in _NO_COLOR:
        return inherited
    if channels := _RGB.fullmatch(value):
        code = "".join(f"{min(int(channel), 255):02x}" for channel in channels.group(1, 2, 3))
        return _with_alpha(code, channels[4] or "1")
    if digits := _HEX.fullmatch(value):
        code = digits[1]
        code = "".join(2 * digit for digit in code) if len(code) < 6 else code
        return _with_alpha(code[:6], {"": "1", "ff": "1", "00": "0"}.get(code[6:], ".5"))
    return _NAMED.get(value, value) if _NAME.fullmatch(value) else None


def _with_alpha(code: str, alpha: str) -> str | None:
    if is_zero(alpha):
        return TRANSPARENT
    return code if alpha.rstrip("0").rstrip(".") in ("1", "100%") else None
