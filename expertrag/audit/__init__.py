"""What is learned from use: the log of the gate's decisions, and what people say of the answers.

append.py     lines of JSON, appended by several processes to one file that is rotated by size
entries.py    what a line holds, to JSON and back
audit.py      the log of one pipeline: writing never fails an answer
reading.py    a log with its older files, and the feedback beside it
replay.py     what another policy would have done, and cost
annotate.py   questions of the log become a data set for ``expertrag eval record``

Importing it loads the standard library only.
"""

from expertrag.audit.audit import Audit, Entry
from expertrag.audit.entries import AuditEntry

__all__ = ["Audit", "AuditEntry", "Entry"]
