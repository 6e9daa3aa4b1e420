"""Panics of libraries in Rust, such as tokenizers, which Python gets as no ``Exception``."""

from __future__ import annotations


class PanicError(Exception):
    """A library has panicked; the cause is what it raised."""


def as_exception(raised: BaseException) -> Exception:
    """Return an error of a worker thread as one that those who handle exceptions handle."""
    if isinstance(raised, Exception):
        return raised
    error = PanicError(type(raised).__name__)
    error.__cause__ = raised
    return error
