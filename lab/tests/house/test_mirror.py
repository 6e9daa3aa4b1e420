"""Every module on the way of a question has a test of its own: a file of its name, in the folder
of its name, or a test file that imports it.

``TESTED_BY`` has the other modules, and the test that runs each. An entry that is not needed any
more fails, so the list only shrinks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from house_code import ROOT

FOLDERS = {
    "expertrag/answer": "answer",
    "expertrag/grounding": "grounding",
    "expertrag/stores": "stores",
    "expertrag/llm": "llm",
    "expertrag/serving/core": "serving/core",
    "index/expertrag_index/search": "index/search",
    "index/expertrag_index/store": "index/store",
    "retriever/expertrag_retriever": "retriever",
}
"""Folders of modules, and the folder of their tests in ``tests`` and ``lab/tests``."""

_ENGINE = "tests/llm/engine/test_engine.py"
_LOWERING = "tests/llm/engine/test_lowering.py"
_TRANSFORMERS = "tests/llm/backends/test_transformers_backend.py"
_OPENAI = "tests/llm/backends/test_openai_backend.py"
_PACKING = "tests/llm/load/test_packing.py"
_CALLERS = "tests/serving/grpc/test_tenants.py"
_LEARNERS = "lab/tests/train/gate/test_learners.py"
TESTED_BY = {
    "expertrag.answer.gate_signals": "tests/answer/test_gate.py",
    "expertrag.answer.generate": "tests/answer/test_pipeline.py",
    "expertrag.answer.sessions": "tests/answer/test_pipeline.py",
    "expertrag.stores.access": "tests/answer/test_pipeline.py",
    "expertrag.llm.adapters.parallel": "tests/llm/test_reader.py",
    "expertrag.llm.adapters.served": "tests/llm/adapters/test_loaded.py",
    "expertrag.llm.backends.background": _OPENAI,
    "expertrag.llm.backends.openai_constraints": _OPENAI,
    "expertrag.llm.backends.openai_session": _OPENAI,
    "expertrag.llm.backends.transformers_loading": _TRANSFORMERS,
    "expertrag.llm.backends.transformers_network": _TRANSFORMERS,
    "expertrag.llm.engine.decode": _ENGINE,
    "expertrag.llm.engine.drawing": _ENGINE,
    "expertrag.llm.engine.low_rank_experts": _LOWERING,
    "expertrag.llm.engine.mixture_steps": _LOWERING,
    "expertrag.llm.engine.named_weights": _LOWERING,
    "expertrag.llm.engine.page_tables": "tests/llm/engine/test_page_pool.py",
    "expertrag.llm.engine.pairs": "tests/llm/engine/test_contrast.py",
    "expertrag.llm.engine.planning": _LOWERING,
    "expertrag.llm.engine.prefill": _ENGINE,
    "expertrag.llm.engine.program": _LOWERING,
    "expertrag.llm.gguf_names": "tests/llm/load/test_gguf_file.py",
    "expertrag.llm.load.file_tokenizer": _PACKING,
    "expertrag.llm.load.gguf_layout": "tests/llm/load/test_gguf_file.py",
    "expertrag.llm.load.gguf_parts": "tests/llm/load/test_gguf_file.py",
    "expertrag.llm.load.native_loading": _PACKING,
    "expertrag.llm.load.packed_loading": _PACKING,
    "expertrag.llm.scoring": _TRANSFORMERS,
    "expertrag.serving.core.authentication": "tests/serving/grpc/test_identity.py",
    "expertrag.serving.core.core": "tests/serving/grpc/test_stopping.py",
    "expertrag.serving.core.operations": _CALLERS,
    "expertrag.serving.core.runtime": "tests/serving/core/test_upkeep.py",
    "expertrag_index.search.faiss_vectors": "tests/index/search/test_vectors.py",
    "expertrag_index.store.generation_reader": "tests/index/store/test_index.py",
    "expertrag_retriever.base": "tests/retriever/test_encoder.py",
    "expertrag_retriever.bert": "tests/retriever/test_plain_encoder.py",
    "expertrag_retriever.experts.routing": "tests/retriever/experts/test_module.py",
    "expertrag_retriever.gate.background": "tests/retriever/test_calibrate.py",
    "expertrag_retriever.gate.calibration": "tests/retriever/test_calibrate.py",
    "expertrag_retriever.gate.design": "lab/tests/train/gate/test_design.py",
    "expertrag_retriever.gate.learners": _LEARNERS,
    "expertrag_retriever.model_folder": "tests/retriever/test_encoder.py",
    "expertrag_retriever.quiet": "tests/retriever/test_encoder.py",
    "expertrag_retriever.rerank": "tests/retriever/rerank/test_loading.py",
}
"""Test files by module, or by the package of some modules."""


@cache
def _imports() -> frozenset[str]:
    """Return the modules and names that test files import."""
    imports: set[str] = set()
    for folder in ("tests", "lab/tests"):
        for file in (ROOT / folder).rglob("test_*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    imports.add(node.module)
                    imports.update(f"{node.module}.{name.name}" for name in node.names)
                elif isinstance(node, ast.Import):
                    imports.update(name.name for name in node.names)
    return frozenset(imports)


def _modules() -> Iterator[tuple[str, Path]]:
    """Yield the modules, and the path of their test below a folder of tests."""
    for folder, tests in FOLDERS.items():
        start = ROOT / folder
        package = folder.replace("index/", "", 1).replace("retriever/", "", 1).replace("/", ".")
        for file in sorted(start.rglob("*.py")):
            below = file.relative_to(start)
            if file.name != "__init__.py":
                name = ".".join((package, *below.with_suffix("").parts))
                yield name, Path(tests) / below.with_name(f"test_{below.name}")


def _untested() -> Iterator[str]:
    """Yield the modules without a test file of their name that no test imports."""
    for module, test in _modules():
        mirrored = any((ROOT / folder / test).is_file() for folder in ("tests", "lab/tests"))
        if not mirrored and module not in _imports():
            yield module


def _entry(module: str) -> str:
    """Return the key of a module's entry: the module, or its package."""
    return module if module in TESTED_BY else module.rpartition(".")[0]


def test_the_other_modules_are_listed_with_their_test() -> None:
    assert {_entry(module) for module in _untested()} == {*TESTED_BY}


@pytest.mark.parametrize("test", sorted({*TESTED_BY.values()}))
def test_a_test_that_is_named_exists(test: str) -> None:
    assert (ROOT / test).is_file()
