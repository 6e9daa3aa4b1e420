"""Detects the encoding of a text that is neither UTF-8 nor says what it is.

Each encoding is tried with the letters of the languages that are written in it. The one in which
the bytes beyond ASCII are most probable wins, if they are probable at all: damaged texts and binary
content are improbable in every encoding. Damaged UTF-8 is recognised by the characters that are
not damaged.
"""

# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from expertrag_index.loaders import alphabets

_SAMPLE_BYTES = 16_384
_WORDS = re.compile(rb"\S*[\x80-\xff]\S*")  # white space is never part of a longer character
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([JI])")
_NOT_IN_TEXTS = frozenset({"Cc", "Cn", "Co", "Cs"})
_LEAST_PLAIN = 0.02
"""Share of spaces and line breaks in a text of any script."""
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")

_ASCII = -3.0  # natural logarithms of probabilities, as all that follow
_UNKNOWN = -9.2
_IMPROBABLE = -6.0  # per byte beyond ASCII: texts are above, binary content is below
_CAPITAL = -1.5
_CAPITAL_INSIDE = -5.0
_SIGN_INSIDE = -4.0
_FOREIGN_INSIDE = -4.0
_LAST_LATIN = "\u024f"
_SIGNS = dict.fromkeys("«»“”‘’„–—…°§№©®€\xa0", -4.6) | dict.fromkeys("¿¡½×±²³µ·•£¥™ªº‚‹›\xad", -6.9)
_INSIDE_WORDS = frozenset("·\xad")
_SHARE_OF_LETTERS = 0.9


class _Candidate(NamedTuple):
    encoding: str
    languages: Sequence[str]
    prior: float = 0.0


_SINGLE_BYTE = (
    _Candidate("cp1252", (alphabets.ENGLISH, *alphabets.WESTERN)),
    _Candidate("iso8859-15", (alphabets.ENGLISH, *alphabets.WESTERN), -2.0),
    _Candidate("mac_roman", (alphabets.ENGLISH, *alphabets.WESTERN), -6.0),
    _Candidate("cp850", alphabets.WESTERN, -6.0),
    _Candidate("cp1250", alphabets.CENTRAL, -2.0),
    _Candidate("iso8859-2", alphabets.CENTRAL, -3.0),
    _Candidate("cp852", alphabets.CENTRAL, -7.0),
    _Candidate("cp1254", alphabets.TURKISH, -2.0),
    _Candidate("cp1257", alphabets.BALTIC, -3.0),
    _Candidate("cp1251", (alphabets.RUSSIAN, *alphabets.UKRAINIAN, *alphabets.SOUTH_SLAVIC), -3.0),
    _Candidate("koi8-r", (alphabets.RUSSIAN,), -3.5),
    _Candidate("koi8-u", alphabets.UKRAINIAN, -4.0),
    _Candidate("cp866", (alphabets.RUSSIAN,), -6.0),
    _Candidate(
        "iso8859-5",
        (alphabets.RUSSIAN, *alphabets.UKRAINIAN, *alphabets.SOUTH_SLAVIC),
        -5.0,
    ),
    _Candidate("mac_cyrillic", (alphabets.RUSSIAN,), -7.0),
    _Candidate("cp1253", alphabets.GREEK, -3.0),
    _Candidate("iso8859-7", alphabets.GREEK, -4.0),
    _Candidate("cp1255", alphabets.HEBREW, -3.0),
    _Candidate("cp1256", alphabets.ARABIC, -3.0),
    _Candidate("iso8859-6", alphabets.ARABIC, -4.0),
    _Candidate("cp874", alphabets.THAI, -3.0),
)


def detect(data: bytes, *, whole: bool = True) -> str | None:
    """Return Python's name of the encoding of a text, or None if it is damaged or binary.

    :param whole: nothing follows these bytes.
    """
    if b"\0" in data:
        return _utf_16(data)
    if _is_utf_8(data, whole=whole):
        escaped = _ISO_2022_JP.search(data) is not None and data.isascii()
        return "iso2022_jp" if escaped and _decoded(data, "iso2022_jp") else "utf-8"
    if _CONTROLS.search(data) or _is_damaged_utf_8(data):
        return None
    sample = b" ".join(_words(data))
    scores = {each.encoding: _score(sample, each) for each in _SINGLE_BYTE}
    scores |= {each: _score_wide(sample, each, cost) for each, cost in _WIDE.items()}
    valid = {name: score for name, score in scores.items() if score is not None}
    best = max(valid, key=lambda name: valid[name], default=None)
    if best is None:
        return None
    beyond = sum(byte > 0x7F for byte in sample)
    plain = sum(character < "\x80" for character in _decoded(sample, best) or "")
    return best if (valid[best] - _ASCII * plain) / beyond > _IMPROBABLE else None


def _is_utf_8(data: bytes, *, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _is_damaged_utf_8(data: bytes) -> bool:
    """Whether there are as many whole characters of UTF-8 as there are other bytes."""
    counts = Counter(data.decode("utf-8", "surrogateescape"))
    damaged = sum(count for each, count in counts.items() if "\ud800" <= each <= "\udfff")
    return sum(count for each, count in counts.items() if each > "\x7f") >= 2 * damaged


def _words(data: bytes) -> Iterator[bytes]:
    """Yield the words with bytes beyond ASCII, up to the size of a sample."""
    size = 0
    for word in _WORDS.finditer(data):
        yield word[0][: _SAMPLE_BYTES - size]
        size += len(word[0]) + 1
        if size >= _SAMPLE_BYTES:
            return
    yield b""  # the space before it ends the last word: no character may be cut off there


def _decoded(data: bytes, encoding: str) -> str | None:
    """Decode a text whose last character may be cut off; None if it is not valid."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _score(sample: bytes, candidate: _Candidate) -> float | None:
    """Return the logarithm of a sample's probability; None if it is not valid."""
    text = _decoded(sample, candidate.encoding)
    if text is None:
        return None
    pairs = Counter(zip(f" {text}", text, f"{text[1:]} ", strict=False))
    score, counts = 0.0, Counter[str]()
    for (before, character, after), count in pairs.items():
        if character < "\x80":
            score += _ASCII * count
        else:
            counts[character.lower()[:1] if character.isalpha() else character] += count
            score += _in_place(before, character, after) * count
    languages = map(_costs, candidate.languages)
    by_language = (
        sum(costs.get(each, _SIGNS.get(each, _UNKNOWN)) * count for each, count in counts.items())
        for costs in languages
    )
    return candidate.prior + score + max(by_language)


def _in_place(before: str, character: str, after: str) -> float:
    """Return what a character costs for where it is: signs and other scripts inside a word."""
    if character.isalpha():
        if character > _LAST_LATIN and any(
            each.isascii() and each.isalpha() for each in (before, after)
        ):
            return _FOREIGN_INSIDE
        if character.isupper():
            return _CAPITAL_INSIDE if before.islower() else _CAPITAL
        return 0.0
    if character == "’":
        return 0.0 if before.isalpha() else _SIGN_INSIDE
    is_part = character in _INSIDE_WORDS or unicodedata.category(character) == "Mn"
    inside = before.isalpha() and after.isalpha() and not is_part
    return _SIGN_INSIDE if inside else 0.0


@cache
def _costs(letters: str) -> Mapping[str, float]:
    """Give each letter a probability by its rank, after Zipf."""
    weights = {letter: 1 / (rank + 2) for rank, letter in reversed(list(enumerate(letters)))}
    total = sum(weights.values())
    return {
        letter: math.log(_SHARE_OF_LETTERS * weight / total) for letter, weight in weights.items()
    }


def _score_wide(sample: bytes, encoding: str, cost: Callable[[str], float]) -> float | None:
    text = _decoded(sample, encoding)
    if text is None:
        return None
    return _WIDE_PRIOR + sum(
        (cost(each) if each > "\x7f" else _ASCII) * count for each, count in Counter(text).items()
    )


_PUNCTUATION = frozenset("\u3000、。，；：？！（）「」『』《》〈〉【】・…—“”‘’～·")
_WIDE_PRIOR = -3.0
_COMMON, _RARE, _RARER, _FOREIGN = -8.4, -11.5, -14.0, -11.0


def _japanese(character: str) -> float:
    if character in alphabets.HIRAGANA:
        return -4.0
    if character in _PUNCTUATION:
        return -4.5
    if "\u3041" <= character <= "\u30ff":
        return -6.4
    if _HALF_WIDTH.match(character):
        return -8.0  # of one byte
    return _by_lead(character, "euc_jp", 0xCF, -8.0)


def _simplified(character: str) -> float:
    frequent = character in alphabets.HANZI
    return -5.7 if frequent else _by_lead(character, "gb2312", 0xD7, _COMMON)


def _traditional(character: str) -> float:
    frequent = character in alphabets.HANZI_TRADITIONAL
    return -5.7 if frequent else _by_lead(character, "big5", 0xC6, _COMMON, first=0xA4)


def _korean(character: str) -> float:
    frequent = character in alphabets.HANGUL
    return -5.1 if frequent else _by_lead(character, "euc_kr", 0xC8, -8.2)


def _by_lead(
    character: str, encoding: str, last: int, common: float, *, first: int = 0xB0
) -> float:
    """Tell common characters by their place in the oldest standard, which begins with them."""
    if character in _PUNCTUATION:
        return -4.5
    try:
        lead = character.encode(encoding)[0]
    except UnicodeEncodeError:
        return _RARER
    if lead < first:
        return _FOREIGN  # signs and letters of other scripts
    return common if lead <= last else _RARE


_WIDE: Mapping[str, Callable[[str], float]] = {
    "cp932": _japanese,
    "euc_jp": _japanese,
    "gb18030": _simplified,
    "cp950": _traditional,
    "cp949": _korean,
}


def _utf_16(data: bytes) -> str | None:
    """Return the byte order in which a text with zero bytes is plausible."""
    cut = data[: _SAMPLE_BYTES + len(data) % 2] if len(data) > _SAMPLE_BYTES else data
    plain = {
        name: share
        for name in ("utf-16-le", "utf-16-be")
        if (share := _share_of_plain(cut, name)) is not None
    }
    return max(plain, key=lambda name: plain[name], default=None)


def _share_of_plain(data: bytes, encoding: str) -> float | None:
    """Return how much of a text is ASCII; None if no text has such characters."""
    if len(data) % 2:
        return None
    text = _decoded(data, encoding)
    if not text or any(map(_is_unwritten, set(text))):
        return None
    share = sum(character < "\x7f" for character in text) / len(text)
    return share if share > _LEAST_PLAIN else None


def _is_unwritten(character: str) -> bool:
    return unicodedata.category(character) in _NOT_IN_TEXTS and character not in "\t\n\r\f"
