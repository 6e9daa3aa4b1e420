"""Reports: report.json, report.md and report.html from what an evaluation gives.

blocks.py     what is shown, whatever the form: tables, plots, notes, examples
sections/     report JSON to blocks, one module for each kind
text.py, markdown.py, html.py, plots.py   blocks to text; html and plots need the extra ``eval``
schema.py     the form that a report must have
storage.py    files
"""

from expertrag.eval.report.schema import parts_of
from expertrag.eval.report.storage import read_report, together, write

__all__ = ["parts_of", "read_report", "together", "write"]
