"""Reports: report.json, report.md and report.html from what an evaluation gives.

blocks.py     what is shown, whatever the form: tables, plots, notes, examples
sections/     report JSON to blocks, one module for each kind
text.py, markdown.py, html.py, plots.py   blocks to text; html and plots need the extra ``eval``
storage.py    files
"""

from expertrag.eval.report.storage import parts_of, read_report, write

__all__ = ["parts_of", "read_report", "write"]
