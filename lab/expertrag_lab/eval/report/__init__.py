"""Write the result of an evaluation as report.json, report.md and report.html.

blocks.py     content independent of the format: tables, plots, notes, examples
sections/     report JSON to blocks, one module for each kind of report
text.py, markdown.py, html.py, plots.py   blocks to text; html and plots need the extra ``eval``
reading.py, wording.py   read values of report JSON; format figures
schema.py     the required structure of a report
storage.py    files
"""

from expertrag_lab.eval.report.schema import parts_of
from expertrag_lab.eval.report.storage import read_report, together, write

__all__ = ["parts_of", "read_report", "together", "write"]
