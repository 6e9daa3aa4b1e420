"""Exit codes, and the code of each error."""

from __future__ import annotations

import errno
import os
import re
from enum import IntEnum

from expertrag.api import errors
from expertrag_common.extras import install_command
from expertrag_index.errors import IndexStoreError
from expertrag_retriever.errors import RetrieverError


class ExitCode(IntEnum):
    """Exit code of a command; ``MEANINGS`` explains each."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    PARTIAL = 3
    NOT_FOUND = 4
    CORRUPT = 5
    CONFLICT = 6
    UNAVAILABLE = 7
    NO_SPACE = 8
    MISSING_PART = 9
    DENIED = 10
    REFUSED = 11
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "success",
    ExitCode.UNEXPECTED: "unexpected error; EXPERTRAG_DEBUG=1 shows the traceback",
    ExitCode.USAGE: "invalid flag, argument, setting or request",
    ExitCode.PARTIAL: "done, but some documents were skipped; they are listed",
    ExitCode.NOT_FOUND: "no such store, document or file",
    ExitCode.CORRUPT: "the store is damaged; run `expertrag index repair STORE`",
    ExitCode.CONFLICT: "locked by another writer, built with another embedder or chunk length, or "
    "port in use",
    ExitCode.UNAVAILABLE: "no server, overloaded, deadline passed, or download failed",
    ExitCode.NO_SPACE: "no space left; nothing was published",
    ExitCode.MISSING_PART: "an extra or a model is missing or damaged; the message has the fix",
    ExitCode.DENIED: "the server does not allow this call",
    ExitCode.REFUSED: "the changed model loses more than --tolerance; --force accepts it",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.BROKEN_PIPE: "the reader of stdout closed it",
}

_BY_REASON: dict[str, ExitCode] = {
    "STORE_CORRUPT": ExitCode.CORRUPT,
    "STORAGE_FULL": ExitCode.NO_SPACE,
    "MODEL_MISSING": ExitCode.MISSING_PART,
    "MODEL_DAMAGED": ExitCode.MISSING_PART,
    "MODEL_CHECKSUM": ExitCode.MISSING_PART,
    "MODEL_NOT_FOUND": ExitCode.MISSING_PART,
    "EMBEDDER_UNUSABLE": ExitCode.MISSING_PART,
    "CHANGE_REFUSED": ExitCode.REFUSED,
}

_BY_TYPE: dict[type[errors.ExpertRAGError], ExitCode] = {
    errors.InvalidArgument: ExitCode.USAGE,
    errors.NotFound: ExitCode.NOT_FOUND,
    errors.Conflict: ExitCode.CONFLICT,
    errors.Unauthenticated: ExitCode.DENIED,
    errors.PermissionDenied: ExitCode.DENIED,
    errors.Overloaded: ExitCode.UNAVAILABLE,
    errors.DeadlineExceeded: ExitCode.UNAVAILABLE,
    errors.Cancelled: ExitCode.INTERRUPTED,
    errors.Unavailable: ExitCode.UNAVAILABLE,
    errors.Unimplemented: ExitCode.UNAVAILABLE,
    errors.ServerError: ExitCode.UNEXPECTED,
    errors.MissingExtra: ExitCode.MISSING_PART,
}

_BY_ERRNO: dict[int, ExitCode] = {
    errno.ENOENT: ExitCode.NOT_FOUND,
    errno.EADDRINUSE: ExitCode.CONFLICT,
    errno.ENOSPC: ExitCode.NO_SPACE,
    errno.EDQUOT: ExitCode.NO_SPACE,
    errno.EFBIG: ExitCode.NO_SPACE,
}

_PLAIN = (IndexStoreError, RetrieverError)
"""Base errors of the lower packages; those without a counterpart in ``expertrag.api.errors`` are
usage errors."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of an error that a command raised."""
    if isinstance(error, errors.ExpertRAGError):
        return _BY_REASON.get(error.reason) or _BY_TYPE.get(type(error), ExitCode.UNEXPECTED)
    if system := _system_error(error):
        return _BY_ERRNO.get(system.errno or 0, ExitCode.UNEXPECTED)
    if _is_missing_extra(error):
        return ExitCode.MISSING_PART
    if isinstance(error, _PLAIN):
        return ExitCode.USAGE
    return ExitCode.UNEXPECTED


def message_of(error: BaseException) -> str:
    """Return the one-line message of an error."""
    error = _system_error(error) or error
    if isinstance(error, errors.ExpertRAGError):
        text = error.message
    elif isinstance(error, _PLAIN):
        text = str(error)
    elif _is_missing_extra(error):
        name = getattr(error, "name", "")
        text = f"{name} is not installed; run: {install_command('server')}"
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = f"unexpected {type(error).__name__}: {error} (EXPERTRAG_DEBUG=1 shows the traceback)"
    return " ".join(text.split())


def _system_error(error: BaseException) -> OSError | None:
    """Return the error of the system behind an error, if there is one.

    Libraries in Rust (safetensors, tokenizers) have it only in their text: "… (os error 28)".
    """
    if isinstance(error, OSError):
        return error if error.errno is not None else None
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is None or isinstance(error, (errors.ExpertRAGError, *_PLAIN)):
        return None
    return OSError(int(number[1]), os.strerror(int(number[1])))


def _is_missing_extra(error: BaseException) -> bool:
    """Return whether a third-party package is missing, as opposed to a broken module of ours."""
    return isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("expertrag")
