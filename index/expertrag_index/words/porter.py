"""Porter's stemmer (1980), with the two rules that its author added later: bli, logi.

The stems equal the ones of the tokenizer ``porter`` of SQLite's FTS5, which works on the bytes of a
word in UTF-8. A letter that is not ASCII counts as two or more consonants.
"""

from __future__ import annotations

from itertools import pairwise

_SHORTEST, _LONGEST = 3, 64
"""Bytes of a word that is stemmed; others are their own stems."""

_LAST = "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize"
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize",
    "logi": "log", "bli": "ble", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous",
    "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive",
    "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP_3 = {
    "ical": "ic", "ness": "", "icate": "ic", "iciti": "ic", "ful": "", "ative": "", "alize": "al",
}  # fmt: skip
_STEP_4 = dict.fromkeys(_LAST.split(), "")


def stem(word: str) -> str:
    """Return the stem of a word in small letters without diacritics."""
    data = word.encode()
    if not _SHORTEST <= len(data) <= _LONGEST:
        return word
    if word.isascii():
        return _stem(word)
    try:
        return _stem(data.decode("latin-1")).encode("latin-1").decode()
    except UnicodeDecodeError:  # a rule took the last byte of a letter
        return word


def _stem(word: str) -> str:
    word = _past(_singular(word))
    if word[-1] == "y" and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _replace_ending(word, _STEP_2, 1)
    word = _replace_ending(word, _STEP_3, 1)
    word = _replace_ending(word, _STEP_4, 2)
    if word[-1] == "e":
        rest = word[:-1]
        measure = _measure(rest)
        if measure > 1 or (measure == 1 and not _is_short(rest)):
            word = rest
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word


def _singular(word: str) -> str:
    """Step 1a: plurals."""
    if word[-1] != "s" or word[-2] == "s":
        return word
    if (word.endswith("sses") and len(word) > 4) or (word.endswith("ies") and len(word) > 3):
        return word[:-2]
    return word[:-1]


def _past(word: str) -> str:
    """Step 1b: -ed and -ing."""
    if word.endswith("eed") and len(word) > 3:
        return word[:-1] if _measure(word[:-3]) else word
    ending = 2 if word.endswith("ed") else 3 if word.endswith("ing") else 0
    rest = word[:-ending]
    if not ending or not _has_vowel(rest):
        return word
    if len(rest) > 2 and rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if len(rest) > 1 and rest[-1] == rest[-2] and rest[-1] not in "aeioulsz":
        return rest[:-1]
    if _measure(rest) == 1 and _is_short(rest):
        return rest + "e"
    return rest


def _replace_ending(word: str, endings: dict[str, str], least: int) -> str:
    """Replace the longest ending that a step knows, if the rest's measure is ``least`` or more."""
    for size in range(min(7, len(word) - 1), 1, -1):
        ending = word[-size:]
        if ending in endings:
            rest = word[:-size]
            fits = ending != "ion" or rest[-1] in "st"
            return rest + endings[ending] if fits and _measure(rest) >= least else word
    return word


def _consonants(word: str) -> list[bool]:
    """Tell which letters are consonants; y is one at the beginning and after a vowel."""
    result: list[bool] = []
    last = False
    for letter in word:
        last = not (letter in "aeiou" or (letter == "y" and last))
        result.append(last)
    return result


def _measure(word: str) -> int:
    """Count vowels that a consonant follows: Porter's m."""
    shape = _consonants(word)
    return sum(after and not before for before, after in pairwise(shape))


def _has_vowel(word: str) -> bool:
    return not all(_consonants(word))


def _is_short(word: str) -> bool:
    """Whether it ends like "hop": consonant, vowel, and a consonant other than w, x, y."""
    return word[-1] not in "wxy" and _consonants(word)[-3:] == [True, False, True]
