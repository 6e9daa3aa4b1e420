"""Detects the encoding of a text that is neither UTF-8 nor says what it is.

Each encoding is tried with the letters of the languages that are written in it. The one in which
the bytes beyond ASCII are most probable wins, if they are probable at all. Damaged texts and binary
content are improbable in every encoding. Damaged UTF-8 is recognised by the characters that are not
damaged.
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

REPLACEMENT = "\ufffd"
_DAMAGE_AT_MOST = 1_000
"""One byte of so many may be damaged; in a short text one of 16, up to three."""
_SAMPLE_BYTES = 16_384
_REST_OF_WORD = re.compile(rb"[\x80-\xff]\S*")  # white space is never part of a longer character
_START_OF_WORD = re.compile(rb"\S*\Z")
_LONGEST_START = 16  # what precedes a byte beyond ASCII is seen this far: time stays linear
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_END_OF_FILE = b"\x1a"  # of DOS
_ESCAPES = {
    "iso2022_jp": re.compile(rb"\x1b(?:\$[@B]|\([JI])"),
    "iso2022_kr": re.compile(rb"\x1b\$\)C"),
}
_EUC_TW = re.compile(
    rb"(?:[\x00-\x7f]|\x8e[\xa1-\xb0][\xa1-\xfe]{2}|[\xa1-\xa6\xc2\xc4-\xfd][\xa1-\xfe])++"
)
"""Without the rows that it leaves empty, in which each other encoding has frequent characters."""
_NOT_IN_TEXTS = frozenset({"Cc", "Cn", "Co", "Cs"})
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]+")
_OTHER_BYTES = 0.9
_WIDTHS = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
_LEAST_PLAIN = 0.02
"""Share of spaces and line breaks in a text of any script."""
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")

_ASCII = -3.0  # natural logarithms of probabilities, as all that follow
_UNKNOWN = -9.2
_DAMAGED = -20.0
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
    _Candidate("cp855", (alphabets.RUSSIAN, *alphabets.SOUTH_SLAVIC), -7.0),
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

_UTF_8 = _Candidate("utf-8", [letters for each in _SINGLE_BYTE for letters in each.languages])
_CERTAIN_CHARACTERS = 8
"""So many are valid UTF-8 by chance in no other encoding."""
_WHOLE_PER_DAMAGED = 20
_LAST_LETTER, _IDEOGRAPH = "\u2fff", -3.0  # what an ideograph costs more than an unknown letter


def detect(data: bytes, *, whole: bool = True) -> str | None:
    """Return Python's name of the encoding of a text, or None if it is damaged or binary.

    :param whole: nothing follows these bytes.
    """
    if b"\0" in data:
        if wide := _wide_units(data):
            return wide
        if data.count(b"\0") > damage_allowed(data):
            return None
        data = data.replace(b"\0", b" ")  # damage; no other character has such a byte
    if is_utf_8(data, whole=whole):
        return detect_escapes(data) or "utf-8"
    content = data.removesuffix(_END_OF_FILE)
    if _CONTROLS.search(content) or _is_damaged_utf_8(data) or is_euc_tw(data):
        return None
    sample = b" ".join(_words(data))
    scores = {each.encoding: _score(sample, each) for each in _SINGLE_BYTE}
    scores |= {each: _score_wide(sample, each, cost) for each, cost in _WIDE.items()}
    valid = {name: score for name, score in scores.items() if score is not None}
    best = max(valid, key=lambda name: valid[name], default=None)
    if best is None:
        return None
    beyond = sum(byte > 0x7F for byte in sample)
    plain = sum(character < "\x80" for character in _read(sample, best)[0])
    return best if (valid[best] - _ASCII * plain) / beyond > _IMPROBABLE else None


def detect_escapes(data: bytes) -> str | None:
    """Return the encoding of a text of ASCII bytes that switches scripts by escapes."""
    if not data.isascii() or b"\x1b" not in data:
        return None
    named = (name for name, escape in _ESCAPES.items() if escape.search(data))
    return next((name for name in named if _try_decode(data, name) is not None), None)


def is_euc_tw(data: bytes) -> bool:
    """Whether a text is in EUC-TW, for which Python has no codec."""
    sample = b" ".join(_words(data))
    return sum(byte > 0x7F for byte in sample) > 100 and bool(_EUC_TW.fullmatch(sample))


def damage_allowed(data: bytes) -> int:
    """Return how many damaged bytes a text may have to be read nevertheless."""
    return max(len(data) // _DAMAGE_AT_MOST, min(3, len(data) // 16))


def is_utf_8(data: bytes, *, whole: bool = True) -> bool:
    """Whether all bytes are valid.

    :param whole: nothing follows these bytes.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def is_nearly_utf_8(data: bytes) -> bool:
    """Whether a few bytes among many characters of UTF-8 are damaged."""
    text = data.decode("utf-8", "replace")
    damage = text.count(REPLACEMENT)
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return damage <= damage_allowed(data) and beyond > _WHOLE_PER_DAMAGED * damage


def prefers(data: bytes, encoding: str) -> bool:
    """Whether valid UTF-8 is more probably a few characters of another encoding, by chance."""
    sample = b" ".join(_words(data))
    if sum(byte > 0xBF for byte in sample) >= _CERTAIN_CHARACTERS:
        return False
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    candidates = [each for each in _SINGLE_BYTE if each.encoding == encoding]
    scores = [_score(sample, each._replace(prior=0.0)) for each in candidates]
    scores += [_score_wide(sample, encoding, _WIDE[encoding])] if encoding in _WIDE else []
    unicode = _score(sample, _UTF_8) or 0.0
    unicode += sum(_IDEOGRAPH for each in sample.decode() if each > _LAST_LETTER)
    return any(score is not None and score > unicode for score in scores)


def _is_damaged_utf_8(data: bytes) -> bool:
    """Whether there are as many whole characters of UTF-8 as there are other bytes."""
    counts = Counter(data.decode("utf-8", "surrogateescape"))
    damaged = sum(count for each, count in counts.items() if "\ud800" <= each <= "\udfff")
    return sum(count for each, count in counts.items() if each > "\x7f") >= 2 * damaged


def _words(data: bytes) -> Iterator[bytes]:
    """Yield the words with bytes beyond ASCII, up to the size of a sample."""
    size = 0
    for rest in _REST_OF_WORD.finditer(data):
        start = _START_OF_WORD.search(data[max(0, rest.start() - _LONGEST_START) : rest.start()])
        word = (start[0] if start else b"") + rest[0][: _SAMPLE_BYTES - size]
        yield word
        size += len(word) + 1
        if size >= _SAMPLE_BYTES:
            return
    yield b""  # the space before it ends the last word: no character may be cut off there


def _try_decode(data: bytes, encoding: str) -> str | None:
    """Decode a text whose last character may be cut off; None if it is not valid."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _read(sample: bytes, encoding: str) -> tuple[str, int]:
    """Decode a text whose last character may be cut off, and count what is not valid."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
    return text, text.count(REPLACEMENT)


def _score(sample: bytes, candidate: _Candidate) -> float | None:
    """Return the logarithm of a sample's probability; None if it is not valid."""
    text, damage = _read(sample, candidate.encoding)
    if damage * _DAMAGE_AT_MOST > len(sample):
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
    return candidate.prior + score + damage * _DAMAGED + max(by_language)


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
    text, damage = _read(sample, encoding)
    if damage * _DAMAGE_AT_MOST > len(sample):
        return None
    return (
        _WIDE_PRIOR
        + damage * _DAMAGED
        + sum(
            (cost(each) if each > "\x7f" else _ASCII) * count
            for each, count in Counter(text).items()
        )
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


def _score_simplified(character: str) -> float:
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
    "gb18030": _score_simplified,
    "cp950": _traditional,
    "cp949": _korean,
    "johab": _korean,
}


def _wide_units(data: bytes) -> str | None:
    """Return the form of UTF-16 or UTF-32 in which a text with zero bytes is plausible."""
    others = data.replace(b"\0", b"")
    is_rest = len(others) >= _OTHER_BYTES * len(data) and not _CONTROLS.search(others)
    strange = len(_PRINTABLE.sub(b"", others))
    if is_rest and (is_utf_8(others) or strange < (1 - _OTHER_BYTES) * len(others)):
        return None  # a text of bytes, a few of which are damaged
    plain: dict[str, float] = {}
    for name, width in _WIDTHS.items():
        share = None if len(data) % width else _share_of_plain(data, name)
        plain |= {} if share is None else {name: share}
    return max(plain, key=lambda name: plain[name], default=None)


def is_written(data: bytes, encoding: str) -> bool:
    """Whether a text is valid in an encoding and consists of characters that texts have."""
    text = _try_decode(data[:_SAMPLE_BYTES], encoding)
    return bool(text) and not any(map(_is_unwritten, set(text or "")))


def _share_of_plain(data: bytes, encoding: str) -> float | None:
    """Return how much of a text is ASCII; None if no text has such characters."""
    if not is_written(data, encoding):
        return None
    text = _try_decode(data[:_SAMPLE_BYTES], encoding) or ""
    share = sum(character < "\x7f" for character in text) / len(text)
    return share if share > _LEAST_PLAIN or encoding.startswith("utf-32") else None


def _is_unwritten(character: str) -> bool:
    return unicodedata.category(character) in _NOT_IN_TEXTS and character not in "\t\n\r\f"
