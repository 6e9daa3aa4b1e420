"""The files that one question enters; ``pytest -s`` prints them in order."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from serving_fixtures import PacedGenerator

import expertrag
from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode

ROOT = Path(expertrag.__file__).parent
SERVING = {"answer", "api", "audit", "llm", "runtime"}
"""Packages that a question may enter on its way through the pipeline."""


def test_a_question_enters_serving_packages_only(built_store: Path, embedder: Any) -> None:
    entered: dict[Path, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT):
            entered.setdefault(file.relative_to(ROOT))

    with closing(Pipeline(built_store, embedder, PacedGenerator(words=3))) as pipeline:
        request = AnswerRequest("How many days of paid leave do employees get?", GateMode.ALWAYS)
        sys.setprofile(note)
        try:
            fold(pipeline.answer(request))
        finally:
            sys.setprofile(None)
    sys.stdout.write("\n".join(["", str(len(entered)), *map(str, entered), ""]))
    assert {file.parts[0] for file in entered} <= SERVING
    way = [file.stem for file in entered if file.parts[0] == "answer"]
    order = ["pipeline", "route", "generate", "decide", "retrieve", "ground"]
    assert [name for name in way if name in order] == order
