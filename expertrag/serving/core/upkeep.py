"""Compacts the collections of a server when nobody writes to them."""

from __future__ import annotations

import asyncio
import time

import structlog

from expertrag.answer.collections import DEFAULT, tenant_of
from expertrag.api.errors import ExpertRAGError
from expertrag.auth import Caller
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind

_EVERY_S = 60.0
_log = structlog.get_logger("expertrag.service")


async def keep_compact(runtime: Runtime) -> None:
    """Compact open collections that are wasteful, one at a time, until cancelled.

    A compaction takes its turn among the tenant's writes. One that fails is logged and not tried
    again before the next write.
    """
    told = False
    while True:
        await asyncio.sleep(min(_EVERY_S, runtime.config.compact_after_s))
        try:
            for key in runtime.collections.open_keys:
                await _compact(runtime, key)
            told = False
        except Exception:  # the next round may do; without this task there would be none
            if not told:
                _log.exception("collections not compacted")
            told = True


async def _compact(runtime: Runtime, key: str) -> None:
    started = time.monotonic()

    def work(stop: Stop) -> bool:
        with runtime.collections.keep_open(key) as pipeline:
            quiet_s = runtime.config.compact_after_s
            if pipeline is None or not pipeline.compact_if_wasteful(quiet_s, stop):
                return False
            if key == DEFAULT:
                runtime.metrics.observe_index(pipeline.stats())
            return True

    code, context = "OK", CallContext("Compact", "", Caller("server"), own=True)
    try:
        if not await runtime.workers.run(CallKind.WRITE, context, work, tenant_of(key)):
            return
        seconds = round(time.monotonic() - started, 1)
        _log.info("collection compacted", collection=key, seconds=seconds)
    except ExpertRAGError as error:
        code = error.code
        _log.warning("collection not compacted", collection=key, error=error.message)
    except Exception:  # the other collections are still to be looked after
        code = "INTERNAL"
        _log.exception("collection not compacted", collection=key)
    runtime.metrics.compactions.labels(code).inc()
