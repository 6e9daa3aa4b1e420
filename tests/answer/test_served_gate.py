"""A fitted gate that is replaced while questions are answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_server import ModelServer
from retriever.gate.conftest import planted
from serving_fixtures import OpenPipeline, PacedGenerator, StartServer
from store_helper import build

from expertrag import models
from expertrag.answer.assemble import open_gate
from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.served_gate import ServedGate, check_models
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateDecision, Sampling
from expertrag.client import Client
from expertrag.config import GateConfig, ModelConfig
from expertrag.llm import load_generator
from expertrag.stores.embedders import open_embedder
from expertrag_index.types import Document
from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_lab.train.gate.save import save_gate
from expertrag_lab.train.gate.sufficiency import fit_sufficiency
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.budget import NOTHING
from expertrag_retriever.gate.bundle import ABOUT, GateBundle, Needs
from expertrag_retriever.gate.signals import SignalGroup, Signals
from expertrag_retriever.gate.sufficiency import Sufficiency

FINANCE = "domain_of_finance"


def _accept(_bundle: GateBundle) -> None:
    """Accept any gate."""


def _write(
    folder: Path,
    *,
    threshold: float,
    needs: Needs | None = None,
    sufficiency: Sufficiency | None = None,
    domains: bool = False,
    answered_by: str = "",
) -> None:
    """Fit a gate on planted rows and put it into ``folder``, in place of what is there."""
    rows = planted(120)
    signals = rows.signals
    groups: tuple[SignalGroup, ...] = (SignalGroup.STORE, SignalGroup.PREFILL)
    if domains:  # the store's signals follow the domain of the question
        signals = [Signals({FINANCE: row.numbers["documents_log_odds"]}) for row in rows.signals]
        groups = (SignalGroup.DOMAIN,)
    fitted = fit_predictor(signals, rows.right, groups=groups, models=("logistic",))
    benefits = tuple(np.sort(fitted.predicted.benefit).tolist())
    card = {"answered_by": [answered_by]} if answered_by else {}
    bundle = GateBundle(
        "planted", fitted.predictor, threshold, benefits, needs or Needs(), card, sufficiency
    )
    folder.mkdir(exist_ok=True)
    save_gate(bundle, folder)


def test_an_unusable_gate_is_not_loaded(tmp_path: Path) -> None:
    _write(tmp_path / "gate", threshold=0.1)

    def check(bundle: GateBundle) -> None:
        check_models(bundle, embedder="mine", generator=None)

    served = ServedGate(tmp_path / "gate", check)
    assert served.current() is served.current()
    _write(tmp_path / "gate", threshold=0.9, needs=Needs("other", "abc"))
    assert served.current().threshold == 0.1
    (tmp_path / "gate" / ABOUT).write_text("{")
    assert served.current().threshold == 0.1


def test_the_first_gate_must_be_usable(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no gate in"):
        ServedGate(tmp_path, _accept)
    _write(tmp_path / "gate", threshold=0.1, needs=Needs("other", "abcdefgh0"))
    with pytest.raises(Conflict, match=r"another embedder \(other, abcdefgh; here it is mine\)"):
        ServedGate(
            tmp_path / "gate", lambda gate: check_models(gate, embedder="mine", generator=None)
        )


def test_auto_is_the_shipped_gate_of_the_language_model(
    embedder: Any,
    paced: PacedGenerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The training-free gate decides without a shipped gate, or with one of other models."""
    assert open_gate(GateConfig(), embedder, paced) is None
    with pytest.raises(InvalidArgument, match=r"gate\.answer_value_s: needs a calibrated"):
        open_gate(GateConfig(answer_value_s=9.0), embedder, paced)
    shipped = tmp_path / "gate"
    monkeypatch.setattr(models.shipped, "GATES_OF_GENERATORS", {paced.name: str(shipped)})
    base = embedder.fingerprint_of_expert(GENERAL)
    _write(shipped, threshold=0.3, needs=Needs("mine", base, paced.name, paced.fingerprint))
    served = open_gate(GateConfig(answer_value_s=9.0), embedder, paced)
    assert served is not None and served.current().threshold == 0.3
    assert open_gate(GateConfig(bundle="training-free"), embedder, paced) is None
    _write(shipped, threshold=0.3, needs=Needs("mine", base, paced.name, "another"))
    assert open_gate(GateConfig(), embedder, paced) is None
    assert "using the training-free gate" in caplog.text


def test_a_gate_of_other_answers_decides_with_a_warning(
    embedder: Any,
    paced: PacedGenerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its signals need no language model, so any can be served with it."""
    folder = tmp_path / "gate"
    needs, config = (
        Needs(None, embedder.fingerprint_of_expert(GENERAL)),
        GateConfig(bundle=str(folder)),
    )

    def warned(answered_by: str) -> str:
        caplog.clear()
        _write(folder, threshold=0.1, needs=needs, answered_by=answered_by)
        assert open_gate(config, embedder, paced) is not None
        return caplog.text

    assert "does not say whose answers" in warned("")
    assert "expertrag gate calibrate ROWS" in caplog.text
    assert "answers of other language models" in warned("another")
    assert warned(paced.fingerprint) == ""
    monkeypatch.setattr(models.shipped, "GATES_OF_GENERATORS", {paced.name: str(folder)})
    assert warned("") == ""


def test_gates_go_on_without_log_probabilities(
    open_pipeline: OpenPipeline, embedder: Any, tmp_path: Path
) -> None:
    """As with a model server that sends none."""
    _write(
        tmp_path / "gate", threshold=0.1, needs=Needs(None, embedder.fingerprint_of_expert(GENERAL))
    )
    server = ModelServer()
    try:
        generator = load_generator(f"openai:{server.url}#tiny")
        for gate, said in (
            (None, "the model does not report its confidence"),
            (ServedGate(tmp_path / "gate", _accept), "no signals of the group 'prefill' were"),
        ):
            asked = AnswerRequest("When are roses pruned?")
            answer = fold(open_pipeline(generator, gate=gate).answer(asked))
            decision = answer.decision
            assert answer.text == "Paris it is." and decision.p_benefit is not None
            assert said in " ".join((decision.reason, *decision.warnings))
            assert "margin" not in decision.signals
    finally:
        server.kill()


def test_a_server_explains_by_the_fitted_gate(
    start_server: StartServer, open_pipeline: OpenPipeline, embedder: Any, tmp_path: Path
) -> None:
    base = embedder.fingerprint_of_expert(GENERAL)
    folder = tmp_path / "gate"
    _write(folder, threshold=0.1, needs=Needs(embedder.name, base))
    gate = ServedGate(folder, _accept)
    server = start_server(lambda: open_pipeline(gate=gate))
    with Client(server.address) as client:
        version = client.info().gate
        assert version.startswith("planted@")
        decision = client.decide("When are roses pruned?")
        assert decision.action is GateAction.RETRIEVE
        assert set(decision.contributions) == {"store", "prefill"}
        assert decision.p_correct_retrieval is not None
        assert decision.calibrator == version
        _write(folder, threshold=1.0, needs=Needs(embedder.name, base))
        answer = client.answer("When are roses pruned?")
        assert answer.decision.action is GateAction.CLOSED_BOOK
        assert answer.usage.lm_calls == 1
        assert client.info().gate != version


@pytest.mark.parametrize(("value", "retrieves"), [(1e6, True), (1e-6, False)])
def test_answer_value_s_sets_the_threshold_from_measured_costs(
    built_store: Path, embedder: Any, tmp_path: Path, value: float, retrieves: bool
) -> None:
    needs = Needs(embedder.name, embedder.fingerprint_of_expert(GENERAL))
    _write(tmp_path / "gate", threshold=0.1, needs=needs)
    policy = GateConfig(bundle="planted", answer_value_s=value)
    gate = ServedGate(tmp_path / "gate", _accept)
    model = PacedGenerator()
    pipeline = Pipeline(built_store, PipelineModels(embedder, model, gate=gate), policy=policy)
    question = "When are roses pruned?"

    def ask(threshold: float | None) -> GateDecision:
        request = AnswerRequest(question, threshold=threshold, sampling=Sampling(max_tokens=8))
        return fold(pipeline.answer(request)).decision

    first = ask(None)
    assert first.threshold == 0.1
    assert "is not known before 5 answers of each kind" in first.reason
    for wish in (0.0, 1.0):
        model.step_s = 0.01 if wish == 0.0 else 0.0  # reading passages takes longer
        for _ in range(5):
            assert ask(wish).retrieve is (wish == 0.0)
    priced = ask(None)
    pipeline.close()
    assert f"a right answer is worth {value:g} s, which sets the threshold" in priced.reason
    assert priced.retrieve is retrieves
    assert priced.threshold == (pytest.approx(0.001) if retrieves else NOTHING)
    assert ("by its own, 0.10" in priced.reason) is not retrieves


def test_several_searches(
    built_store: Path, embedder: Any, paced: PacedGenerator, start_server: Callable[..., Any]
) -> None:
    server = start_server(lambda: Pipeline(built_store, PipelineModels(embedder, paced)))
    question = "When are roses pruned?"
    with Client(server.address) as client:
        once = client.answer(question, mode="always", k=2)
        twice = client.answer(question, mode="always", k=2, steps=2)
        assert (once.usage.retrieval_calls, once.usage.lm_calls) == (1, 1)
        assert (twice.usage.retrieval_calls, twice.usage.lm_calls) == (2, 2)
        assert len(twice.passages) == 2
        assert twice.usage.vectors_scanned > once.usage.vectors_scanned
        for steps in (0, 4):
            with pytest.raises(InvalidArgument, match=f"steps: is {steps}; choose a number from"):
                client.answer(question, steps=steps)


def test_strict_abstains_before_the_model_runs(
    start_server: StartServer, open_pipeline: OpenPipeline, embedder: Any, tmp_path: Path
) -> None:
    """In this gate, passages suffice if they hold the question's words."""
    rng = np.random.default_rng(0)
    missing = rng.integers(0, 6, 300)
    signals = [Signals({"evidence_missing_everywhere": float(count)}) for count in missing]
    judge = fit_sufficiency(signals, (missing < 2).tolist()).model
    needs = Needs(embedder.name, embedder.fingerprint_of_expert(GENERAL))
    folder = tmp_path / "gate"
    _write(folder, threshold=0.1, needs=needs, sufficiency=judge)
    gate = ServedGate(folder, _accept)
    server = start_server(lambda: open_pipeline(gate=gate))
    foreign = "Which Mongolian admiral besieged Reykjavik with elephants?"
    with Client(server.address) as client:
        refused = client.answer(foreign, mode="strict")
        assert refused.abstained
        assert refused.p_sufficient is not None
        assert refused.p_sufficient < 0.5
        assert refused.support is None  # no text was generated that could be compared
        assert refused.passages
        assert list(refused.usage.stage_seconds) == ["embed", "search", "judge"]
        assert (refused.usage.lm_calls, refused.usage.completion_tokens) == (0, 0)
        asked = client.answer("When are roses pruned?", mode="strict")
        assert asked.usage.lm_calls == 1
        assert asked.p_sufficient is not None
        assert asked.p_sufficient > 0.5
        assert refused.decision.calibrator == client.info().gate  # whose judge abstained
        assert client.answer(foreign, mode="always").p_sufficient is None
        assert client.answer(foreign, mode="strict", steps=2).p_sufficient is None
        _write(folder, threshold=0.1, needs=Needs("old-embedder", "abc"), sufficiency=judge)
        assert client.answer(foreign, mode="strict").p_sufficient is None
        _write(folder, threshold=0.1, needs=needs)
        assert client.answer(foreign, mode="strict").p_sufficient is None


def test_a_store_migrated_to_another_embedder_is_retrieved_from(
    built_store: Path, embedder: Any, paced: PacedGenerator, tmp_path: Path
) -> None:
    _write(tmp_path / "gate", threshold=0.1, needs=Needs("old-embedder", "abc"))
    gate = ServedGate(tmp_path / "gate", _accept)
    pipeline = Pipeline(built_store, PipelineModels(embedder, paced, gate=gate))
    decision = pipeline.decide("When are roses pruned?")
    pipeline.close()
    assert decision.action is GateAction.RETRIEVE
    assert "the gate was fitted with old-embedder" in decision.warnings[0]
    assert decision.p_benefit is None


def test_a_gate_uses_domain_signals_only_with_its_own_router(
    minilm_path: Path, embedder: Any, paced: PacedGenerator, tmp_path: Path
) -> None:
    shipped = open_embedder(ModelConfig(), None)
    store = tmp_path / "store"
    build(
        store,
        shipped,
        [Document(id="1", text="Roses are pruned in March.")],
        calibrate=calibrator(shipped),
    )
    base = shipped.fingerprint_of_expert(GENERAL)
    folder = tmp_path / "gate"

    def decided(router: str, question: str) -> GateDecision:
        _write(folder, threshold=0.1, domains=True, needs=Needs("mine", base, router=router))
        gate = ServedGate(folder, _accept)
        pipeline = Pipeline(store, PipelineModels(shipped, paced, gate=gate))
        decision = pipeline.decide(question)
        pipeline.close()
        return decision

    money = decided(shipped.fingerprint, "Is the dividend of a stock fund taxed as income?")
    roses = decided(shipped.fingerprint, "When are roses pruned?")
    assert money.signals[FINANCE] > 0.9 > 0.1 > roses.signals[FINANCE]
    assert money.contributions["domain"] > 0 > roses.contributions["domain"]
    assert money.warnings == ()

    other = decided("another", "Is the dividend of a stock fund taxed as income?")
    assert FINANCE not in other.signals
    assert "fitted with the domain router of mine" in other.warnings[-1]
    assert other.contributions["domain"] == 0.0
