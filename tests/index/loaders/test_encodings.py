# ruff: noqa: RUF001
"""Encodings that are detected: real languages in each, and what must not be read as text."""

from __future__ import annotations

import contextlib
import gzip
import time
from pathlib import Path

import pytest
from index.conftest import load_all

from expertrag_index.loaders.base import Unreadable
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.encodings import detect

TEXTS = {
    "French": "Où était l'élève ? Le garçon a mangé la crème brûlée à côté du château, déjà âgé.",
    "German": "Die Prüfung für größere Schiffe fällt in die Zuständigkeit der Behörde.",
    "Spanish": "¿Cuándo llegará el señor Núñez? Mañana, según el último informe de la dirección.",
    "Polish": "Zażółć gęślą jaźń. Statek wpłynął do portu wczoraj wieczorem, później niż miał.",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy, a loď přijela do přístavu až večer.",
    "Turkish": "Gemi dün akşam limana girdi; yükün boşaltılması için gümrük izni bekleniyor.",
    "Lithuanian": "Laivas į uostą įplaukė vėlai vakare, tačiau muitinė jau buvo uždaryta ąžuolų.",
    "Russian": "Судно вошло в порт вчера вечером, но разгрузка начнётся только утром.",
    "Ukrainian": "Судно зайшло в порт учора ввечері, але розвантаження почнеться вранці, ще немає.",
    "Greek": "Το πλοίο μπήκε στο λιμάνι χθες το βράδυ. Άλλη ώρα δεν υπήρχε.",
    "Hebrew": "הספינה נכנסה לנמל אתמול בערב, אבל הפריקה תתחיל רק בבוקר.",
    "Arabic": "دخلت السفينة الميناء مساء أمس، لكن التفريغ لن يبدأ إلا في الصباح.",
    "Thai": "เรือเข้าเทียบท่าเมื่อวานตอนเย็น แต่การขนถ่ายสินค้าจะเริ่มในตอนเช้า",
    "Japanese": "船は昨日の夕方に入港しましたが、荷降ろしは朝にならないと始まりません。",
    "Chinese": "船昨天晚上进了港，但是要到早上才开始卸货，海关已经关门了。",
    "traditional Chinese": "船昨天晚上進了港，但是要到早上才開始卸貨，海關已經關門了。",
    "Korean": "배는 어제 저녁에 항구에 들어왔지만 하역은 아침에야 시작됩니다.",
}
ENCODINGS = {
    "French": ("cp1252", "iso8859-15", "mac_roman", "cp850"),
    "German": ("cp1252",),
    "Spanish": ("cp1252",),
    "Polish": ("cp1250", "iso8859-2"),
    "Czech": ("cp1250", "iso8859-2", "cp852"),
    "Turkish": ("cp1254",),
    "Lithuanian": ("cp1257",),
    "Russian": ("cp1251", "koi8-r", "cp866", "cp855", "iso8859-5"),
    "Ukrainian": ("cp1251", "koi8-u"),
    "Greek": ("cp1253", "iso8859-7"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256",),
    "Thai": ("cp874",),
    "Japanese": ("cp932", "euc_jp", "iso2022_jp"),
    "Chinese": ("gb18030",),
    "traditional Chinese": ("cp950",),
    "Korean": ("cp949", "johab", "iso2022_kr"),
}
CASES = [(language, each) for language, some in ENCODINGS.items() for each in some]
FORMS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8")
UNICODE = [(language, each) for language in TEXTS for each in FORMS]
DECLARED = sorted({each for some in ENCODINGS.values() for each in some} | {"latin-1", "ascii"})


@pytest.mark.parametrize(("language", "encoding"), CASES + UNICODE)
def test_a_text_in_an_encoding_of_its_language_is_read(language: str, encoding: str) -> None:
    text = TEXTS[language] + "\n"
    data = text.encode(encoding)
    found = detect(data)
    assert found is not None
    assert data.decode(found) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("caf\xe9", "cp1252"),
        ("tr\xe8s", "cp1252"),
        ("It\u2019s \u201cready\u201d \u2013 at 5\xa0\u20ac.", "cp1252"),
        ("It\u2019s plain English but for this.", "cp1252"),
        ("A temperature of 20 \xb0C.", "cp1252"),
        ("\xc4NDERUNG DER GEB\xdcHR", "cp1252"),
        ("port \u2014 \u043f\u043e\u0440\u0442 \u0438 \u0441\u0443\u0434\u043d\u043e", "cp1251"),
    ],
)
def test_few_characters_are_enough_if_they_are_usual(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert data.decode(detect(data) or "ascii") == text


@pytest.mark.parametrize("language", TEXTS)
def test_damaged_utf_8_is_not_another_encoding(language: str) -> None:
    data = TEXTS[language].encode()
    places = [at for at, byte in enumerate(data) if byte > 0x7F][:-3]
    for at in places[:: max(1, len(places) // 6)]:
        for damaged in (data[:at] + data[at + 1 :], data[:at] + b"\xff" + data[at + 1 :]):
            assert detect(damaged) is None, damaged


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(128, 256)) * 4,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 9,
        bytes(value * 37 % 255 + 1 for value in range(5_000)),
        b"text with a stray \xff",
        b"a text that is cut off inside a lett\xc3",
        b"\x7fELF\0\0\1\0" * 20,
        b"\0" * 64,
        b"a\0b",
    ],
    ids=["all bytes", "picture", "noise", "stray", "cut off", "program", "zeros", "odd zeros"],
)
def test_what_is_no_text_is_not_read(data: bytes) -> None:
    assert detect(data) is None


def test_a_cut_head_of_a_text_is_utf_8_until_more_is_known() -> None:
    head = "a caf\xe9".encode()[:-1]
    assert detect(head, whole=False) == "utf-8"
    assert detect(head) is None


@pytest.mark.parametrize(
    "unit",
    [
        b"x", b"\xe9", b"\xe9 ", b"caf\xe9 ", b"x" * 5000 + b"\xe9", b"\x82\xa0", b"\xc3\x28",
        b"\xff", b"\0", b"a\0", b"<", b"\x1b", b"\x1b$B", b"\xa4\xa2", b"\x8e\xa1\xa1\xa1",
        b"\xc4\xa1",
    ],
)  # fmt: skip
def test_detection_takes_linear_time(unit: bytes) -> None:
    data = unit * (2**20 // len(unit)) + b"\xe9"
    started = time.process_time()
    detect(data)
    for declared in (None, "latin-1", "cp932", "utf-16"):
        with contextlib.suppress(Unreadable):
            decode(data, declared, lambda *_, **__: None)
    assert time.process_time() - started < 20  # quadratic time is minutes


def noted(data: bytes, declared: str | None) -> tuple[str, list[str]]:
    """Decode a text, and collect what is reported."""
    reasons: list[str] = []
    text = decode(data, declared, lambda reason, cure, notice=False: reasons.append(reason))
    return text, reasons


@pytest.mark.parametrize("language", TEXTS)
def test_valid_utf_8_is_utf_8_whatever_is_declared(language: str) -> None:
    text = TEXTS[language]
    for declared in DECLARED:
        for words in (text, text[:40], "GrößeΩ’", "naïve", "\u2019"):
            assert noted(words.encode(), declared) == (words, []), declared


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_declaration_that_the_bytes_contradict_does_not_count(
    language: str, encoding: str
) -> None:
    text = TEXTS[language]
    data = text.encode(encoding)
    for declared in (encoding, "utf-8", "us-ascii", "utf-16", "no-such", "hex", "iso2022_jp"):
        assert noted(data, declared)[0] == text, declared


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_declared_text_of_few_letters_is_not_utf_8_by_chance(
    language: str, encoding: str
) -> None:
    for word in TEXTS[language].split():
        assert noted(word.encode(encoding), encoding)[0] == word


@pytest.mark.parametrize("declared", ["utf-16", "utf-16le", "UTF-32"])
@pytest.mark.parametrize("page", ["<meta charset=utf-16>Größe", "<meta charset=utf-16> Plain"])
def test_a_page_cannot_say_in_ascii_that_it_is_utf_16(declared: str, page: str) -> None:
    assert noted(page.encode(), declared) == (page, [])


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("x-sjis", "cp932"), ("windows-949", "cp949"), ("x-gbk", "gbk"), ("iso-8859-8-i", "cp1255")],
)
def test_names_that_browsers_know_are_known(label: str, encoding: str) -> None:
    text = {"cp932": "港", "cp949": "항구", "gbk": "港", "cp1255": "נמל"}[encoding]
    assert noted(text.encode(encoding), label) == (text, [])


@pytest.mark.parametrize(
    "declared",
    ["", " ", "a\0b", "x" * 10_000, "é", "hex", "rot13", "undefined", "idna", "punycode", "mbcs",
     "unicode_escape", "utf-7", "zlib", "base64", "\udcff"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["a\\u00e9 +2AA- xn--a", "Größe +2AA- \\ud800, déjà vu"])
def test_any_declaration_can_be_met(declared: str, text: str) -> None:
    for data in (text.encode(), text.encode("cp1252")):
        read = noted(data, declared)[0]
        assert read.encode().decode() == read
        assert read == text or declared == "utf-7"


BAD = "damaged bytes are read as \ufffd ({})"


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("language", "encoding", "byte"),
    [
        ("French", "utf-8", b"\xff"), ("Russian", "utf-8", b"\xd0"),
        ("Japanese", "utf-8", b"\xe3"), ("English", "utf-8", b"\0"), ("German", "cp1252", b"\0"),
        ("Greek", "cp1253", b"\xd2"),
        ("Japanese", "cp932", b"\0"), ("Japanese", "euc_jp", b"\xff"),
        ("Korean", "cp949", b"\xff"),
        ("Chinese", "gb18030", b"\xff"),
    ],
)  # fmt: skip
def test_a_damaged_byte_costs_one_character(
    language: str, encoding: str, byte: bytes, declared: bool
) -> None:
    line = TEXTS.get(language, "A plain line.") + "\n"
    data = line.encode(encoding) * 60
    middle = len(line.encode(encoding)) * 30
    text, reasons = noted(data[:middle] + byte + data[middle:], encoding if declared else None)
    assert text.replace("\ufffd", "") in (line * 60, line * 30 + line[1:] + line * 29)
    assert reasons[-1] == BAD.format(1)


def test_much_damage_is_an_error() -> None:
    line = TEXTS["French"].encode() + b"\n"
    assert noted(line * 100 + b"\xff " * 5, "utf-8")[1] == [BAD.format(5)]
    for data in (line * 10 + b"\xff " * 5, line * 100 + b"\xff " * 50, b"a\0b\0c\0d"):
        with pytest.raises(Unreadable):
            noted(data, "utf-8")


@pytest.mark.parametrize("text", ["hello\0world text.", "Une crème\0 brûlée à la carte !!"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_text_with_a_zero_byte_is_not_utf_16(text: str, encoding: str) -> None:
    for data in (text.encode(encoding), text.encode(encoding) + b"."):
        assert noted(data, None)[0].removesuffix(".").rstrip(".") == text.replace(
            "\0", "\ufffd"
        ).rstrip(".")


def test_an_encoding_without_a_codec_is_named() -> None:
    row = bytes(
        byte for lead in (0xC4, 0xC7, 0xD1, 0xE2, 0xFD) for byte in (lead, 0xB5, lead, 0xE1)
    )
    with pytest.raises(Unreadable, match="EUC-TW"):
        noted(row * 20, None)


NOTICE = "it is not UTF-8 and was read as {}"


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("a.txt", "{}\n"),
        ("a.md", "# Title\n\n{}\n"),
        ("a.rst", "{}\n"),
        ("a.html", "<p>{}</p>"),
        ("a.py", "x = '{}'\n"),
        ("a.json", '{{"text": "{}"}}'),
        ("a.jsonl", '{{"text": "plain"}}\n{{"text": "{}"}}\n'),
        ("a.csv", "id,text\n1,{}\n"),
        ("a.jsonl.gz", '{{"text": "{}"}}\n'),
    ],
)
@pytest.mark.parametrize(
    ("language", "encoding"),
    [("Spanish", "cp1252"), ("Russian", "cp1251"), ("Japanese", "cp932"), ("Greek", "utf-16-le")],
)
def test_every_type_of_text_is_read_and_the_encoding_is_told(
    tmp_path: Path, name: str, template: str, language: str, encoding: str
) -> None:
    text = TEXTS[language].replace(",", "")
    data = template.format(text).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    documents, (failure,) = load_all(tmp_path)
    assert text in documents[-1].text
    assert failure.notice
    assert failure.reason == NOTICE.format(encoding.upper())
    assert "iconv" in failure.cure


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_at_the_beginning_decides_without_a_notice(tmp_path: Path, encoding: str) -> None:
    for name, text in (("a.txt", "caf\xe9"), ("b.csv", "id,text\n1,caf\xe9\n2,th\xe9\n")):
        (tmp_path / name).write_bytes(text.encode(encoding))
    documents, failures = load_all(tmp_path)
    assert ([document.text for document in documents], failures) == (
        ["caf\xe9", "caf\xe9", "th\xe9"],
        [],
    )


def test_lines_end_at_line_breaks_only(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "caf\xe9\x85\u2013"}\n'.encode("utf-16"))
    (document,), failures = load_all(tmp_path)
    assert (document.text, failures) == ("caf\xe9\x85\u2013", [])


def test_a_line_that_does_not_fit_what_the_first_ones_are_in_is_a_failure(tmp_path: Path) -> None:
    line = '{"text": "Ma\xf1ana ser\xe1 otro d\xeda."}\n'.encode("cp1252")
    (tmp_path / "a.jsonl").write_bytes(line * 40_000 + b'{"text": "\x81"}\n')
    documents, failures = load_all(tmp_path)
    assert len(documents) > 39_000
    assert [failure.notice for failure in failures] == [True, False]
    assert failures[1].reason == "not valid CP1252: byte 0x81"


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1252", "latin1"])
def test_latin_1_that_a_page_declares_is_what_browsers_read(tmp_path: Path, declared: str) -> None:
    page = f'<meta charset="{declared}"><p>caf\xe9'.encode() + b"</p>"
    (tmp_path / "a.html").write_bytes(page.replace("\xe9".encode(), b"\xe9 \x80"))
    (document,), failures = load_all(tmp_path)
    assert (document.text, failures) == ("caf\xe9 \u20ac", [])
