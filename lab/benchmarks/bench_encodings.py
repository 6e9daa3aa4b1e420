"""Detection of encodings: right texts by encoding and length, against charset-normalizer alone.

    python lab/benchmarks/bench_encodings.py [--catalogs FOLDER] [--texts 40] [--json FILE]

The texts are translations of free programs: the message catalogs that a Linux system installs. Each
is written in an encoding of its language and read again; it is right if every character is. A text
that is read as UTF-8, or reported as unreadable, counts as wrong, except damaged UTF-8, which must
be reported.
"""

from __future__ import annotations

import gettext
import random
import time
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import charset_normalizer
import results_file

from expertrag_index.loaders.encodings import detect

WESTERN = ("fr", "de", "es", "pt", "pt_BR", "it", "sv", "da", "nb", "fi", "nl", "ca")
CENTRAL = ("pl", "cs", "sk", "hu", "hr", "sl")
CYRILLIC = ("ru", "uk", "bg", "sr", "mk", "be")
LANGUAGES = {
    "cp1252": WESTERN,
    "iso8859-15": ("fr", "de", "es", "fi"),
    "mac_roman": ("fr", "de", "es"),
    "cp850": ("fr", "de", "es"),
    "cp1250": CENTRAL,
    "iso8859-2": CENTRAL,
    "cp852": ("pl", "cs", "hu"),
    "cp1254": ("tr",),
    "cp1257": ("lt", "lv", "et"),
    "cp1251": CYRILLIC,
    "koi8-r": ("ru",),
    "koi8-u": ("uk",),
    "cp866": ("ru",),
    "iso8859-5": ("ru", "bg", "sr"),
    "mac_cyrillic": ("ru",),
    "cp1253": ("el",),
    "iso8859-7": ("el",),
    "cp1255": ("he",),
    "cp1256": ("ar", "fa"),
    "cp874": ("th",),
    "cp932": ("ja",),
    "euc_jp": ("ja",),
    "iso2022_jp": ("ja",),
    "gb18030": ("zh_CN",),
    "cp950": ("zh_TW",),
    "cp949": ("ko",),
    "utf-16-le": ("fr", "ru", "ja", "zh_CN"),
    "utf-16-be": ("fr", "ru", "ja", "zh_CN"),
    "utf-8": ("fr", "pl", "ru", "ja", "zh_CN"),
}
LENGTHS = (30, 100, 300, 2000)
"""Characters of a text."""
DAMAGED = "utf-8, damaged"
CODE = (
    "index/expertrag_index/loaders/encodings.py",
    "index/expertrag_index/loaders/alphabets.py",
    "lab/benchmarks/bench_encodings.py",
)

Figures = dict[str, float]


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--catalogs", type=Path, default=Path("/usr/share/locale"))
    parser.add_argument("--texts", type=int, default=40, help="per language, encoding and length")
    parser.add_argument("--half", choices=("dev", "test"), default="test", help="of the messages")
    parser.add_argument("--show", action="store_true", help="print the texts that are wrong")
    given = parser.parse_args()
    names = sorted({name for some in LANGUAGES.values() for name in some})
    messages = {name: list(_messages(given.catalogs, name, given.half)) for name in names}
    systems = {"expertrag": detect, "charset-normalizer": _normalizer}
    right: dict[str, dict[str, Figures]] = {}
    seconds = dict.fromkeys(systems, 0.0)
    count = 0
    for encoding in (*LANGUAGES, DAMAGED):
        for length in LENGTHS:
            texts = _texts(messages, encoding, length, given.texts)
            count += len(texts)
            for system, found in systems.items():
                started = time.perf_counter()
                answers = [found(data) for data, _ in texts]
                seconds[system] += time.perf_counter() - started
                marks = [
                    _is_right(*text, answer) for text, answer in zip(texts, answers, strict=True)
                ]
                if given.show and system == "expertrag":
                    for (_, text), answer, mark in zip(texts, answers, marks, strict=True):
                        if not mark:
                            print(f"{encoding} {length} {answer} {(text or '')[:70]!r}")
                share = sum(marks) / len(marks) if marks else float("nan")
                right.setdefault(encoding, {}).setdefault(system, {})[str(length)] = share
    _print(right, {system: 1000 * total / count for system, total in seconds.items()})
    milliseconds = {system: 1000 * total / count for system, total in seconds.items()}
    body = {"texts": count, "right": right, "milliseconds_per_text": milliseconds}
    results_file.write(given.json, body, CODE)


def _normalizer(data: bytes) -> str | None:
    best = charset_normalizer.from_bytes(data).best()
    return best.encoding if best is not None else None


def _is_right(data: bytes, text: str | None, answer: str | None) -> bool:
    if answer is None or text is None:
        return answer is None and text is None
    return data.decode(answer, "replace").lstrip("\ufeff") == text


def _messages(catalogs: Path, language: str, half: str) -> Iterator[str]:
    for path in sorted(catalogs.glob(f"{language}/LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)
        for identifier, text in catalog._catalog.items():  # type: ignore[attr-defined]
            is_test = zlib.crc32(str(identifier).encode()) % 2
            if identifier and is_test == (half == "test") and not text.isascii():
                yield unicodedata.normalize("NFC", text)


def _texts(
    messages: dict[str, list[str]], encoding: str, length: int, count: int
) -> list[tuple[bytes, str | None]]:
    """Make texts of messages in an encoding; None for the text of damaged bytes."""
    chance = random.Random(f"{encoding} {length}")
    codec = "utf-8" if encoding == DAMAGED else encoding
    made: list[tuple[bytes, str | None]] = []
    for language in LANGUAGES[codec]:
        fit = [text for text in messages[language] if _fits(text, codec)]
        for _ in range(count if fit else 0):
            text = ""
            while len(text) < length or text.isascii():
                text += chance.choice(fit) + "\n"
            text = text[: max(length, 1 + next(at for at, c in enumerate(text) if c > "\x7f"))]
            data = text.encode(codec)
            if encoding == DAMAGED:
                beyond = [at for at, byte in enumerate(data) if byte > 0x7F]
                if len(beyond) < 8:
                    continue
                cut = chance.choice(beyond[:-4])
                made.append((data[:cut] + data[cut + 1 :], None))
            else:
                made.append((data, text))
    return made


def _fits(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


def _print(right: dict[str, dict[str, Figures]], milliseconds: dict[str, float]) -> None:
    systems = list(milliseconds)
    print(f"{'characters':16}" + "".join(f"{length:>16}" for length in LENGTHS))
    for encoding, by_system in right.items():
        cells = (
            " / ".join(f"{by_system[system][str(length)]:.2f}" for system in systems)
            for length in LENGTHS
        )
        print(f"{encoding:16}" + "".join(f"{cell:>16}" for cell in cells))
    print(" / ".join(f"{system}: {time:.1f} ms" for system, time in milliseconds.items()))


if __name__ == "__main__":
    main()
