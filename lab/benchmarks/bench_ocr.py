"""OCR of pages: exactness and seconds of a core for each, on pages whose text is known.

    python lab/benchmarks/bench_ocr.py [--json FILE] [--packages FOLDER]

The first page of files of bench_pdf.py is read from its picture, as --ocr reads a scan. Errors are
those of bench_pdf.py, against the text of the page. Needs the extra 'ocr'.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import bench_pdf
import results_file
from pypdfium2 import PdfDocument

from expertrag_index.loaders.hidden_pdf import page_text
from expertrag_index.loaders.ocr import recognise
from expertrag_index.loaders.tables_pdf import PdfTables

CASES = (
    "fpdf2, plain",
    "fpdf2, two columns",
    "fpdf2, words placed",
    "reportlab, justified",
    "typst, article",
    "typst, two columns",
)
CODE = (
    "index/expertrag_index/loaders/ocr.py",
    "lab/benchmarks/bench_ocr.py",
    "lab/benchmarks/bench_pdf.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--packages", type=Path, help="as for bench_pdf.py")
    given = parser.parse_args()
    if given.packages:
        sys.path.append(str(given.packages))
    cases = {}
    for name, (data, _) in bench_pdf.cases(bench_pdf.paragraphs()):
        if name in CASES:
            page = PdfDocument(data)[0]
            text = page_text(page, Counter(), PdfTables()).replace("\ufffe", "")
            started = time.process_time()
            found = recognise(page).replace("-\n", "")
            cases[name] = {
                "seconds": time.process_time() - started,
                "characters": bench_pdf.error(text, found),
                "words": bench_pdf.missed(text, found),
            }
            print(name, cases[name])
    results_file.write(given.json, {"cases": cases}, CODE)


if __name__ == "__main__":
    main()
