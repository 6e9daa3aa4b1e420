"""The seams of the engine: each member of the classes that it calls, and how to replace it.

The members are found by introspection. One that is new is therefore part of the campaign, or has to
be named in ``NOT_CALLED``; the campaign fails if a member of ``NOT_CALLED`` is called, or if
another one never is.
"""

from __future__ import annotations

import functools
import importlib
import queue
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fault_campaign import Seam, replaced

from expertrag.api.errors import Cancelled
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.constraints import Matcher, Vocabulary
from expertrag.llm.detokenize import Detokenizer, StopFilter
from expertrag.llm.engine import decode, pairs, prefill
from expertrag.llm.engine.batch import BatchRunner
from expertrag.llm.engine.drafts import PromptLookup
from expertrag.llm.engine.drawing import Drawing
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.native_session import NativeSession
from expertrag.llm.engine.page_pool import PagePool
from expertrag.llm.engine.page_tables import PageTables
from expertrag.llm.engine.scheduler import Scheduler
from expertrag.llm.engine.sequences import Counters, SequenceState
from expertrag.llm.engine.step import NextStep, Scheduled
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.logprobs import Ranked, Spelling
from expertrag.llm.sampling import Sampler
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_kernels.decoder import Decoder

HANG_S = 20.0


class Outputs(queue.SimpleQueue[Any]):
    """The queue of a sequence's outputs, whose methods can be replaced."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item."""
        super().put(item, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item."""
        return super().get(block, timeout)


class Caller:
    """Who waits for an answer, and gives up after ``HANG_S``, which is a finding."""

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + HANG_S

    def should_stop(self) -> None:
        """Go on until the deadline.

        :raises Cancelled: it has passed.
        """
        if time.monotonic() > self._ends_at:
            raise Cancelled("the engine hangs")


class Dying(BaseException):
    """What a panic in a library of Rust looks like: no ``Exception``."""


OUTER = (
    Decoder, Sampler, Matcher, PromptLookup, Outputs, Caller, ChatTokenizer,
    Vocabulary, Ranked, Detokenizer, StopFilter, Spelling,
)  # fmt: skip
"""Classes whose members may return nonsense: other code, libraries, processes and callers."""
INNER = (
    Engine, Scheduler, NextStep, Scheduled, PageTables, PagePool, BatchRunner, Drawing,
    SequenceState, SequencePolicy, Counters, NativeNetwork, NativeSession, TransformersGenerator,
)  # fmt: skip
"""Classes of the engine and of the generator themselves; their members raise and block."""
MODULES = (
    "expertrag.llm.engine.batch",
    "expertrag.llm.engine.drawing",
    "expertrag.llm.engine.engine",
    "expertrag.llm.engine.page_tables",
    "expertrag.llm.engine.scheduler",
    "expertrag.llm.engine.sequences",
    "expertrag.llm.engine.step",
    "expertrag.llm.sampling",
)
"""Modules whose functions from other modules are seams."""
SCHEDULING = (decode, pairs, prefill)
"""Modules of the engine whose own functions raise and block."""

NOT_CALLED: Mapping[str, frozenset[str]] = {
    "Decoder": frozenset(
        [
            "adapter",
            "attend",
            "embed",
            "experts",
            "experts_used",
            "keep",
            "least_experts_bytes",
            "light",
            "limit_experts",
            "linear",
            "matrix",
            "mix",
            "norm",
            "pick",
            "rope",
            "route",
            "slot",
        ]
    ),
    "ChatTokenizer": frozenset(["encode_text", "has_template", "vocabulary"]),
    "Engine": frozenset(["_at_rest", "check_integrity", "problem", "reset_prefix_cache", "stop"]),
    "Scheduler": frozenset(["repair", "reset"]),
    "PageTables": frozenset(["repair", "reset"]),
    "PagePool": frozenset(["available", "repair", "reset"]),
    "NativeNetwork": frozenset(
        [
            "counters",
            "limit",
            "null_experts",
            "problem",
            "read",
            "reset_prefix_cache",
            "routes_tokens",
            "token_routers",
            "weights",
        ]
    ),
    "TransformersGenerator": frozenset(
        [
            "counters",
            "endpoints",
            "healthy",
            "load",
            "probe_with",
            "problem",
            "read",
            "reset_prefix_cache",
            "token_routers",
            "use_patterns",
            "watch",
            "weights",
            "white_box",
            "adapters",
        ]
    ),
}
"""Members that a request does not call: they build the model, report on it, or put it right."""
TRUSTED = frozenset(["_end", "_end_all", "_fail", "_recover", "_run", "close"])
"""Methods of the engine that end a sequence: nothing could end one if they themselves failed."""


Intercept = Callable[[Seam, Any, Callable[[], Any]], Any]


def members(owner: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, of its own bases as well.

    Of the engine, also the private ones.
    """
    result: dict[str, Any] = {}
    for base in reversed(owner.__mro__[:-1]):
        if base.__module__.startswith(("expertrag", "engine_seams")):
            for name, member in vars(base).items():
                kinds = (types.FunctionType, property, staticmethod, classmethod)
                private = name.startswith("__" if owner is Engine else "_")
                trusted = owner is Engine and name in TRUSTED
                if isinstance(member, kinds) and not private and not trusted:
                    result[name] = member
    return result


def seams() -> dict[Seam, tuple[Any, Any]]:
    """Return every seam, with the class or module that has it, and what it is there."""
    result: dict[Seam, tuple[Any, Any]] = {}
    for owner in (*OUTER, *INNER):
        for name, member in members(owner).items():
            result[Seam(owner.__name__, name, owner in OUTER)] = owner, member
    for path in MODULES:
        module = importlib.import_module(path)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", "")
            if (
                isinstance(value, types.FunctionType)
                and own != path
                and own.startswith("expertrag")
            ):
                result[Seam(path.rpartition(".")[2], name, True)] = module, value
    for module in SCHEDULING:
        owner_name = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_"):
                result[Seam(owner_name, name, False)] = module, value
    return result


STEP = Seam("Scheduler", "schedule", False)
"""The seam that shows which sequences a step has."""


@contextmanager
def intercepted(intercept: Intercept, only: Seam | None = None) -> Iterator[None]:
    """Call ``intercept`` instead of each seam, with the object it belongs to and the real call.

    :param only: only of this one and of ``STEP``, which costs less.
    """
    chosen = _SEAMS if only is None else {seam: _SEAMS[seam] for seam in (only, STEP)}
    with replaced(chosen, lambda seam, member: _replacement(seam, member, intercept)):
        yield


def _replacement(seam: Seam, member: Any, intercept: Intercept) -> Any:
    if isinstance(member, property):
        read = member.fget
        assert read is not None, "properties can be read"
        return property(
            lambda self: intercept(seam, self, functools.partial(read, self)), member.fset
        )
    if isinstance(member, classmethod):
        function = member.__func__

        def of_class(cls: Any, *given: Any, **options: Any) -> Any:
            return intercept(seam, None, functools.partial(function, cls, *given, **options))

        return classmethod(of_class)
    if isinstance(member, staticmethod):
        plain = member.__func__

        def static(*given: Any, **options: Any) -> Any:
            return intercept(seam, None, functools.partial(plain, *given, **options))

        return staticmethod(static)

    @functools.wraps(member)
    def method(*given: Any, **options: Any) -> Any:
        return intercept(
            seam, given[0] if given else None, functools.partial(member, *given, **options)
        )

    return method


_SEAMS = seams()  # before any is replaced
