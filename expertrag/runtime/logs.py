"""Set up logging of a process: console lines on a terminal, else JSON, always on stderr.

Texts of documents, questions and answers are never logged, nor are secrets. As a safeguard, fields
whose names suggest such content are blanked.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from expertrag.config import LogConfig

HIDDEN = "[hidden]"
PRIVATE_FIELDS = frozenset(
    {
        "answer",
        "api_key",
        "authorization",
        "content",
        "document",
        "messages",
        "passages",
        "password",
        "prompt",
        "query",
        "question",
        "secret",
        "text",
        "texts",
        "token",
    }
)
OWN_LOGGERS = ("expertrag", "expertrag_retriever", "expertrag_index", "expertrag_kernels")


def configure(config: LogConfig) -> None:
    """Send the log of this process to stderr; other libraries log warnings and above.

    Without structlog (the base install), lines are plain text.
    """
    level = logging.getLevelNamesMapping()[config.level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(config.format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


def hide_private(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Blank the fields that hold texts or secrets (a structlog processor)."""
    for name in PRIVATE_FIELDS & event.keys():
        event[name] = HIDDEN
    return event


def _formatter(shape: str) -> logging.Formatter:
    try:
        import structlog
    except ModuleNotFoundError:
        return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_private,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    console = shape == "console" or (shape == "auto" and sys.stderr.isatty())
    # format_exc_info writes the traceback as plain text; the console renderer has its own.
    render: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
