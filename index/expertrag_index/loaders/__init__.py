"""Documents from files: plain text, Markdown, reST, HTML, PDF, DOCX, CSV, JSON and BEIR folders."""

from expertrag_index.loaders.load import DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_S, load
from expertrag_index.loaders.registry import SUFFIXES

__all__ = ["DEFAULT_MAX_FILE_BYTES", "DEFAULT_MAX_FILE_S", "SUFFIXES", "load"]
