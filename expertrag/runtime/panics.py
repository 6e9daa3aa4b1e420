"""Panics of libraries in Rust, such as tokenizers, which are not an ``Exception`` in Python."""

from __future__ import annotations


class PanicError(Exception):
    """A library has panicked; the cause is what it raised."""


def as_exception(raised: BaseException) -> Exception:
    """Return an error of a worker thread as an ``Exception``, which its handlers catch."""
    if isinstance(raised, Exception):
        return raised
    error = PanicError(type(raised).__name__)
    error.__cause__ = raised
    return error
