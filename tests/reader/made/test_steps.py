"""Questions of examples: a line that ends in a colon, then code."""

from __future__ import annotations

from expertrag.reader.made.steps import steps
from expertrag.reader.made.types import Piece


def _asked(text: str, title: str = "") -> dict[str, str]:
    return {made.question: made.answer for made in steps(Piece("d#0", "d", title, text))}


def test_code_behind_the_colon_and_below_it() -> None:
    text = (
        "Archiving utility.\n- Archive a file from `stdin`:\n`tar cf - path/to/file`\n\n"
        "- E[x]tract an archive (verbosely): `tar xvf archive.tar`\n"
        "- List the files with their sizes: `tar tvf archive.tar`\n"
    )
    assert _asked(text, "tar") == {
        "How do I archive a file from stdin with tar?": "tar cf - path/to/file",
        "How do I extract an archive with tar?": "tar xvf archive.tar",
        "Using tar, how do I list the files with their sizes?": "tar tvf archive.tar",
    }


def test_fenced_and_indented_code() -> None:
    text = (
        "Restart the server:\n\n```sh\nsystemctl restart northwind\n```\n\n"
        "Reload the systemctl units:\n\n    systemctl daemon-reload\n"
    )
    assert _asked(text) == {
        "How do I restart the server with systemctl?": "systemctl restart northwind",
        "How do I reload the systemctl units?": "systemctl daemon-reload",
    }


def test_what_is_no_step() -> None:
    assert not _asked("For example:\n`ls`\n")
    assert not _asked("The output of the command:\n`ok`\n")
    assert not _asked("Archive a file: and then read on.\n")
    assert not _asked("")
