"""Log lines: JSON off a terminal, no texts, and no structlog needed."""

from __future__ import annotations

import json
import subprocess
import sys

LOG = """
import logging, sys
{before}
from expertrag.runtime import logs
from expertrag.config import LogConfig
logs.configure(LogConfig(level="info", format="{shape}"))
logging.getLogger("expertrag.x").info("from the library")
logging.getLogger("expertrag.x").debug("too fine")
logging.getLogger("other").info("of no interest")
logging.getLogger("other").warning("of interest")
{after}
"""
CALL = """
import structlog
log = structlog.get_logger("expertrag.service")
log.info("call", method="Answer", ms=3, question="what is my salary", api_key="k3y")
def fail(document):
    raise ValueError("a salary of " + document)
try:
    try:
        1 / 0
    except ZeroDivisionError:
        fail("my salary")
except ValueError:
    log.exception("failed")
    logging.getLogger("expertrag.x").exception("failed in the library")
"""


def run(shape: str, *, before: str = "", after: str = "") -> list[str]:
    """Return the stderr lines of a process that logs."""
    code = LOG.format(shape=shape, before=before, after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_off_a_terminal() -> None:
    lines = [json.loads(line) for line in run("auto", after=CALL)]
    events = [line["event"] for line in lines]
    assert events == [
        "from the library",
        "of interest",
        "call",
        "failed",
        "failed in the library",
    ]
    assert [line["level"] for line in lines] == ["info", "warning", "info", "error", "error"]
    assert lines[2]["method"] == "Answer"
    assert lines[2]["logger"] == "expertrag.service"
    assert lines[2]["timestamp"].endswith("Z")
    for line in lines[3:]:
        assert line["exception"].index("ValueError") < line["exception"].index("ZeroDivisionError")


def test_texts_and_secrets_are_blanked() -> None:
    for shape in ("json", "console"):
        text = "\n".join(run(shape, after=CALL))
        assert "salary" not in text
        assert "k3y" not in text
        assert "[hidden]" in text


def test_the_base_install_logs_plain_text() -> None:
    lines = run("auto", before="sys.modules['structlog'] = None")
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO expertrag.x: from the library",
        "WARNING other: of interest",
    ]
