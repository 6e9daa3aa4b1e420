"""`make lab-eval-cost`: a tiny reader is asked, and its figures have every part of the table."""

from __future__ import annotations

import json
import mmap
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_bytes import referenced
from cost_tables import systems
from eval_cost import CALIBRATED, Bench, adapter_of, figures, rows, transferred
from reader_samples import write_llama, write_reader

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.api.types import GateMode
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag_index.store.index import Index
from expertrag_lab.data.datasets import Query
from expertrag_lab.eval.serving import Opened

LEAVE = Query("leave", "How many days of paid leave do employees of Northwind get?", ("27",))
OTHER = Query("other", "Who maintains the office?", None)
MODES = (GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO)


def test_a_tiny_reader_is_measured(
    built_store: Path, embedder: Any, smollm_path: Path, tmp_path: Path
) -> None:
    base = write_llama(tmp_path / "base", smollm_path)
    adapters = load_adapters(write_reader(tmp_path / "reader", base))
    model = TransformersGenerator.load(str(base), adapters=adapters)
    with (
        closing(Pipeline(built_store, PipelineModels(embedder, model))) as pipeline,
        Index.open(built_store) as index,
    ):
        bench = Bench(Opened(pipeline, model, index, (), {}), MODES, "tiny", lambda *_: None)
        assert bench.adapter == adapter_of(bench.use) == "legal"
        answers = list(bench.answers([("office", LEAVE), ("everyday", OTHER)], [LEAVE]))
    asked = [one for one in answers if one.kind != CALIBRATED]
    assert sorted(one.mode for one in asked) == sorted([*MODES, *MODES])
    assert {one.mode for one in answers if one.kind == CALIBRATED} == {"never", "always"}
    never, always = (
        next(one for one in asked if one.mode == mode and one.kind == "office")
        for mode in ("never", "always")
    )
    assert always.operations > never.operations > 0
    assert always.bytes > 0 < never.model_seconds
    assert never.seconds >= never.model_seconds + never.other_seconds
    found: Any = figures(answers, MODES)
    assert json.loads(json.dumps(found, allow_nan=False))
    assert found["rates"].keys() == {"office", "everyday"}
    assert found["modes"]["always"]["retrieved"] == 1.0
    moved: Any = transferred(found, found)
    assert moved["never"]["error"] == pytest.approx(found["modes"]["never"]["error"])
    assert len(list(rows(found))) == 2 + len(MODES)
    table = list(systems({"systems": {"reader": {**found, "model": "tiny", "transferred": moved}}}))
    assert len(table) == 2 + len(MODES) + 1


def test_pages_that_were_read_are_counted() -> None:
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        pytest.skip("only Linux counts the pages that a process reads")
    area = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    values = torch.from_numpy(np.frombuffer(area, dtype=np.uint8))
    values.fill_(1)
    clear.write_text("1")
    before = referenced([values.data_ptr()])
    assert int(values[: 8 << 20].sum()) == 8 << 20
    assert referenced([values.data_ptr()]) - before == pytest.approx(8 << 20, rel=0.05)
