"""Set up logging of a process: console lines on a terminal, else JSON, always on stderr.

Texts of documents, questions and answers are never logged, nor are secrets. As a safeguard, fields
whose names suggest such content are blanked. Of an exception only the type and the lines of code
are written. Its message, which may quote a text, and local variables are not.
"""

from __future__ import annotations

import logging
import sys
import traceback
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
_MOST_CAUSES = 10
_GRPC, _GRPC_METADATA = "grpc._cython.cygrpc", "Invalid encoding on"
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
    logging.getLogger(_GRPC).addFilter(_without_metadata)
    logging.captureWarnings(True)


def _without_metadata(record: logging.LogRecord) -> bool:
    """Drop gRPC's lines that quote metadata of a client, such as a token with a damaged byte."""
    return not str(record.msg).startswith(_GRPC_METADATA)


def hide_private(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Blank the fields that hold texts or secrets (a structlog processor)."""
    for name in PRIVATE_FIELDS & event.keys():
        event[name] = HIDDEN
    return event


def lines_of(error: BaseException) -> str:
    """Format the traceback of an exception and of its causes, without their messages."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _MOST_CAUSES:
        kind = f"{type(cause).__module__}.{type(cause).__qualname__}".removeprefix("builtins.")
        number = f" {cause.errno}" if isinstance(cause, OSError) and cause.errno else ""
        parts.append("".join(traceback.format_tb(cause.__traceback__)) + kind + number)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\nwhile handling:\n".join(parts)


def _exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Replace ``exc_info`` by the lines of the exception (a structlog processor)."""
    given = event.pop("exc_info", None)
    if given:
        error = given[1] if isinstance(given, tuple) else given
        error = error if isinstance(error, BaseException) else sys.exc_info()[1]
        if error is not None:
            event["exception"] = lines_of(error)
    return event


class _PlainFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return lines_of(ei[1])


def _formatter(shape: str) -> logging.Formatter:
    try:
        import structlog
    except ModuleNotFoundError:
        return _PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
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
    render = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _exception, render],
    )
