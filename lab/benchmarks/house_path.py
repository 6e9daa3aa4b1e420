"""Which files of the service one question enters, recorded while it is answered."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from eval_answers import config_of
from house_code import ROOT, SERVICE
from mixed_store import build

from expertrag.answer.assemble import open_pipeline
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode, Sampling
from expertrag.config import Config
from expertrag.llm.load.loading import quiet
from expertrag.stores.embedders import open_embedder

SMALL = "smollm2-135m-reader"
REQUEST = AnswerRequest(
    "How many days of paid leave do employees of Northwind get?",
    GateMode.ALWAYS,
    sampling=Sampling(max_tokens=7),
)
TEXTS = {
    "leave.md": "Employees of Northwind get 27 days of paid leave a year.",
    "travel.md": "Trips of Northwind are booked by the office two weeks ahead.",
    "drill.md": "The drill has a battery of 40 volts and weighs two kilograms.",
}
_FOLDERS = tuple(f"{ROOT / folder}/" for folder in SERVICE)


def count_files(work: Path, config: Config | None = None) -> Mapping[str, int]:
    """Answer a question over three documents; count the files it enters and the moves between them.

    The second answer is counted, since the first one also loads what is needed.

    :param work: an empty folder.
    :param config: the default one with a small model, unless it is given.
    """
    config = config or config_of(SMALL, reader="auto")
    documents = work / "documents"
    documents.mkdir()
    for name, text in TEXTS.items():
        (documents / name).write_text(text, encoding="utf-8")
    with quiet():
        store = build(documents, work / "store", open_embedder(config.model, None), _ignore)
        with closing(open_pipeline(replace(config, index=str(store)))) as pipeline:
            fold(pipeline.answer(REQUEST))
            with _recorded() as visits:
                fold(pipeline.answer(REQUEST))
    moves = sum(before != after for before, after in itertools.pairwise(visits))
    return {"files that one question enters": len({*visits}), "moves between files": moves}


@contextmanager
def _recorded() -> Iterator[list[str]]:
    """Record the files of the service whose functions this thread calls, in order."""
    visits: list[str] = []

    def record(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_FOLDERS):
            visits.append(frame.f_code.co_filename)

    sys.setprofile(record)
    try:
        yield visits
    finally:
        sys.setprofile(None)


def _ignore(_stage: str, _done: int, _total: int | None) -> None:
    """Report no progress."""
