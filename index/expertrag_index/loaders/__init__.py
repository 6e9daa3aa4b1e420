"""Documents from files: texts, pages, books, Office files, e-mails, records and source code."""

from expertrag_index.loaders.limits import DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_S, ReadLimits
from expertrag_index.loaders.load import load
from expertrag_index.loaders.registry import SUFFIXES

__all__ = ["DEFAULT_MAX_FILE_BYTES", "DEFAULT_MAX_FILE_S", "SUFFIXES", "ReadLimits", "load"]
