"""Typing errors: letters swapped, left out, doubled, or replaced by a neighbour on the keyboard."""

from __future__ import annotations

import random

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _ROWS
    for place, letter in enumerate(row)
}
_LETTERS_AN_ERROR = 14


def mistype(text: str, draw: random.Random) -> str:
    """Return a text with at least one typing error, one in about 14 letters."""
    for _ in range(max(1, round(len(text) / _LETTERS_AN_ERROR * draw.random()))):
        place = draw.randrange(max(1, len(text) - 1))
        if text[place : place + 1].isalpha():
            text = _change(text, place, draw)
    return text


def _change(text: str, place: int, draw: random.Random) -> str:
    letter, before, after = text[place], text[:place], text[place + 1 :]
    match draw.randrange(4):
        case 0:
            return f"{before}{after[:1]}{letter}{after[1:]}"
        case 1:
            return before + after
        case 2:
            return before + letter + letter + after
        case _:
            neighbours = _NEIGHBOURS.get(letter.lower(), letter)
            return before + draw.choice(neighbours) + after
