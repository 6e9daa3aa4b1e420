"""Learn from use: the audit log of gate decisions, and user feedback on answers.

answer_ids.py ids of answers that show to whom they were given
append.py     appends JSON lines from several processes to one file, rotated by size
entries.py    converts log entries and feedback to JSON and back
audit.py      the log of one pipeline: a failed write never fails an answer
reading.py    reads a log with its rotated files, and its feedback
replay.py     decisions and costs of another policy on the same log
served.py     what a running server reports from its own log
experts.py    counts decisions by expert, domain and time
annotate.py   turns questions of a log into a data set for ``expertrag eval record``

Importing it loads only the standard library.
"""

from expertrag.audit.audit import NOBODY, Asker, Audit, Entry
from expertrag.audit.entries import AuditEntry

__all__ = ["NOBODY", "Asker", "Audit", "AuditEntry", "Entry"]
