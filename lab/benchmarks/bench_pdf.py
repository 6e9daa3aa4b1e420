# ruff: noqa: RUF001
"""Text of PDF files: exactness and pages per second of the loader, pypdf, pypdfium2, pdfminer.six.

    python lab/benchmarks/bench_pdf.py [--json FILE] [--packages FOLDER] [--show CASE]

The files are made of this repository's own documents, so their text is known: by fpdf2, and, where
they are installed, by reportlab and typst, which hyphenates, kerns and sets ligatures as books do.
An error is the share of characters to change, white space apart, and of words that are not found
in their order. A library that is not installed is left out; --packages names a folder of more of
them (pip install --no-deps --target FOLDER typst reportlab pdfminer.six).
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import results_file
from fpdf import FPDF

from expertrag_index.loaders import pdf as loader
from expertrag_index.loaders.base import SourceFile

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf")
UNICODE = "Το πλοίο μπήκε στο λιμάνι χθες. Судно вошло в порт вчера. Zażółć gęślą jaźń. "
CODE = (
    "index/expertrag_index/loaders/pdf.py",
    "index/expertrag_index/loaders/hidden_pdf.py",
    "lab/benchmarks/bench_pdf.py",
)
Made = tuple[bytes, str]
"""A file and its text."""


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--show", help="print the text of this case, as each library reads it")
    given = parser.parse_args()
    if given.packages:
        sys.path.append(str(given.packages))
    made = dict(cases(paragraphs()))
    systems = {name: read for name, read in SYSTEMS.items() if find_spec(name.removesuffix(".six"))}
    errors: dict[str, dict[str, dict[str, float]]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    pages = 0
    for case, (data, text) in made.items():
        pages += _pages(data)
        for name, read in systems.items():
            started = time.perf_counter()
            found = read(data)
            seconds[name].append(time.perf_counter() - started)
            errors.setdefault(case, {})[name] = {
                "characters": error(text, found),
                "words": missed(text, found),
            }
            if case == given.show:
                print(f"--- {name}\n{found[:3000]}")
    speed = {name: pages / sum(times) for name, times in seconds.items()}
    for case, by_system in errors.items():
        cells = (f"{name} {e['characters']:.4f} {e['words']:.4f}" for name, e in by_system.items())
        print(f"{case:22}" + "  ".join(cells))
    print(", ".join(f"{name}: {value:.0f} pages/s" for name, value in speed.items()))
    body = {"pages": pages, "errors": errors, "pages_per_second": speed}
    results_file.write(given.json, body, CODE)


def paragraphs() -> list[str]:
    """Return paragraphs of the documentation, without marks of Markdown."""
    found = []
    for name in ("docs/security.md", "docs/reliability.md", "docs/guide/store.md"):
        text = (results_file.ROOT / name).read_text(encoding="utf-8")
        for block in re.split(r"\n\s*\n", text):
            if re.match(r"[A-Z]", block) and len(block) > 200:
                block = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*<>#_\[\]@$\\]", r"\1", block)
                found.append(" ".join(block.encode("ascii", "ignore").decode().split()))
    return found


def cases(texts: list[str]) -> Iterator[tuple[str, Made]]:
    """Yield the files by name; those of libraries that are not installed are left out."""
    yield "fpdf2, plain", _fpdf(texts, align="L")
    yield "fpdf2, justified", _fpdf(texts, align="J")
    yield "fpdf2, hyphens", _fpdf(texts, align="J", hyphens=True)
    yield "fpdf2, spaced", _fpdf(texts, align="L", spacing=1.5)
    yield "fpdf2, two columns", _columns(texts)
    yield "fpdf2, rotated", _rotated(texts)
    yield "fpdf2, table", _table(texts)
    yield "fpdf2, words placed", _placed(texts, re.compile(r"\S+"))
    yield "fpdf2, letters placed", _placed(texts, re.compile(r"\S"))
    yield "fpdf2, pages turned", _fpdf(texts, align="L", turned=True)
    if find_spec("matplotlib"):
        yield "matplotlib, Type 3", _matplotlib(texts, 3)
        yield "matplotlib, Type 42", _matplotlib(texts, 42)
    if FONT.exists():
        yield "fpdf2, Unicode", _fpdf([UNICODE * 8] * 6, align="L", font=FONT)
    if find_spec("reportlab"):
        yield "reportlab, justified", _reportlab(texts)
    if find_spec("typst"):
        yield "typst, article", _typst(texts, "")
        yield "typst, two columns", _typst(texts, "#set page(columns: 2)")
        yield "typst, sans serif", _typst(texts, '#set text(font: "DejaVu Sans Mono", size: 8pt)')


def _fpdf(
    texts: list[str],
    *,
    align: str,
    hyphens: bool = False,
    spacing: float = 0,
    font: Path | None = None,
    turned: bool = False,
) -> Made:
    made = FPDF()
    made.add_page()
    if font:
        made.add_font("own", fname=str(font))
    made.set_font("own" if font else "Helvetica", size=10)
    made.set_char_spacing(spacing)
    for text in texts:
        shown = re.sub(r"([a-z]{4})(?=[a-z]{3})", "\\1\u00ad", text) if hyphens else text
        made.multi_cell(
            90 if hyphens else 0, None, shown, align=align, new_x="LMARGIN", new_y="NEXT"
        )
        made.ln(4)
    data = bytes(made.output())
    return _turned(data) if turned else data, " ".join(texts)


def _turned(data: bytes) -> bytes:
    """Turn the pages, as a landscape page of a portrait document is."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(data)).pages:
        writer.add_page(page.rotate(90))
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def _columns(texts: list[str]) -> Made:
    made = FPDF()
    made.add_page()
    made.set_font("Times", size=10)
    with made.text_columns(ncols=2, gutter=8, text_align="J") as columns:
        for text in texts:
            columns.write(text)
            columns.ln(6)
    return bytes(made.output()), " ".join(texts)


def _rotated(texts: list[str]) -> Made:
    made = FPDF()
    made.set_font("Helvetica", size=10)
    for text in texts:
        made.add_page()
        with made.rotation(90, x=100, y=150):
            made.set_xy(20, 100)
            made.multi_cell(160, None, text)
    return bytes(made.output()), " ".join(texts)


def _placed(texts: list[str], unit: re.Pattern[str]) -> Made:
    """Place each word or letter by its position, with no space between, as TeX and browsers do."""
    made = FPDF()
    made.add_page()
    made.set_font("Times", size=10)
    space = made.get_string_width(" ")
    x, y = 15.0, 20.0
    for word in " ".join(texts).split():
        width = made.get_string_width(word)
        if x + width > 195:
            x, y = 15.0, y + 4.5
        if y > 280:
            made.add_page()
            y = 20.0
        for part in unit.finditer(word):
            made.text(x + made.get_string_width(word[: part.start()]), y, part[0])
        x += width + space
    return bytes(made.output()), " ".join(texts)


def _matplotlib(texts: list[str], font_type: int) -> Made:
    import matplotlib

    matplotlib.use("pdf")
    from matplotlib import pyplot

    target = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": font_type}):
        figure = pyplot.figure(figsize=(8, 11))
        lines = textwrap.wrap(" ".join(texts[:8]), 90)
        for number, line in enumerate(lines):
            figure.text(0.05, 0.95 - number * 0.018, line, fontsize=9)
        figure.savefig(target, format="pdf")
        pyplot.close(figure)
    return target.getvalue(), " ".join(lines)


def _table(texts: list[str]) -> Made:
    words = " ".join(texts).split()
    rows = [words[at : at + 6] for at in range(0, len(words) - 6, 6)]
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica", size=9)
    with made.table() as table:
        for row in rows:
            table.row(row)
    return bytes(made.output()), " ".join(word for row in rows for word in row)


def _reportlab(texts: list[str]) -> Made:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    style = getSampleStyleSheet()["BodyText"]
    style.alignment = 4
    target = io.BytesIO()
    SimpleDocTemplate(target).build(
        [Paragraph(text.replace("&", "&amp;"), style) for text in texts]
    )
    return target.getvalue(), " ".join(texts)


def _typst(texts: list[str], settings: str) -> Made:
    import typst

    head = (
        '#set par(justify: true)\n#set text(hyphenate: true, lang: "en")\n'
        f"#set smartquote(enabled: false)\n{settings}\n"
    )
    plain = [
        text.replace("--", "").replace("...", "").replace("/", "").replace("~", "")
        for text in texts
    ]
    return bytes(typst.compile((head + "\n\n".join(plain)).encode())), " ".join(plain)


def _loader(data: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".pdf") as kept:
        kept.write(data)
        kept.flush()
        file = SourceFile(Path(kept.name), "a.pdf", "a.pdf", None, 2**26)
        (document,) = loader.read(file, lambda *_, **__: None)
    return document.text


def _pypdf(data: bytes) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def _pypdfium2(data: bytes) -> str:
    from pypdfium2 import PdfDocument

    return "\n".join(page.get_textpage().get_text_range() for page in PdfDocument(data))


def _pdfminer(data: bytes) -> str:
    from pdfminer.high_level import extract_text

    return str(extract_text(io.BytesIO(data)))


SYSTEMS: dict[str, Callable[[bytes], str]] = {
    "expertrag_index": _loader,
    "pypdf": _pypdf,
    "pypdfium2": _pypdfium2,
    "pdfminer.six": _pdfminer,
}


def _pages(data: bytes) -> int:
    from pypdf import PdfReader

    return len(PdfReader(io.BytesIO(data)).pages)


def error(right: str, found: str) -> float:
    """Return the edit distance of the letters over their number."""
    one, other = "".join(right.split()), "".join(found.split())
    changed = sum(
        max(b - a, d - c)
        for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
        if tag != "equal"
    )
    return changed / len(one)


def missed(right: str, found: str) -> float:
    """Return the share of words that are not found in their order."""
    one, other = right.split(), found.split()
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return 1 - sum(block.size for block in blocks) / len(one)


if __name__ == "__main__":
    main()
