"""Characters of symbol fonts that Office files store by their number in the font."""

from __future__ import annotations

_SYMBOL = {
    0x20: " !∀#∃%&∋()∗+,−./0123456789:;<=>?",  # noqa: RUF001
    0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",  # noqa: RUF001
    0xA0: "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑",  # noqa: RUF001
}
"""The characters of the font from three places on."""
_WINGDINGS = {
    0x28: "☎", 0x2A: "✉", 0x46: "☞", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "□",
    0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖", 0x77: "⬥", 0x9F: "•", 0xA1: "○", 0xA7: "▪",
    0xA8: "◻", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨",
    0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_UNKNOWN = "▪"
_PRIVATE = range(0xF000, 0xF100)


def symbol(font: str, code: int) -> str:
    """Return a character of a font; of an unknown symbol font a square.

    :param code: its number in the font, or the same in Unicode's private area.
    """
    number = code - _PRIVATE.start if code in _PRIVATE else code
    if font.lower() == "symbol":
        return "".join(row[number - at :][:1] for at, row in _SYMBOL.items() if number >= at)[-1:]
    if font.lower().startswith("wingdings"):
        return _WINGDINGS.get(number, _UNKNOWN) if font.lower() == "wingdings" else _UNKNOWN
    return chr(number) if 0x20 <= number < 0xD800 else ""
