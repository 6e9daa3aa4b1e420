"""A probe on hidden states computes a session's doubt before it samples, on both back ends."""

from __future__ import annotations

from contextlib import closing
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_fixtures import TinyFolder

from expertrag.answer.assemble import open_generator, reading_of
from expertrag.api.errors import Conflict, InvalidArgument, ServerError
from expertrag.api.types import Constraint, FinishReason, Passage, Sampling
from expertrag.config import LabConfig, ModelConfig
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Message
from expertrag.llm.probe import STATES, STRICT_FROM, Owner, Probe, load_probe
from expertrag_lab.probe_files import save_probe

_WIDTH = 32
_PASSAGE = Passage("harbour", 0, "The harbour is for ships.", 0, 25, 1.0)
_QUESTION = prompt.open_book("What is the harbour for?", [_PASSAGE])


@pytest.fixture(scope="module", params=[True, False], ids=["engine", "transformers"])
def loaded(request: pytest.FixtureRequest, reader_folder: Path) -> TransformersGenerator:
    return TransformersGenerator.load(str(reader_folder), dtype="float32", native=request.param)


@pytest.fixture
def reader(loaded: TransformersGenerator) -> TransformersGenerator:
    """A tiny mixture that is a reader of our prompts, without a probe."""
    return copy(loaded)


def _probe(reader: TransformersGenerator, bias: float, weight: float = 0.0) -> Probe:
    owner = Owner(reader.name, reader.fingerprint, prompt.fingerprint())
    return Probe(np.full(2 * _WIDTH, weight, np.float32), bias, owner)


def test_doubt_comes_from_the_states_of_the_last_token(reader: TransformersGenerator) -> None:
    watched, abstains = reader.watch(_QUESTION)
    assert 0 < abstains < 1
    probe = _probe(reader, 0.1, 0.01)
    states = np.concatenate([watched.vectors[name] for name in STATES])
    expected = 1 / (1 + np.exp(-(0.01 * states.sum() + 0.1)))
    assert probe.probability(watched.vectors) == pytest.approx(expected, rel=1e-4)
    reader.probe_with(probe)
    assert reader.strict_from == STRICT_FROM
    with closing(reader.begin(_QUESTION, Sampling(3), from_passages=True)) as session:
        assert session.doubt is None
        list(session.deltas())
        assert session.doubt == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("looked", [False, True])
def test_it_abstains_before_a_token_is_sampled(looked: bool, reader: TransformersGenerator) -> None:
    reader.probe_with(_probe(reader, 4.0))
    with closing(reader.begin(_QUESTION, Sampling(8), from_passages=True)) as session:
        if looked:
            assert session.look() == pytest.approx(1 / (1 + np.exp(-4.0)))
        assert "".join(session.stream()) == prompt.NOT_FOUND
        assert session.finish_reason is FinishReason.STOP
        assert session.completion_tokens == 0
        assert session.doubt == pytest.approx(1 / (1 + np.exp(-4.0)))


def test_a_low_doubt_does_not_change_the_answer(reader: TransformersGenerator) -> None:
    def answer() -> str:
        with closing(reader.begin(_QUESTION, Sampling(8), from_passages=True)) as session:
            return "".join(session.stream())

    assert reader._abstention is not None
    reader._abstention = replace(reader._abstention, decides=False)
    alone = answer()
    reader.probe_with(_probe(reader, -4.0))
    assert answer() == alone != prompt.NOT_FOUND


def test_a_constrained_answer_without_a_begun_turn_has_no_doubt(
    tiny_folder: TinyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe was fitted on turns that were begun."""
    monkeypatch.setattr(prompt, "INSTRUCTED_FROM", 1)
    model = TransformersGenerator.load(str(tiny_folder("mixtral")), dtype="float32")
    owner = Owner(model.name, model.fingerprint, prompt.fingerprint(prompt.INSTRUCT))
    model.probe_with(Probe(np.zeros(2 * _WIDTH, np.float32), 4.0, owner))
    sampling = Sampling(8, constraint=Constraint(choices=("yes", "no")))
    for begun, doubt in ((True, pytest.approx(1 / (1 + np.exp(-4.0)))), (False, None)):
        asked = prompt.open_book("Where?", [_PASSAGE], family=prompt.INSTRUCT, begun=begun)
        with closing(
            model.begin(asked, Sampling(8) if begun else sampling, from_passages=True)
        ) as session:
            text = "".join(session.stream())
            assert session.doubt == doubt
        assert text == prompt.NOT_FOUND if begun else text in ("yes", "no")


def test_without_passages_there_is_no_doubt(reader: TransformersGenerator) -> None:
    reader.probe_with(_probe(reader, 4.0))
    closed = prompt.write_closed_book("What is a harbour for?")
    with closing(reader.begin(closed, Sampling(2))) as session:
        list(session.deltas())
        assert session.doubt is None


def test_a_probe_of_another_model_is_rejected(reader: TransformersGenerator) -> None:
    probe = _probe(reader, 0.0)
    for field in ("fingerprint", "prompts"):
        other = replace(probe, owner=replace(probe.owner, **{field: "0" * 16}))
        with pytest.raises(Conflict, match="another model, or has other prompts"):
            reader.probe_with(other)
    reader.probe_with(replace(probe, owner=replace(probe.owner, generator="elsewhere")))


def test_a_saved_probe_loads_unchanged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=2 * _WIDTH).astype(np.float32)
    probe = Probe(weights, -0.25, Owner("model", "a" * 16, "b" * 16))
    save_probe(probe, {"command": "none"}, "# A probe\n", tmp_path)
    read = load_probe(tmp_path)
    assert np.array_equal(read.weights, weights)
    assert (read.bias, read.owner) == (probe.bias, probe.owner)
    assert len(read.digest) == 16
    assert (tmp_path / "README.md").read_text() == "# A probe\n"


def test_missing_and_damaged_probes_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="expertrag train probe"):
        load_probe(tmp_path)
    probe = Probe(np.zeros(4, np.float32), 0.0, Owner("model", "a", "b"))
    save_probe(probe, {}, "", tmp_path)
    (tmp_path / "probe.safetensors").write_bytes(b"torn")
    with pytest.raises(ServerError, match="damaged") as error:
        load_probe(tmp_path)
    assert error.value.reason == "MODEL_DAMAGED"


def test_look_returns_the_doubt_and_changes_no_answer(reader: TransformersGenerator) -> None:
    reader.probe_with(_probe(reader, -4.0, 0.01))
    other = prompt.open_book("Where are the ships?", [_PASSAGE])

    def alone(question: list[Message]) -> tuple[str, float | None]:
        with closing(reader.begin(question, Sampling(8), from_passages=True)) as session:
            return "".join(session.stream()), session.doubt

    expected = [alone(question) for question in (_QUESTION, other)]
    sessions = [
        reader.begin(question, Sampling(8), from_passages=True) for question in (_QUESTION, other)
    ]
    assert [session.look() for session in sessions] == [doubt for _, doubt in expected]
    sessions[1].close()
    assert sessions[0].look() == expected[0][1]  # a second look samples no other token
    with closing(sessions[0]) as session:
        assert "".join(session.stream()) == expected[0][0]
        assert session.completion_tokens == 8


def test_only_readers_get_the_best_passage_first(
    tiny_folder: TinyFolder, reader_folder: Path
) -> None:
    """The doubt of a reader was trained; other models need a probe."""
    reader = ModelConfig(generator=str(reader_folder), dtype="float32")
    other = replace(reader, generator=str(tiny_folder("mixtral")))
    together = LabConfig(passages="together")
    for model, lab, best_first in (
        (reader, LabConfig(), True),
        (reader, together, False),
        (other, LabConfig(), False),
    ):
        assert reading_of(model, open_generator(model), lab).best_first is best_first
