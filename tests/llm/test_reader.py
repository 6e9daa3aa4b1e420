"""The config marks a reader, and its doubt is a probability of the model; on both back ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from model_fixtures import TinyFolder
from transformers import AutoModelForCausalLM

from expertrag.api.types import Constraint, Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.load.packing import pack_folder

_PASSAGE = Passage("harbour", 0, "The harbour is for ships.", 0, 25, 1.0)
_QUESTION = prompt.open_book("What is the harbour for?", [_PASSAGE])


def _probability(
    folder: Path, chat: ChatTokenizer, asked: Sequence[Message], beginning: str
) -> float:
    """Probability that an answer begins with a token, from transformers alone."""
    load: Any = AutoModelForCausalLM.from_pretrained
    ids = torch.tensor([chat.encode(asked)])
    with torch.inference_mode():
        said = load(folder, dtype=torch.float32)(input_ids=ids).logits[0, -1].softmax(-1)
    return float(said[chat.encode_text(beginning)[0]])


@pytest.mark.parametrize("native", [True, False])
def test_doubt_is_a_probability_of_the_model(
    reader_folder: Path, chat: ChatTokenizer, native: bool
) -> None:
    reader = TransformersGenerator.load(str(reader_folder), dtype="float32", native=native)
    assert reader.reader
    expected = pytest.approx(_probability(reader_folder, chat, _QUESTION, "Not"), rel=1e-3)
    for sampling in (
        Sampling(3),
        Sampling(3, temperature=2.0, seed=1),
        Sampling(3, constraint=Constraint(choices=("yes", "no"))),
    ):
        with closing(reader.begin(_QUESTION, sampling, from_passages=True)) as session:
            assert session.doubt is None
            session.peek(1)
            assert session.doubt == expected
            list(session.deltas())
            assert session.doubt == expected
    with closing(
        reader.begin(prompt.write_closed_book("What is a harbour for?"), Sampling(2))
    ) as session:
        list(session.deltas())
        assert session.doubt is None


@pytest.mark.parametrize("native", [True, False])
def test_a_large_chat_model_is_a_reader_without_training(
    tiny_folder: TinyFolder, chat: ChatTokenizer, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its doubt is the scaled probability of the abstention's first token."""
    scaled = replace(prompt.INSTRUCT, doubt=prompt.Doubt(0.5, 1.0))
    monkeypatch.setattr(prompt, "INSTRUCT", scaled)
    monkeypatch.setattr(prompt, "INSTRUCTED_FROM", 1)
    monkeypatch.setattr(prompt, "FAMILIES", {"plain": prompt.PLAIN, "instruct": scaled})
    folder = tiny_folder("mixtral")
    model = TransformersGenerator.load(str(folder), dtype="float32", native=native)
    assert (model.reader, model.family) == (True, "instruct")
    asked = prompt.open_book("What is the harbour for?", [_PASSAGE], family=scaled)
    expected = scaled.doubt.calibrate(_probability(folder, chat, asked, " Not"))
    with closing(model.begin(asked, Sampling(3), from_passages=True)) as session:
        list(session.deltas())
        assert session.doubt == pytest.approx(expected, rel=1e-3)


def test_a_small_chat_model_is_no_reader(
    tiny_folder: TinyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    model = TransformersGenerator.load(str(tiny_folder("mixtral")))
    assert (model.reader, model.family) == (False, "plain")
    assert not caplog.records


def test_it_stays_a_reader_when_packed(reader_folder: Path, tmp_path: Path) -> None:
    pack_folder(str(reader_folder), "int8", tmp_path / "packed", lambda *_: None)
    assert TransformersGenerator.load(str(tmp_path / "packed")).reader


def test_a_reader_of_other_prompts_is_a_plain_model(
    reader_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(reader_folder, tmp_path / "model")
    change_json(folder / "config.json", reader_prompts="0123456789abcdef")
    with caplog.at_level(logging.WARNING):
        other = TransformersGenerator.load(str(folder))
    ours = [record for record in caplog.records if record.name.startswith("expertrag")]
    (warning,) = [record.getMessage() for record in ours]  # a pool of another test may log, too
    assert "trained with other prompts (0123456789abcdef)" in warning
    assert "expertrag train reader" in warning
    assert not other.reader
    with closing(other.begin(_QUESTION, Sampling(2), from_passages=True)) as session:
        list(session.deltas())
        assert session.doubt is None
