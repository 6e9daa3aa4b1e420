"""What a run has made: the calibration of its generation, and its report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from expertrag_index.build.context import WriterContext
from expertrag_index.build.staging import Stage
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import JSON, Manifest
from expertrag_index.store.opening import load
from expertrag_index.store.snapshot import SnapshotPool
from expertrag_index.types import BuildReport, LoadFailure


def calibrate_with(
    context: WriterContext, layout: Layout, manifest: Manifest
) -> Mapping[str, JSON]:
    """Measure a generation that is not published yet."""
    assert context.calibrate is not None
    context.progress("calibrate", 0, 1)
    pool = SnapshotPool(layout.database)
    try:
        generation = load(layout, manifest, pool, reuse=context.reuse)
        with Index(layout, generation) as candidate:
            calibration = context.calibrate(candidate)
    finally:
        pool.close()
    context.progress("calibrate", 1, 1)
    return calibration


def make_report(
    stage: Stage,
    manifest: Manifest | None,
    failures: Sequence[LoadFailure],
    removed: int,
    started: float,
) -> BuildReport:
    """Report a run.

    :param manifest: of the published generation, if any.
    :param removed: number of documents.
    :param started: ``time.monotonic`` at its start.
    """
    return BuildReport(
        generation=manifest.generation if manifest else 0,
        added=stage.added,
        changed=stage.changed,
        unchanged=stage.unchanged,
        removed=removed,
        chunks=manifest.chunks if manifest else 0,
        chunks_embedded=stage.embeddings,
        failures=(*failures, *stage.failures),
        seconds=time.monotonic() - started,
    )
