"""Names from outside, as cards and pages show them."""

from __future__ import annotations

from html import escape


def one_line(text: str) -> str:
    """Return a text in one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def markdown(text: str) -> str:
    """Return a text as Markdown shows it, also in a table."""
    return escape(one_line(text), quote=False).replace("|", "\\|")
