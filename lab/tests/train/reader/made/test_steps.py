"""Questions from examples: a line that ends in a colon, then code."""

from __future__ import annotations

from expertrag_lab.train.reader.made.steps import steps
from expertrag_lab.train.reader.made.types import Piece


def _asked(text: str, title: str = "") -> dict[str, str]:
    return {made.question: made.answer for made in steps(Piece("d#0", "d", title, text))}


def test_code_after_the_colon_and_below_it() -> None:
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


def test_a_page_without_line_breaks() -> None:
    text = (
        "Archive and unpack many kinds of files. - Archive it: `tar cf a b` - List it: `tar tf a`"
    )
    assert _asked(text, "tar") == {
        "How do I archive it with tar?": "tar cf a b",
        "How do I list it with tar?": "tar tf a",
        "What does tar do?": "Archive and unpack many kinds of files.",
    }


def test_statements() -> None:
    text = (
        "Now read. To drop a view named kinds: DROP VIEW kinds; To create a partial index that "
        "suits our example, use a command such as this: CREATE INDEX i ON log (ip) WHERE ip > 0; "
        "To do more, read on: see below; To make a type: CREATE TYPE t AS (...);"
    )
    assert _asked(text) == {
        "How do I drop a view named kinds?": "DROP VIEW kinds;",
        "How do I create a partial index that suits our example?": (
            "CREATE INDEX i ON log (ip) WHERE ip > 0;"
        ),
    }


def test_texts_that_are_not_steps() -> None:
    assert not _asked("For example:\n`ls`\n")
    assert not _asked("The output of the command:\n`ok`\n")
    assert not _asked("Archive a file: and then read on.\n")
    assert not _asked("")
