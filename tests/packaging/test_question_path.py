"""The files that one question enters; ``pytest -s`` prints them in order."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from serving_fixtures import OpenPipeline, PacedGenerator

import expertrag
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode

ROOT = Path(expertrag.__file__).parent
SERVING = {
    "answer",
    "api",
    "audit",
    "conversation",
    "grounding",
    "llm",
    "models",
    "queries",
    "runtime",
    "stores",
}
"""Packages that a question may enter on its way through the pipeline."""


def test_a_question_enters_serving_packages_only(open_pipeline: OpenPipeline) -> None:
    entered: dict[Path, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT):
            entered.setdefault(file.relative_to(ROOT))

    pipeline = open_pipeline(PacedGenerator(words=3))
    request = AnswerRequest("How many days of paid leave do employees get?", GateMode.ALWAYS)
    sys.setprofile(note)
    try:
        fold(pipeline.answer(request))
    finally:
        sys.setprofile(None)
    sys.stdout.write("\n".join(["", str(len(entered)), *map(str, entered), ""]))
    assert {file.parts[0] for file in entered} <= SERVING
    way = [file.stem for file in entered if file.parts[0] == "answer"]
    order = ["pipeline", "read", "gate", "search", "ground"]
    assert [name for name in way if name in order] == order
