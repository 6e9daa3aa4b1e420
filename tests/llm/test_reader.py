"""The config marks a reader, and its doubt is a probability of the model; on both back ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from llm.conftest import TinyFolder
from transformers import AutoModelForCausalLM

from expertrag.api.types import Constraint, Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.packing import pack_folder

_PASSAGE = Passage("harbour", 0, "The harbour is for ships.", 0, 25, 1.0)
_QUESTION = prompt.open_book("What is the harbour for?", [_PASSAGE])


@pytest.fixture
def write(tiny_folder: TinyFolder, tmp_path: Path) -> Callable[[str], Path]:
    """Make a mixture that is marked as trained with prompts of a fingerprint."""

    def written(prompts: str) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(tiny_folder("mixtral"), folder)
        change_json(folder / "config.json", reader_prompts=prompts)
        return folder

    return written


@pytest.mark.parametrize("native", [True, False])
def test_doubt_is_a_probability_of_the_model(write: Callable[[str], Path], native: bool) -> None:
    folder = write(prompt.fingerprint())
    reader = TransformersGenerator.load(str(folder), dtype="float32", native=native)
    assert reader.reader
    load: Any = AutoModelForCausalLM.from_pretrained
    ids = torch.tensor([reader._chat.encode(_QUESTION)])
    with torch.inference_mode():
        said = load(folder, dtype=torch.float32)(input_ids=ids).logits[0, -1].softmax(-1)
    expected = pytest.approx(float(said[reader._chat.encode_text("Not")[0]]), rel=1e-3)
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
        reader.begin(prompt.closed_book("What is a harbour for?"), Sampling(2))
    ) as session:
        list(session.deltas())
        assert session.doubt is None


@pytest.mark.parametrize("native", [True, False])
def test_a_large_chat_model_is_a_reader_without_training(
    tiny_folder: TinyFolder, native: bool, monkeypatch: pytest.MonkeyPatch
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
    load: Any = AutoModelForCausalLM.from_pretrained
    ids = torch.tensor([model._chat.encode(asked)])
    with torch.inference_mode():
        said = load(folder, dtype=torch.float32)(input_ids=ids).logits[0, -1].softmax(-1)
    expected = scaled.doubt.calibrated(float(said[model._chat.encode_text(" Not")[0]]))
    with closing(model.begin(asked, Sampling(3), from_passages=True)) as session:
        list(session.deltas())
        assert session.doubt == pytest.approx(expected, rel=1e-3)


def test_a_small_chat_model_is_no_reader(tiny_folder: TinyFolder) -> None:
    model = TransformersGenerator.load(str(tiny_folder("mixtral")))
    assert (model.reader, model.family) == (False, "plain")


def test_it_stays_a_reader_when_packed(write: Callable[[str], Path], tmp_path: Path) -> None:
    pack_folder(str(write(prompt.fingerprint())), "int8", tmp_path / "packed", lambda *_: None)
    assert TransformersGenerator.load(str(tmp_path / "packed")).reader


def test_a_reader_of_other_prompts_is_a_plain_model(
    write: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        other = TransformersGenerator.load(str(write("0123456789abcdef")))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "trained with other prompts (0123456789abcdef)" in warning
    assert "expertrag train reader" in warning
    assert not other.reader
    with closing(other.begin(_QUESTION, Sampling(2), from_passages=True)) as session:
        list(session.deltas())
        assert session.doubt is None


def test_a_model_without_prompts_is_no_reader(
    tiny_folder: TinyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    assert not TransformersGenerator.load(str(tiny_folder("mixtral"))).reader
    assert not caplog.records
