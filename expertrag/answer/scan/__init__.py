"""The scan: read every document of a family once, and let code compare, count and compute.

plan.py             what the question asks of each document, once by the model
documents.py        the documents of the family, those that match best first
tasks.py            what code settles without the model
excerpts.py         the sentences of a document that are read
reading.py          one attribute of one document, one token where possible
decisions.py        whether the conditions hold, over all documents
totals.py           sums and other computed values, the table and its completeness
"""

from expertrag.answer.scan.result import ScanResult
from expertrag.answer.scan.scanner import Scanner
from expertrag.answer.scan.totals import Total, to_table, totals

__all__ = ["ScanResult", "Scanner", "Total", "to_table", "totals"]
